"""The table of agents: how each is started and what its model says. Every text, id, argument and count is new each run."""
import json
import os
import secrets

HERE = os.path.dirname(os.path.abspath(__file__))
WORDS = ("Gänseblümchen", "naïve", "日本語", "emoji 🦉🇪🇺", "tab\there", "quote\"d", "back\\slash", "<tag>&amp;", "line\nbreak",
         "\u2028sep", "ＦＵＬＬ", "zero\u200bwidth")


class Canaries:
    """Fresh random values for one run."""

    def token(self, prefix=""):
        return prefix + secrets.token_hex(5)

    def text(self, kind, n=3):
        words = [secrets.choice(WORDS) + " " + self.token() for _ in range(n)]
        return "%s %s: %s." % (kind, self.token(), " ".join(words))

    def number(self):
        return secrets.randbelow(1000)

    def note(self):
        """Arguments whose numbers a careless reader changes."""
        return {"name": self.token("note-"), "text": self.text("note"), "big": 9223372036854775807 - self.number(),
                "small": float("1.%de-7" % secrets.randbelow(10**6)), "nested": {"list": [1, 2.5, None, True, "\u0000x"]}}

    def echo(self):
        return {"word": self.token("word-"), "times": self.number()}


def conversation(c, followup=True, extra=True, **every):
    """Two parallel calls, one more call, an answer, and an answer to the second prompt."""
    note = c.note() if extra else {k: v for k, v in c.note().items() if k in ("name", "text")}
    turns = [
        dict(every, text=c.text("first"), tool_calls=[{"name": "write_note", "arguments": note},
                                                      {"name": "shell_echo", "arguments": c.echo()}]),
        dict(every, tool_calls=[{"name": "shell_echo", "arguments": c.echo()}]),
        dict(every, text=c.text("answer", 12)),
    ]
    if followup:
        turns.append(dict(every, text=c.text("second answer")))
    return turns


def limited(c, kind="rate_limit_error"):
    return {"error": {"status": 429, "type": kind, "message": c.text("slow down"), "code": "rate_limit_exceeded",
                      "headers": {"retry-after-ms": "30", "retry-after": "0.03"}}}


def with_retry(turns, c):
    return turns[:1] + [limited(c)] + turns[1:]


def reasoned(turns, c, which=(0, 2)):
    return [dict(t, reasoning=c.text("because", 5)) if i in which else t for i, t in enumerate(turns)]


def error(c, status, kind, code=None):
    return {"error": {"status": status, "type": kind, "message": c.text("failed"), "code": code}}


def failures(c, stream, anthropic):
    """One turn a prompt: each with its own way to fail, the last one good."""
    bad = "invalid_request_error"
    turns = [error(c, 400, bad, "context_length_exceeded"), error(c, 500, "api_error" if anthropic else "server_error"),
             error(c, 529, "overloaded_error") if anthropic else limited(c, "rate_limit_error"),
             {"refusal": c.text("I must not")}]
    if stream:
        mid = {"type": "overloaded_error" if anthropic else "server_error", "message": c.text("broke off")}
        turns += [{"text": c.text("half", 20), "stream_error": dict(mid, part=0.6), "pieces": 10},
                  {"text": c.text("severed", 20), "cut": {"part": 0.5}, "pieces": 10, "encoding": "gzip"},
                  {"text": c.text("severed too", 20), "cut": {"part": 0.5}, "pieces": 10}]
    else:
        turns += [{"text": c.text("severed", 20), "cut": {"part": 0.5}}]
    return turns + [{"text": c.text("good", 4), "finish": "max_tokens" if anthropic else "length"}]


def react(c):
    """CrewAI's text protocol for the first agent, a plain answer for the second."""
    turns = []
    for _ in range(2):
        args = c.echo()
        turns.append({"text": "Thought: I need it %s\nAction: shell_echo\nAction Input: %s" % (
            c.token(), json.dumps(args)), "text_tool": {"name": "shell_echo", "arguments": args}})
    for _ in range(2):
        turns.append({"text": "Thought: I now can give a great answer\nFinal Answer: " + c.text("crew said")})
    return turns


MIB = 1 << 20


def big(c):
    """20 MiB asked in one write, 20 MiB answered unpaced."""
    head = c.text("large")
    return [{"text": head + c.token() * (20 * MIB // 10), "framing": "length"}]


class Row:
    def __init__(self, name, command, turns, model="gpt-4o", **env):
        self.name, self.command, self.turns, self.model, self.env = name, command, turns, model, env

    @property
    def native(self):
        """Programs that are fetched or built: rows_native.py."""
        return self.env.get("native", False)

    def argv(self, root):
        program, *rest = self.command
        if self.native:
            # Names of what was fetched and built; other arguments are what they are.
            places = (os.path.join(os.path.dirname(root), "parts"), os.path.join(root, "bin"), os.path.join(root, "clients"))
            found = [[p for p in (os.path.join(d, a) for d in places) if os.path.exists(p)] for a in self.command]
            return [f[0] if f else a for f, a in zip(found, self.command)]
        path = os.path.join(HERE, "clients", program)
        if program.endswith(".py"):
            return [os.path.join(root, "venv/bin/python"), path] + rest
        # Modules are found from the program's place upwards: it is run from where they were installed.
        return [os.environ.get("NODE", "node"), os.path.join(root, "clients", program)] + rest


CLAUDE = "claude-sonnet-4-5"

ROWS = [
    Row("openai-sync", ["py_openai_chat.py", "sync"],
        lambda c: with_retry(conversation(c, encoding="gzip", framing="length", model=c.token("gpt-4o-dated-")), c)),
    Row("openai-async", ["py_openai_chat.py", "async"], lambda c: conversation(c, encoding="br", pieces=7)),
    Row("openai-stream", ["py_openai_chat.py", "stream"],
        lambda c: reasoned(conversation(c, encoding="gzip", pieces=9), c)),
    Row("openai-errors", ["py_openai_chat.py", "errors"], lambda c: failures(c, False, False), prompts=6),
    Row("openai-errors-stream", ["py_openai_chat.py", "errors_stream"], lambda c: failures(c, True, False), prompts=8),
    Row("openai-responses", ["py_openai_responses.py", "resend"],
        lambda c: reasoned(conversation(c, encoding="deflate"), c)),
    Row("openai-responses-stream", ["py_openai_responses.py", "stream"],
        lambda c: reasoned(conversation(c, encoding="gzip"), c)),
    Row("openai-responses-chained", ["py_openai_responses.py", "chained"], lambda c: conversation(c)),
    Row("azure", ["py_openai_chat.py", "azure"], lambda c: conversation(c)),
    Row("anthropic-sync", ["py_anthropic.py", "sync"],
        lambda c: with_retry(reasoned(conversation(c, encoding="gzip", framing="length"), c), c), CLAUDE),
    Row("anthropic-async", ["py_anthropic.py", "async"], lambda c: conversation(c, encoding="br"), CLAUDE),
    Row("anthropic-stream", ["py_anthropic.py", "stream"],
        lambda c: reasoned(conversation(c, pieces=9, model=c.token("claude-dated-")), c), CLAUDE),
    Row("anthropic-errors", ["py_anthropic.py", "errors"], lambda c: failures(c, False, True), CLAUDE, prompts=6),
    Row("anthropic-errors-stream", ["py_anthropic.py", "errors_stream"], lambda c: failures(c, True, True), CLAUDE,
        prompts=8),
    Row("httpx-raw", ["py_raw.py", "httpx"],
        lambda c: [error(c, 503, "server_error")] + conversation(c, encoding="zstd")),
    Row("requests-raw", ["py_raw.py", "requests"], lambda c: conversation(c, encoding="deflate"), CLAUDE),
    Row("aiohttp-raw", ["py_raw.py", "aiohttp"], lambda c: reasoned(conversation(c, encoding="br"), c)),
    Row("zstd-request", ["py_raw.py", "zstd"], lambda c: conversation(c)),
    Row("big", ["py_raw.py", "big"], big, vars={"CF_TEST_BIG": str(20 * MIB)}, timeout=150),
    Row("wget", ["py_raw.py", "wget"], lambda c: conversation(c)),
    Row("plain-http", ["py_raw.py", "plain"], lambda c: conversation(c, framing="close")),
    Row("langchain-openai", ["py_langchain.py", "openai"], lambda c: conversation(c)),
    Row("langchain-anthropic", ["py_langchain.py", "anthropic"], lambda c: conversation(c), CLAUDE),
    Row("langgraph", ["py_langchain.py", "graph"], lambda c: conversation(c, encoding="gzip")),
    Row("crewai", ["py_crewai.py"], react, timeout=180),
    Row("node-openai", ["node_openai.mjs", "sync"], lambda c: with_retry(conversation(c, encoding="gzip"), c)),
    Row("node-openai-stream", ["node_openai.mjs", "stream"], lambda c: conversation(c, pieces=9)),
    Row("node-anthropic", ["node_anthropic.mjs", "sync"],
        lambda c: with_retry(conversation(c, encoding="br"), c), CLAUDE),
    Row("node-anthropic-stream", ["node_anthropic.mjs", "stream"],
        lambda c: reasoned(conversation(c, pieces=9), c), CLAUDE),
    Row("langchain-js", ["node_langchain.mjs"], lambda c: conversation(c)),
]
