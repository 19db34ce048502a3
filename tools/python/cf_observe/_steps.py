"""The nine types of step as tables; libcontextforge checks what is in them."""
from __future__ import annotations

from typing import Any, Dict

from ._values import plain
from .exceptions import StepValidationError

# In the order of cf_type. Required fields first; the first one is what a step is called by while it runs.
REQUIRED = {
    "user_input": ("content",),
    "llm_call": ("model", "input", "output"),
    "tool_call": ("tool_name", "arguments", "result"),
    "retrieval": ("query", "results", "match_count"),
    "memory_read": ("query", "results", "match_count"),
    "memory_write": ("entity_type", "operation", "data"),
    "state_change": ("state_key", "new_value"),
    "interrupt": ("prompt", "response", "wait_duration_ms"),
    "final_output": ("content",),
}
OPTIONAL = {
    "user_input": ("input_type",),
    "llm_call": ("tokens_in", "tokens_out", "tokens_total", "latency_ms", "cost_estimate", "provider"),
    "tool_call": ("latency_ms", "success", "error", "resource_impact"),
    "retrieval": ("latency_ms",),
    "memory_read": ("relevance_scores", "total_available"),
    "memory_write": ("entity_id", "namespace", "key", "changes", "triggered_by_step_id"),
    "state_change": ("old_value", "reason"),
    "interrupt": (),
    "final_output": ("format",),
}
TYPES = tuple(REQUIRED)

# None is data in these, and "not known" in all others.
_ANY = {("tool_call", "result"), ("state_change", "new_value"), ("final_output", "content")}
_WHOLE_MS = ("latency_ms", "wait_duration_ms")


def check_names(step_type: str, fields: Dict[str, Any]) -> None:
    if step_type not in REQUIRED:
        raise StepValidationError("step_type: %r is none of %s" % (step_type, ", ".join(TYPES)), "step_type")
    for name in fields:
        if name not in REQUIRED[step_type] and name not in OPTIONAL[step_type]:
            raise StepValidationError("%s.%s: is no field of this step" % (step_type, name), name)


def members(step_type: str, fields: Dict[str, Any]) -> Dict[str, Any]:
    """The fields as plain data, without those that are not known."""
    out: Dict[str, Any] = {}
    for name, value in fields.items():
        if value is None and (step_type, name) not in _ANY:
            continue
        if name in _WHOLE_MS and isinstance(value, float):
            value = max(0, round(value))
        out[name] = plain(value)
    if "match_count" in REQUIRED[step_type] and "match_count" not in out and isinstance(out.get("results"), list):
        out["match_count"] = len(out["results"])
    if step_type == "retrieval" and isinstance(out.get("results"), list):
        out["results"] = [{"content": r} if isinstance(r, str) else r for r in out["results"]]
    return out
