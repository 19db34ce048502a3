"""What CrewAI's events become. Two tables by the event's `type`; nothing of CrewAI is imported here."""
from __future__ import annotations

import ast
import json
from importlib import metadata as packages
from typing import Any, Callable, Dict, Mapping, Optional, Tuple

from ._log import never_raises
from ._recorder import Recorder
from ._values import plain

Fields = Dict[str, Any]


def _state(kind: str, *names: str) -> "Tuple[str, Callable[[Any], Fields]]":
    """A step that holds others, called by the first of these attributes that is there."""
    return "state_change", lambda e: {"state_key": _first(e, *names) or kind, "reason": kind}


def _first(event: Any, *names: str) -> Optional[str]:
    for name in names:
        value: Any = event
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else getattr(value, part, None)
        if isinstance(value, str) and value:
            return value
    return None


def _unquoted(value: Any) -> Any:
    """CrewAI's events hold deep text as its repr(). Neither a tool's name nor JSON begins with such a quote."""
    if isinstance(value, str) and len(value) > 1 and value[0] == value[-1] == "'":
        try:
            return ast.literal_eval(value)
        except (ValueError, SyntaxError):
            return value
    return value


def _arguments(value: Any) -> Any:
    value = _unquoted(value)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            pass
    return value if isinstance(value, Mapping) else {"value": value}


def _call(value: Any) -> Dict[str, Any]:
    """A tool call of OpenAI's or Anthropic's form as a part of a message."""
    value = plain(value)
    function = value.get("function", value) if isinstance(value, Mapping) else {}
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        return {"type": "other", "value": value}
    return {"type": "tool_call", "id": str(value.get("id") or ""), "name": _unquoted(function["name"]),
            "arguments": _arguments(function.get("arguments", function.get("input", {})))}


def _message(m: Any) -> Any:
    """OpenAI's form, which CrewAI keeps its conversations in."""
    if not isinstance(m, Mapping) or "role" not in m:
        return m
    if m["role"] == "tool":
        return {"role": "tool", "content": [{"type": "tool_result", "id": str(m.get("tool_call_id") or ""),
                                             "content": m.get("content")}]}
    content, calls = m.get("content") or "", [_call(c) for c in m.get("tool_calls") or []]
    if calls:
        text = [{"type": "text", "text": content}] if isinstance(content, str) else list(content)
        content = [p for p in text if p != {"type": "text", "text": ""}] + calls
    return {"role": m["role"], "content": content}


def _messages(value: Any) -> Any:
    return [_message(m) for m in value] if isinstance(value, list) else value


_TASK = ("task_name", "task.name", "task.description", "task_id")

# type of the event: (type of the step, its fields). A type of None: passed through.
BEGINS: "Dict[str, Tuple[Optional[str], Callable[[Any], Fields]]]" = {
    "flow_started": _state("flow", "flow_name"),
    "method_execution_started": _state("flow method", "method_name"),
    "crew_kickoff_started": _state("crew", "crew_name"),
    "crew_train_started": _state("crew training", "crew_name"),
    "crew_test_started": _state("crew test", "crew_name"),
    "task_started": _state("task", *_TASK),
    "agent_execution_started": _state("agent", "agent_role", "agent.role"),
    "lite_agent_execution_started": _state("agent", "agent_role", "agent_info.role"),
    "agent_evaluation_started": _state("agent evaluation", "agent_role"),
    "agent_reasoning_started": _state("reasoning", "agent_role"),
    "llm_guardrail_started": _state("guardrail", "guardrail_name"),
    "llm_call_started": ("llm_call", lambda e: {"model": e.model, "input": _messages(e.messages)}),
    "tool_usage_started": ("tool_call", lambda e: {"tool_name": e.tool_name, "arguments": _arguments(e.tool_args)}),
    "mcp_tool_execution_started": ("tool_call", lambda e: {"tool_name": e.tool_name, "arguments": e.tool_args or {}}),
    "mcp_connection_started": (None, lambda e: {}),
    "memory_query_started": ("memory_read", lambda e: {"query": e.query}),
    "memory_retrieval_started": _state("memory"),
    "memory_save_started": ("memory_write", lambda e: {
        "entity_type": "memory", "operation": "add", "data": {"value": e.value, "metadata": e.metadata}}),
    "knowledge_query_started": ("retrieval", lambda e: {"query": e.task_prompt}),
    "knowledge_search_query_started": _state("knowledge", "agent_role"),
}


def _usage(event: Any) -> Fields:
    usage = getattr(event, "usage", None) or {}
    said = {"tokens_in": ("prompt_tokens", "input_tokens", "prompt_token_count"),
            "tokens_out": ("completion_tokens", "output_tokens", "candidates_token_count"),
            "tokens_total": ("total_tokens", "total_token_count")}
    return {field: next((usage[n] for n in names if isinstance(usage.get(n), int)), None) for field, names in said.items()}


def _answer(event: Any) -> Any:
    value = event.response
    if value is None or isinstance(value, (str, Mapping)):
        return value
    if isinstance(value, list):  # tool calls
        reason = getattr(event, "finish_reason", None)
        return {"role": "assistant", "content": [_call(v) for v in value], **({"finish_reason": reason} if reason else {})}
    return str(value)


def _documents(value: Any) -> "list[Any]":
    found = value if isinstance(value, (list, tuple)) else [value] if value else []
    out = []
    for d in found:
        record = getattr(d, "record", d)  # a match with its score holds the record
        text = getattr(record, "content", None) or (d.get("content") if isinstance(d, Mapping) else None) or d
        one: Dict[str, Any] = {"content": text if isinstance(text, str) else str(text)}
        score = d.get("score") if isinstance(d, Mapping) else getattr(d, "score", None)
        if isinstance(score, (int, float)):
            one["score"] = score
        out.append(one)
    return out


def _value(event: Any, *names: str) -> Any:
    for name in names:
        if hasattr(event, name):
            value = getattr(event, name)
            return value.raw if isinstance(getattr(value, "raw", None), str) else value
    return None


def _held(*names: str) -> Callable[[Any], Fields]:
    return lambda e: {"new_value": _value(e, *names)}


def _tool_end(event: Any) -> Fields:
    failure = getattr(event, "failure", None)
    out: Fields = {"result": event.output, "success": failure is None}
    if failure is not None:
        out["error"] = str(getattr(failure, "message", None) or failure)
    return out


_NOTHING: Callable[[Any], Fields] = lambda e: {}

# type of the event: its fields. An `error` of the event is the error of the step.
ENDS: "Dict[str, Callable[[Any], Fields]]" = {
    "flow_finished": _held("result"),
    "flow_failed": _NOTHING,
    "flow_paused": _NOTHING,
    "method_execution_finished": _held("result"),
    "method_execution_failed": _NOTHING,
    "method_execution_paused": _NOTHING,
    "crew_kickoff_completed": _held("output"),
    "crew_kickoff_failed": _NOTHING,
    "crew_train_completed": _NOTHING,
    "crew_train_failed": _NOTHING,
    "crew_test_completed": _NOTHING,
    "crew_test_failed": _NOTHING,
    "task_completed": _held("output"),
    "task_failed": _NOTHING,
    "agent_execution_completed": _held("output"),
    "agent_execution_error": _NOTHING,
    "lite_agent_execution_completed": _held("output"),
    "lite_agent_execution_error": _NOTHING,
    "agent_evaluation_completed": _held("score"),
    "agent_evaluation_failed": _NOTHING,
    "agent_reasoning_completed": _held("plan"),
    "agent_reasoning_failed": _NOTHING,
    "llm_guardrail_completed": _held("result"),
    "llm_guardrail_failed": _NOTHING,
    "llm_call_completed": lambda e: {"output": _answer(e), **_usage(e)},
    "llm_call_failed": _NOTHING,
    "tool_usage_finished": _tool_end,
    "tool_usage_error": _NOTHING,
    "mcp_tool_execution_completed": lambda e: {"result": e.result, "success": True},
    "mcp_tool_execution_failed": _NOTHING,
    "mcp_connection_completed": _NOTHING,
    "mcp_connection_failed": _NOTHING,
    "memory_query_completed": lambda e: {"results": _documents(e.results)},
    "memory_query_failed": _NOTHING,
    "memory_retrieval_completed": _held("memory_content"),
    "memory_retrieval_failed": _NOTHING,
    "memory_save_completed": lambda e: {"data": {"value": e.value, "metadata": e.metadata}},
    "memory_save_failed": _NOTHING,
    "knowledge_query_completed": _NOTHING,
    "knowledge_query_failed": _NOTHING,
    "knowledge_search_query_completed": _held("retrieved_knowledge"),
    "knowledge_search_query_failed": _NOTHING,
}


def _metadata(event: Any) -> Dict[str, Any]:
    out: Dict[str, Any] = {}
    for name, value in (("agent", getattr(event, "agent_role", None)), ("usage", getattr(event, "usage", None)),
                        ("finish_reason", getattr(event, "finish_reason", None)),
                        ("response_id", getattr(event, "response_id", None)),
                        ("from_cache", getattr(event, "from_cache", None) or None)):
        if value:
            out[name] = value
    tools = [t.get("function", t).get("name") for t in getattr(event, "tools", None) or [] if isinstance(t, Mapping)]
    if tools:
        out["tools_offered"] = [t for t in tools if t]
    return out


class CrewEvents:
    """Events become steps: each has an id, the id of what it happened inside of, and at its end that of its beginning."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @never_raises
    def handle(self, source: Any, event: Any) -> None:
        if event.type in BEGINS:
            self._begin(source, event)
        elif event.started_event_id:
            error = getattr(event, "error", None)
            self._recorder.end(event.started_event_id, ENDS[event.type](event), _metadata(event),
                               error if isinstance(error, BaseException) or not error else str(error))

    def _begin(self, source: Any, event: Any) -> None:
        step_type, fields_of = BEGINS[event.type]
        fields = fields_of(event)
        if self._recorder.redacts_inputs and event.type == "task_started":
            fields["state_key"] = "task"  # a task without a name is called by its whole text
        if event.type.startswith(("flow_", "method_")) and type(source).__module__.startswith("crewai."):
            step_type = None  # agents are flows themselves, of CrewAI's own
        if step_type == "llm_call":
            provider = getattr(source, "provider", None)
            fields["provider"] = provider if isinstance(provider, str) else None
        self._recorder.begin(event.event_id, event.parent_event_id, lambda: self._root(event, fields), step_type, fields,
                             _metadata(event))

    @staticmethod
    def _root(event: Any, fields: Fields) -> Dict[str, Any]:
        inputs = getattr(event, "inputs", None)
        name = str(fields.get("state_key") or fields.get("model") or fields.get("tool_name") or "crewai")
        options: Dict[str, Any] = {
            "agent_info": {"name": name, "framework": "crewai", "framework_version": packages.version("crewai")},
            "context_id": event.event_id,
            "metadata": {"instrumentor": "crewai"},
        }
        if isinstance(inputs, Mapping) and inputs:
            options["task_info"] = {"input": dict(inputs)}
        return options
