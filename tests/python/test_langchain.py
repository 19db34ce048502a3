"""LangChain and LangGraph, by handler and in one line, against the model server."""
import asyncio
import logging
import os
import threading
import time
import unittest

from support import MODEL, Case, ancestors, has, model_server, run_program, steps

if not has("langchain_openai", "langgraph"):
    raise unittest.SkipTest("langchain is not installed")

from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from cf_observe import InstrumentorError, RedactionConfig, Tracer
from cf_observe.callbacks import ContextForgeHandler
from cf_observe.instrumentation import BaseInstrumentor, LangChainInstrumentor

PROMPT = ChatPromptTemplate.from_messages([("system", "Be brief."), ("human", "{question}")])


def model(base, **kwargs):
    return ChatOpenAI(model=MODEL, base_url=base, api_key="none", max_retries=0, **kwargs)


@tool
def weather(city: str) -> dict:
    """The weather in a city."""
    if city == "Atlantis":
        raise ValueError("no such city")
    return {"city": city, "celsius": -3.5}


class Shelf(BaseRetriever):
    """Two documents, one with a score."""

    def _get_relevant_documents(self, query, *, run_manager):
        if query == "burn":
            raise OSError("the shelf burns")
        return [Document("Oslo is cold.", id="d1", metadata={"score": 0.9}), Document("Rome is not.", metadata={"page": 2})]


PROGRAM = '''
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from cf_observe.instrumentation import LangChainInstrumentor

LangChainInstrumentor(%s).instrument()

prompt = ChatPromptTemplate.from_template("Say {word}")
llm = ChatOpenAI(model="gpt-4o-mini")
print((prompt | llm).invoke({"word": "hello"}).content)
'''


class QuickStarts(Case):
    def one_line(self, argument, place):
        with model_server([{"text": "hello", "usage": {"fresh": 10, "cached": 2, "out": 3}}]) as (base, _):
            said = run_program(PROGRAM % argument, self.dir, OPENAI_API_KEY="none", OPENAI_BASE_URL=base)
        self.assertEqual(said.strip(), "hello")
        (trace,) = self.judge(place)
        (call,) = steps(trace, "llm_call")
        self.assertEqual((call["model"], call["output"], call["provider"]), (MODEL, "hello", "openai"))
        self.assertEqual((call["tokens_in"], call["tokens_out"], call["tokens_total"]), (12, 3, 15))
        self.assertEqual(call["input"], [{"role": "user", "content": "Say hello"}])
        self.assertEqual(call["metadata"]["finish_reason"], "stop")
        self.assertTrue(call["metadata"]["response_id"].startswith("chatcmpl-"))
        self.assertEqual(trace["agent_info"]["framework"], "langchain")
        self.assertEqual(trace["task_info"]["input"], {"word": "hello"})
        self.assertEqual(trace["metadata"]["state"], "completed")

    def test_quickstart_1(self):
        self.one_line("", "traces")

    def test_quickstart_2(self):
        self.one_line('output_path="a/b/traces"', "a/b/traces")

    def test_quickstart_4(self):
        handler = ContextForgeHandler(output_path="traces")
        self.assertIsNone(handler.get_trace())
        with model_server([{"text": "one"}, {"text": "two"}]) as (base, _):
            chain = PROMPT | model(base)
            chain.invoke({"question": "first"}, config={"callbacks": [handler]})
            chain.invoke({"question": "second"})
        (trace,) = self.judge("traces")
        self.assertEqual(handler.get_trace(), trace)
        self.assertEqual(handler.get_traces(), [trace])
        (call,) = steps(trace, "llm_call")
        self.assertEqual(call["output"], "one")
        self.assertEqual([s["reason"] for s in ancestors(trace, call)], ["chain"])


class Chains(Case):
    def test_retrieval_with_its_documents(self):
        handler = ContextForgeHandler()
        with model_server([{"text": "Cold."}]) as (base, _):
            chain = ({"context": Shelf(), "question": RunnablePassthrough()}
                     | ChatPromptTemplate.from_template("{context}\n{question}") | model(base) | StrOutputParser())
            self.assertEqual(chain.invoke("How is Oslo?", config={"callbacks": [handler]}), "Cold.")
        trace = self.judge_dict(handler.get_trace())
        (found,) = steps(trace, "retrieval")
        self.assertEqual((found["query"], found["match_count"]), ("How is Oslo?", 2))
        self.assertEqual(found["results"], [
            {"content": "Oslo is cold.", "score": 0.9, "metadata": {"score": 0.9, "id": "d1"}},
            {"content": "Rome is not.", "metadata": {"page": 2}}])
        self.assertIn("RunnableSequence", [s["state_key"] for s in ancestors(trace, found)])
        (call,) = steps(trace, "llm_call")
        self.assertGreater(call["tokens_in"], 0)

    def test_streams(self):
        handler = ContextForgeHandler()

        async def many(chain):
            return [piece async for piece in chain.astream({"question": "q"}, config={"callbacks": [handler]})]
        with model_server([{"text": "a b c d e"}, {"text": "f g h i j"}]) as (base, _):
            chain = PROMPT | model(base, stream_usage=True)
            self.assertGreater(len(list(chain.stream({"question": "q"}, config={"callbacks": [handler]}))), 2)
            self.assertGreater(len(asyncio.run(many(chain))), 2)
        for trace, text in zip(handler.get_traces(), ("a b c d e", "f g h i j")):
            (call,) = steps(self.judge_dict(trace), "llm_call")
            self.assertEqual(call["output"], text)
            self.assertTrue(call["metadata"]["stream"])
            self.assertGreaterEqual(call["latency_ms"], call["metadata"]["time_to_first_token_ms"])
            self.assertGreater(call["tokens_out"], 0)

    def test_errors_are_steps_and_pass(self):
        handler = ContextForgeHandler()
        with model_server([{"error": {"status": 429, "type": "rate_limit", "message": "slow down"}}]) as (base, _):
            with self.assertRaisesRegex(Exception, "slow down"):
                (PROMPT | model(base)).invoke({"question": "q"}, config={"callbacks": [handler]})
        trace = self.judge_dict(handler.get_trace())
        self.assertEqual(trace["metadata"]["state"], "failed")
        (call,) = steps(trace, "llm_call")
        self.assertRegex(call["metadata"]["error"]["type"], "RateLimitError$")
        with self.assertRaises(OSError):
            Shelf().invoke("burn", config={"callbacks": [handler]})
        self.assertEqual(steps(handler.get_trace(), "retrieval")[0]["metadata"]["error"]["message"], "the shelf burns")
        with self.assertRaises(ValueError):
            weather.invoke({"city": "Atlantis"}, config={"callbacks": [handler]})
        (call,) = steps(self.judge_dict(handler.get_trace()), "tool_call")
        self.assertEqual((call["success"], call["error"]), (False, "no such city"))

    def test_concurrent_invocations_never_mix(self):
        handler = ContextForgeHandler()

        def inner(n):
            time.sleep(0.001 * (n % 5))
            return weather.invoke({"city": "c%d" % n})

        async def ainner(n):
            await asyncio.sleep(0.001 * (n % 5))
            return await weather.ainvoke({"city": "c%d" % n})
        chain = RunnableLambda(inner, ainner)
        threads = [threading.Thread(target=chain.invoke, args=(n, {"callbacks": [handler]})) for n in range(20)]
        [t.start() for t in threads]
        [t.join() for t in threads]

        async def gather():
            await asyncio.gather(*(chain.ainvoke(n, {"callbacks": [handler]}) for n in range(20, 60)))
        asyncio.run(gather())
        chain.batch(list(range(60, 80)), {"callbacks": [handler]})
        traces = handler.get_traces()
        self.assertEqual(len(traces), 80)
        seen = set()
        for trace in traces:
            (call,) = steps(trace, "tool_call")
            self.assertEqual(call["arguments"]["city"], "c%d" % trace["task_info"]["input"]["value"])
            self.assertEqual(len(ancestors(trace, call)), 1)
            seen.add(call["arguments"]["city"])
        self.assertEqual(len(seen), 80)

    def test_what_is_not_captured(self):
        handler = ContextForgeHandler(capture_inputs=False)
        other = ContextForgeHandler(capture_outputs=False)
        with model_server([{"text": "an answer"}]) as (base, _):
            (PROMPT | model(base)).invoke({"question": "a question"}, config={"callbacks": [handler, other]})
        weather.invoke({"city": "Oslo"}, config={"callbacks": [handler, other]})
        for trace in handler.get_traces():
            self.assertNotIn("a question", str(self.judge_dict(trace)))
            self.assertNotIn("'arguments': {'city'", str(trace))
        for trace in other.get_traces():
            self.assertNotIn("an answer", str(self.judge_dict(trace)))
            self.assertNotIn("celsius", str(trace))

    def test_redaction(self):
        handler = ContextForgeHandler(output_path="traces", redaction_config=RedactionConfig(patterns=[r"Os\w+"]))
        weather.invoke({"city": "Oslo"}, config={"callbacks": [handler]})
        self.assertNotIn("Oslo", str(self.judge("traces")))
        handler = ContextForgeHandler(redaction_config=RedactionConfig(redact_inputs=True))
        with model_server([{"text": "an answer"}]) as (base, _):
            (PROMPT | model(base)).invoke({"question": "a question"}, config={"callbacks": [handler]})
        self.assertNotIn("a question", str(self.judge_dict(handler.get_trace())))

    def test_a_failure_in_here_never_reaches_the_agent(self):
        handler = ContextForgeHandler(output_path="/dev/null/nowhere")
        with self.assertLogs("cf_observe", logging.WARNING):
            self.assertEqual(weather.invoke({"city": "Oslo"}, config={"callbacks": [handler]})["city"], "Oslo")
        self.assertEqual(handler.get_traces(), [])


class Graphs(Case):
    def agent(self, base):
        from langchain.agents import create_agent
        return create_agent(model(base), [weather], system_prompt="Use tools.")

    TURNS = [{"tool_calls": [{"id": "call_1", "name": "weather", "arguments": {"city": "Oslo"}}]}, {"text": "It is cold."}]

    def check_agent(self, trace, tokens_in=True):
        self.assertEqual(trace["agent_info"]["framework"], "langgraph")
        calls = steps(trace, "llm_call")
        self.assertEqual(len(calls), 2)
        (used,) = steps(trace, "tool_call")
        self.assertEqual((used["tool_name"], used["arguments"], used["success"]), ("weather", {"city": "Oslo"}, True))
        self.assertIn("-3.5", str(used["result"]))
        self.assertEqual(used["metadata"]["call_id"], "call_1")
        self.assertEqual(used["metadata"]["requested_by"], calls[0]["step_id"])
        self.assertEqual(calls[0]["metadata"]["tools_offered"], ["weather"])
        self.assertEqual(calls[0]["output"]["content"], [{"type": "tool_call", "id": "call_1", "name": "weather",
                                                          "arguments": {"city": "Oslo"}}])
        self.assertEqual(ancestors(trace, used)[-1]["reason"], "graph")
        self.assertIn("node", [s["reason"] for s in ancestors(trace, used)])
        self.assertIn(("model", "node"), [(s["state_key"], s["reason"]) for s in ancestors(trace, calls[0])])
        self.assertTrue(all(c["tokens_out"] > 0 for c in calls))
        for call in calls if tokens_in else ():
            self.assertGreater(call["tokens_in"], 0)

    def test_an_agent_with_a_tool(self):
        handler = ContextForgeHandler()
        with model_server(self.TURNS * 2) as (base, _):
            agent = self.agent(base)
            agent.invoke({"messages": [HumanMessage("Oslo?")]}, config={"callbacks": [handler]})
            asyncio.run(agent.ainvoke({"messages": [HumanMessage("Oslo?")]}, config={"callbacks": [handler]}))
        self.assertEqual(len(handler.get_traces()), 2)
        for trace in handler.get_traces():
            self.check_agent(self.judge_dict(trace))

    def test_an_agent_of_another_provider(self):
        from langchain.agents import create_agent
        from langchain_anthropic import ChatAnthropic
        handler = ContextForgeHandler()
        with model_server(self.TURNS * 2) as (base, log):
            for streaming in (False, True):
                llm = ChatAnthropic(model="claude-x", base_url=base[:-3], api_key="none", max_tokens=100, streaming=streaming)
                create_agent(llm, [weather]).invoke({"messages": [HumanMessage("Oslo?")]}, config={"callbacks": [handler]})
            rows = log()
        calls = []
        for trace, streaming in zip(handler.get_traces(), (False, True)):
            self.check_agent(self.judge_dict(trace), tokens_in=not streaming)
            calls += steps(trace, "llm_call")
            # This server says the tokens of the input at the start of a stream, where LangChain does not look for them.
            self.assertEqual([("tokens_in" in c) for c in steps(trace, "llm_call")], [not streaming] * 2)
        for call, row in zip(calls, rows):
            self.assertEqual((call["model"], call["provider"]), ("claude-x", "anthropic"))
            self.assertEqual(call["tokens_out"], row["usage"]["output_tokens"])

    def test_an_agent_in_one_line(self):
        with model_server(self.TURNS) as (base, _), LangChainInstrumentor() as instrumentor:
            self.agent(base).invoke({"messages": [HumanMessage("Oslo?")]})
            self.assertEqual(len(instrumentor.get_traces()), 1)
        (trace,) = self.judge("traces")
        self.check_agent(trace)

    def test_an_interrupt_and_its_answer(self):
        from langgraph.checkpoint.memory import InMemorySaver
        from langgraph.graph import END, START, MessagesState, StateGraph
        from langgraph.types import Command, interrupt

        def ask(state):
            said = interrupt({"question": "Send it?"})
            return {"messages": [AIMessage("you said " + said)]}
        g = StateGraph(MessagesState)
        g.add_node("ask", ask)
        g.add_edge(START, "ask")
        g.add_edge("ask", END)
        graph = g.compile(checkpointer=InMemorySaver())
        handler = ContextForgeHandler(output_path="traces")
        config = {"callbacks": [handler], "configurable": {"thread_id": "t1"}}
        graph.invoke({"messages": [HumanMessage("go")]}, config)
        time.sleep(0.03)
        graph.invoke(Command(resume="yes"), config)
        first, second = self.judge("traces")
        (asked,) = steps(first, "interrupt")
        self.assertEqual(asked["prompt"], '{"question": "Send it?"}')
        self.assertIn("response", asked["metadata"]["missing"])
        self.assertEqual(first["metadata"]["state"], "completed")
        self.assertEqual(ancestors(first, asked)[0]["state_key"], "ask")
        (answered,) = steps(second, "interrupt")
        self.assertEqual((answered["prompt"], answered["response"]), (asked["prompt"], "yes"))
        self.assertGreaterEqual(answered["wait_duration_ms"], 30)
        self.assertEqual(answered["metadata"]["interrupted_run"], first["run_id"])
        self.assertEqual(first["metadata"]["conversation_id"], "t1")
        self.assertEqual(second["metadata"]["conversation_id"], "t1")


class Instrumentor(Case):
    def call(self):
        return weather.invoke({"city": "Oslo"})

    def test_on_and_off(self):
        instrumentor = LangChainInstrumentor(output_path="t")
        self.call()
        for _ in range(2):
            self.assertIs(instrumentor.instrument(), instrumentor)
        self.assertTrue(instrumentor.is_instrumented())
        self.call()
        for _ in range(2):
            instrumentor.uninstrument()
        self.assertFalse(instrumentor.is_instrumented())
        self.call()
        self.assertEqual(len(instrumentor.get_traces()), 1)
        with instrumentor:
            self.call()
        self.assertEqual(len(self.judge("t")), 2)

    def test_every_thread(self):
        with LangChainInstrumentor() as instrumentor:
            threads = [threading.Thread(target=self.call) for _ in range(16)]
            [t.start() for t in threads]
            [t.join() for t in threads]
        self.assertEqual(len(instrumentor.get_traces()), 16)

    def test_a_child_process_has_runs_of_its_own(self):
        with LangChainInstrumentor("t") as instrumentor:
            def inside(_):
                pid = os.fork()
                if not pid:
                    try:
                        self.call()
                        os._exit(len(instrumentor.get_traces()))
                    finally:
                        os._exit(99)
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            self.assertEqual(RunnableLambda(inside).invoke(1), 1)
            self.assertEqual(len(instrumentor.get_traces()), 1)
        self.assertEqual(len(self.judge("t")), 2)

    def test_switched_from_many_threads(self):
        instrumentor = LangChainInstrumentor()

        def switch():
            for _ in range(20):
                instrumentor.instrument()
                self.call()
                instrumentor.uninstrument()
        threads = [threading.Thread(target=switch) for _ in range(4)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        self.assertFalse(instrumentor.is_instrumented())
        before = len(instrumentor.get_traces())
        self.call()
        self.assertEqual(len(instrumentor.get_traces()), before)

    def test_side_by_side_they_share_a_context(self):
        handler = ContextForgeHandler()
        with LangChainInstrumentor("a") as one, LangChainInstrumentor("b") as two:
            RunnableLambda(lambda _: self.call()).invoke(1, config={"callbacks": [handler]})
            RunnableLambda(lambda _: self.call()).invoke(2)
        runs = [one.get_traces(), two.get_traces(), handler.get_traces()]
        self.assertEqual([len(r) for r in runs], [2, 2, 1])
        context = [[t["metadata"]["context_id"] for t in r] for r in runs]
        self.assertEqual(context[0], context[1])
        self.assertEqual(context[0][0], context[2][0])
        self.assertNotEqual(context[0][0], context[0][1])
        self.assertEqual(len({t["run_id"] for r in runs for t in r}), 5)
        with Tracer.run({"name": "mine"}) as t, LangChainInstrumentor("c") as three:
            self.call()
        self.assertEqual(three.get_traces()[0]["metadata"]["context_id"], t.context_id)

    def test_instrumented_late(self):
        instrumentor = LangChainInstrumentor()

        def late(_):
            instrumentor.instrument()
            self.call()
            return self.call()
        with self.assertLogs("cf_observe", logging.WARNING) as logs:
            RunnableLambda(late).invoke(1)
        self.assertIn("instrumented late", str(logs.output))
        (trace,) = instrumentor.get_traces()
        instrumentor.uninstrument()
        self.assertTrue(trace["metadata"]["partial"])
        self.assertEqual(len(steps(self.judge_dict(trace), "tool_call")), 2)

    def test_a_provider_of_tracers(self):
        def provide(**kwargs):
            kwargs["agent_info"] = {"name": "ours"}
            return Tracer(**kwargs)
        with LangChainInstrumentor(tracer_provider=provide) as instrumentor:
            self.call()
        self.assertEqual(instrumentor.get_traces()[0]["agent_info"], {"name": "ours"})

    def test_a_framework_that_is_not_there(self):
        class Other(BaseInstrumentor):
            framework = "other"

            def _do_instrument(self):
                import not_installed_anywhere  # noqa: F401

            def _do_uninstrument(self):
                raise AssertionError("it never was on")
        other = Other()
        with self.assertRaisesRegex(InstrumentorError, "other can't be instrumented.*not_installed_anywhere"):
            other.instrument()
        self.assertFalse(other.is_instrumented())
        other.uninstrument()

    def test_the_log_level(self):
        program = ("import logging\nfrom cf_observe.instrumentation import LangChainInstrumentor\n"
                   "import sys, io\nsys.stderr = sys.stdout\n"
                   "LangChainInstrumentor().instrument()")
        self.assertEqual(run_program(program, self.dir), "")
        said = run_program("import sys\nsys.stderr = sys.stdout\n" + program, self.dir, CONTEXTFORGE_LOG_LEVEL="DEBUG")
        self.assertIn("langchain is instrumented, traces go to " + os.path.realpath(self.dir), said)
