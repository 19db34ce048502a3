"""CrewAI in one line: a crew of two agents, the first with a tool, against the model server."""
import unittest

from support import MODEL, Case, ancestors, has, model_server, run_program, steps

if not has("crewai"):
    raise unittest.SkipTest("crewai is not installed")

# In a program of its own: crewai reads its environment when it is imported.
PROGRAM = '''
import os
os.environ.update(CREWAI_DISABLE_TELEMETRY="true", OTEL_SDK_DISABLED="true", CREWAI_DISABLE_TRACKING="true",
                  CREWAI_TRACING_ENABLED="false", CREWAI_TESTING="true", CREWAI_STORAGE_DIR=os.getcwd())
from cf_observe.instrumentation import CrewAIInstrumentor
%(before)s
from crewai import LLM, Agent, Crew, Task
from crewai.tools import tool

@tool("echo")
def echo(word: str) -> str:
    """Echo a word."""
    if word == "bad":
        raise ValueError("a bad word")
    return word * 2

llm = LLM(model="openai/gpt-4o-mini", base_url=os.environ["OPENAI_BASE_URL"], api_key="none")
type(llm).supports_function_calling = lambda self: False
researcher = Agent(role="researcher", goal="look up", backstory="Looks things up.", tools=[echo], llm=llm, verbose=False,
                   allow_delegation=False, cache=False)
writer = Agent(role="writer", goal="write it down", backstory="Writes.", llm=llm, verbose=False, allow_delegation=False)
tasks = [Task(name="find", description="Find {topic}.", expected_output="a fact", agent=researcher),
         Task(name="write", description="Write it.", expected_output="a line", agent=writer)]
crew = Crew(agents=[researcher, writer], tasks=tasks, verbose=False, memory=False, cache=False)
%(after)s
'''
ACTION = "Thought: I should echo.\nAction: echo\nAction Input: {\"word\": \"%s\"}\n"
FINAL = "Thought: I now know the final answer\nFinal Answer: %s"
TURNS = [{"text": ACTION % "hi"}, {"text": FINAL % "hihi"}, {"text": FINAL % "It is written."}]
ONE_LINE = "CrewAIInstrumentor().instrument()"


class Crews(Case):
    def crew(self, before, after, turns):
        with model_server(turns) as (base, log):
            said = run_program(PROGRAM % {"before": before, "after": after}, self.dir, OPENAI_API_KEY="none",
                               OPENAI_BASE_URL=base, HOME=self.dir)
            return said, log()

    def test_a_crew_in_one_line(self):
        said, log = self.crew(ONE_LINE, 'print(crew.kickoff(inputs={"topic": "x"}))', TURNS)
        self.assertIn("It is written.", said)
        (trace,) = self.judge("traces")
        self.assertEqual(trace["agent_info"]["framework"], "crewai")
        self.assertEqual(trace["task_info"]["input"], {"topic": "x"})
        self.assertEqual(trace["metadata"]["state"], "completed")
        held = [(s["state_key"], s["reason"]) for s in steps(trace, "state_change")]
        self.assertEqual(held[1:], [("find", "task"), ("researcher", "agent"), ("write", "task"), ("writer", "agent")])
        self.assertEqual(held[0][1], "crew")
        calls = steps(trace, "llm_call")
        self.assertEqual(len(calls), len(log))
        for call, row in zip(calls, log):
            self.assertEqual((call["model"].split("/")[-1], call["output"].strip()), (MODEL, row["text"].strip()))
            self.assertEqual(call["tokens_in"], row["usage"]["prompt_tokens"])
            self.assertEqual(call["tokens_out"], row["usage"]["completion_tokens"])
        self.assertEqual([s["reason"] for s in ancestors(trace, calls[0])], ["agent", "task", "crew"])
        (used,) = steps(trace, "tool_call")
        self.assertEqual((used["tool_name"], used["arguments"], used["success"]), ("echo", {"word": "hi"}, True))
        self.assertIn("hihi", str(used["result"]))
        self.assertIn("researcher", [s["state_key"] for s in ancestors(trace, used)])
        self.assertIn("It is written.", str(steps(trace, "state_change")[0]["new_value"]))
        self.assertFalse([s for s in trace["steps"] if s["metadata"].get("incomplete")])

    def test_a_flow_with_a_model_that_calls_tools_itself(self):
        after = '''
import asyncio
from crewai.flow.flow import Flow, listen, start
type(llm).supports_function_calling = lambda self: True
class Report(Flow):
    _skip_auto_memory = True  # it would need a database
    @start()
    def gather(self):
        return str(crew.kickoff(inputs={"topic": "x"}))
    @listen(gather)
    def tell(self, text):
        return text
asyncio.run(Report().kickoff_async())
'''
        call = {"id": "call_1", "name": "echo", "arguments": {"word": "hi"}}
        self.crew(ONE_LINE, after, [{"tool_calls": [call]}, {"text": "It is hihi."}, {"text": "written"}])
        (trace,) = self.judge("traces")
        held = {s["state_key"]: s for s in steps(trace, "state_change")}
        self.assertEqual([held[k]["reason"] for k in ("Report", "gather", "tell")], ["flow"] + ["flow method"] * 2)
        calls = steps(trace, "llm_call")
        part = {"type": "tool_call", **call}
        self.assertEqual(calls[0]["output"]["content"], [part])
        self.assertIn({"role": "assistant", "content": [part]}, calls[1]["input"])
        self.assertIn({"role": "tool", "content": [{"type": "tool_result", "id": "call_1", "content": "hihi"}]}, calls[1]["input"])
        self.assertEqual([s["reason"] for s in ancestors(trace, calls[0])], ["agent", "task", "crew", "flow method", "flow"])
        self.assertTrue(all(c["tokens_in"] and c["tokens_out"] for c in calls))
        self.assertEqual(steps(trace, "tool_call")[0]["arguments"], {"word": "hi"})

    def test_crews_at_once_never_mix(self):
        after = '''
from concurrent.futures import ThreadPoolExecutor
def one(n):
    agent = Agent(role="w%d" % n, goal="g", backstory="b", llm=llm, verbose=False)
    task = Task(name="t%d" % n, description="Say.", expected_output="a line", agent=agent)
    return Crew(agents=[agent], tasks=[task], verbose=False).kickoff()
with ThreadPoolExecutor(4) as pool:
    list(pool.map(one, range(4)))
'''
        self.crew(ONE_LINE, after, [{"text": FINAL % "said", "delay_ms": 100}] * 4)
        traces = self.judge("traces")
        self.assertEqual(len(traces), 4)
        for trace in traces:
            held = {s["reason"]: s["state_key"] for s in steps(trace, "state_change")}
            self.assertEqual(held["task"][1:], held["agent"][1:])
            self.assertEqual(len(steps(trace, "llm_call")), 1)
        self.assertEqual(len({t["metadata"]["context_id"] for t in traces}), 4)

    def test_errors_pass_and_are_steps(self):
        after = '''
try:
    crew.kickoff(inputs={"topic": "x"})
except Exception as e:
    print("raised", e)
'''
        said, _ = self.crew(ONE_LINE, after, [{"text": ACTION % "bad"}, {"error": {"status": 400, "type": "bad", "message": "no more"}}])
        self.assertIn("raised", said)
        (trace,) = self.judge("traces")
        self.assertEqual(trace["metadata"]["state"], "failed")
        self.assertTrue([s for s in steps(trace, "tool_call") if s["success"] is False and "a bad word" in s["error"]])
        self.assertTrue([s for s in steps(trace, "llm_call") if "no more" in str(s["metadata"].get("error"))])

    def test_on_off_and_late(self):
        after = '''
instrumentor = CrewAIInstrumentor("t")
def late(output):
    instrumentor.instrument()
    instrumentor.instrument()
tasks[0].callback = late
crew.kickoff(inputs={"topic": "x"})
(trace,) = instrumentor.get_traces()
assert trace["metadata"]["partial"], trace
assert [s["step_type"] for s in trace["steps"]].count("llm_call") == 1
instrumentor.uninstrument()
instrumentor.uninstrument()
tasks[0].callback = None
crew.kickoff(inputs={"topic": "x"})
assert len(instrumentor.get_traces()) == 1
with instrumentor:
    crew.kickoff(inputs={"topic": "x"})
assert len(instrumentor.get_traces()) == 2 and not instrumentor.is_instrumented()
'''
        self.crew("", after, TURNS * 3)
        self.assertEqual(len(self.judge("t")), 2)

    def test_beside_langchain_they_share_a_context(self):
        before = "from cf_observe.instrumentation import LangChainInstrumentor\n" \
                 "langchain = LangChainInstrumentor(\"lc\").instrument()\n" + ONE_LINE
        after = '''
from langchain_core.runnables import RunnableLambda
def inner(x):
    return x
def callback(output):
    RunnableLambda(inner).invoke(1)
tasks[0].callback = callback
crew.kickoff(inputs={"topic": "x"})
'''
        self.crew(before, after, TURNS)
        (crew,), (chain,) = self.judge("traces"), self.judge("lc")
        self.assertEqual(crew["metadata"]["context_id"], chain["metadata"]["context_id"])
        self.assertNotEqual(crew["run_id"], chain["run_id"])

    def test_memory_knowledge_and_guardrails(self):
        after = '''
from crewai.events import crewai_event_bus as bus
from crewai.events.types.memory_events import *
from crewai.events.types.knowledge_events import *
from crewai.events.types.llm_guardrail_events import *
def callback(output):
    emit = lambda e: bus.emit(crew, e)
    emit(MemoryQueryStartedEvent(query="who", limit=3))
    emit(MemoryQueryCompletedEvent(query="who", limit=3, results=[{"content": "me", "score": 0.5}], query_time_ms=1))
    emit(MemorySaveStartedEvent(value="v", metadata={"k": 1}))
    emit(MemorySaveCompletedEvent(value="v", metadata={"k": 1}, save_time_ms=1))
    emit(MemorySaveStartedEvent(value="w"))
    emit(MemorySaveFailedEvent(value="w", error="full"))
    emit(KnowledgeQueryStartedEvent(task_prompt="why"))
    emit(KnowledgeQueryCompletedEvent(query="why"))
    emit(LLMGuardrailStartedEvent(guardrail="be nice", retry_count=0))
    emit(LLMGuardrailCompletedEvent(success=True, result="nice", retry_count=0))
tasks[0].callback = callback
crew.kickoff(inputs={"topic": "x"})
'''
        self.crew(ONE_LINE, after, TURNS)
        (trace,) = self.judge("traces")
        (read,) = steps(trace, "memory_read")
        self.assertEqual((read["query"], read["results"], read["match_count"]), ("who", [{"content": "me", "score": 0.5}], 1))
        saved, failed = steps(trace, "memory_write")
        self.assertEqual((saved["operation"], saved["data"]), ("add", {"value": "v", "metadata": {"k": 1}}))
        self.assertEqual(failed["metadata"]["error"]["message"], "full")
        self.assertEqual(steps(trace, "retrieval")[0]["query"], "why")
        (rail,) = [s for s in steps(trace, "state_change") if s["reason"] == "guardrail"]
        self.assertEqual(rail["new_value"], "nice")
        self.assertIn("crew", [s["reason"] for s in ancestors(trace, rail)])
