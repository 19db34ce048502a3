"""Runs every agent against a fresh server with fresh canaries, watched by the observer, and compares.

    run.py [--agent NAME]... [--mode pid|run|both|oracle] [--observer PATH] [--keep DIR]

Mode `oracle` watches nothing: it makes the trace from the server's own log, which tests agents, server and comparator.
"""
import argparse
import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time

import compare
import oracle
from clients import cli
from rows import HERE, ROWS, Canaries
from rows_native import NATIVE_ROWS

READY_S, AGENT_S, DRAIN_S = 30, 90, 20


class Failed(Exception):
    """This row can't be judged well: why."""


class Skipped(Exception):
    """This host lacks something: what."""


def sudo_user():
    """Who ran sudo, as arguments for Popen: agents are theirs. Nothing when nobody did."""
    uid, gid = int(os.environ.get("SUDO_UID", "0")), int(os.environ.get("SUDO_GID", "0"))
    return {"user": uid, "group": gid, "extra_groups": []} if os.geteuid() == 0 and uid else {}


class Process:
    """A program that was started here; its output goes to files, and only it and its group are ever killed."""

    def __init__(self, argv, env, directory, name, **who):
        self.out = os.path.join(directory, name + ".out")
        self.err = os.path.join(directory, name + ".err")
        self.argv = argv
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=env, cwd=directory,
                                      start_new_session=True, **who)

    def wait_line(self, path, begins, seconds):
        end = time.monotonic() + seconds
        while True:
            with open(path, encoding="utf-8", errors="replace") as f:
                for line in f:
                    if line.startswith(begins) and line.endswith("\n"):
                        return line
            if self.p.poll() is not None:
                raise Failed("%s ended with %d: %s" % (self.argv[0], self.p.returncode, self.tail()))
            if time.monotonic() > end:
                raise Failed("%s: no line `%s` in %d s: %s" % (self.argv[0], begins, seconds, self.tail()))
            time.sleep(0.02)

    def wait(self, seconds):
        try:
            return self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed("%s: not ended in %d s: %s" % (self.argv[0], seconds, self.tail())) from None

    def tail(self):
        with open(self.err, encoding="utf-8", errors="replace") as f:
            return f.read()[-400:].strip().replace("\n", " | ")

    def stop(self):
        for sig in ("terminate", "kill"):
            if self.p.poll() is None:
                getattr(self.p, sig)()
                try:
                    self.p.wait(5)
                except subprocess.TimeoutExpired:
                    pass


class Setting:
    """One run of one row: directory, server, environment."""

    def __init__(self, row, root, directory, tap=False):
        self.row, self.root, self.dir = row, root, directory
        self.traces = os.path.join(directory, "traces")
        self.go = os.path.join(directory, "go")
        c = Canaries()
        turns = row.turns(c)
        scenario = os.path.join(directory, "scenario.json")
        with open(scenario, "w", encoding="utf-8") as f:
            json.dump({"turns": turns}, f, ensure_ascii=False)
        self.server = Process([sys.executable, "-B", os.path.join(HERE, "server"), "--dir", os.path.join(directory, "server"),
                               "--scenario", scenario]
                              + (["--tap", os.path.join(directory, "tap.jsonl")] if tap else []),
                              dict(os.environ), directory, "server-run")
        self.ports = json.loads(self.server.wait_line(self.server.out, "{", 30))
        self.n_turns = len(turns)
        self.env = self._environment(c)

    def _environment(self, c):
        work = os.path.join(self.dir, "work")
        os.makedirs(work, exist_ok=True)
        keep = ("PATH", "LANG", "LC_ALL", "TERM", "LD_LIBRARY_PATH", "SUDO_UID", "SUDO_GID", "SUDO_USER")
        env = {k: v for k, v in os.environ.items() if k in keep}
        env.update(
            HOME=work, PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1", PYTHONUTF8="1", no_proxy="*",
            CF_TEST_BASE="https://localhost:%d" % self.ports["https"], NODE_EXTRA_CA_CERTS=self.ports["ca"],
            CF_TEST_HTTP="http://localhost:%d" % self.ports["http"], CF_TEST_CA=self.ports["ca"],
            CF_TEST_MODEL="%s-%s" % (self.row.model, c.token()), CF_TEST_SYSTEM=c.text("system"),
            CF_TEST_PROMPT=c.text("please"), CF_TEST_FOLLOWUP=c.text("and then"), CF_TEST_DIR=work,
            CF_TEST_KEY="sk-test-" + secrets.token_hex(20))
        if self.row.native:
            env.update(SSL_CERT_FILE=self.ports["ca"], DENO_CERT=self.ports["ca"], DENO_DIR=os.path.join(work, "deno"),
                       DO_NOT_TRACK="1", DENO_NO_UPDATE_CHECK="1")
        env.update(self.row.env.get("vars", {}))
        n = self.row.env.get("prompts", 0)
        if n:
            env["CF_TEST_PROMPTS"] = json.dumps([c.text("try %d" % i) for i in range(n)])
        return env

    @property
    def seconds(self):
        return self.row.env.get("timeout", AGENT_S)

    def agent(self, before=(), **env):
        """`before` is the observer: it runs as root and makes its child who ran sudo."""
        for path in (self.dir, self.env["CF_TEST_DIR"]):
            os.chown(path, sudo_user().get("user", -1), sudo_user().get("group", -1))
        env = dict(self.env, **env)
        argv = self.row.argv(self.root)
        if "cli" in self.row.env:
            argv, more = cli.prepare(self.row.env["cli"], argv[0], env, "CF_TEST_WAIT" in env)
            env.update(more)
        return Process(list(before) + argv, env, self.dir, "agent",
                       **({} if before else sudo_user()))

    def settle(self):
        """Waits until the server has written its last row: the agent may be gone a moment earlier."""
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with open(self.ports["log"], "rb") as f:
                self.n_calls = sum(b'"dialect": null' not in line[:400] for line in f if line.endswith(b"\n"))
            if self.n_calls >= self.n_turns:
                return
            time.sleep(0.05)

    def log_complete(self):
        """The agent did what its scenario foresaw: else the comparison would judge less than it seems to."""
        self.settle()
        if self.n_calls != self.n_turns:
            raise Failed("the agent made %d of %d calls: %s" % (self.n_calls, self.n_turns, self._agent_tail()))

    def _agent_tail(self):
        with open(os.path.join(self.dir, "agent.err"), encoding="utf-8", errors="replace") as f:
            return f.read()[-600:].strip()


def by_oracle(s, _observer):
    agent = s.agent()
    try:
        if agent.wait(s.seconds) != 0:
            raise Failed("agent failed: " + agent.tail())
    finally:
        agent.stop()
    s.settle()
    oracle.make(s.ports["log"], s.traces)


def by_run(s, observer):
    agent = s.agent([observer, "run", "-o", s.traces, "--"])
    try:
        if agent.wait(s.seconds + DRAIN_S) != 0:
            raise Failed("run ended with %d: %s" % (agent.p.returncode, agent.tail()))
    finally:
        agent.stop()


def by_pid(s, observer):
    agent = s.agent(CF_TEST_WAIT=s.go)
    watch = None
    try:
        held(agent)
        watch = Process([observer, "--pid", str(agent.p.pid), "-o", s.traces], dict(os.environ), s.dir, "observer")
        watch.wait_line(watch.err, "ready", READY_S)
        with open(s.go, "w", encoding="ascii"):
            pass
        if agent.wait(s.seconds) != 0:
            raise Failed("agent failed: " + agent.tail())
        if watch.wait(DRAIN_S) != 0:
            raise Failed("observer ended with %d: %s" % (watch.p.returncode, watch.tail()))
    finally:
        agent.stop()
        if watch:
            watch.stop()


def held(agent):
    """Until the program sleeps at its wait: attaching to one that still loads is the harder case, tested by `run`."""
    end = time.monotonic() + 60
    quiet, last = 0, -1
    while quiet < 5 and time.monotonic() < end:
        if agent.p.poll() is not None:
            raise Failed("agent ended early: " + agent.tail())
        with open("/proc/%d/stat" % agent.p.pid, encoding="ascii", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        quiet = quiet + 1 if ticks - last <= 1 else 0
        last = ticks
        time.sleep(0.1)


MODES = {"oracle": by_oracle, "run": by_run, "pid": by_pid}


def lacking(row, root):
    program, *rest = row.argv(root)
    if not shutil.which(program):
        raise Skipped("no " + program)
    if any(a.endswith(".mjs") for a in rest) and not os.path.isdir(os.path.join(root, "node_modules")):
        raise Skipped("no node_modules in " + root)


def one(row, mode, args):
    directory = tempfile.mkdtemp(prefix="%s-%s-" % (row.name, mode), dir=args.keep)
    os.chmod(directory, 0o755)
    setting = None
    cells, why = None, ""
    begun = time.monotonic()
    try:
        lacking(row, args.root)
        setting = Setting(row, args.root, directory, args.tap)
        MODES[mode](setting, os.path.abspath(args.observer))
        setting.log_complete()
        cells = compare.compare(setting.traces, setting.ports["log"])
    except Skipped as e:
        why = "SKIP " + str(e)
    except (Failed, OSError) as e:
        why = str(e)
        if setting and os.path.isdir(setting.traces):
            setting.settle()
            cells = compare.compare(setting.traces, setting.ports["log"])
    finally:
        if setting:
            setting.server.stop()
    return {"row": row.name, "mode": mode, "cells": cells, "why": why, "dir": directory,
            "seconds": time.monotonic() - begun}


def completeness(result):
    """What the traces say of themselves; shown, not counted."""
    said = []
    directory = os.path.join(result["dir"], "traces")
    for name in sorted(os.listdir(directory)) if os.path.isdir(directory) else []:
        try:
            with open(os.path.join(directory, name), encoding="utf-8") as f:
                capture = (json.load(f).get("metadata") or {}).get("capture") or {}
            said.append({True: "yes", False: "no"}.get((capture.get("completeness") or {}).get("complete"), "?"))
        except ValueError:
            said.append("?")
    return ",".join(said)


def good(result):
    return not result["why"] and result["cells"] is not None and not result["cells"].failed


def show(result, args):
    cells = result["cells"]
    percent = cells.percent if cells else 0.0
    figures = "%5d/%-5d" % (len(cells.rows) - len(cells.failed), len(cells.rows)) if cells else "     -     "
    print("%-4s %-26s %-6s %s %6.2f %%  %5.1f s  complete: %-5s %s" % (
        "ok" if good(result) else "SKIP" if result["why"].startswith("SKIP") else "FAIL", result["row"], result["mode"],
        figures, percent, result["seconds"], completeness(result) or "-", result["why"][:600]), flush=True)
    if cells and cells.failed:
        compare.report(cells, args.verbose)
        print("  kept: " + result["dir"], flush=True)
    elif good(result) and not args.keep_good:
        shutil.rmtree(result["dir"], ignore_errors=True)


def copy_clients(root):
    """Node looks for its modules from the program's real place upwards."""
    target = os.path.join(root, "clients")
    if os.path.islink(target):
        os.unlink(target)
    if not os.path.isdir(root):
        return
    owner = os.stat(root)
    os.makedirs(target, exist_ok=True)
    os.chown(target, owner.st_uid, owner.st_gid)
    for name in os.listdir(os.path.join(HERE, "clients")):
        if name.endswith(".mjs"):
            made = shutil.copy(os.path.join(HERE, "clients", name), target)
            os.chown(made, owner.st_uid, owner.st_gid)


def comparator():
    """The judge's own tests come first."""
    test = os.path.join(HERE, "test_compare.py")
    try:
        done = subprocess.run([sys.executable, "-B", test], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=120, check=False)
        status, said = done.returncode, done.stderr
    except subprocess.TimeoutExpired:
        status, said = 1, "took too long"
    print("%-4s %-26s" % ("FAIL" if status else "ok", "comparator"), "" if status == 0 else said[-2000:], flush=True)
    return status == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--agent", action="append", help="only this row (repeatable)")
    parser.add_argument("--group", choices=["sdk", "native", "all"], default="sdk",
                        help="SDKs and frameworks, or native programs (rows_native.py)")
    parser.add_argument("--mode", choices=["pid", "run", "both", "oracle"], default="both")
    parser.add_argument("--observer", default="build/cf-observe")
    parser.add_argument("--root", default="build/agents", help="where the SDKs were installed")
    parser.add_argument("--keep", help="directory for what each run leaves")
    parser.add_argument("--tap", action="store_true", help="also keep every byte that the server moved (tap.jsonl)")
    parser.add_argument("--keep-good", action="store_true", help="keep what passed, too")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    args.root = os.path.abspath(args.root)
    # Not below build/: what root leaves there could not be removed by the owner of the tree.
    args.keep = os.path.abspath(args.keep or tempfile.mkdtemp(prefix="cf-agents-"))
    os.makedirs(args.keep, exist_ok=True)
    os.chmod(args.keep, 0o755)
    copy_clients(args.root)
    known = ROWS + NATIVE_ROWS
    if args.agent:
        rows = [r for r in known if r.name in args.agent]
    else:
        rows = [r for r in known if args.group == "all" or r.native == (args.group == "native")]
    unknown = set(args.agent or []) - {r.name for r in rows}
    if unknown:
        parser.error("no such agent: %s; there are: %s" % (", ".join(unknown), ", ".join(r.name for r in known)))
    modes = ["run", "pid"] if args.mode == "both" else [args.mode]
    results = []
    checked = [] if args.agent or not os.path.isdir(os.path.join(args.root, "venv")) else [comparator()]
    for row in rows:
        for mode in modes:
            results.append(one(row, mode, args))
            show(results[-1], args)
    total = sum(len(r["cells"].rows) for r in results if r["cells"])
    true = total - sum(len(r["cells"].failed) for r in results if r["cells"])
    skipped = [r for r in results if r["why"].startswith("SKIP")]
    passed = sum(good(r) for r in results)
    failed = len(results) - passed - len(skipped)
    percent = 10000 * true // total / 100 if total else 0.0
    if failed and percent == 100:
        percent = 99.99  # a row that could not be compared is not in the cells
    print("agents: %d of %d facts true, %.2f %%" % (true, total, percent))
    passed += checked.count(True)
    failed += checked.count(False)
    print("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % len(skipped) if skipped else ""))
    with contextlib.suppress(OSError):
        os.rmdir(args.keep)
    sys.exit(0 if passed and not failed else 1)


if __name__ == "__main__":
    main()
