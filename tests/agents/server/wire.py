"""HTTP/1.1 over a blocking socket: requests in, answers out with the framing and the encoding asked for."""
import zlib


class Closed(Exception):
    """The client went away, in an orderly way or not."""


class Request:
    def __init__(self, method, target, headers, body):
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.body = body

    def header(self, name, default=""):
        return self.headers.get(name, default)


def inflate(body, encoding):
    """Undoes a Content-Encoding (a list, applied last first)."""
    for name in reversed([e.strip().lower() for e in encoding.split(",") if e.strip()]):
        if name == "gzip":
            body = zlib.decompress(body, 31)
        elif name == "deflate":
            body = zlib.decompress(body)
        elif name == "br":
            import brotli
            body = brotli.decompress(body)
        elif name == "zstd":
            import zstandard
            body = zstandard.ZstdDecompressor().decompressobj().decompress(body)
        elif name != "identity":
            raise ValueError("content-encoding " + name)
    return body


class _Identity:
    def feed(self, data):
        return data

    def end(self):
        return b""


class _Zlib:
    def __init__(self, wbits):
        self.z = zlib.compressobj(6, zlib.DEFLATED, wbits)

    def feed(self, data):
        return self.z.compress(data) + self.z.flush(zlib.Z_SYNC_FLUSH)

    def end(self):
        return self.z.flush()


class _Brotli:
    def __init__(self):
        import brotli
        self.z = brotli.Compressor(quality=4)

    def feed(self, data):
        return self.z.process(data) + self.z.flush()

    def end(self):
        return self.z.finish()


class _Zstd:
    def __init__(self):
        import zstandard
        self.z = zstandard.ZstdCompressor(level=3).compressobj()
        self.block = zstandard.COMPRESSOBJ_FLUSH_BLOCK

    def feed(self, data):
        return self.z.compress(data) + self.z.flush(self.block)

    def end(self):
        return self.z.flush()


ENCODERS = {
    "identity": _Identity,
    "gzip": lambda: _Zlib(31),
    "deflate": lambda: _Zlib(15),
    "br": _Brotli,
    "zstd": _Zstd,
}


def choose_encoding(wanted, accept):
    """The wanted encoding if the client takes it, else identity."""
    accepted = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    return wanted if wanted and (wanted in accepted or "*" in accepted) else "identity"


class Conn:
    """`tap(direction, data)` is told every byte, as the client sees it: "out" what it sent, "in" what it got."""

    def __init__(self, sock, tap=None):
        self.sock = sock
        self.buf = b""
        self.tap = tap or (lambda direction, data: None)

    def _recv(self, n):
        try:
            data = self.sock.recv(n)
        except OSError as e:
            raise Closed(str(e)) from e
        if data:
            self.tap("out", data)
        return data

    def _more(self):
        data = self._recv(262144)
        if not data:
            raise Closed("eof")
        self.buf += data

    def _line(self):
        while b"\r\n" not in self.buf:
            self._more()
            if len(self.buf) > 1 << 20 and b"\r\n" not in self.buf:
                raise Closed("line too long")
        line, _, self.buf = self.buf.partition(b"\r\n")
        return line

    def _exactly(self, n):
        parts, have = [self.buf[:n]], min(n, len(self.buf))
        self.buf = self.buf[n:]
        while have < n:
            data = self._recv(min(n - have, 1 << 20))
            if not data:
                raise Closed("eof in body")
            parts.append(data)
            have += len(data)
        return b"".join(parts)

    def request(self):
        line = self._line()
        while not line:  # RFC 9112 2.2: empty lines before a request are skipped
            line = self._line()
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers = {}
        while True:
            line = self._line().decode("latin-1")
            if not line:
                break
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("expect", "").lower() == "100-continue":
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", "").lower():
            body = self._chunks()
        else:
            body = self._exactly(int(headers.get("content-length", "0")))
        return Request(method, target, headers, body)

    def _chunks(self):
        parts = []
        while True:
            size = int(self._line().split(b";")[0], 16)
            if size == 0:
                while self._line():
                    pass
                return b"".join(parts)
            parts.append(self._exactly(size))
            self._exactly(2)

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Closed(str(e)) from e
        self.tap("in", data)


def head(status, reason, headers):
    lines = ["HTTP/1.1 %d %s" % (status, reason)]
    lines += ["%s: %s" % pair for pair in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests",
           500: "Internal Server Error", 503: "Service Unavailable", 529: "Site Overloaded"}


class Sender:
    """Sends one answer as pieces: `length`, `chunked` or `close` framing."""

    def __init__(self, conn, status, headers, framing, encoding):
        self.conn, self.status, self.headers = conn, status, list(headers)
        self.framing = framing
        self.hold = None
        self.encoder = ENCODERS[encoding]()
        if encoding != "identity":
            self.headers.append(("content-encoding", encoding))

    def whole(self, body, split=1):
        """The body in `split` pieces of about the same size."""
        data = self.encoder.feed(body) + self.encoder.end()
        self.hold = [] if split <= 1 else None  # one write: a client that skips the body of an error got it all the same
        step = max(1, -(-len(data) // max(1, split)))
        pieces = [data[i:i + step] for i in range(0, len(data), step)]
        self.start(len(data))
        for piece in pieces:
            self._raw(piece)
        self._last()
        if self.hold is not None:
            self.conn.send(b"".join(self.hold))

    def start(self, length=None):
        headers = list(self.headers)
        if self.framing == "length" and length is not None:
            headers.append(("content-length", str(length)))
        elif self.framing == "close":
            headers.append(("connection", "close"))
        else:
            self.framing = "chunked"
            headers.append(("transfer-encoding", "chunked"))
        self._send(head(self.status, REASONS.get(self.status, "Status"), headers))

    def piece(self, data):
        self._raw(self.encoder.feed(data))

    def end(self):
        self._raw(self.encoder.end())
        self._last()

    def _raw(self, data):
        if not data:
            return
        if self.framing == "chunked":
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self._send(data)

    def _send(self, data):
        if self.hold is not None:
            self.hold.append(data)
        else:
            self.conn.send(data)

    def _last(self):
        if self.framing == "chunked":
            self._send(b"0\r\n\r\n")
