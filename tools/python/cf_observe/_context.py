"""What the current task or thread is inside of: contextvars, so that asyncio tasks on one thread don't mix."""
from __future__ import annotations

import contextvars
import uuid
from typing import Callable, List, Optional, Tuple

# (serial number of the tracer, id of the step), innermost last.
scopes: contextvars.ContextVar[Tuple[Tuple[int, str], ...]] = contextvars.ContextVar("cf_observe_scopes", default=())

# Joins the runs that several instrumentors, or a Tracer beside them, make of one execution.
execution: contextvars.ContextVar[Optional[str]] = contextvars.ContextVar("cf_observe_execution", default=None)

# Frameworks whose events come on other threads say here what execution the current context belongs to.
execution_finders: List[Callable[[], Optional[str]]] = []


def current_execution(otherwise: Optional[str] = None) -> str:
    found = execution.get()
    if found:
        return found
    for finder in list(execution_finders):
        found = finder()
        if found:
            return found
    return otherwise or str(uuid.uuid4())
