"""A model server that speaks what a scenario says and writes down what was asked and answered.

    python3 tests/agents/server --dir DIR --scenario FILE

prints one JSON line: {"https": PORT, "http": PORT, "ca": PATH, "log": PATH}. The log (JSON lines) has one row per
request, in the order in which the requests had arrived whole (`seq`); a row is written when its answer has ended.
A scenario is {"turns": [TURN...]}; each request takes the first unused turn that fits it. README.md lists the fields.
"""
import argparse
import base64
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
import traceback

import certs
import chat
import messages
import responses
from answer import fold
from wire import Closed, Conn, Sender, choose_encoding, inflate

DIALECTS = (chat, responses, messages)


class Scenario:
    def __init__(self, turns):
        self.lock = threading.Lock()
        self.turns = list(enumerate(turns))
        self.seq = 0

    def take(self, dialect, body_text):
        """(seq, index, turn): the first unused turn that fits; turn None when there is none."""
        with self.lock:
            self.seq += 1
            for place, (index, turn) in enumerate(self.turns):
                fits = turn.get("match", {})
                if fits.get("dialect", dialect) == dialect and fits.get("contains", "") in body_text:
                    del self.turns[place]
                    return self.seq, index, turn
            return self.seq, None, None

    def unused(self):
        with self.lock:
            return len(self.turns)


class Log:
    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = open(path, "a", encoding="utf-8")

    def write(self, row):
        with self.lock:
            self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
            self.file.flush()


class Server:
    def __init__(self, directory, turns, tap=None):
        self.paths = certs.make(directory)
        self.log_path = os.path.join(directory, "server.jsonl")
        self.log = Log(self.log_path)
        self.scenario = Scenario(turns)
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.load_cert_chain(self.paths["cert"], self.paths["key"])
        self.tls.set_alpn_protocols(["http/1.1"])
        self.n_conns = 0
        self.tap = Log(tap) if tap else None

    def listen(self, tls):
        sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        threading.Thread(target=self._accept, args=(sock, tls), daemon=True).start()
        return sock.getsockname()[1]

    def _accept(self, sock, tls):
        while True:
            raw, _ = sock.accept()
            self.n_conns += 1
            threading.Thread(target=self._serve, args=(raw, tls, self.n_conns), daemon=True).start()

    def _serve(self, raw, tls, conn_id):
        raw.settimeout(300)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = raw
        try:
            if tls:
                sock = self.tls.wrap_socket(raw, server_side=True)
            conn = Conn(sock, self._tap_of(conn_id))
            while self._one(conn, conn_id, "https" if tls else "http"):
                pass
        except (Closed, OSError, ValueError):
            pass
        finally:
            sock.close()

    def _tap_of(self, conn_id):
        if not self.tap:
            return None
        return lambda direction, data: self.tap.write(
            {"t": time.time(), "conn": conn_id, "dir": direction, "data": base64.b64encode(data).decode("ascii")})

    def _one(self, conn, conn_id, scheme):
        """Serves one request. False: the connection must be closed."""
        request = conn.request()
        dialect = next((d for d in DIALECTS if d.matches(request.path) and request.method == "POST"), None)
        row = {"t_begin": time.time(), "conn": conn_id, "scheme": scheme, "method": request.method,
               "path": request.target, "host": request.header("host"), "user_agent": request.header("user-agent"),
               "dialect": dialect.NAME if dialect else None}
        if dialect is None:
            Sender(conn, 404, [("content-type", "application/json")], "length", "identity").whole(b"{}")
            self.log.write(dict(row, seq=0, status=404, t_end=time.time()))
            return request.header("connection").lower() != "close"
        text = inflate(request.body, request.header("content-encoding")).decode("utf-8", "replace")
        seq, index, turn = self.scenario.take(dialect.NAME, text)
        unscripted = turn is None
        if unscripted:
            turn = {"error": {"status": 400, "type": "invalid_request_error", "message": "no turn left"}}
        row.update(seq=seq, turn=index, unscripted=unscripted, request_raw=text, request_bytes=len(request.body),
                   text_tool=turn.get("text_tool"), request_encoding=request.header("content-encoding"))
        body = json.loads(text)
        row["stream"] = bool(body.get("stream"))
        keep = True
        try:
            keep = Answer(conn, request, dialect, turn, body, row).send()
        except Closed:
            raise
        except Exception as e:
            # A mistake of this server must never look like something that a client did.
            row["bug"] = traceback.format_exc()
            raise Closed(str(e)) from e
        finally:
            row["t_end"] = time.time()
            self.log.write(row)
        return keep and request.header("connection").lower() != "close"


class Answer:
    """Sends one answer and fills the row with what was really sent."""

    def __init__(self, conn, request, dialect, turn, body, row):
        self.conn, self.dialect, self.turn, self.row = conn, dialect, turn, row
        self.encoding = choose_encoding(turn.get("encoding"), request.header("accept-encoding"))
        self.framing = turn.get("framing", "chunked")
        self.request = body
        row.update(fold([]), encoding=self.encoding, framing=self.framing, status=200)

    def sender(self, status, content_type, extra=()):
        headers = [("content-type", content_type)] + self.dialect.headers(self.row["path"]) + list(extra)
        self.row["request_id"] = next((v for k, v in headers if k in ("request-id", "x-request-id")), None)
        self.row["status"] = status
        return Sender(self.conn, status, headers, self.framing, self.encoding)

    def send(self):
        time.sleep(self.turn.get("delay_ms", 0) / 1000)
        error = self.turn.get("error")
        if error:
            return self._error(error)
        whole, events = self.dialect.build(self.request, self.turn)
        return self._stream(events) if events is not None else self._whole(*whole)

    def _error(self, error):
        self.row["error"] = {"kind": "http", "status": error["status"], "type": error["type"],
                             "message": error["message"]}
        extra = [(k, str(v)) for k, v in (error.get("headers") or {}).items()]
        body = json.dumps(self.dialect.error_body(error), ensure_ascii=False).encode()
        self.sender(error["status"], "application/json", extra).whole(body)
        return self.framing != "close"

    def _whole(self, body, ops):
        cut = self.turn.get("cut")
        sender = self.sender(200, "application/json")
        if cut:
            sender.framing = "length"
            sender.start(len(body))
            self.conn.send(body[:int(len(body) * cut.get("part", 0.5))])
            self.row["error"] = {"kind": "cut", "status": 200}
            # A reader may show what it could make out of half a body, if it says that it is half.
            self.row["meant"] = fold(ops)
            return False
        sender.whole(body, self.turn.get("pieces", 1))
        self.row.update(fold(ops))
        return self.framing != "close"

    def _stream(self, events):
        """The row holds what had been sent, also when the client leaves in the middle."""
        turn, done = self.turn, []
        stop = turn.get("cut") or turn.get("stream_error")
        last = len(events) if not stop else max(2, int(len(events) * stop.get("part", 0.5)))
        sender = self.sender(200, "text/event-stream; charset=utf-8")
        try:
            sender.start()
            for data, ops in events[:last]:
                sender.piece(data)
                done += ops
                time.sleep(turn.get("pace_ms", 1) / 1000)
            if turn.get("stream_error"):
                error = turn["stream_error"]
                sender.piece(self.dialect.stream_error(error))
                done.append(("error", {"kind": "stream", "status": 200, "type": error["type"],
                                       "message": error["message"]}))
            elif turn.get("cut"):
                done.append(("error", {"kind": "cut", "status": 200}))
                return False
            sender.end()
        except Closed:
            # Many clients stop reading at the last event: they have the whole answer.
            if not fold(done)["complete"]:
                done.append(("error", {"kind": "client_left", "status": 200}))
            raise
        finally:
            self.row.update(fold(done))
        return self.framing != "close"


def main():
    parser = argparse.ArgumentParser(description="scripted model server")
    parser.add_argument("--dir", required=True, help="directory for certificates and the log (made when missing)")
    parser.add_argument("--scenario", required=True, help="JSON file")
    parser.add_argument("--tap", help="file: every byte of every connection, in order, as JSON lines")
    args = parser.parse_args()
    os.makedirs(args.dir, exist_ok=True)
    with open(args.scenario, encoding="utf-8") as f:
        scenario = json.load(f)
    server = Server(os.path.abspath(args.dir), scenario["turns"], args.tap)
    ports = {"https": server.listen(True), "http": server.listen(False)}
    stop = threading.Event()
    for sig in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sig, lambda *_: stop.set())
    print(json.dumps(dict(ports, ca=server.paths["ca"], log=server.log_path, pid=os.getpid())), flush=True)
    stop.wait()
    print("turns left: %d" % server.scenario.unused(), file=sys.stderr)


if __name__ == "__main__":
    main()
