"""What the live tests share: the model server, a driven agent, the observer, and how to read what it wrote."""

import glob
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
OBSERVE = os.path.join(TOP, "build/cf-observe")
# Debian's own: it has the system's libssl, whatever else is on the PATH.
PYTHON = "/usr/bin/python3"
sys.path.insert(0, os.path.join(TOP, "tests/golden"))


class Wrong(AssertionError):
    """What should hold does not."""


def same(got, wanted, what):
    if got != wanted:
        raise Wrong(f"{what}: {short(got)}, not {short(wanted)}")


def true(holds, what):
    if not holds:
        raise Wrong(what)


def short(value):
    text = repr(value)
    return text if len(text) < 600 else text[:400] + " ... " + text[-150:]


def sha(text):
    return hashlib.sha256(text.encode()).hexdigest()


def canary(name="canary"):
    return f"{name}-{secrets.token_hex(12)}"


def until(test, seconds, what):
    """Waits for what is bound to happen; returns what `test` said."""
    end = time.monotonic() + seconds
    while True:
        got = test()
        if got:
            return got
        if time.monotonic() > end:
            raise Wrong(f"not in {seconds} s: {what}")
        time.sleep(0.02)


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def children(pid):
    try:
        return [int(n) for n in read(f"/proc/{pid}/task/{pid}/children").split()]
    except FileNotFoundError:
        return []


def is_reader(pid):
    """The process that reads the events is the one behind a seccomp filter."""
    try:
        status = read(f"/proc/{pid}/status")
    except FileNotFoundError:
        return False
    return status.startswith("Name:\tcf-observe\n") and "\nSeccomp:\t2\n" in status


def reader_of(p):
    return until(lambda: [n for n in children(p.pid) if is_reader(n)], 10, "the process that reads the events")[0]


class Skip(Exception):
    """Cannot be run on this host; the text says why."""


class World:
    """A directory, a model server, and everything that one test starts; all of it ends with the test."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="cf-live-")
        os.chmod(self.dir, 0o755)
        self.started = []
        self.n = 0
        self.server = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def start(self, argv, env=None, name=None, **more):
        """Starts a program; its messages go to NAME.err."""
        self.n += 1
        name = name or f"{os.path.basename(argv[0])}-{self.n}"
        with open(self.path(name + ".err"), "wb") as err:
            p = subprocess.Popen(argv, env={**os.environ, **(env or {})}, stderr=err, cwd=self.dir,
                                 **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **more})
        p.messages = self.path(name + ".err")
        self.started.append(p)
        return p

    def serve(self):
        made = subprocess.run([os.path.join(TOP, "tests/demo/certificates"), self.dir], capture_output=True, check=False)
        same(made.returncode, 0, "making certificates")
        self.server = self.start([PYTHON, os.path.join(HERE, "server.py"), self.dir], name="server")
        until(lambda: os.path.exists(self.path("ports")), 10, "the server's ports")
        self.ports = json.loads(read(self.path("ports")))
        return self

    def env(self, scheme="https"):
        return {"CF_TEST_URL": f"{scheme}://127.0.0.1:{self.ports[scheme]}", "SSL_CERT_FILE": self.path("ca.pem"),
                "PYTHONDONTWRITEBYTECODE": "1", "no_proxy": "*"}

    def log(self):
        return [json.loads(line) for line in read(self.path("server.jsonl")).splitlines()]

    def agent(self, scheme="https", before=()):
        """Driven by lines; `before` is an observer's command that starts it."""
        return Agent(self.start([*before, PYTHON, os.path.join(HERE, "agent.py")], self.env(scheme),
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))

    def observe(self, *args, out="traces", ready=True, **more):
        """The observer beside a running process."""
        o = Observer(self, [OBSERVE, *map(str, args), *(["-o", self.path(out)] if out else [])], out, **more)
        if ready:
            o.wait_ready()
        return o

    def traces(self, out="traces"):
        found = [json.loads(read(f)) for f in sorted(glob.glob(self.path(out) + "/trace-*.json"))]
        return sorted(found, key=lambda t: t["started_at"])

    def trace(self, out="traces"):
        found = self.traces(out)
        same(len(found), 1, "number of traces")
        return found[0]

    def close(self):
        for p in reversed(self.started):
            if p.poll() is None:
                p.send_signal(signal.SIGCONT)
                p.kill()
                p.wait()
            for f in (p.stdin, p.stdout):
                if f:
                    f.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Agent:
    def __init__(self, p):
        self.p = p
        self.pid = p.pid

    def order(self, what, **more):
        self.send(what, **more)
        return self.answer()

    def send(self, what, **more):
        self.p.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.p.stdin.flush()

    def answer(self):
        line = self.p.stdout.readline()
        true(line, f"the agent ended: {read(self.p.messages)[-400:]}")
        return json.loads(line)

    def ask(self, text, **more):
        return self.order("ask", text=text, **more)

    def end(self, status=0):
        self.send("exit", status=status)
        return self.p.wait(60)


class Observer:
    def __init__(self, world, argv, out, env=None):
        self.world = world
        self.out = out
        self.p = world.start(argv, env, name=f"observe-{world.n}")

    def said(self):
        return read(self.p.messages)

    def wait_ready(self):
        def ready():
            true(self.p.poll() is None, f"the observer ended with {self.p.returncode}: {self.said()[-600:]}")
            return "ready:" in self.said()
        until(ready, 20, "ready: the observer's first line")

    def child(self):
        """The process that reads the events."""
        return reader_of(self.p)

    def end(self, number=None, seconds=60):
        if number:
            self.p.send_signal(number)
        try:
            return self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Wrong(f"the observer did not end in {seconds} s: {self.said()[-600:]}") from None


def program(name, libs=()):
    """Compiles tests/live/NAME.c once, into the build directory; returns its path."""
    source, target = os.path.join(HERE, name + ".c"), os.path.join(TOP, "build/tests/live", name)
    if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
        as_owner = [os.path.join(TOP, "tools/as-owner")]
        subprocess.run([*as_owner, "mkdir", "-p", os.path.dirname(target)], check=True)
        done = subprocess.run([*as_owner, "cc", "-O1", "-g", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", target, source, *libs],
                              capture_output=True, text=True, check=False)
        true(done.returncode == 0, f"compiling {name}.c: {done.stderr[-800:]}")
    return target


def tls_program():
    return program("tls", ["-lssl", "-lcrypto"])


def steps(trace, kind="llm_call"):
    return [s for s in trace["steps"] if s["step_type"] == kind]


def user_text(step):
    """The last message of a model call's input."""
    given = step["input"]
    return given if isinstance(given, str) else given[-1]["content"]


def in_time(traces, texts):
    """The model calls of all runs in the order of their times; within one millisecond, in the order they were asked."""
    def key(step):
        text = user_text(step)
        return step["timestamp"], texts.index(text) if text in texts else len(texts)
    return sorted((s for t in traces for s in steps(t)), key=key)


def completeness(trace):
    return trace["metadata"]["capture"]["completeness"]


def complete(trace):
    c = completeness(trace)
    true(c["complete"], f"not complete: {json.dumps(c)}")


def incomplete(trace):
    c = completeness(trace)
    true(not c["complete"], f"calls itself complete: {json.dumps(c)}")
    return c


def cf(*args, timeout=120):
    return subprocess.run([OBSERVE, *args], capture_output=True, text=True, timeout=timeout, check=False)


def checked(world, out="traces"):
    """Every trace keeps the contract."""
    files = glob.glob(world.path(out) + "/trace-*.json")
    true(files, "no trace was written")
    done = cf("check", *files)
    same(done.returncode, 0, f"cf-observe check: {done.stdout[-500:]}{done.stderr[-500:]}")
