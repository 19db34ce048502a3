"""LangChain and LangGraph: a callback handler that every call gets."""
from __future__ import annotations

import contextvars
import os
from typing import Any, Callable, Optional, Union

from .. import _context
from ..redaction import RedactionConfig
from ..tracer import Tracer
from .base import BaseInstrumentor


class LangChainInstrumentor(BaseInstrumentor):
    """Every LangChain and LangGraph call of the process, in all threads.

    capture_inputs, capture_outputs: False leaves out prompts, arguments and queries, or answers, results and documents.
    """

    framework = "langchain"

    def __init__(self, output_path: Union[str, "os.PathLike[str]", None] = None,
                 tracer_provider: Optional[Callable[..., Tracer]] = None,
                 redaction_config: Optional[RedactionConfig] = None, *, capture_inputs: bool = True,
                 capture_outputs: bool = True) -> None:
        super().__init__(output_path, tracer_provider, redaction_config)
        self._captured = {"capture_inputs": capture_inputs, "capture_outputs": capture_outputs}
        self._variable: Optional[contextvars.ContextVar[Any]] = None
        self._handler: Any = None

    def _do_instrument(self) -> None:
        from langchain_core.tracers.context import register_configure_hook

        from ..callbacks import ContextForgeHandler

        self._handler = ContextForgeHandler(_recorder=self._recorder, **self._captured)
        # The default of a context variable is there in every thread and task.
        self._variable = contextvars.ContextVar("cf_observe_langchain", default=self._handler)
        register_configure_hook(self._variable, inheritable=True)
        _context.execution_finders.append(self._handler._execution)

    def _do_uninstrument(self) -> None:
        from langchain_core.tracers import context

        # LangChain can register hooks and not take them back: the list is changed in place, as it does it itself.
        context._configure_hooks[:] = [h for h in context._configure_hooks if h[0] is not self._variable]
        _context.execution_finders.remove(self._handler._execution)
        self._handler.stop()
