"""The comparator is itself tested: a true trace is 100 %, and whatever is changed in it must not be."""
import copy
import json
import os
import random
import re
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import compare  # noqa: E402
import exact  # noqa: E402
import run  # noqa: E402
from rows import ROWS  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../build/agents")


def steps(trace, kind):
    return [s for s in trace["steps"] if s["step_type"] == kind]


def llm(trace, n=0):
    return steps(trace, "llm_call")[n]


def tool(trace, n=0):
    return steps(trace, "tool_call")[n]


def parts(trace):
    """All message parts of the last call's input."""
    return [p for m in llm(trace, -1)["input"] if isinstance(m["content"], list) for p in m["content"]]


def swap(a, b, key):
    a[key], b[key] = b[key], a[key]


def drop(trace, step):
    trace["steps"].remove(step)


def another_digit(text):
    return re.sub(r"\d", lambda m: str((int(m.group()) + 1) % 10), text, count=1)


def rounded(trace):
    tool(trace)["arguments"]["big"] = int(float(tool(trace)["arguments"]["big"]))


def first_call_again(trace):
    extra = copy.deepcopy(llm(trace))
    extra["step_id"] = "again"
    trace["steps"].insert(trace["steps"].index(llm(trace)), extra)


def failed(trace):
    return next(s for s in steps(trace, "llm_call") if "error" in s["metadata"])


def cut(trace):
    return next(s for s in steps(trace, "llm_call") if "incomplete" in s["metadata"])


# name -> what it does to a good trace of a conversation with tools
MUTATIONS = {
    "first call dropped": lambda t: drop(t, llm(t)),
    "last call dropped": lambda t: drop(t, llm(t, -1)),
    "a call twice": first_call_again,
    "two calls swapped": lambda t: swap(llm(t, 0), llm(t, 1), "timestamp"),
    "two outputs swapped": lambda t: swap(llm(t, 0), llm(t, 1), "output"),
    "a tool dropped": lambda t: drop(t, tool(t)),
    "two results swapped": lambda t: swap(tool(t, 0), tool(t, 1), "result"),
    "two arguments swapped": lambda t: swap(tool(t, 0), tool(t, 1), "arguments"),
    "one digit of a result": lambda t: tool(t, 1).update(result=another_digit(tool(t, 1)["result"])),
    "one digit of an argument": lambda t: tool(t, 1)["arguments"].update(times=tool(t, 1)["arguments"]["times"] + 1),
    "an integer rounded": rounded,
    "true became 1": lambda t: tool(t)["arguments"]["nested"]["list"].__setitem__(3, 1),
    "null left out": lambda t: tool(t)["arguments"]["nested"]["list"].remove(None),
    "NUL left out": lambda t: tool(t)["arguments"]["nested"]["list"].__setitem__(4, "x"),
    "an extra argument": lambda t: tool(t)["arguments"].update(more=1),
    "arguments as text": lambda t: tool(t).update(arguments={"value": exact.dumps(tool(t)["arguments"])}),
    "tool renamed": lambda t: tool(t).update(tool_name="other"),
    "call id changed": lambda t: tool(t)["metadata"].update(call_id="call_other"),
    "asked for by another": lambda t: tool(t).update(parent_step_id=llm(t, -1)["step_id"]),
    "asked for by nobody": lambda t: tool(t).pop("parent_step_id"),
    "model": lambda t: llm(t).update(model="gpt-4"),
    "provider": lambda t: llm(t).update(provider="azure"),
    "no provider": lambda t: llm(t).pop("provider"),
    "one token more": lambda t: llm(t).update(tokens_in=llm(t)["tokens_in"] + 1),
    "tokens as text": lambda t: llm(t).update(tokens_out=str(llm(t)["tokens_out"])),
    "no total": lambda t: llm(t).pop("tokens_total"),
    "usage changed": lambda t: llm(t)["metadata"]["usage"].update(total_tokens=1),
    "finish reason": lambda t: llm(t)["metadata"].update(finish_reason="length"),
    "stream": lambda t: llm(t)["metadata"].update(stream=True),
    "a tool not offered": lambda t: llm(t)["metadata"]["tools_offered"].pop(),
    "http status": lambda t: llm(t)["metadata"]["http"].update(status=201),
    "response id": lambda t: llm(t)["metadata"].update(response_id="chatcmpl-other"),
    "a good call said to have failed": lambda t: llm(t)["metadata"].update(error={"message": "x", "status": 500}),
    "a whole call said to be cut": lambda t: llm(t)["metadata"].update(incomplete=True),
    "one letter of the answer": lambda t: llm(t, -1).update(output=llm(t, -1)["output"][:-1]),
    "a message dropped": lambda t: llm(t, -1)["input"].pop(2),
    "a message twice": lambda t: llm(t, -1)["input"].append(llm(t, -1)["input"][-1]),
    "system as user": lambda t: llm(t)["input"][0].update(role="user"),
    "one digit of the prompt": lambda t: llm(t)["input"][1].update(
        content=another_digit(llm(t)["input"][1]["content"])),
    "a result in a message": lambda t: next(p for p in parts(t) if p["type"] == "tool_result").update(content="no"),
    "a result's id in a message": lambda t: next(p for p in parts(t) if p["type"] == "tool_result").update(id="x"),
    "a result that was no error": lambda t: next(
        p for p in parts(t) if p["type"] == "tool_result").update(is_error=True),
    "a call in a message": lambda t: next(
        p for p in parts(t) if p["type"] == "tool_call")["arguments"].update(text="no"),
    "no user input": lambda t: drop(t, steps(t, "user_input")[0]),
    "another user input": lambda t: t["steps"].append(dict(steps(t, "user_input")[-1], step_id="more",
                                                           timestamp=t["steps"][-1]["timestamp"])),
    "one digit of a user input": lambda t: steps(t, "user_input")[0].update(
        content=another_digit(steps(t, "user_input")[0]["content"])),
    "no final output": lambda t: drop(t, steps(t, "final_output")[0]),
    "a letter of a final output": lambda t: steps(t, "final_output")[0].update(
        content=steps(t, "final_output")[0]["content"] + "."),
    "no steps": lambda t: t.update(steps=[]),
    "an id twice": lambda t: llm(t, 0).update(step_id=llm(t, 1)["step_id"]),
    "an optional null": lambda t: llm(t).update(latency_ms=None),
    "an unknown step": lambda t: t["steps"].append({"step_id": "z", "step_type": "thought", "content": "x",
                                                    "timestamp": t["steps"][-1]["timestamp"]}),
    "times without a zone": lambda t: llm(t).update(timestamp=llm(t)["timestamp"][:-1]),
    "still running": lambda t: t["metadata"].update(state="running"),
    "ended before it began": lambda t: t.update(ended_at="2020-01-01T00:00:00.000Z"),
    "an input base too long": lambda t: llm(t, 1)["metadata"].update(
        input_base={"step_id": llm(t)["step_id"], "messages": 3}),
}

# the same for a trace of calls that failed
FAILURES = {
    "status of a failure": lambda t: failed(t)["metadata"]["error"].update(status=418),
    "message of a failure": lambda t: failed(t)["metadata"]["error"].update(message="other"),
    "a failure without an error": lambda t: failed(t)["metadata"].pop("error"),
    "a failure dropped": lambda t: drop(t, failed(t)),
    "a failure with an answer": lambda t: failed(t).update(output="fine"),
    "a missing output not said": lambda t: failed(t)["metadata"].pop("missing"),
    "a cut said to be whole": lambda t: cut(t)["metadata"].pop("incomplete"),
    "a cut answer cut again": lambda t: cut(t).update(output=cut(t)["output"][:-1]),
    "a refusal not marked": lambda t: next(
        s for s in steps(t, "llm_call") if "refusal" in s["metadata"])["metadata"].pop("refusal"),
}


class Mutations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="cf-compare-")
        os.chmod(cls.dir, 0o755)  # the agent may be another user
        cls.talk = cls.record("plain-http")
        cls.fail = cls.record("openai-errors-stream")

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir, ignore_errors=True)

    @classmethod
    def record(cls, name):
        """(log, good trace) of one row."""
        row = next(r for r in ROWS if r.name == name)
        directory = os.path.join(cls.dir, name)
        os.makedirs(directory)
        setting = run.Setting(row, os.path.abspath(ROOT), directory)
        try:
            run.by_oracle(setting, None)
            setting.log_complete()
        finally:
            setting.server.stop()
        (path,) = [os.path.join(setting.traces, n) for n in os.listdir(setting.traces)]
        with open(path, encoding="utf-8") as f:
            return setting.ports["log"], exact.loads(f.read())

    def judge(self, log, trace, extra=None):
        with tempfile.TemporaryDirectory(dir=self.dir) as out:
            if trace is not None:
                with open(os.path.join(out, "trace-%s.json" % trace["run_id"]), "w", encoding="utf-8") as f:
                    f.write(exact.dumps(trace))
            if extra:
                with open(os.path.join(out, extra), "w", encoding="utf-8"):
                    pass
            return compare.compare(out, log)

    def assert_false(self, cells):
        self.assertTrue(cells.failed)
        self.assertLess(cells.percent, 100)

    def test_good(self):
        for log, trace in (self.talk, self.fail):
            cells = self.judge(log, trace)
            self.assertEqual([], cells.failed)
            self.assertEqual(100, cells.percent)
            self.assertGreater(len(cells.rows), 80)

    def test_base_is_expanded(self):
        log, trace = self.talk[0], copy.deepcopy(self.talk[1])
        calls = steps(trace, "llm_call")
        for earlier, later in zip(calls[-2::-1], calls[:0:-1]):
            n = len(earlier["input"])
            self.assertEqual(earlier["input"], later["input"][:n])
            later["input"] = later["input"][n:]
            later["metadata"]["input_base"] = {"step_id": earlier["step_id"], "messages": n}
        self.assertEqual([], self.judge(log, trace).failed)

    def test_same_values_in_other_words(self):
        """Numbers are equal by value."""
        log, trace = self.talk[0], copy.deepcopy(self.talk[1])
        text = exact.dumps(tool(trace)["arguments"]).replace("2.5", "25e-1")
        tool(trace)["arguments"] = exact.loads(text)
        self.assertEqual([], self.judge(log, trace).failed)

    def test_mutations(self):
        for (log, good), table in ((self.talk, MUTATIONS), (self.fail, FAILURES)):
            for name, change in table.items():
                with self.subTest(name):
                    trace = copy.deepcopy(good)
                    change(trace)
                    self.assertFalse(exact.same(trace, good), "the mutation changes nothing")
                    self.assert_false(self.judge(log, trace))

    def test_every_leaf_counts(self):
        """Any text or number in what was asked and answered."""
        log, good = self.talk
        leaves = []

        def walk(value, path):
            if isinstance(value, dict):
                for k, v in value.items():
                    walk(v, path + [k])
            elif isinstance(value, list):
                for i, v in enumerate(value):
                    walk(v, path + [i])
            elif path[-1] not in ("role", "type") and not isinstance(value, bool) and value is not None:
                leaves.append(path)
        for i, s in enumerate(good["steps"]):
            for k in ("input", "output", "arguments", "result", "content", "tool_name"):
                if k in s:
                    walk(s[k], ["steps", i, k])
        for path in random.Random(7).sample(leaves, min(80, len(leaves))):
            with self.subTest(path):
                trace = copy.deepcopy(good)
                place = trace
                for k in path[:-1]:
                    place = place[k]
                place[path[-1]] = place[path[-1]] + ("x" if isinstance(place[path[-1]], str) else 1)
                self.assert_false(self.judge(log, trace))

    def test_nothing(self):
        log = self.talk[0]
        self.assert_false(self.judge(log, None))
        self.assertLess(self.judge(log, None).percent, 5)

    def test_no_calls(self):
        empty = os.path.join(self.dir, "empty.jsonl")
        with open(empty, "w", encoding="utf-8"):
            pass
        trace = dict(self.talk[1], steps=[])
        self.assert_false(self.judge(empty, trace))

    def test_left_over_file(self):
        log, trace = self.talk
        self.assert_false(self.judge(log, trace, "trace-%s.jsonl.part" % trace["run_id"]))

    def test_second_run_that_nobody_made(self):
        log, trace = self.talk
        with tempfile.TemporaryDirectory(dir=self.dir) as out:
            for n in range(2):
                other = dict(trace, run_id=trace["run_id"][:-1] + str(n))
                with open(os.path.join(out, "trace-%s.json" % other["run_id"]), "w", encoding="utf-8") as f:
                    f.write(exact.dumps(other))
            self.assert_false(compare.compare(out, log))

    def test_table_says_so(self):
        trace = copy.deepcopy(self.talk[1])
        llm(trace)["tokens_in"] += 1
        import io
        out = io.StringIO()
        compare.report(self.judge(self.talk[0], trace), out=out)
        self.assertIn("tokens_in", out.getvalue())
        self.assertNotIn("100.00", out.getvalue())
        json.dumps(out.getvalue())


if __name__ == "__main__":
    unittest.main()
