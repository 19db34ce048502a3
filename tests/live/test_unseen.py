"""Ways past the buffers of a process: what moves without being copied is a gap of known size, never nothing."""

from live import OBSERVE, PYTHON, incomplete, same, steps

SCRIPT = """
import json, os, socket, tempfile, urllib.parse
u = urllib.parse.urlsplit(os.environ["CF_TEST_URL"])
body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 100000}]}).encode()
f = tempfile.TemporaryFile()
f.write(body)
s = socket.create_connection((u.hostname, u.port))
s.sendall(b"POST /v1/chat/completions HTTP/1.1\\r\\nHost: h\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body))
sent = 0
while sent < len(body):
    sent += os.sendfile(s.fileno(), f.fileno(), sent, len(body) - sent)
answer = b""
while b"choices" not in answer:
    answer += s.recv(65536)
print(len(body))
"""


def test_sendfile(w):
    """A body sent by sendfile: its size is missing, the answer is there."""
    p = w.serve().start([OBSERVE, "run", "-o", w.path("traces"), "--", PYTHON, "-c", SCRIPT], w.env("http"),
                        stdout=-1, text=True)
    said, _ = p.communicate(timeout=60)
    same(p.returncode, 0, "the status")
    trace = w.trace()
    c = incomplete(trace)
    same(c["connections"].get("missing_bytes"), int(said), "bytes missing")
    (call,) = steps(trace)
    same(call["metadata"].get("missing_bytes"), int(said), "bytes missing in the call")
    same(call["metadata"]["http"]["status"], 200, "the answer's status")
