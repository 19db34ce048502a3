"""LangChain's messages, results and usage in the form of the contract. Nothing of LangChain is imported here."""
from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, Optional

_ROLES = {"human": "user", "ai": "assistant", "AIMessageChunk": "assistant", "HumanMessageChunk": "user",
          "function": "tool", "chat": "user"}
_CALLS = ("tool_use", "tool_call", "function_call", "tool_call_chunk", "input_json_delta")


def message(m: Any) -> Any:
    """{"role", "content"} of a message."""
    kind = getattr(m, "type", None)
    if not isinstance(kind, str):
        return m
    role = getattr(m, "role", None) if kind == "chat" else None
    if kind == "tool":
        result: Dict[str, Any] = {"type": "tool_result", "id": getattr(m, "tool_call_id", ""), "content": m.content}
        if getattr(m, "status", None) == "error":
            result["is_error"] = True
        return {"role": "tool", "content": [result]}
    found = _parts(m)
    only_text = len(found) == 1 and found[0]["type"] == "text"
    return {"role": role or _ROLES.get(kind, kind), "content": found[0]["text"] if only_text else found or ""}


def _parts(m: Any) -> List[Dict[str, Any]]:
    content = getattr(m, "content", "")
    out = [_part(p) for p in ([content] if isinstance(content, str) else content or []) if p]
    out = [p for p in out if p]
    for call in getattr(m, "tool_calls", None) or []:
        out.append({"type": "tool_call", "id": call.get("id") or "", "name": call.get("name") or "",
                    "arguments": call.get("args") or {}})
    for call in getattr(m, "invalid_tool_calls", None) or []:
        out.append({"type": "tool_call", "id": call.get("id") or "", "name": call.get("name") or "",
                    "arguments": {"value": call.get("args")}})
    return out


def _part(p: Any) -> Any:
    if isinstance(p, str):
        return {"type": "text", "text": p}
    if not isinstance(p, Mapping):
        return {"type": "other", "value": p}
    kind = p.get("type")
    if kind in _CALLS:
        return None  # they are in tool_calls as well
    if kind in ("text", "output_text", "input_text"):
        return {"type": "text", "text": p.get("text") or ""}
    if kind in ("thinking", "reasoning"):
        text = p.get("thinking") or p.get("reasoning") or p.get("text") or ""
        return {"type": "reasoning", "text": text} if isinstance(text, str) and text else None
    return {"type": "other", "value": p}


def output(generation: Any) -> Any:
    """Text, or an object where there is more than text."""
    m = getattr(generation, "message", None)
    if m is None:
        return getattr(generation, "text", None)
    said = message(m)
    if isinstance(said, Mapping) and isinstance(said["content"], str):
        return said["content"]
    reason = finish_reason(generation)
    return {**said, **({"finish_reason": reason} if reason else {})}


def finish_reason(generation: Any) -> Optional[str]:
    m = getattr(generation, "message", None)
    for place in (getattr(m, "response_metadata", None), getattr(generation, "generation_info", None)):
        for name in ("finish_reason", "stop_reason", "done_reason", "status"):
            if isinstance(place, Mapping) and isinstance(place.get(name), str):
                return place[name]
    return None


def usage(result: Any, generation: Any) -> Dict[str, Any]:
    """tokens_in, tokens_out, tokens_total as far as the provider says them."""
    m = getattr(generation, "message", None)
    llm_output = getattr(result, "llm_output", None) or {}
    for place in (getattr(m, "usage_metadata", None), llm_output.get("token_usage"), llm_output.get("usage")):
        if not isinstance(place, Mapping):
            continue
        found = {field: next((place[n] for n in names if isinstance(place.get(n), int)), None)
                 for field, names in (("tokens_in", ("input_tokens", "prompt_tokens")),
                                      ("tokens_out", ("output_tokens", "completion_tokens")),
                                      ("tokens_total", ("total_tokens",)))}
        if found["tokens_in"] == 0 and found["tokens_out"]:
            found["tokens_in"] = found["tokens_total"] = None  # LangChain's 0 for a part that it did not see
        if found["tokens_in"] is not None or found["tokens_out"] is not None:
            return found
    return {}


def llm_metadata(result: Any, generation: Any) -> Dict[str, Any]:
    m = getattr(generation, "message", None)
    said = getattr(m, "response_metadata", None) or {}
    out: Dict[str, Any] = {}
    whole = said.get("token_usage") or said.get("usage") or getattr(m, "usage_metadata", None) \
        or (getattr(result, "llm_output", None) or {}).get("token_usage")
    if isinstance(whole, Mapping) and whole:
        out["usage"] = dict(whole)
    if finish_reason(generation):
        out["finish_reason"] = finish_reason(generation)
    response_id = said.get("id") or getattr(m, "id", None)
    if isinstance(response_id, str) and not response_id.startswith(("run-", "lc_run-")):
        out["response_id"] = response_id  # the provider's own; the others are LangChain's
    return out


def model_name(params: Mapping[str, Any], metadata: Mapping[str, Any], serialized: Any) -> Optional[str]:
    kwargs = serialized.get("kwargs") if isinstance(serialized, Mapping) else None
    for place, names in ((params, ("model", "model_name", "model_id", "deployment_name")), (metadata, ("ls_model_name",)),
                         (kwargs or {}, ("model", "model_name"))):
        for name in names:
            if isinstance(place, Mapping) and isinstance(place.get(name), str) and place[name]:
                return place[name]
    return None


def answered_by(result: Any, generation: Any) -> Optional[str]:
    """The model that the answer names."""
    said = getattr(getattr(generation, "message", None), "response_metadata", None) or {}
    name = said.get("model_name") or said.get("model") or (getattr(result, "llm_output", None) or {}).get("model_name")
    return name if isinstance(name, str) and name else None


def tool_arguments(text: Any, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return {k: v for k, v in inputs.items() if not _is_injected(v)}
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        value = text
    return value if isinstance(value, Mapping) else {"value": value}


def _is_injected(value: Any) -> bool:
    """LangGraph passes its runtime and state as arguments; no model gave them."""
    return type(value).__module__.startswith(("langgraph.", "langchain_core.callbacks"))


def tool_result(value: Any) -> Dict[str, Any]:
    """Fields of a tool_call."""
    if getattr(value, "type", None) != "tool" or not hasattr(value, "content"):
        return {"result": value, "success": True}
    failed = getattr(value, "status", None) == "error"
    out: Dict[str, Any] = {"result": value.content, "success": not failed}
    if failed:
        out["error"] = value.content if isinstance(value.content, str) else str(value.content)
    return out


def document(d: Any) -> Dict[str, Any]:
    metadata = dict(getattr(d, "metadata", None) or {})
    out: Dict[str, Any] = {"content": getattr(d, "page_content", None) or str(d)}
    for name in ("score", "relevance_score", "_score", "similarity_score"):
        if isinstance(metadata.get(name), (int, float)) and not isinstance(metadata.get(name), bool):
            out["score"] = metadata[name]
            break
    if getattr(d, "id", None):
        metadata["id"] = d.id
    if metadata:
        out["metadata"] = metadata
    return out


def interrupts(value: Any) -> List[Any]:
    """LangGraph's Interrupt objects in an exception or in the outputs of a graph."""
    if isinstance(value, BaseException):
        found = value.args[0] if type(value).__name__ in ("GraphInterrupt", "NodeInterrupt") and value.args else ()
    else:
        found = value.get("__interrupt__") if isinstance(value, Mapping) else ()
    return [i for i in found or () if hasattr(i, "value")] if isinstance(found, (list, tuple)) else []


def interrupt_id(i: Any) -> str:
    return str(getattr(i, "id", None) or getattr(i, "interrupt_id", None) or id(i))


def as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        return str(value)
