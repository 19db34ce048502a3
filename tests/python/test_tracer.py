"""Tracer, by what a user sees."""
import asyncio
import datetime
import gc
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
import unittest

import cf_observe
from cf_observe import AgentInfo, RedactionConfig, StepValidationError, TaskInfo, Tracer, TracerError
from support import Case, run_program, steps, types

SECRET = "sk-proj-" + "Ab3dEf6hIj9lMn2pQr5tUv8xYz1Bc4De7Gh0Jk"


class QuickStart(Case):
    def test_quickstart_5(self):
        run_program('''
from cf_observe import Tracer

with Tracer.run(agent_info={"name": "my-agent"}, output_path="traces") as t:
    t.user_input("What is the weather in Oslo?")
    call = t.llm_call("gpt-4o", "What is the weather in Oslo?", "", tokens_in=12, tokens_out=5)
    t.tool_call("weather", {"city": "Oslo"}, {"celsius": -3.5}, parent_step_id=call)
    t.final_output("It is -3.5 degrees.")
trace = t.get_trace()
assert [s["step_type"] for s in trace["steps"]] == ["user_input", "llm_call", "tool_call", "final_output"]
assert t.to_json().startswith("{") and "\\n  " in t.to_json(indent=2)
t.save("copy.json")
''', self.dir)
        (trace,) = self.judge("traces")
        self.assertEqual(types(trace), ["user_input", "llm_call", "tool_call", "final_output"])
        self.assertEqual(steps(trace, "llm_call")[0]["tokens_in"], 12)
        self.assertEqual(steps(trace, "tool_call")[0]["parent_step_id"], steps(trace, "llm_call")[0]["step_id"])
        self.assertEqual(trace["metadata"]["state"], "completed")
        self.assertEqual(self.judge("copy.json")[0]["steps"], trace["steps"])

    def test_quickstart_6(self):
        run_program('''
import asyncio
from cf_observe import Tracer

async def task(t, n):
    async with t.step("tool_call", tool_name="task", arguments={"n": n}) as s:
        await asyncio.sleep(0.001 * (n % 7))
        inner = await t.llm_call("m", "q%d" % n, "a", tokens_in=n, tokens_out=1)
        assert inner == str(inner)
        t.state_change("n", n)
        s.set(result=n)

async def main():
    async with Tracer.run_async(agent_info={"name": "many"}, output_path="traces") as t:
        step_id = await t.user_input("go")
        assert isinstance(step_id, str)
        await asyncio.gather(*(task(t, n) for n in range(200)))
        await t.final_output("done")

asyncio.run(main())
''', self.dir)
        (trace,) = self.judge("traces")
        self.assertEqual(len(trace["steps"]), 602)
        by_id = {s["step_id"]: s for s in trace["steps"]}
        for call in steps(trace, "llm_call"):
            self.assertEqual(by_id[call["parent_step_id"]]["arguments"]["n"], call["tokens_in"])
        for change in steps(trace, "state_change"):
            self.assertEqual(by_id[change["parent_step_id"]]["arguments"]["n"], change["new_value"])


class Steps(Case):
    def test_every_type_with_every_field(self):
        at = datetime.datetime(2026, 1, 21, 10, 30, 0, 123000, tzinfo=datetime.timezone.utc)
        info = {"name": "a", "version": "1", "framework": "f", "framework_version": "2"}
        with Tracer.run(AgentInfo(**info), TaskInfo("d", "g", {"x": 1}), "t.json") as t:
            first = t.user_input("hi", input_type="text", timestamp=at, metadata={"mine": [1]})
            t.llm_call("m", [{"role": "user", "content": "q"}], {"role": "assistant", "content": []}, tokens_in=1, tokens_out=2,
                       tokens_total=3, latency_ms=4.4, cost_estimate=0.5, provider="p", parent_step_id=first)
            t.tool_call("n", {"big": 2 ** 63 - 1, "nul": "a\0b", "é": "😀"}, None, latency_ms=1, success=False, error="e",
                        resource_impact={"amount": 1, "unit": "USD"})
            t.retrieval("q", [{"content": "c", "score": 0.5, "metadata": {"id": "1"}}, "plain"], latency_ms=2)
            t.memory_read({"q": 1}, ["r"], 1, relevance_scores=[0.1], total_available=9)
            t.memory_write("fact", "add", {"a": 1}, entity_id="i", namespace=["n"], key="k",
                           changes=[{"path": "$.a", "new_value": 1}], triggered_by_step_id=first)
            t.state_change("k", None, old_value=1, reason="r")
            t.interrupt("ok?", {"a": True}, 12)
            t.final_output({"b": [1.5]}, format="json")
        (trace,) = self.judge("t.json")
        s = {step["step_type"]: step for step in trace["steps"]}
        self.assertEqual(len(s), 9)
        self.assertEqual(trace["agent_info"], info)
        self.assertEqual(trace["task_info"], {"description": "d", "goal": "g", "input": {"x": 1}})
        self.assertEqual(s["user_input"]["timestamp"], "2026-01-21T10:30:00.123Z")
        self.assertEqual(s["user_input"]["metadata"]["mine"], [1])
        self.assertEqual(s["llm_call"]["latency_ms"], 4)
        self.assertEqual(s["tool_call"]["arguments"], {"big": 2 ** 63 - 1, "nul": "a\0b", "é": "😀"})
        self.assertIsNone(s["tool_call"]["result"])
        self.assertEqual(s["retrieval"]["match_count"], 2)
        self.assertEqual(s["retrieval"]["results"][1], {"content": "plain"})
        self.assertEqual(s["memory_write"]["triggered_by_step_id"], first)
        self.assertIsNone(s["state_change"]["new_value"])
        self.assertEqual(s["interrupt"]["wait_duration_ms"], 12)
        self.assertEqual(s["final_output"]["content"], {"b": [1.5]})

    def test_errors_name_the_field_and_nothing_is_recorded(self):
        t = Tracer({"name": "a"})
        for field, bad in (("tokens_in", lambda: t.llm_call("m", "q", "a", tokens_in="x")),
                           ("operation", lambda: t.memory_write("e", "burn", {})),
                           ("parent_step_id", lambda: t.user_input("x", parent_step_id="nobody")),
                           ("timestamp", lambda: t.user_input("x", timestamp=object())),
                           ("step_type", lambda: t.step("dance")),
                           ("tokns", lambda: t.step("llm_call", tokns=1))):
            with self.assertRaises(StepValidationError, msg=field) as caught:
                bad()
            self.assertEqual(caught.exception.field, field)
        self.assertEqual(t.get_trace()["steps"], [])
        with self.assertRaises(TracerError):
            Tracer({})
        with self.assertRaises(TracerError):
            Tracer({"name": "x"}, output_path="/dev/null/x")

    def test_without_timestamps_each_step_needs_one(self):
        t = Tracer({"name": "a"}, auto_timestamps=False)
        with self.assertRaises(StepValidationError) as caught:
            t.user_input("x")
        self.assertEqual(caught.exception.field, "timestamp")
        t.user_input("x", timestamp="2026-01-02T03:04:05Z")
        self.assertEqual(t.get_trace()["steps"][0]["timestamp"], "2026-01-02T03:04:05.000Z")

    def test_step_nests_measures_and_lets_exceptions_pass(self):
        with Tracer.run({"name": "a"}) as t:
            with t.step("state_change", state_key="node") as outer:
                with self.assertRaises(KeyError), t.step("tool_call", tool_name="x", arguments={}) as inner:
                    t.user_input("deep")
                    time.sleep(0.02)
                    raise KeyError("gone")
                outer.set(new_value=1)
            t.user_input("outside")
        trace = self.judge_dict(t.get_trace())
        s = {step["step_id"]: step for step in trace["steps"]}
        self.assertEqual(s[inner.step_id]["parent_step_id"], outer.step_id)
        self.assertGreaterEqual(s[inner.step_id]["latency_ms"], 20)
        self.assertEqual(s[inner.step_id]["success"], False)
        self.assertEqual(s[inner.step_id]["metadata"]["error"], {"type": "KeyError", "message": "'gone'"})
        parents = [step.get("parent_step_id") for step in steps(trace, "user_input")]
        self.assertEqual(parents, [inner.step_id, None])

    def test_any_value_has_a_form(self):
        class Odd:
            def __str__(self):
                raise RuntimeError("no")
        loop = {}
        loop["self"] = loop
        with Tracer.run({"name": "a"}) as t:
            t.tool_call("t", {1: float("nan"), "o": Odd(), "p": pathlib.Path("/x"), "b": b"\xff", "s": {1}, "d": AgentInfo("n")},
                        "half \ud800")
            t.final_output(loop)
        trace = self.judge_dict(t.get_trace())
        arguments = trace["steps"][0]["arguments"]
        self.assertEqual((arguments["1"], arguments["o"], arguments["p"], arguments["s"]), ("nan", "<Odd>", "/x", [1]))
        self.assertTrue(trace["steps"][0]["metadata"]["invalid_utf8"])


class Runs(Case):
    def test_many_threads(self):
        with Tracer.run({"name": "a"}, output_path="traces") as t:
            def work(n):
                for i in range(250):
                    with t.step("tool_call", tool_name="t%d" % n, arguments={}):
                        t.state_change("k", [n, i])
            threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
            [thread.start() for thread in threads]
            t.get_trace()
            [thread.join() for thread in threads]
        (trace,) = self.judge("traces")
        self.assertEqual(len(trace["steps"]), 4000)
        by_id = {s["step_id"]: s for s in trace["steps"]}
        for change in steps(trace, "state_change"):
            self.assertEqual(by_id[change["parent_step_id"]]["tool_name"], "t%d" % change["new_value"][0])

    def test_recording_while_it_is_closed(self):
        t = Tracer({"name": "a"})
        wrong = []

        def work():
            try:
                while True:
                    t.user_input("x")
            except TracerError as e:
                if "has ended" not in str(e):
                    wrong.append(e)
        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        time.sleep(0.05)
        t.close()
        [thread.join() for thread in threads]
        self.assertEqual(wrong, [])
        self.judge_dict(t.get_trace())

    def test_a_failed_run_says_so(self):
        with self.assertRaises(ZeroDivisionError), Tracer.run({"name": "a"}) as t:
            1 / 0  # pylint: disable=pointless-statement
        metadata = t.get_trace()["metadata"]
        self.assertEqual((metadata["state"], metadata["error"]["message"]), ("failed", "division by zero"))

    def test_save(self):
        t = Tracer({"name": "a"})
        t.user_input("x")
        here = t.save()
        self.assertEqual(here.parent.name, "traces")
        self.assertEqual(t.save("d/e/f.json"), pathlib.Path("d/e/f.json"))
        os.mkdir("dir")
        self.assertEqual(t.save("dir").parent.name, "dir")
        t.close()
        t.close()
        self.assertEqual(os.stat(t.save("after.json")).st_mode & 0o777, 0o600)
        self.assertEqual(self.judge("after.json")[0]["metadata"]["state"], "completed")
        self.judge("d/e/f.json")
        with self.assertRaises(TracerError):
            t.user_input("late")
        with self.assertRaises(TracerError):
            t.save("/dev/null/x.json")

    def test_json_with_and_without_what_is_missing(self):
        t = Tracer({"name": "a"})
        t.llm_call("m", "q", "a")
        self.assertNotIn("tokens_in", t.to_json())
        self.assertIsNone(json.loads(t.to_json(exclude_none=False))["steps"][0]["tokens_in"])

    def test_the_end_of_the_program_writes_what_is_open(self):
        run_program('''
from cf_observe import Tracer
t = Tracer({"name": "a"}, output_path="traces")
t.user_input("x")
''', self.dir)
        (trace,) = self.judge("traces")
        self.assertEqual(types(trace), ["user_input"])

    def test_a_kill_loses_nothing_that_was_recorded(self):
        run_program('''
import os
from cf_observe import Tracer
pid = os.fork()
if not pid:
    t = Tracer({"name": "a"}, output_path="traces")
    for i in range(100):
        t.user_input(str(i))
    os.kill(os.getpid(), 9)
os.waitpid(pid, 0)
''', self.dir)
        subprocess.run([os.path.join(os.environ["CF_OBSERVE_TOP"], "build/cf-observe"), "recover", "traces"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        (trace,) = self.judge("traces")
        self.assertEqual(len(trace["steps"]), 100)

    def test_a_child_leaves_the_run_alone(self):
        run_program('''
import os
from cf_observe import Tracer, TracerError
with Tracer.run({"name": "a"}, output_path="traces") as t:
    t.user_input("x")
    pid = os.fork()
    if not pid:
        try:
            t.user_input("y")
            os._exit(1)
        except TracerError:
            t.close()
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    t.user_input("z")
''', self.dir)
        (trace,) = self.judge("traces")
        self.assertEqual([s["content"] for s in trace["steps"]], ["x", "z"])

    def test_runs_inside_each_other_share_a_context(self):
        with Tracer.run({"name": "a"}) as a, Tracer.run({"name": "b"}) as b:
            with a.step("state_change", state_key="k"):
                b.user_input("mine")
        self.assertEqual(a.get_trace()["metadata"]["context_id"], b.get_trace()["metadata"]["context_id"])
        self.assertNotIn("parent_step_id", b.get_trace()["steps"][0])
        self.assertNotEqual(Tracer({"name": "c"}).context_id, a.context_id)

    def test_tracers_that_are_dropped_leave_no_files_open(self):
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(50):
            Tracer({"name": "a"}).user_input("x")
        gc.collect()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_it_costs_little(self):
        t = Tracer({"name": "a"})
        began = time.perf_counter()
        for _ in range(2000):
            t.llm_call("m", "question", "answer", tokens_in=1, tokens_out=2)
        each = (time.perf_counter() - began) / 2000
        self.assertLess(each, 0.001)
        print("a step costs %.0f us in Python" % (each * 1e6))


class Redaction(Case):
    def test_what_is_taken_out(self):
        config = RedactionConfig(patterns=[r"\d{3}-\d{2}-\d{4}", r"(?i)acme"], replacement="<$1&\\>")
        with Tracer.run({"name": "at ACME"}, {"input": {"ssn": "123-45-6789"}}, "traces", redaction_config=config) as t:
            t.llm_call("m", "I am 123-45-6789 of Acme", SECRET, metadata={"who": "acme"})
            with t.step("tool_call", tool_name="acme", arguments={"acme": ["123-45-6789"]}):
                pass
        with open(t.save(), encoding="utf-8") as f:
            text = f.read()
        for secret in ("123-45-6789", SECRET):
            self.assertNotIn(secret, text)
        self.assertNotIn("acme", text.lower())
        (trace,) = self.judge("traces")
        self.assertEqual(steps(trace, "llm_call")[0]["input"], "I am <$1&\\> of <$1&\\>")
        self.assertEqual(steps(trace, "llm_call")[0]["output"], "<$1&\\>")

    def test_inputs_and_outputs(self):
        with Tracer.run({"name": "a"}, redaction_config=RedactionConfig(redact_inputs=True)) as t:
            t.llm_call("m", "question", "answer", tokens_in=7)
        with Tracer.run({"name": "a"}, redaction_config=RedactionConfig(redact_outputs=True)) as u:
            u.llm_call("m", "question", "answer", tokens_in=7)
        a, b = t.get_trace()["steps"][0], u.get_trace()["steps"][0]
        self.assertEqual((a["input"], a["output"], a["tokens_in"]), ("[REDACTED]", "answer", 7))
        self.assertEqual((b["input"], b["output"]), ("question", "[REDACTED]"))

    def test_known_shapes_without_a_config(self):
        with Tracer.run({"name": "a"}) as t:
            t.user_input("key " + SECRET)
        self.assertRegex(t.get_trace()["steps"][0]["content"], r"^key \[REDACTED:[a-z_.-]+:[0-9a-f]{8}\]$")

    def test_a_bad_pattern_is_an_error_at_once(self):
        with self.assertRaisesRegex(ValueError, r"patterns: '\(': "):
            RedactionConfig(patterns=["("])


class Import(unittest.TestCase):
    def test_nothing_but_the_standard_library(self):
        out = run_program('''
import sys
before = set(sys.modules)
import cf_observe, cf_observe.instrumentation
new = {m.split(".")[0] for m in set(sys.modules) - before}
print(sorted(m for m in new if m not in sys.stdlib_module_names and m != "cf_observe"))
''', "/")
        self.assertEqual(out.strip(), "[]")

    def test_a_missing_library_says_what_to_do(self):
        out = run_program('''
import cf_observe
try:
    cf_observe.Tracer({"name": "a"})
except cf_observe.TracerError as e:
    print(e)
''', "/", CONTEXTFORGE_LIBRARY="/nowhere/libcontextforge.so")
        self.assertIn("`make` first", out)
        self.assertIn("/nowhere/libcontextforge.so: not there", out)

    def test_the_library_is_packaged(self):
        self.assertTrue(os.path.exists(os.path.join(os.path.dirname(cf_observe.__file__), "libcontextforge.so")))
