"""A small model server over TLS: answers OpenAI chat completions by a fixed plan and logs what it was asked.

usage: server.py DIR       DIR has server.pem and server.key; the port is written to DIR/port, the log to DIR/server.jsonl
"""

import http.server
import json
import os
import ssl
import sys


def answer(request):
    """First asks for the tool, then, once a result is there, concludes from it."""
    results = [m["content"] for m in request["messages"] if m["role"] == "tool"]
    if not results:
        city = request["messages"][-1]["content"].split()[-1].strip("?")
        message = {"role": "assistant", "content": None, "tool_calls": [
            {"id": "call_1", "type": "function",
             "function": {"name": "get_weather", "arguments": json.dumps({"city": city})}}]}
        return message, "tool_calls"
    return {"role": "assistant", "content": f"Take an umbrella: {results[-1]}"}, "stop"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    log = None

    def do_POST(self):  # noqa: N802 (the name is http.server's)
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        message, reason = answer(request)
        words = len(json.dumps(request["messages"]).split())
        reply = {"id": f"chatcmpl-{words}", "object": "chat.completion", "model": request["model"],
                 "choices": [{"index": 0, "message": message, "finish_reason": reason}],
                 "usage": {"prompt_tokens": words, "completion_tokens": 7, "total_tokens": words + 7}}
        body = json.dumps(reply).encode()
        self.log.write(json.dumps({"request": request, "reply": reply}) + "\n")
        self.log.flush()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main(folder):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{folder}/server.pem", f"{folder}/server.key")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with open(f"{folder}/server.jsonl", "w", encoding="utf-8") as Handler.log:
        with open(f"{folder}/port.new", "w", encoding="utf-8") as file:
            file.write(str(server.server_address[1]))
        os.rename(f"{folder}/port.new", f"{folder}/port")  # complete as soon as it can be seen
        server.serve_forever()


main(sys.argv[1])
