"""verify.py SERVER_LOG TRACE: does the trace hold every call of the server's log, and the tool call between them?"""

import json
import sys


def fail(text):
    sys.exit(f"demo: {text}")


def main(log, *traces):
    if len(traces) != 1:
        fail(f"{len(traces)} traces, not one")
    with open(log, encoding="utf-8") as file:
        asked = [json.loads(line) for line in file]
    with open(traces[0], encoding="utf-8") as file:
        text = file.read()
    trace = json.loads(text)
    calls = [s for s in trace["steps"] if s["step_type"] == "llm_call"]
    if not asked or len(calls) != len(asked):
        fail(f"the server answered {len(asked)} calls, the trace has {len(calls)}")
    for call, truth in zip(calls, asked):
        usage = truth["reply"]["usage"]
        if call["model"] != truth["reply"]["model"]:
            fail(f"model {call['model']}, the server says {truth['reply']['model']}")
        if (call["tokens_in"], call["tokens_out"]) != (usage["prompt_tokens"], usage["completion_tokens"]):
            fail(f"tokens {call['tokens_in']}, {call['tokens_out']}; the server says {usage}")
    tools = [s for s in trace["steps"] if s["step_type"] == "tool_call" and s["tool_name"] == "get_weather"]
    if [t["arguments"] for t in tools] != [{"city": "Paris"}]:
        fail(f"tool calls: {tools}")
    if tools[0]["result"] != "rain in Paris, 12 C":
        fail(f"tool result: {tools[0]['result']}")
    if trace["steps"][-1]["step_type"] != "final_output" and "final_output" not in [s["step_type"] for s in trace["steps"]]:
        fail("no final_output")
    if "sk-demo" in text:
        fail("the API key is in the trace")
    if not trace["metadata"]["capture"]["completeness"]["complete"]:
        fail("the trace does not call itself complete: " + json.dumps(trace["metadata"]["capture"]["completeness"]))
    print(f"demo: {len(calls)} model calls and 1 tool call, as the server's log has them")


main(*sys.argv[1:])
