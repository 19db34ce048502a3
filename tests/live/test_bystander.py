"""Nobody but the target leaves anything; and of the target, however short it lives, everything."""

import json
import os
import subprocess
import time

from live import OBSERVE, PYTHON, TOP, canary, complete, in_time, incomplete, read, same, steps, tls_program, true, user_text


def leaves_nothing(w, words):
    """Looks through every file that the observer wrote, and what it said."""
    for folder, _, names in os.walk(w.dir):
        for name in names:
            if not (folder != w.dir or name.endswith(".cap") or name.startswith("observe")):
                continue
            with open(os.path.join(folder, name), "rb") as file:
                raw = file.read()
            for word in words:
                true(word.encode() not in raw, f"{name} has bytes of the bystander: {word}")


def test_same_library(w):
    """Another process on the same libssl talks at the same time, through TLS and plain sockets."""
    w.serve()
    a, b, c = w.agent(), w.agent(), w.agent("http")
    o = w.observe("--pid", a.pid)
    r = w.start([OBSERVE, "record", "--pid", str(a.pid), "-w", w.path("all.cap")])
    time.sleep(1)
    mine, others = [canary("mine") for _ in range(20)], [canary("other") for _ in range(40)]
    for i, text in enumerate(mine):
        for x, t in ((a, text), (b, others[2 * i]), (c, others[2 * i + 1])):
            x.send("ask", text=t)
        for x in (a, b, c):
            x.answer()
    w.start([tls_program(), "one", str(w.ports["https"]), others[0]]).wait(10)
    a.end()
    same((o.end(), r.wait(20)), (0, 0), "status of the observers")
    same([user_text(s) for s in in_time(w.traces(), mine)], mine, "what was asked")
    leaves_nothing(w, others)
    with open(w.path("all.cap"), "rb") as file:
        raw = file.read()
    true(all(m.encode() in raw for m in mine), "the capture has not all of the target")
    for x in (b, c):
        x.end()


def test_number_of_a_dead_process(w):
    """A bystander that gets the pid of a dead child of the target."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    r = w.start([OBSERVE, "record", "--pid", str(a.pid), "-w", w.path("all.cap")])
    time.sleep(1)
    words = []
    for _ in range(5):
        mine, other = canary("mine"), canary("other")
        child = a.order("spawn", argv=[tls_program(), "one", str(w.ports["https"]), mine])
        same(child["status"], 0, "the child's status")
        words.append((mine, other))
        done = subprocess.run([tls_program(), "withpid", str(child["pid"]), tls_program(), "one", str(w.ports["https"]), other],
                              capture_output=True, text=True, check=False)
        same(done.returncode, 0, f"the bystander with pid {child['pid']}: {done.stderr}")
    a.end()
    same((o.end(), r.wait(20)), (0, 0), "status of the observers")
    same(sorted(user_text(s) for t in w.traces() for s in steps(t)), sorted(m for m, _ in words), "what was asked")
    same(sorted(line["asked"] for line in w.log()), sorted(x for pair in words for x in pair), "what the server was asked")
    leaves_nothing(w, [other for _, other in words])


def test_number_of_a_dead_thread(w):
    """A bystander that gets the number of a dead thread of the target."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    others = []
    for _ in range(5):
        tid = a.order("thread")["tid"]
        others.append(canary("other"))
        done = subprocess.run([tls_program(), "withpid", str(tid), tls_program(), "one", str(w.ports["https"]), others[-1]],
                              capture_output=True, text=True, check=False)
        same(done.returncode, 0, f"the bystander with pid {tid}: {done.stderr}")
    mine = canary("mine")
    a.ask(mine)
    a.end()
    same(o.end(), 0, "status of the observer")
    same([user_text(s) for t in w.traces() for s in steps(t)], [mine], "what was asked")
    leaves_nothing(w, others)


def test_number_of_the_dead_target(w):
    """Two targets; the bystander gets the number of the one that ended."""
    w.serve()
    a, b = w.agent(), w.agent()
    o = w.observe("--pid", f"{a.pid},{b.pid}")
    gone, mine, other = canary("gone"), canary("mine"), canary("other")
    b.ask(gone)
    b.end()
    done = subprocess.run([tls_program(), "withpid", str(b.pid), tls_program(), "one", str(w.ports["https"]), other],
                          capture_output=True, text=True, check=False)
    same(done.returncode, 0, f"the bystander: {done.stderr}")
    a.ask(mine)
    a.end()
    same(o.end(), 0, "status of the observer")
    same(sorted(user_text(s) for t in w.traces() for s in steps(t)), sorted([gone, mine]), "what was asked")
    leaves_nothing(w, [other])


def short_children(w, argv_before, agent):
    """Children of `agent` that make one TLS request each; returns their texts."""
    texts = []
    for _ in range(10):
        texts.append(canary("short"))
        began = time.monotonic()
        child = agent.order("spawn", argv=[*argv_before, tls_program(), "one", str(w.ports["https"]), texts[-1]])
        same(child["status"], 0, "the child's status")
        true(time.monotonic() - began < 5, "the child took long")
    return texts


def test_short_child(w):
    """A child that lives some 30 ms makes one TLS request: it is there, with its answer; nobody mapped libssl before."""
    w.serve()
    agent_without_tls = w.start([PYTHON, "-c", """
import json, subprocess, sys
for line in sys.stdin:
    p = subprocess.run(json.loads(line)["argv"])
    print(json.dumps({"status": p.returncode}), flush=True)
"""], stdin=-1, stdout=-1, text=True)
    from live import Agent
    a = Agent(agent_without_tls)
    o = w.observe("--pid", a.pid)
    texts = short_children(w, [], a)
    a.p.stdin.close()
    a.p.wait(10)
    same(o.end(), 0, "status of the observer")
    calls = [s for t in w.traces() for s in steps(t)]
    same(sorted(user_text(s) for s in calls), sorted(texts), "what was asked")
    same(sorted(s["output"] for s in calls), sorted("echo " + t for t in texts), "what was answered")
    for t in w.traces():
        complete(t)


def test_grandchild(w):
    """Through a shell, which execs."""
    a = w.serve().agent()
    o = w.observe("--pid", a.pid)
    texts = short_children(w, ["/bin/sh", "-c", '"$@" && true', "sh"], a)
    a.end()
    same(o.end(), 0, "status of the observer")
    same(sorted(user_text(s) for t in w.traces() for s in steps(t)), sorted(texts), "what was asked")
