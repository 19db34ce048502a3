"""What was recorded of live programs, replayed: whole, cut, joined, with holes."""

import json

import capfile
import replaying
from live import OBSERVE, Wrong, canary, in_time, read, same, true, user_text


def holds(path):
    wrong = [f"{what}: {why}" for what, why in replaying.variants(path) if why]
    if wrong:
        raise Wrong("; ".join(wrong))


def recorded(w, scheme, plans):
    a = w.serve().agent(scheme, before=[OBSERVE, "record", "-w", w.path("agent.cap"), "--"])
    texts = [canary() for _ in plans]
    for text, plan in zip(texts, plans):
        a.ask(text, plan=plan)
    same(a.end(), 0, f"status: {read(a.p.messages)}")
    files = replaying.replay(w.path("agent.cap"))[1]
    calls = in_time([json.loads(f) for f in files.values()], texts)
    same([user_text(s) for s in calls], texts, "what was asked")
    true(replaying.claims(files), "the recording is not complete")
    return w.path("agent.cap")


def test_tls(w):
    holds(recorded(w, "https", [{}, {"stream": True, "delay": 0.005}, {"bytes": 5000}, {"stream": True}]))


def test_plain(w):
    holds(recorded(w, "http", [{}, {"stream": True, "delay": 0.005}, {"bytes": 5000}]))


def test_secrets(w):
    """The credential of the agent is not in the capture file."""
    path = recorded(w, "https", [{}])
    with open(path, "rb") as file:
        true(b"sk-live-0123456789abcdef0123456789" not in file.read(), "the key is in the capture file")
    true(capfile.load(path)[1], "no records")
