"""Large calls: whole when there is room, counted to the byte when there is not."""

import json
import os
import re
import signal
import subprocess
import time

import capfile
from live import (OBSERVE, canary, checked, complete, incomplete, read, reader_of, same, sha, short, steps, tls_program, true,
                  until, user_text)
from server import text_of

BIG = 20 << 20


def body_file(w, text):
    with open(w.path("body"), "w", encoding="utf-8") as file:
        json.dump({"model": "live-model", "messages": [{"role": "user", "content": text}]}, file)
    return w.path("body")


def test_20_mb(w):
    """20 MiB asked in one SSL_write and 20 MiB answered, ten times: every byte is there."""
    w.serve()
    for i in range(10):
        text = text_of(BIG, canary())
        plan = json.dumps({"bytes": BIG})
        p = w.start([OBSERVE, "run", "-q", "-o", w.path(f"t{i}"), "--", tls_program(), "post", str(w.ports["https"]),
                     body_file(w, text), plan], stdout=-1, text=True)
        out = p.communicate(timeout=60)[0]
        same(p.returncode, 0, f"status: {read(p.messages)}")
        said = w.log()[-1]
        trace = w.trace(f"t{i}")
        calls = steps(trace)
        same(len(calls), 1, f"model calls, time {i}")
        same((len(user_text(calls[0])), sha(user_text(calls[0]))), (len(text), sha(text)), f"the request, time {i}")
        same(said["asked_sha"], sha(text), "what the server got")
        same((len(calls[0]["output"]), sha(calls[0]["output"])), (BIG, said["answer_sha"]), f"the answer, time {i}")
        complete(trace)
        true(out.startswith("sent "), out)
    checked(w, "t0")


def small_ring(w, command, out):
    """The request and the answer, with a ring of 256 KiB and a reader that is stopped for a while; returns what the program said."""
    p = w.start([OBSERVE, *command, "--buffer", "256K", *out, "--", tls_program(), "post", str(w.ports["https"]),
                 body_file(w, text_of(3 << 20, canary())), json.dumps({"bytes": 3 << 20, "hold": w.path("go")})], stdout=-1, text=True)
    log = w.path("server.jsonl")
    # The request is there, the answer is held: the reader stops, the answer comes, the reader goes on.
    reader = reader_of(p)
    until(lambda: read(log).count("\n") >= 1, 20, "the request at the server")
    os.kill(reader, signal.SIGSTOP)
    with open(w.path("go"), "w", encoding="utf-8"):
        pass
    time.sleep(1.5)
    os.kill(reader, signal.SIGCONT)
    said = p.communicate(timeout=60)[0]
    same(p.returncode, 0, f"status: {read(p.messages)}")
    return list(map(int, re.findall(r"(?:sent|got) (\d+)", said)))


def test_small_ring_capture(w):
    """Per direction: bytes seen + bytes lost = bytes moved, the tail included; and the kernel counted the same."""
    w.serve()
    sent, got = small_ring(w, ["record", "-w", w.path("small.cap")], [])
    _, events = capfile.load(w.path("small.cap"))
    tls = [e.opened() for e in events if e.kind == capfile.EV_OPEN and e.opened()["layer"] == capfile.LAYER_TLS]
    moved = capfile.streams(events)
    same(len(tls), 1, "TLS objects")
    in_, out = moved[tls[0]["in"]], moved[tls[0]["out"]]
    same(out["seen"] + out["lost"], sent, f"written: seen {out['seen']} + lost {out['lost']}")
    same(in_["seen"] + in_["lost"], got, f"read: seen {in_['seen']} + lost {in_['lost']}")
    true(in_["lost"] > 0, "nothing was lost: the test tests nothing")
    counters = [e.fact() for e in events if e.kind == capfile.FACT["counters"]][-1]
    same(counters["lost_ring_bytes"], sum(s["lost"] for s in moved.values() if s["seen"] or s is in_ or s is out),
         "what the kernel says it lost")


def test_small_ring_trace(w):
    """The same as a trace: the step is incomplete, the run does not call itself complete, and the sums agree."""
    w.serve()
    sent, got = small_ring(w, ["run"], ["-o", w.path("traces")])
    traces = w.traces()
    c = [incomplete(t) for t in traces]
    same(len(traces), 1, "traces")
    calls = steps(traces[0])
    true(calls, f"no step: {json.dumps(c[0])}")
    true(all(s["metadata"].get("incomplete") for s in calls), f"whole steps: {short(calls)}")
    same(c[0]["bytes"] + c[0]["lost"]["lost_ring_bytes"], sent + got, f"bytes seen and lost: {json.dumps(c[0])}")
    same(c[0]["connections"]["missing_bytes"], c[0]["lost"]["lost_ring_bytes"], "missing in connections")
    checked(w)


def test_ends_in_loss(w):
    """The last bytes of a connection are lost, and so is the note of its end: its tail is counted all the same."""
    w.serve()
    p = w.start([OBSERVE, "record", "-w", w.path("tail.cap"), "--buffer", "64K", "--", tls_program(), "post",
                 str(w.ports["https"]), body_file(w, text_of(2 << 20, canary()))], stdout=-1, text=True)
    reader = reader_of(p)
    os.kill(reader, signal.SIGSTOP)
    time.sleep(2)
    os.kill(reader, signal.SIGCONT)
    said = p.communicate(timeout=60)[0]
    same(p.returncode, 0, f"status: {read(p.messages)}")
    sent, got = map(int, re.findall(r"(?:sent|got) (\d+)", said))
    _, events = capfile.load(w.path("tail.cap"))
    moved = sorted(s["seen"] + s["lost"] for s in capfile.streams(events).values())
    true(sent in moved, f"written {sent}, streams have {moved}")
    true(got in moved, f"read {got}, streams have {moved}")
