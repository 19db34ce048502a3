"""Anthropic Messages."""
import json

from answer import compact, rand_id, split, tool_arguments, usage_of

NAME = "anthropic.messages"


def matches(path):
    return path.endswith("/v1/messages") or path.endswith("/messages")


def error_body(error):
    return {"type": "error", "error": {"type": error["type"], "message": error["message"]},
            "request_id": rand_id("req_")}


def headers(_path):
    return [("request-id", rand_id("req_")), ("anthropic-ratelimit-requests-remaining", "999")]


def _usage(turn):
    u = usage_of(turn)
    return {"input_tokens": u["fresh"], "cache_creation_input_tokens": u["cache_write"],
            "cache_read_input_tokens": u["cached"],
            "cache_creation": {"ephemeral_5m_input_tokens": u["cache_write"], "ephemeral_1h_input_tokens": 0},
            "output_tokens": u["out"], "service_tier": "standard"}


def _blocks(turn):
    """(block, [deltas with their ops]) in order; the empty block is what content_block_start carries."""
    pieces = turn.get("pieces", 5)
    if turn.get("reasoning"):
        signature = rand_id("sig", 40)
        deltas = [({"type": "thinking_delta", "thinking": p}, [("reasoning", p)])
                  for p in split(turn["reasoning"], pieces)]
        deltas.append(({"type": "signature_delta", "signature": signature}, []))
        yield ({"type": "thinking", "thinking": turn["reasoning"], "signature": signature},
               {"type": "thinking", "thinking": "", "signature": ""}, [], deltas)
    text = turn.get("text") or turn.get("refusal")
    if text:
        yield ({"type": "text", "text": text}, {"type": "text", "text": ""}, [],
               [({"type": "text_delta", "text": p}, [("text", p)]) for p in split(text, pieces)])
    for i, c in enumerate(turn.get("tool_calls", [])):
        ident, raw = c.get("id") or rand_id("toolu_"), tool_arguments(c)
        deltas = [({"type": "input_json_delta", "partial_json": ""}, [])]
        deltas += [({"type": "input_json_delta", "partial_json": p}, [("args", i, p)]) for p in split(raw, pieces)]
        block = {"type": "tool_use", "id": ident, "name": c["name"]}
        yield (dict(block, input=json.loads(raw)), dict(block, input={}), [("tool", ident, c["name"])], deltas)


def build(request, turn):
    blocks = list(_blocks(turn))
    stop = turn.get("finish") or ("refusal" if turn.get("refusal") else
                                  "tool_use" if turn.get("tool_calls") else "end_turn")
    ident, model = rand_id("msg_"), turn.get("model") or request.get("model", "unknown")
    message = {"id": ident, "type": "message", "role": "assistant", "model": model, "content": [],
               "stop_reason": None, "stop_sequence": None}
    usage = _usage(turn)
    if request.get("stream"):
        return None, list(_events(message, blocks, stop, usage))
    ops = [("start", ident, model)]
    for _, _, opening, deltas in blocks:
        ops += opening
        for _, delta_ops in deltas:
            ops += delta_ops
    ops += [("finish_reason", stop), ("usage", usage), ("complete",)]
    message.update(content=[b[0] for b in blocks], stop_reason=stop, usage=usage)
    return (json.dumps(message, ensure_ascii=False).encode(), ops), None


def _event(name, value):
    return ("event: %s\ndata: %s\n\n" % (name, compact(dict({"type": name}, **value)))).encode()


def _events(message, blocks, stop, usage):
    # The first usage is a running count; message_delta replaces it.
    first = dict(usage, output_tokens=1)
    yield _event("message_start", {"message": dict(message, usage=first)}), \
        [("start", message["id"], message["model"]), ("usage", first)]
    for i, (_, empty, opening, deltas) in enumerate(blocks):
        yield _event("content_block_start", {"index": i, "content_block": empty}), opening
        if i == 0:
            yield _event("ping", {}), []
        for value, ops in deltas:
            yield _event("content_block_delta", {"index": i, "delta": value}), ops
        yield _event("content_block_stop", {"index": i}), []
    last = {"output_tokens": usage["output_tokens"]}
    yield _event("message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": last}), \
        [("finish_reason", stop), ("usage", usage)]
    yield _event("message_stop", {}), [("complete",)]


def stream_error(error):
    return _event("error", {"error": {"type": error["type"], "message": error["message"]}})
