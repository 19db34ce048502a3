"""OpenAI Responses."""
import json
import time

from answer import compact, rand_id, split, tool_arguments, usage_of

NAME = "openai.responses"


def matches(path):
    return path.endswith("/responses")


def error_body(error):
    return {"error": {"message": error["message"], "type": error["type"], "param": None, "code": error.get("code")}}


def headers(_path):
    return [("x-request-id", rand_id("req_")), ("openai-version", "2020-10-01")]


def _usage(turn):
    u = usage_of(turn)
    total_in = u["fresh"] + u["cached"]
    return {"input_tokens": total_in, "input_tokens_details": {"cached_tokens": u["cached"]},
            "output_tokens": u["out"], "output_tokens_details": {"reasoning_tokens": u["reasoning"]},
            "total_tokens": total_in + u["out"]}


def _items(turn):
    items = []
    if turn.get("reasoning"):
        items.append({"type": "reasoning", "id": rand_id("rs_"), "status": "completed",
                      "summary": [{"type": "summary_text", "text": turn["reasoning"]}]})
    if turn.get("text") or turn.get("refusal"):
        part = {"type": "output_text", "text": turn["text"], "annotations": [], "logprobs": []} \
            if turn.get("text") else {"type": "refusal", "refusal": turn["refusal"]}
        items.append({"type": "message", "id": rand_id("msg_"), "status": "completed", "role": "assistant",
                      "content": [part]})
    for c in turn.get("tool_calls", []):
        items.append({"type": "function_call", "id": rand_id("fc_"), "call_id": c.get("id") or rand_id("call_"),
                      "name": c["name"], "arguments": tool_arguments(c), "status": "completed"})
    return items


def _ops(items):
    ops, n = [], 0
    for item in items:
        if item["type"] == "reasoning":
            ops.append(("reasoning", item["summary"][0]["text"]))
        elif item["type"] == "message":
            part = item["content"][0]
            ops.append(("text", part["text"]) if part["type"] == "output_text" else ("refusal", part["refusal"]))
        else:
            ops += [("tool", item["call_id"], item["name"]), ("args", n, item["arguments"])]
            n += 1
    return ops


def build(request, turn):
    items, usage = _items(turn), _usage(turn)
    ident, model = rand_id("resp_", 48), turn.get("model") or request.get("model", "unknown")
    status = "incomplete" if turn.get("finish") == "length" else "completed"
    base = {"id": ident, "object": "response", "created_at": int(time.time()), "status": status,
            "error": None, "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "instructions": request.get("instructions"), "metadata": request.get("metadata") or {},
            "model": model, "output": items, "parallel_tool_calls": True, "temperature": 1.0,
            "tool_choice": "auto", "tools": request.get("tools") or [], "top_p": 1.0,
            "previous_response_id": request.get("previous_response_id"), "store": request.get("store", True),
            "text": {"format": {"type": "text"}}, "truncation": "disabled", "usage": usage}
    end = [("finish_reason", status), ("usage", usage), ("complete",)]
    if request.get("stream"):
        return None, list(_events(base, items, end, turn.get("pieces", 5)))
    ops = [("start", ident, model)] + _ops(items) + end
    return (json.dumps(base, ensure_ascii=False).encode(), ops), None


def _events(base, items, end, pieces):
    seq = 0

    def event(kind, /, **value):
        nonlocal seq
        body = dict({"type": kind, "sequence_number": seq}, **value)
        seq += 1
        return ("event: %s\ndata: %s\n\n" % (kind, compact(body))).encode()

    opening = dict(base, status="in_progress", output=[], usage=None, incomplete_details=None)
    yield event("response.created", response=opening), [("start", base["id"], base["model"])]
    yield event("response.in_progress", response=opening), []
    n_tool = 0
    for i, item in enumerate(items):
        place = {"item_id": item["id"], "output_index": i}
        if item["type"] == "reasoning":
            text = item["summary"][0]["text"]
            part = {"type": "summary_text", "text": ""}
            yield event("response.output_item.added", output_index=i, item=dict(item, summary=[])), []
            yield event("response.reasoning_summary_part.added", summary_index=0, part=part, **place), []
            for p in split(text, pieces):
                yield event("response.reasoning_summary_text.delta", summary_index=0, delta=p, **place), \
                    [("reasoning", p)]
            yield event("response.reasoning_summary_text.done", summary_index=0, text=text, **place), []
            yield event("response.reasoning_summary_part.done", summary_index=0,
                        part=dict(part, text=text), **place), []
        elif item["type"] == "message":
            part = item["content"][0]
            key = "text" if part["type"] == "output_text" else "refusal"
            kind = "output_text" if key == "text" else "refusal"
            extra = {"logprobs": []} if key == "text" else {}
            yield event("response.output_item.added", output_index=i,
                        item=dict(item, content=[], status="in_progress")), []
            yield event("response.content_part.added", content_index=0, part=dict(part, **{key: ""}), **place), []
            for p in split(part[key], pieces):
                yield event("response.%s.delta" % kind, content_index=0, delta=p, **extra, **place), [(key, p)]
            yield event("response.%s.done" % kind, content_index=0, **{key: part[key]}, **extra, **place), []
            yield event("response.content_part.done", content_index=0, part=part, **place), []
        else:
            yield event("response.output_item.added", output_index=i,
                        item=dict(item, arguments="", status="in_progress")), \
                [("tool", item["call_id"], item["name"])]
            for p in split(item["arguments"], pieces):
                yield event("response.function_call_arguments.delta", delta=p, **place), [("args", n_tool, p)]
            yield event("response.function_call_arguments.done", arguments=item["arguments"],
                        name=item["name"], **place), []
            n_tool += 1
        yield event("response.output_item.done", output_index=i, item=item), []
    yield event("response." + base["status"], response=base), end


def stream_error(error):
    body = {"type": "error", "sequence_number": 99, "code": error.get("code") or error["type"],
            "message": error["message"], "param": None}
    return ("event: error\ndata: %s\n\n" % compact(body)).encode()
