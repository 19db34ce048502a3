"""What the tests share: places, the judges of a trace, and the model server."""
import contextlib
import glob
import json
import os
import subprocess
import sys
import tempfile
import unittest

TOP = os.environ["CF_OBSERVE_TOP"]
WORK = os.environ["CF_OBSERVE_WORK"]
MODEL = "gpt-4o-mini"


def has(*modules):
    import importlib.util
    return all(importlib.util.find_spec(m) for m in modules)


class Case(unittest.TestCase):
    """Each test in a directory of its own; `judge` is what every file must pass."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(dir=WORK)
        before = os.getcwd()
        os.chdir(self.dir)
        self.addCleanup(os.chdir, before)

    def judge(self, path):
        """One file or a directory, by `cf-observe check` and by the model of PyPI. The traces as dicts."""
        path = str(path)
        done = subprocess.run([os.path.join(TOP, "build/cf-observe"), "check", "--strict", path], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        traces = []
        for file in sorted(glob.glob(os.path.join(path, "*.json"))) if os.path.isdir(path) else [path]:
            with open(file, encoding="utf-8") as f:
                text = f.read()
            traces.append(json.loads(text))
            if has("context_forge"):
                from context_forge.core.trace import TraceRun
                run = TraceRun.model_validate_json(text)
                self.assertEqual(len(run.steps), len(traces[-1]["steps"]))
        return sorted(traces, key=lambda t: t["started_at"])

    def judge_dict(self, trace):
        """A trace in memory."""
        path = os.path.join(tempfile.mkdtemp(dir=self.dir), "t.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(trace, f)
        return self.judge(path)[0]


def steps(trace, step_type):
    return [s for s in trace["steps"] if s["step_type"] == step_type]


def types(trace):
    return [s["step_type"] for s in trace["steps"]]


def ancestors(trace, step):
    """From the parent up."""
    by_id = {s["step_id"]: s for s in trace["steps"]}
    out = []
    while step.get("parent_step_id"):
        step = by_id[step["parent_step_id"]]
        out.append(step)
    return out


def run_program(text, cwd, **env):
    """A program as a user writes it. What it printed."""
    done = subprocess.run([sys.executable, "-B", "-c", text], cwd=cwd, capture_output=True, text=True, check=False,
                          timeout=120, env=dict(os.environ, **env))
    if done.returncode:
        raise AssertionError("%d\n%s%s" % (done.returncode, done.stdout, done.stderr))
    return done.stdout


@contextlib.contextmanager
def model_server(turns):
    """The scripted model server of tests/agents: its base URL for OpenAI clients, and a function that gives its log."""
    place = tempfile.mkdtemp(dir=WORK)
    scenario = os.path.join(place, "scenario.json")
    with open(scenario, "w", encoding="utf-8") as f:
        json.dump({"turns": turns}, f)
    server = subprocess.Popen([sys.executable, "-B", os.path.join(TOP, "tests/agents/server"), "--dir", place,
                               "--scenario", scenario], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        facts = json.loads(server.stdout.readline())

        def log():
            with open(facts["log"], encoding="utf-8") as rows:
                return [json.loads(row) for row in rows]
        yield "http://127.0.0.1:%d/v1" % facts["http"], log
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
