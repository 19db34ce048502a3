"""Processes in a container: a runc container whose root is an overlay over this system's own, so nothing is downloaded."""

import contextlib
import json
import os
import shutil
import subprocess

from live import HERE, PYTHON, Agent, Skip, canary, cf, checked, complete, same, steps, true, until, user_text


@contextlib.contextmanager
def overlay(w):
    root = w.path("root")
    for name in ("root", "upper", "work"):
        os.mkdir(w.path(name))
    # The upper layer of an overlay must not itself be one: memory serves everywhere.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", w.path("work")], check=True)
    os.mkdir(w.path("work/upper"))
    os.mkdir(w.path("work/work"))
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o",
                    f"lowerdir=/,upperdir={w.path('work/upper')},workdir={w.path('work/work')}", root], check=True)
    try:
        yield root
    finally:
        subprocess.run(["umount", "-l", root], check=False)
        subprocess.run(["umount", "-l", w.path("work")], check=False)


@contextlib.contextmanager
def container(w, name):
    """A container whose init is the driven agent; it shares the network, to reach the server."""
    if not shutil.which("runc"):
        raise Skip("no runc here")
    with overlay(w) as root:
        os.makedirs(root + "/agent", exist_ok=True)
        for file in (os.path.join(HERE, "agent.py"), w.path("ca.pem")):
            shutil.copy(file, root + "/agent")
        subprocess.run(["runc", "spec"], cwd=w.dir, check=True)
        spec = json.load(open(w.path("config.json"), encoding="utf-8"))
        env = {**w.env(), "SSL_CERT_FILE": "/agent/ca.pem", "PATH": "/usr/bin:/bin"}
        spec["process"].update(terminal=False, args=[PYTHON, "/agent/agent.py"], env=[f"{k}={v}" for k, v in env.items()])
        spec["root"] = {"path": root, "readonly": False}
        spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] not in ("network", "cgroup")]
        with open(w.path("config.json"), "w", encoding="utf-8") as file:
            json.dump(spec, file)
        p = w.start(["runc", "run", "--bundle", w.dir, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            state = until(lambda: runc_state(name), 20, "the container")
            # Below a changed root, who enters a mount namespace lands at its top and not in the container (setns(2)).
            if subprocess.run(["runc", "exec", name, "ls", "/agent/agent.py"], capture_output=True, check=False).returncode:
                raise Skip("runc exec does not reach the container's files on this host")
            yield Agent(p), state["pid"]
        finally:
            subprocess.run(["runc", "delete", "--force", name], capture_output=True, check=False)


def runc_state(name):
    done = subprocess.run(["runc", "state", name], capture_output=True, text=True, check=False)
    state = json.loads(done.stdout) if done.returncode == 0 else {}
    return state if state.get("status") == "running" else None


def asked(traces):
    return sorted(user_text(s) for t in traces for s in steps(t))


def container_of(trace):
    return trace["metadata"]["capture"]["container"]["id"]


def watch(w, select):
    """Init speaks, then somebody who enters speaks; both are in the trace, with the container's name."""
    name = canary("agent")
    with container(w.serve(), name) as (a, pid):
        o = w.observe(*select(name, pid))
        first, second = canary(), canary()
        a.ask(first)
        script = json.dumps({"do": "ask", "text": second}) + "\n" + json.dumps({"do": "exit", "status": 0}) + "\n"
        entered = subprocess.run(["runc", "exec", name, PYTHON, "/agent/agent.py"], input=script, capture_output=True,
                                 text=True, timeout=60, check=False)
        true("answer" in entered.stdout, f"who entered got no answer: {entered.stdout}{entered.stderr}")
        same(a.end(0), 0, "the container's status")
        same(o.end(), 0, "the observer's status")
        return name, first, second


def test_by_name(w):
    """--container by the beginning of its id: init, and who enters later."""
    name, first, second = watch(w, lambda name, pid: ["--container", name[:20]])
    same(asked(w.traces()), sorted([first, second]), "what was asked")
    same({container_of(t) for t in w.traces()}, {name}, "the container in the traces")
    for t in w.traces():
        complete(t)
    checked(w)


def test_by_pid(w):
    """--pid with the host's number: the container's own libssl, on overlayfs; who enters is not a descendant."""
    name, first, _ = watch(w, lambda name, pid: ["--pid", pid])
    same(asked(w.traces()), [first], "what was asked")
    same(container_of(w.trace()), name, "the container in the trace")


def test_unknown(w):
    """A name that nobody has: the error lists who runs."""
    done = cf("--container", canary("nobody"), "-o", w.path("traces"))
    same(done.returncode, 4, "the exit code")
    true("no container matches" in done.stderr and "running:" in done.stderr, f"the message: {done.stderr}")
