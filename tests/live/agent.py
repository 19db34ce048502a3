"""An agent that does what its standard input says, one JSON object a line, and answers each with one line.

{"do": "ask", "text", "plan", "name"}   asks the model on the connection `name` (kept alive), answers {"answer_sha", "answer"}
{"do": "threads", "asks": [...]}        the same, each in a thread of its own, at the same time
{"do": "spawn", "argv"}                 runs a command to its end, answers {"pid", "status", "out"}
{"do": "thread"}                        a thread that ends at once, answers {"tid"}
{"do": "exit", "status"} or {"do": "die", "signal"}

CF_TEST_URL says where the model is; https:// or http://.
"""

import hashlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import threading
import urllib.parse

URL = urllib.parse.urlsplit(os.environ["CF_TEST_URL"])
conns = {}


def connection(name):
    if name not in conns:
        if URL.scheme == "https":
            context = ssl.create_default_context(cafile=os.environ["SSL_CERT_FILE"])
            conns[name] = http.client.HTTPSConnection(URL.hostname, URL.port, context=context, timeout=60)
        else:
            conns[name] = http.client.HTTPConnection(URL.hostname, URL.port, timeout=60)
    return conns[name]


def content_of(raw, streamed):
    if not streamed:
        return json.loads(raw)["choices"][0]["message"]["content"]
    events = [json.loads(line[6:]) for line in raw.decode().split("\n") if line.startswith("data: {")]
    return "".join(c["delta"].get("content", "") for e in events for c in e["choices"])


def ask(text, plan=None, name="main", n=0):
    body = {"model": "live-model", "messages": [{"role": "user", "content": text * (n or 1)}]}
    plan = plan or {}
    if plan.get("stream"):
        body["stream"] = True
    c = connection(name)
    c.request("POST", "/v1/chat/completions", json.dumps(body),
              {"Content-Type": "application/json", "X-Plan": json.dumps(plan), "Authorization": "Bearer sk-live-0123456789abcdef0123456789"})
    raw = c.getresponse().read()
    content = content_of(raw, plan.get("stream"))
    return {"answer_sha": hashlib.sha256(content.encode()).hexdigest(), "answer": content[:200]}


def threads(asks):
    answers = [None] * len(asks)

    def one(i):
        answers[i] = ask(**asks[i])

    all_ = [threading.Thread(target=one, args=(i,)) for i in range(len(asks))]
    for t in all_:
        t.start()
    for t in all_:
        t.join()
    return {"answers": answers}


def spawn(argv):
    p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    out, _ = p.communicate()
    return {"pid": p.pid, "status": p.returncode, "out": out}


def thread():
    tid = []
    t = threading.Thread(target=lambda: tid.append(threading.get_native_id()))
    t.start()
    t.join()
    return {"tid": tid[0]}


def die(signal):
    os.kill(os.getpid(), signal)


for line in sys.stdin:
    order = json.loads(line)
    what = order.pop("do")
    if what == "exit":
        sys.exit(order["status"])
    print(json.dumps(globals()[what](**order)), flush=True)
