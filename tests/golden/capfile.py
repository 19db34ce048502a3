"""Capture files, read and written: the format of src/feed/capfile.c, records of bpf/event.h, facts of src/feed/fact.h."""

import json
import struct

MAGIC = b"CFCAP\n\0\1"
HEAD = struct.Struct("<8sII")
EVENT = struct.Struct("<IHHQIIQ")  # size, kind, flags, ts_ns, pid, tid, start_ns
DATA = struct.Struct("<QQQII")     # stream, pos, began_ns, len, captured
OPEN = struct.Struct("<QQQQIHHHHBBBB16s16s")
CLOSE = struct.Struct("<QQQQII")
BIND = struct.Struct("<QQII")

EV_OPEN, EV_DATA, EV_CLOSE, EV_BIND, EV_FORK, EV_EXEC, EV_EXIT = 1, 2, 3, 4, 5, 6, 7
FACTS = ["host", "process", "library", "framework", "counters", "tick", "stop", "ready", "gap"]
FACT = {name: 256 + i for i, name in enumerate(FACTS)}
KINDS = {"open": (1, 112), "data": (2, 64), "close": (3, 72), "bind": (4, 56), "fork": (5, 48), "exec": (6, 64),
         "exit": (7, 40), "file": (8, 56), "blind": (9, 40), "step": (10, 40), "fact": (256, 40)}
LAYER_TLS, LAYER_SOCKET = 1, 2
MODE_SAMPLE, MODE_FULL, MODE_COUNT = 1, 2, 3
LIB_OPENSSL, LIB_RUSTLS = 1, 4
CLOSE_FREED, CLOSE_EOF, CLOSE_EXIT, CLOSE_DRAIN = 1, 2, 4, 5
BIND_PAIR, BIND_NESTED = 1, 2


class Event:
    """One record: the fields of its header, and what follows it."""

    def __init__(self, kind, flags, ts_ns, pid, tid, start_ns, body):
        self.kind, self.flags, self.ts_ns, self.pid, self.tid, self.start_ns = kind, flags, ts_ns, pid, tid, start_ns
        self.body = body

    def bytes(self):
        size = EVENT.size + len(self.body)
        return EVENT.pack(size, self.kind, self.flags, self.ts_ns, self.pid, self.tid, self.start_ns) + self.body

    def like(self, body, flags=None):
        return Event(self.kind, self.flags if flags is None else flags, self.ts_ns, self.pid, self.tid, self.start_ns, body)

    def data(self):
        """stream, pos, began_ns, len, bytes"""
        stream, pos, began, n, captured = DATA.unpack_from(self.body)
        return stream, pos, began, n, self.body[DATA.size:DATA.size + captured]

    def opened(self):
        return dict(zip(("in", "out", "object", "inode", "fd", "family", "protocol", "local_port", "peer_port", "layer", "mode",
                         "tls", "library", "local", "peer"), OPEN.unpack_from(self.body)))

    def closed(self):
        return dict(zip(("in", "out", "in_pos", "out_pos", "why"), CLOSE.unpack_from(self.body)))

    def fact(self):
        n, _ = struct.unpack_from("<II", self.body)
        return json.loads(self.body[8:8 + n])


def data(model, stream, pos, began, moved, captured):
    return model.like(DATA.pack(stream, pos, began, moved, len(captured)) + captured)


def load(path):
    with open(path, "rb") as file:
        raw = file.read()
    magic, _, n = HEAD.unpack_from(raw)
    if magic != MAGIC:
        raise ValueError(f"{path} is no capture file")
    header, at, events = raw[HEAD.size:HEAD.size + n], HEAD.size + n, []
    while at < len(raw):
        size, kind, flags, ts_ns, pid, tid, start_ns = EVENT.unpack_from(raw, at)
        events.append(Event(kind, flags, ts_ns, pid, tid, start_ns, raw[at + EVENT.size:at + size]))
        at += (size + 7) & ~7
    return header, events


def save(path, header, events):
    with open(path, "wb") as file:
        file.write(HEAD.pack(MAGIC, 1, len(header)) + header)
        for e in events:
            raw = e.bytes()
            file.write(raw + bytes(-len(raw) % 8))


def header_of(machine="x86_64"):
    raw = json.dumps({"version": "0.1.0", "machine": machine, "kinds": KINDS}, separators=(",", ":")).encode()
    return raw + b" " * (-len(raw) % 8)


def split(events, size=1):
    """Every data record cut into records of `size` bytes."""
    for e in events:
        if e.kind != EV_DATA:
            yield e
            continue
        stream, pos, began, moved, raw = e.data()
        for at in range(0, len(raw), size):
            piece = raw[at:at + size]
            last = at + size >= len(raw)
            yield data(e, stream, pos + at, began, moved - at if last else len(piece), piece)
        if not raw:
            yield e


def same_call(a, b):
    """b goes on where a ended, in the same call of the target."""
    if a is None or a.kind != EV_DATA or b.kind != EV_DATA:
        return False
    x, y = a.data(), b.data()
    return (a.ts_ns, a.tid, a.flags, x[0], x[2]) == (b.ts_ns, b.tid, b.flags, y[0], y[2]) and \
        len(x[4]) == x[3] and x[1] + x[3] == y[1]


def merge(events):
    """Neighbouring data records of one call joined: what split() cut, and the slices of a large call."""
    held = None
    for e in events:
        if same_call(held, e):
            stream, pos, began, moved, raw = held.data()
            more = e.data()
            held = data(held, stream, pos, began, moved + more[3], raw + more[4])
            continue
        if held:
            yield held
        held = e
    if held:
        yield held


def drop(events, k, keep=()):
    """Every k-th record gone; kinds in `keep` are never dropped and not counted."""
    n = 0
    for e in events:
        if e.kind not in keep:
            n += 1
            if n % k == 0:
                continue
        yield e


def streams(events):
    """What the capture holds of each stream: {id: {"seen", "lost", "bytes"}}; seen and lost add up to what moved."""
    found = {}

    def up_to(s, pos):
        if pos > s["next"]:
            s["lost"] += pos - s["next"]
            s["next"] = pos

    def of(stream):
        return found.setdefault(stream, {"seen": 0, "lost": 0, "next": 0, "bytes": bytearray()})

    for e in events:
        if e.kind == EV_DATA:
            stream, pos, _, moved, raw = e.data()
            s = of(stream)
            up_to(s, pos)
            s["bytes"] += raw
            s["seen"] += len(raw)
            s["next"] += len(raw)
            up_to(s, pos + moved)
        elif e.kind == EV_CLOSE:
            c = e.closed()
            for stream, pos in ((c["in"], c["in_pos"]), (c["out"], c["out_pos"])):
                if stream:
                    up_to(of(stream), pos)
    return found
