"""A true trace made from the server's log: what the comparator is tested with. It has never seen the observer."""
import datetime
import os
import uuid

import exact
from truth import Truth, offered


def stamp(t, plus_ms=0):
    at = datetime.datetime.fromtimestamp(t, datetime.timezone.utc) + datetime.timedelta(milliseconds=plus_ms)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + "%03dZ" % (at.microsecond // 1000)


def part(p):
    kind, *rest = p
    if kind in ("text", "reasoning"):
        return {"type": kind, "text": rest[0]}
    if kind == "tool_call":
        return {"type": kind, "id": rest[0], "name": rest[1], "arguments": rest[2] if rest[2] is not None else {}}
    if kind == "tool_result":
        value = {"type": kind, "id": rest[0], "content": rest[1]}
        return dict(value, is_error=True) if rest[2] else value
    return {"type": "other", "value": rest[0]}


def content(parts):
    if not parts:
        return ""
    if len(parts) == 1 and parts[0][0] == "text":
        return parts[0][1]
    return [part(p) for p in parts]


def llm_step(call, ident):
    whole = content(call.output)
    if not isinstance(whole, str):
        whole = {"role": "assistant", "content": whole}
        if call.finish_reason:
            whole["finish_reason"] = call.finish_reason
    meta = {"source": "tls", "provenance": "observed", "dialect": call.dialect, "stream": call.stream,
            "http": {"method": "POST", "path": call.row["path"], "status": call.status,
                     "request_id": call.row["request_id"]},
            "tools_offered": offered(call.body)}
    if call.row["id"]:
        meta["response_id"] = call.row["id"]
    if call.refusal:
        meta["refusal"] = True
    if call.finish_reason:
        meta["finish_reason"] = call.finish_reason
    if call.usage:
        meta["usage"] = call.usage
    if call.status != 200:
        meta["missing"] = ["output"]
    if call.error and call.error["kind"] in ("http", "stream"):
        meta["error"] = {"type": call.error["type"], "message": call.error["message"], "status": call.status}
    if call.cut:
        meta.update(incomplete=True, reason="cut")
    step = {"step_id": ident, "step_type": "llm_call", "timestamp": stamp(call.row["t_begin"]), "model": call.model,
            "input": [{"role": r, "content": content(p)} for r, p in call.input], "output": whole,
            "provider": call.provider, "metadata": meta}
    for name, value in zip(("tokens_in", "tokens_out", "tokens_total"), call.tokens):
        if value is not None:
            step[name] = value
    return step


def make(log_path, out_dir):
    truth = Truth(log_path)
    steps, ids = [], {}
    for n, call in enumerate(truth.calls):
        ids[id(call)] = "llm-%d" % n
        steps.append(llm_step(call, "llm-%d" % n))
    for n, tool in enumerate(truth.tools):
        meta = {"source": "tls", "provenance": "inferred", "requested_by": ids[id(tool.call)]}
        if tool.id:
            meta["call_id"] = tool.id
        step = {"step_id": "tool-%d" % n, "step_type": "tool_call", "timestamp": stamp(tool.call.row["t_end"]),
                "parent_step_id": ids[id(tool.call)], "tool_name": tool.name, "arguments": tool.arguments,
                "result": tool.result if tool.done else "", "metadata": meta}
        if tool.done:
            step["success"] = True
        else:
            meta.update(incomplete=True, missing=["result"])
        steps.append(step)
    for n, (call, text) in enumerate(truth.user_inputs):
        steps.append({"step_id": "user-%d" % n, "step_type": "user_input", "timestamp": stamp(call.row["t_begin"]),
                      "content": text, "input_type": "text"})
    for n, (call, text) in enumerate(truth.finals):
        steps.append({"step_id": "final-%d" % n, "step_type": "final_output", "timestamp": stamp(call.row["t_end"]),
                      "content": text})
    steps.sort(key=lambda s: s["timestamp"])
    run_id = str(uuid.uuid4())
    run = {"run_id": run_id, "started_at": steps[0]["timestamp"] if steps else stamp(0),
           "ended_at": steps[-1]["timestamp"] if steps else stamp(0),
           "agent_info": {"name": "oracle"}, "metadata": {"schema": "contextforge-trace/1", "state": "completed"},
           "steps": steps}
    os.makedirs(out_dir, exist_ok=True)
    path = os.path.join(out_dir, "trace-%s.json" % run_id)
    with open(path, "w", encoding="utf-8") as f:
        f.write(exact.dumps(run))
    return path
