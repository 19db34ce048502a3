"""The observer dies, comes and goes; the agent does not notice, and what was finished is kept."""

import glob
import json
import os
import signal
import subprocess
import time

from live import (OBSERVE, PYTHON, Wrong, canary, cf, checked, children, in_time, incomplete, read, reader_of, same, short, steps,
                  tls_program, true, until, user_text)


def kill_both(o):
    reader = reader_of(o.p)
    for pid in (o.p.pid, reader):
        os.kill(pid, signal.SIGKILL)
    o.p.wait()


def journal(w, out="traces"):
    return "".join(read(f) for f in glob.glob(w.path(out) + "/*.part"))


def test_kill_and_recover(w):
    """kill -9 of both processes in mid-run: every finished step is recovered, and the agent goes on."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    texts = [canary() for _ in range(8)]
    for t in texts:
        a.ask(t)
    until(lambda: f"echo {texts[-1]}" in journal(w), 5, "the last step in the journal")
    a.send("ask", text=canary(), plan={"stream": True, "delay": 0.05})
    time.sleep(0.3)
    kill_both(o)
    a.answer()
    a.ask(canary())
    same(a.end(5), 5, "the agent's status")
    done = cf("recover", w.path("traces"))
    same(done.returncode, 0, f"recover: {done.stderr}")
    calls = in_time(w.traces(), texts)
    same([user_text(s) for s in calls], texts, "what was asked")
    same([s["output"] for s in calls], ["echo " + t for t in texts], "what was answered")
    for t in w.traces():
        incomplete(t)
    same(glob.glob(w.path("traces/*.part")), [], "journals that stayed")
    checked(w)


def test_kill_capture_only(w):
    """kill -9 of the privileged process: the other one writes what it has."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    text = canary()
    a.ask(text)
    reader = reader_of(o.p)
    os.kill(o.p.pid, signal.SIGKILL)
    o.p.wait()
    until(lambda: not os.path.exists(f"/proc/{reader}"), 10, "the end of the reader")
    same([user_text(s) for t in w.traces() for s in steps(t)], [text], "what was asked")
    for t in w.traces():
        incomplete(t)
    a.ask(canary())
    same(a.end(5), 5, "the agent's status")


def test_kill_reader_only(w):
    """kill -9 of the reader: capture ends as well, and says so by its status."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    os.kill(reader_of(o.p), signal.SIGKILL)
    true(o.end(seconds=10) != 0, "the observer says all went well")
    a.ask(canary())
    same(a.end(5), 5, "the agent's status")


def test_kill_with_blocked_readers(w):
    """kill -9 of the observer while 8 threads are in SSL_read: they get their answers."""
    w.serve()
    p = w.start([tls_program(), "threads", str(w.ports["https"]), "8"], stdout=-1, text=True,
                env={"CF_TEST_TEXT": canary(), "CF_TEST_PLAN": json.dumps({"hold": w.path("go")})})
    o = w.observe("--pid", p.pid)
    until(lambda: len(w.log()) == 8, 10, "8 requests")
    time.sleep(0.3)
    kill_both(o)
    time.sleep(0.3)
    with open(w.path("go"), "w", encoding="utf-8"):
        pass
    out = p.communicate(timeout=20)[0].split()
    same((p.returncode, len(out), sum(len(d) == 64 for d in out)), (0, 8, 8), "status and answers of the threads")


def cycles(w, n):
    """Observers come and go while the target works; half of them leave by a signal, a tenth by kill -9."""
    w.serve()
    stop = w.path("stop")
    target = w.start([tls_program(), "loop", str(w.ports["https"]), stop], stdout=-1, text=True)
    began = time.monotonic()
    for i in range(n):
        o = w.observe("--pid", target.pid, "-q", out=f"t{i % 8}", ready=False)
        if i % 10 == 9:
            time.sleep(0.3)
            for pid in [*children(o.p.pid), o.p.pid]:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            o.p.wait()
        else:
            time.sleep(0.15 + 0.01 * (i % 20))
            same(o.end(signal.SIGINT, 20), 0, f"status of observer {i}: {o.said()[-300:]}")
        w.started.remove(o.p)
        true(target.poll() is None, f"the target ended with {target.poll()} in cycle {i}: {read(target.messages)}")
    took = time.monotonic() - began
    with open(stop, "w", encoding="utf-8"):
        pass
    done = int(target.communicate(timeout=20)[0])
    same(target.returncode, 7, f"the target's status: {read(target.messages)}")
    same([line["asked"] for line in w.log()], [f"loop {i}" for i in range(done)], "what the server was asked")
    true(done > n, f"the target made only {done} calls in {took:.0f} s")


def test_attach_and_detach(w):
    cycles(w, 40)


def long_attach_and_detach_1000(w):
    cycles(w, 1000)


def test_page_that_is_gone(w):
    """A page of what SSL_write was given is under userfaultfd when it returns: a counted gap, nobody waits."""
    w.serve()
    a = w.agent()
    text = canary("tail")
    p = w.start([OBSERVE, "run", "-o", w.path("fault"), "--", tls_program(), "fault", str(w.ports["https"]), text],
                stdout=-1, text=True)
    out = p.communicate(timeout=20)[0]
    same(p.returncode, 0, f"status: {read(p.messages)}")
    true(out.split()[3] == "1", f"the page was not taken: {out}")
    true(text in json.dumps(w.log()) or w.log()[-1]["body"] > 8192, "the server did not get the request")
    traces = w.traces("fault")
    c = [incomplete(t) for t in traces]
    true(any(x["lost"].get("lost_fault", 0) > 0 for x in c), f"no fault is counted: {json.dumps(c)}")
    sent = int(out.split()[1])
    true(any(x["lost"]["lost_fault_bytes"] <= sent for x in c), f"more is lost than was sent: {json.dumps(c)}")
    a.end()


def test_stuck_target(w):
    """A target for ever in SSL_write, on a page that never comes: others are observed at once, detaching works."""
    w.serve()
    stuck = w.start([tls_program(), "stuck", str(w.ports["https"])], stdout=-1, text=True)
    a = w.agent()
    o = w.observe("--pid", f"{stuck.pid},{a.pid}")
    same(stuck.stdout.readline(), "stuck\n", "what the stuck one says")
    time.sleep(0.3)
    text = canary()
    a.ask(text)
    until(lambda: f"echo {text}" in journal(w), 3, "the step of the other one")
    began = time.monotonic()
    same(o.end(signal.SIGINT, 10), 0, "status of the observer")
    true(time.monotonic() - began < 5, "detaching took long")
    true(stuck.poll() is None, "the stuck one is not stuck")
    a.ask(canary())
    a.end()
