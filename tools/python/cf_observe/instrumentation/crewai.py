"""CrewAI, by its event bus."""
from __future__ import annotations

import atexit
from typing import Any, Dict, List, Optional, Tuple

from .. import _context
from .._crewai_events import BEGINS, ENDS, CrewEvents
from .._log import log
from ..exceptions import InstrumentorError
from .base import BaseInstrumentor


class CrewAIInstrumentor(BaseInstrumentor):
    """Every crew, flow and agent of the process: tasks, agents, tools, model calls, memory, knowledge, guardrails."""

    framework = "crewai"

    def _do_instrument(self) -> None:
        try:
            from crewai.events import crewai_event_bus, event_types
            from crewai.events.event_context import _event_id_stack
        except ImportError as e:
            raise InstrumentorError("crewai can't be instrumented: %s. It needs crewai 1.0 or newer" % e) from e
        self._bus, self._stack = crewai_event_bus, _event_id_stack
        events = CrewEvents(self._recorder)

        # Handlers that are coroutines run one after the other in the order of the events; plain ones run in a pool.
        async def handle(source: Any, event: Any) -> None:
            events.handle(source, event)

        self._handlers: List[Tuple[Any, Any]] = []
        wanted = set(BEGINS) | set(ENDS)
        for event_type in {v for v in vars(event_types).values() if isinstance(v, type)}:
            field = getattr(event_type, "model_fields", {}).get("type")
            if field is not None and field.default in wanted:
                crewai_event_bus.on(event_type)(handle)
                self._handlers.append((event_type, handle))
        log.debug("crewai: %d kinds of events", len(self._handlers))
        _context.execution_finders.append(self._execution)
        atexit.register(self._at_exit)

    def _do_uninstrument(self) -> None:
        self._flush()
        for event_type, handler in self._handlers:
            self._bus.off(event_type, handler)
        _context.execution_finders.remove(self._execution)
        atexit.unregister(self._at_exit)

    def get_traces(self) -> List[Dict[str, Any]]:
        if self.is_instrumented():
            self._flush()
        return super().get_traces()

    def _flush(self) -> None:
        """Events are handled beside the crew: what it has said is there after this."""
        if not self._bus.flush(timeout=10):
            log.warning("crewai has events that were not handled in 10 s")

    def _at_exit(self) -> None:
        """Registered after crewai's own, so it runs before the bus is shut down."""
        self._flush()

    def _execution(self) -> Optional[str]:
        stack = self._stack.get()
        return stack[0][0] if stack else None
