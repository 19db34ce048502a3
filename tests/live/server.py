"""The model server of the live tests: OpenAI chat completions over TLS and over plain HTTP, doing what each request asks.

usage: server.py DIR    DIR has server.pem and server.key. Ports go to DIR/ports (JSON: https, http), one line a request
                        to DIR/server.jsonl, written before the answer is.

A request's header X-Plan is JSON: {"bytes": N} an answer of N bytes, {"stream": true, "delay": S} as server-sent events
S seconds apart, {"hold": PATH} not before PATH exists.
"""

import hashlib
import http.server
import json
import os
import random
import ssl
import string
import sys
import threading
import time

LETTERS = (string.ascii_letters + string.digits + ' \n"\\').encode()


def text_of(n, seed):
    """n bytes, each run of a few kB its own, so that bytes out of place are found."""
    rng = random.Random(seed)
    table = bytes(LETTERS[i % len(LETTERS)] for i in range(256))
    return rng.randbytes(n).translate(table).decode()


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    log, lock, count = None, threading.Lock(), 0

    def do_POST(self):  # noqa: N802 (the name is http.server's)
        plan = json.loads(self.headers.get("X-Plan") or "{}")
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        request = json.loads(raw)
        asked = request["messages"][-1]["content"]
        answer = text_of(plan["bytes"], asked[:64]) if "bytes" in plan else f"echo {asked}"
        with Handler.lock:
            Handler.count += 1
            self.log.write(json.dumps({
                "n": Handler.count, "asked": asked[:200], "asked_sha": sha(asked), "answer_sha": sha(answer),
                "answer": answer[:200], "body": len(raw), "tls": isinstance(self.connection, ssl.SSLSocket)}) + "\n")
            self.log.flush()
        end = time.monotonic() + 30
        while "hold" in plan and not os.path.exists(plan["hold"]) and time.monotonic() < end:
            time.sleep(0.02)
        usage = {"prompt_tokens": len(asked) % 9973, "completion_tokens": len(answer) % 9973}
        usage["total_tokens"] = sum(usage.values())
        if plan.get("stream"):
            self.stream(request, answer, usage, plan.get("delay", 0))
        else:
            self.whole(request, answer, usage)

    def whole(self, request, answer, usage):
        body = json.dumps({"id": f"chatcmpl-{Handler.count}", "object": "chat.completion", "model": request["model"],
                           "choices": [{"index": 0, "message": {"role": "assistant", "content": answer},
                                        "finish_reason": "stop"}], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def stream(self, request, answer, usage, delay):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        step = max(1, len(answer) // 16)
        pieces = [{"choices": [{"index": 0, "delta": {"content": answer[i:i + step]}}]}
                  for i in range(0, len(answer), step)]
        pieces += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
        for piece in [json.dumps({"id": "chatcmpl-s", "object": "chat.completion.chunk", "model": request["model"], **p})
                      for p in pieces] + ["[DONE]"]:
            event = f"data: {piece}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))
            self.wfile.flush()
            time.sleep(delay)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    context = None

    def finish_request(self, request, client_address):
        """The handshake belongs into the connection's own thread."""
        if self.context:
            try:
                request = self.context.wrap_socket(request, server_side=True)
            except (OSError, ssl.SSLError):
                return
        super().finish_request(request, client_address)

    def handle_error(self, request, client_address):
        pass  # clients of these tests may end at any point


def main(folder):
    tls, plain = Server(("127.0.0.1", 0), Handler), Server(("127.0.0.1", 0), Handler)
    tls.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
    with open(f"{folder}/server.jsonl", "w", encoding="utf-8") as Handler.log:
        with open(f"{folder}/ports.new", "w", encoding="utf-8") as file:
            json.dump({"https": tls.server_address[1], "http": plain.server_address[1]}, file)
        os.rename(f"{folder}/ports.new", f"{folder}/ports")  # complete as soon as it can be seen
        threading.Thread(target=plain.serve_forever, daemon=True).start()
        tls.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
