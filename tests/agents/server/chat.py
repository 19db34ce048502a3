"""OpenAI chat completions."""
import json
import time

from answer import compact, rand_id, split, tool_arguments, usage_of

NAME = "openai.chat"


def matches(path):
    return path.endswith("/chat/completions")


def error_body(error):
    return {"error": {"message": error["message"], "type": error["type"], "param": None, "code": error.get("code")}}


def _usage(turn):
    u = usage_of(turn)
    total_in = u["fresh"] + u["cached"]
    return {"prompt_tokens": total_in, "completion_tokens": u["out"], "total_tokens": total_in + u["out"],
            "prompt_tokens_details": {"cached_tokens": u["cached"], "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": u["reasoning"], "audio_tokens": 0,
                                          "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}


def headers(path):
    azure = [("apim-request-id", rand_id("", 32)), ("x-ms-region", "Sweden Central")] if "/deployments/" in path else []
    return azure + [("x-request-id", rand_id("req_")), ("openai-processing-ms", "7"), ("openai-version", "2020-10-01")]


def build(request, turn):
    """(body or None, [(event bytes, ops)]): one of the two, as the request asks for a stream or not."""
    calls = [{"id": c.get("id") or rand_id("call_"), "name": c["name"], "raw": tool_arguments(c)}
             for c in turn.get("tool_calls", [])]
    finish = turn.get("finish") or ("tool_calls" if calls else "stop")
    ident, model = rand_id("chatcmpl-"), turn.get("model") or request.get("model", "unknown")
    if request.get("stream"):
        return None, list(_events(request, turn, calls, finish, ident, model))
    return _whole(turn, calls, finish, ident, model)


def _whole(turn, calls, finish, ident, model):
    usage = None if turn.get("usage") is False else _usage(turn)
    message = {"role": "assistant", "content": turn.get("text"), "refusal": turn.get("refusal")}
    ops = [("start", ident, model)]
    if turn.get("reasoning"):
        message["reasoning_content"] = turn["reasoning"]
    ops += [(k, turn[k]) for k in ("reasoning", "text", "refusal") if turn.get(k)]
    if calls:
        message["tool_calls"] = [{"id": c["id"], "type": "function",
                                  "function": {"name": c["name"], "arguments": c["raw"]}} for c in calls]
        for i, c in enumerate(calls):
            ops += [("tool", c["id"], c["name"]), ("args", i, c["raw"])]
    body = {"id": ident, "object": "chat.completion", "created": int(time.time()), "model": model,
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "service_tier": "default", "system_fingerprint": rand_id("fp_", 10)}
    if usage:
        body["usage"] = usage
        ops.append(("usage", usage))
    ops += [("finish_reason", finish), ("complete",)]
    return (json.dumps(body, indent=2, ensure_ascii=False).encode(), ops), None


def _events(request, turn, calls, finish, ident, model):
    pieces = turn.get("pieces", 5)
    created, fingerprint = int(time.time()), rand_id("fp_", 10)
    want_usage = bool((request.get("stream_options") or {}).get("include_usage")) and turn.get("usage") is not False

    def chunk(choices, usage=None):
        value = {"id": ident, "object": "chat.completion.chunk", "created": created, "model": model,
                 "service_tier": "default", "system_fingerprint": fingerprint, "choices": choices}
        if want_usage:
            value["usage"] = usage
        return ("data: " + compact(value) + "\n\n").encode()

    def delta(d, reason=None):
        return chunk([{"index": 0, "delta": d, "logprobs": None, "finish_reason": reason}])

    yield delta({"role": "assistant", "content": "" if turn.get("text") else None, "refusal": None}), \
        [("start", ident, model)]
    for key, wire in (("reasoning", "reasoning_content"), ("text", "content"), ("refusal", "refusal")):
        for part in split(turn.get(key) or "", pieces):
            yield delta({wire: part}), [(key, part)]
    for i, c in enumerate(calls):
        yield delta({"tool_calls": [{"index": i, "id": c["id"], "type": "function",
                                     "function": {"name": c["name"], "arguments": ""}}]}), \
            [("tool", c["id"], c["name"])]
    # Fragments of parallel calls interleaved: a reader must key them by index.
    parts = [split(c["raw"], pieces) for c in calls]
    for n in range(max([len(p) for p in parts], default=0)):
        for i, p in enumerate(parts):
            if n < len(p):
                yield delta({"tool_calls": [{"index": i, "function": {"arguments": p[n]}}]}), [("args", i, p[n])]
    yield delta({}, finish), [("finish_reason", finish)]
    if want_usage:
        usage = _usage(turn)
        yield chunk([], usage), [("usage", usage)]
    yield b"data: [DONE]\n\n", [("complete",)]


def stream_error(error):
    return ("data: " + compact(error_body(error)) + "\n\n").encode()
