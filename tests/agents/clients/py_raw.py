"""No SDK: httpx | requests | aiohttp | wget (a child for each call) | plain (urllib over HTTP), each with another dialect or habit; zstd (compressed
requests), and big (one request of CF_TEST_BIG bytes in one write)."""
import asyncio
import json
import os
import ssl
import subprocess
import sys

from common import (ANTHROPIC_TOOLS, BASE, CA, CHAT_TOOLS, FOLLOWUP, KEY, MAX_TURNS, MODEL, PROMPT, RESPONSES_TOOLS,
                    SYSTEM, finish, run_tool, wait)

MODE = sys.argv[1]


class Chat:
    path, headers = "/v1/chat/completions", {"authorization": "Bearer " + KEY}

    def __init__(self):
        self.messages = [{"role": "system", "content": SYSTEM}]

    def user(self, text):
        self.messages.append({"role": "user", "content": text})

    def body(self):
        return {"model": MODEL, "messages": self.messages, "tools": CHAT_TOOLS}

    def take(self, answer):
        """(text, whether tools ran)."""
        message = answer["choices"][0]["message"]
        self.messages.append(message)
        for c in message.get("tool_calls") or []:
            f = c["function"]
            self.messages.append({"role": "tool", "tool_call_id": c["id"], "name": f["name"],
                                  "content": [{"type": "text", "text": run_tool(f["name"], f["arguments"])}]})
        return message.get("content"), bool(message.get("tool_calls"))


class Messages:
    path, headers = "/v1/messages", {"x-api-key": KEY, "anthropic-version": "2023-06-01"}

    def __init__(self):
        self.messages = []

    def user(self, text):
        self.messages.append({"role": "user", "content": [{"type": "text", "text": text}]})

    def body(self):
        return {"model": MODEL, "max_tokens": 1000, "messages": self.messages, "tools": ANTHROPIC_TOOLS,
                "system": [{"type": "text", "text": SYSTEM, "cache_control": {"type": "ephemeral"}}]}

    def take(self, answer):
        self.messages.append({"role": "assistant", "content": answer["content"]})
        uses = [b for b in answer["content"] if b["type"] == "tool_use"]
        if uses:
            self.messages.append({"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": b["id"], "is_error": False,
                 "content": [{"type": "text", "text": run_tool(b["name"], b["input"])}]} for b in uses]})
        return "".join(b["text"] for b in answer["content"] if b["type"] == "text"), bool(uses)


class Responses:
    path, headers = "/v1/responses", {"authorization": "Bearer " + KEY}

    def __init__(self):
        self.items = []

    def user(self, text):
        self.items.append({"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]})

    def body(self):
        return {"model": MODEL, "instructions": SYSTEM, "input": self.items, "tools": RESPONSES_TOOLS}

    def take(self, answer):
        self.items += answer["output"]
        calls = [i for i in answer["output"] if i["type"] == "function_call"]
        self.items += [{"type": "function_call_output", "call_id": c["call_id"],
                        "output": run_tool(c["name"], c["arguments"])} for c in calls]
        return "".join(p["text"] for i in answer["output"] if i["type"] == "message" for p in i["content"]), bool(calls)


def loop(dialect, post):
    for prompt in filter(None, (PROMPT, FOLLOWUP)):
        dialect.user(prompt)
        for _ in range(MAX_TURNS):
            text, more = dialect.take(post(dialect.path, dialect.headers, dialect.body()))
            if not more:
                break
        finish(text)


def with_httpx():
    import httpx
    with httpx.Client(base_url=BASE, verify=ssl.create_default_context(cafile=CA), timeout=60) as client:
        wait()

        def post(path, headers, body):
            for _ in range(4):
                data = json.dumps(body, ensure_ascii=False).encode()
                if MODE == "zstd":
                    import zstandard
                    data = zstandard.ZstdCompressor(level=3).compress(data)
                    headers = dict(headers, **{"content-encoding": "zstd"})
                answer = client.post(path, headers=dict(headers, **{"content-type": "application/json"}), content=data)
                if answer.status_code == 200:
                    return answer.json()
            raise SystemExit("no answer")
        loop(Chat() if MODE == "httpx" else Responses(), post)


def with_requests():
    import requests
    wait()
    with requests.Session() as session:
        session.verify = CA

        def post(path, headers, body):
            # The body is pretty-printed and in ASCII escapes: the same values in other bytes.
            answer = session.post(BASE + path, data=json.dumps(body, indent=1),
                                  headers=dict(headers, **{"content-type": "application/json"}), timeout=60)
            answer.raise_for_status()
            return answer.json()
        loop(Messages(), post)


async def with_aiohttp():
    import aiohttp
    context = ssl.create_default_context(cafile=CA)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        wait()
        dialect = Responses()
        for prompt in filter(None, (PROMPT, FOLLOWUP)):
            dialect.user(prompt)
            for _ in range(MAX_TURNS):
                async with session.post(BASE + dialect.path, headers=dialect.headers, json=dialect.body(),
                                        expect100=True) as answer:
                    text, more = dialect.take(await answer.json())
                if not more:
                    break
            finish(text)


def big():
    import httpx
    wait()
    prompt = PROMPT + "x" * int(os.environ["CF_TEST_BIG"])
    with httpx.Client(base_url=BASE, verify=ssl.create_default_context(cafile=CA), timeout=120) as client:
        answer = client.post(Chat.path, headers=Chat.headers,
                             json={"model": MODEL, "messages": [{"role": "user", "content": prompt}]})
        finish(len(answer.json()["choices"][0]["message"]["content"]))


def with_wget():
    wait()

    def post(path, headers, body):
        name = os.path.join(os.environ["CF_TEST_DIR"], "request.json")
        with open(name, "w", encoding="utf-8") as f:
            json.dump(body, f)
        said = ["--header=%s: %s" % h for h in dict(headers, **{"content-type": "application/json"}).items()]
        done = subprocess.run(["wget", "-q", "-O", "-", "--ca-certificate=" + CA, "--post-file=" + name] + said + [BASE + path],
                              stdout=subprocess.PIPE, check=True, timeout=60)
        return json.loads(done.stdout)
    loop(Chat(), post)


def plain():
    """Plain HTTP: nothing but sockets."""
    import urllib.request
    wait()

    def post(path, headers, body):
        request = urllib.request.Request(os.environ["CF_TEST_HTTP"] + path, json.dumps(body).encode(),
                                         dict(headers, **{"content-type": "application/json"}))
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())
    loop(Chat(), post)


if MODE == "aiohttp":
    asyncio.run(with_aiohttp())
else:
    {"httpx": with_httpx, "zstd": with_httpx, "requests": with_requests, "big": big, "wget": with_wget,
     "plain": plain}[MODE]()
