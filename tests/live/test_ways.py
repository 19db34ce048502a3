"""The ways to watch and the ways to end."""

import glob
import os
import signal
import time

from live import OBSERVE, canary, cf, checked, complete, completeness, in_time, in_time, incomplete, same, steps, true, until, user_text


def test_pid(w):
    """A running agent, its connection made after the observer came."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    texts = [canary() for _ in range(5)]
    for t in texts:
        a.ask(t)
    same(a.end(3), 3, "the agent's status")
    same(o.end(), 0, "the observer's status")
    trace = w.traces()
    calls = in_time(trace, texts)
    same([user_text(s) for s in calls], texts, "what was asked")
    same([s["output"] for s in calls], ["echo " + t for t in texts], "what was answered")
    for t in trace:
        complete(t)
    checked(w)


def test_plain_http(w):
    """Over a plain socket, kept alive, streamed and not."""
    a = w.serve().agent("http")
    o = w.observe("--pid", a.pid)
    texts = [canary() for _ in range(6)]
    for i, t in enumerate(texts):
        a.ask(t, plan={"stream": i % 2 == 1})
    a.end()
    same(o.end(), 0, "the observer's status")
    calls = in_time(w.traces(), texts)
    same([user_text(s) for s in calls], texts, "what was asked")
    same([s["output"] for s in calls], ["echo " + t for t in texts], "what was answered")
    same({s["metadata"]["source"] for s in calls}, {"socket"}, "source")
    for t in w.traces():
        complete(t)
    checked(w)


def test_joined_late(w):
    """The connection was open before the observer came: later calls are there, and the trace says that it came late."""
    w.serve()
    for scheme in ("https", "http"):
        a = w.agent(scheme)
        a.ask(canary())
        o = w.observe("--pid", a.pid, out=scheme)
        texts = [canary() for _ in range(3)]
        for t in texts:
            a.ask(t)
        a.end()
        same(o.end(), 0, "the observer's status")
        calls = in_time(w.traces(scheme), texts)
        same([user_text(s) for s in calls], texts, "what was asked")
        late = [completeness(t)["connections"].get("joined_late", 0) for t in w.traces(scheme)]
        true(sum(late) > 0, f"the connection is not said to be joined late: {late}")


def test_joined_in_mid_answer(w):
    """The observer comes while an answer streams: what follows is read, and nothing claims to be whole."""
    a = w.serve().agent()
    a.send("ask", text=canary(), plan={"stream": True, "delay": 0.1})
    time.sleep(0.6)
    o = w.observe("--pid", a.pid)
    a.answer()
    late = canary()
    a.ask(late)
    a.end()
    same(o.end(), 0, "the observer's status")
    calls = [s for t in w.traces() for s in steps(t)]
    same([user_text(s) for s in calls if not s.get("metadata", {}).get("incomplete")], [late], "whole calls")


def test_threads(w):
    """Eight threads at the same time, streaming, each on its own connection."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    texts = [canary() for _ in range(8)]
    a.order("threads", asks=[{"text": t, "name": str(i), "plan": {"stream": True, "delay": 0.01}}
                             for i, t in enumerate(texts)])
    a.end()
    same(o.end(), 0, "the observer's status")
    calls = [s for t in w.traces() for s in steps(t)]
    same(sorted(user_text(s) for s in calls), sorted(texts), "what was asked")
    same(sorted(s["output"] for s in calls), sorted("echo " + t for t in texts), "what was answered")
    for t in w.traces():
        complete(t)


def test_server_side(w):
    """The model server watched: its connections are read; what it answers is somebody else's call, no step of its own."""
    w.serve()
    a = w.agent()
    o = w.observe("--pid", w.server.pid)
    for _ in range(3):
        a.ask(canary())
    a.end()
    same(o.end(signal.SIGINT), 0, "the observer's status")
    trace = w.trace()
    same(steps(trace), [], "model calls")
    same((completeness(trace)["connections"]["seen"], completeness(trace)["connections"]["decoded"]), (1, 1), "connections")
    complete(trace)
    checked(w)


def test_duration(w):
    a = w.serve().agent()
    began = time.monotonic()
    o = w.observe("--pid", a.pid, "--duration", "2")
    text = canary()
    a.ask(text)
    same(o.end(), 0, "the observer's status")
    took = time.monotonic() - began
    true(1.9 < took < 8, f"took {took:.1f} s")
    after = canary()
    a.ask(after)
    same(a.end(7), 7, "the agent's status")
    trace = w.trace()
    same([user_text(s) for s in steps(trace)], [text], "what was asked")
    same(trace["metadata"]["capture"]["stopped"], "duration", "why it stopped")


def test_interrupt(w):
    """INT drains and finalises; the agent goes on."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    text = canary()
    a.ask(text)
    same(o.end(signal.SIGINT, 10), 0, "the observer's status")
    same([user_text(s) for s in steps(w.trace())], [text], "what was asked")
    same(glob.glob(w.path("traces/*.part")), [], "open journals")
    a.ask(canary())
    same(a.end(), 0, "the agent's status")
    checked(w)


def test_interrupt_in_mid_answer(w):
    """A call that is under way at the end is in the trace, incomplete."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    text = canary()
    a.send("ask", text=text, plan={"stream": True, "delay": 0.2})
    time.sleep(1)
    same(o.end(signal.SIGTERM, 10), 0, "the observer's status")
    a.answer()
    trace = w.trace()
    same([(user_text(s), s["metadata"].get("incomplete")) for s in steps(trace)], [(text, True)], "the cut call")
    incomplete(trace)
    checked(w)


def test_second_interrupt(w):
    """The second INT aborts; what is in the journal can be recovered."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    text = canary()
    a.ask(text)
    until(lambda: any(text in open(f, encoding="utf-8").read() for f in glob.glob(w.path("traces/*.part"))), 10,
          "the step in the journal")
    os.kill(o.child(), signal.SIGSTOP)
    o.p.send_signal(signal.SIGINT)
    time.sleep(0.5)
    true(o.p.poll() is None, "the observer does not wait for its reader")
    o.end(signal.SIGINT, 5)
    done = cf("recover", w.path("traces"))
    same(done.returncode, 0, f"recover: {done.stderr}")
    same([user_text(s) for s in steps(w.trace())], [text], "what was asked")
    a.end()


def test_run_status(w):
    """`run` ends as its command does, and what the command printed is untouched."""
    for i, (script, wanted) in enumerate((("print('out')", 0), ("import sys; print('out'); sys.exit(3)", 3),
                                          ("import os; print('out', flush=True); os.kill(os.getpid(), 15)", 128 + 15))):
        p = w.start([OBSERVE, "run", "-q", "-o",
                     w.path(f"run{i}"), "--", "/usr/bin/python3", "-c", script], stdout=-1)
        out = p.stdout.read()
        same((p.wait(30), out), (wanted, b"out\n"), f"status and output of {script}")


def test_run(w):
    a = w.serve().agent(before=[OBSERVE, "run", "-o",
                                w.path("traces"), "--"])
    texts = [canary() for _ in range(3)]
    for t in texts:
        a.ask(t)
    same(a.end(3), 3, "the status that run passes on")
    calls = in_time(w.traces(), texts)
    same([user_text(s) for s in calls], texts, "what was asked")
    for t in w.traces():
        complete(t)
    checked(w)
