"""What the benchmarks share: programs driven by lines, probes around them, processor time of others, the table."""

import atexit
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OBSERVE = os.path.join(TOP, "build/cf-observe")
PROGRAMS = os.path.join(TOP, "build/bench")


class Skip(Exception):
    """Why a figure cannot be had here."""


def program(name):
    return os.path.join(PROGRAMS, name)


def said(process, what):
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{what} ended with {process.wait()}")
    return line.split()


def start(argv, **more):
    return subprocess.Popen(argv, **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True, **more})


class Library:
    """A copy of libssl: probes that others have on the system's are not on it."""

    dir = None

    @classmethod
    def env(cls):
        if not cls.dir:
            cls.dir = tempfile.mkdtemp(prefix="cf-bench-")
            atexit.register(shutil.rmtree, cls.dir, ignore_errors=True)
            linked = subprocess.run(["ldd", program("tls_pair")], capture_output=True, text=True, check=True).stdout
            shutil.copy(next(line.split()[2] for line in linked.splitlines() if "libssl" in line), cls.dir)
        return {**os.environ, "LD_LIBRARY_PATH": cls.dir}


class Pair:
    """tls_pair: does what it is told for some milliseconds, answers with ns a call (of its own processor time and of wall time)."""

    def __init__(self):
        self.p = start([program("tls_pair")], stderr=None, env=Library.env())
        self.pid = self.p.pid

    def order(self, what):
        self.p.stdin.write(what + "\n")
        self.p.stdin.flush()
        n, cpu, wall = map(int, said(self.p, "tls_pair"))
        return {"calls": n, "cpu": cpu / n, "wall": wall / n}

    def end(self):
        self.p.stdin.close()
        self.p.wait()
        self.p.stdout.close()


class Observer:
    """cf-observe beside a process; what its two processes used."""

    def __init__(self, pid, *args):
        self.dir = tempfile.mkdtemp(prefix="cf-bench-")
        self.err = open(os.path.join(self.dir, "err"), "wb+")
        self.p = start([OBSERVE, "--pid", str(pid), "-o", self.dir, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.err)
        end = time.monotonic() + 20
        while b"ready:" not in self.messages():
            if self.p.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the observer: {self.messages().decode(errors='replace')[-400:]}")
            time.sleep(0.02)
        with open(f"/proc/{self.p.pid}/task/{self.p.pid}/children", encoding="ascii") as file:
            self.reader = int(file.read().split()[0])

    def messages(self):
        with open(self.err.name, "rb") as file:
            return file.read()

    def cpu_ns(self):
        """(capture, observe)"""
        return cpu_ns(self.p.pid), cpu_ns(self.reader)

    def memory(self, field="RssAnon"):
        """MB of the process that reads, its own: the pages of the ring are mapped twice and counted twice."""
        with open(f"/proc/{self.reader}/status", encoding="ascii", errors="replace") as file:
            return int(next(line for line in file if line.startswith(field)).split()[1]) / 1024

    def end(self):
        self.p.terminate()
        self.p.wait(60)
        self.err.close()
        shutil.rmtree(self.dir, ignore_errors=True)


class Peak:
    """The most memory that an observer has while something goes on."""

    def __init__(self, observer):
        self.observer, self.most, self.over = observer, 0, threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.01):
            self.most = max(self.most, self.observer.memory())

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


class Empty:
    """Two probes that do nothing, on the same sites."""

    def __init__(self, pid):
        self.p = start([program("probe_pair"), program("empty.bpf.o"), libssl(pid)], stderr=None)
        said(self.p, "probe_pair")

    def end(self):
        self.p.stdin.close()
        self.p.wait()
        self.p.stdout.close()


SCRIPT = """
uprobe:{lib}:SSL_write /pid == {pid}/ {{ @w[tid] = arg1; }}
uprobe:{lib}:SSL_read /pid == {pid}/ {{ @r[tid] = arg1; }}
uretprobe:{lib}:SSL_write /@w[tid]/ {{ printf("%d %r\\n", retval, buf(@w[tid], 200)); delete(@w[tid]); }}
uretprobe:{lib}:SSL_read /@r[tid]/ {{ printf("%d %r\\n", retval, buf(@r[tid], 200)); delete(@r[tid]); }}
BEGIN {{ system("echo ready >&2"); }}
"""


class Bpftrace:
    """A script that a person would write: 200 bytes of what is read and written, printed."""

    def __init__(self, pid):
        if not shutil.which("bpftrace"):
            raise Skip("bpftrace is not installed and cannot be")
        script = SCRIPT.format(lib=libssl(pid), pid=pid)
        self.p = start(["bpftrace", "--unsafe", "-e", script], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, env={**os.environ, "BPFTRACE_STRLEN": "200"})
        for line in self.p.stderr:
            if line.startswith("ready"):
                return
        raise Skip(f"bpftrace ended with {self.p.wait()}")

    def end(self):
        self.p.terminate()
        self.p.wait(60)
        self.p.stderr.close()


class Nothing:
    def __init__(self, pid):
        pass

    def end(self):
        pass


def libssl(pid):
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        return next(line.split()[-1] for line in file if "libssl" in line)


def cpu_ns(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[0])


def median(values):
    return statistics.median(values)


def table(title, head, rows):
    """Columns as wide as their widest; the first one is left-aligned."""
    print(f"\n{title}")
    lines = [head, *rows] if head else rows
    widths = [max(len(str(r[i])) for r in lines if i < len(r)) for i in range(max(map(len, lines)))]
    for r in lines:
        print("  " + "  ".join(str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(r, widths))).rstrip())
    sys.stdout.flush()
