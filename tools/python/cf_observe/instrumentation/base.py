"""What all instrumentors have in common."""
from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Callable, Dict, List, Optional, Type, TypeVar, Union

from .._log import log
from .._recorder import Recorder
from ..exceptions import InstrumentorError
from ..redaction import RedactionConfig
from ..tracer import Tracer

Self = TypeVar("Self", bound="BaseInstrumentor")


class BaseInstrumentor:
    """Traces every run of a framework from `instrument()` to `uninstrument()`. Also for `with`.

    output_path: a directory (made when it is missing); without it ./traces
    tracer_provider: what makes the Tracer of a run, called with Tracer's arguments; without it Tracer itself
    redaction_config: a RedactionConfig

    Twice on and off when off have no effect. What was under way before instrument() gives a partial trace and a warning.
    Failures in here are logged and never reach the agent.

    A new framework overrides _do_instrument and _do_uninstrument, records with self._recorder, and adds a row to
    cf_observe.instrumentation.REGISTRY.
    """

    framework = ""  # the package

    def __init__(self, output_path: Union[str, "os.PathLike[str]", None] = None,
                 tracer_provider: Optional[Callable[..., Tracer]] = None,
                 redaction_config: Optional[RedactionConfig] = None) -> None:
        self.output_path = Path(output_path if output_path is not None else "traces").absolute()
        self._switch = threading.RLock()
        self._on = False
        self._recorder = Recorder(self.output_path, redaction_config, tracer_provider, unseen_parents=True)

    def instrument(self: Self) -> Self:
        """On. InstrumentorError: the framework is not installed, or too old."""
        with self._switch:
            if self._on:
                log.debug("%s is instrumented already", self.framework)
                return self
            try:
                self._do_instrument()
            except InstrumentorError:
                raise
            except Exception as e:
                raise InstrumentorError("%s can't be instrumented: %s. Is it installed, and new enough?"
                                        % (self.framework, e)) from e
            self._on = True
            log.debug("%s is instrumented, traces go to %s", self.framework, self.output_path)
            return self

    def uninstrument(self) -> None:
        """Off. What is under way ends as it is."""
        with self._switch:
            if not self._on:
                log.debug("%s is not instrumented", self.framework)
                return
            self._on = False
            try:
                self._do_uninstrument()
            finally:
                self._recorder.finish_all()
            log.debug("%s is no longer instrumented", self.framework)

    def is_instrumented(self) -> bool:
        return self._on

    def get_traces(self) -> List[Dict[str, Any]]:
        """The runs that have ended, in that order."""
        return self._recorder.traces()

    def _do_instrument(self) -> None:
        raise NotImplementedError

    def _do_uninstrument(self) -> None:
        raise NotImplementedError

    def __enter__(self: Self) -> Self:
        return self.instrument()

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 where: Optional[TracebackType]) -> None:
        self.uninstrument()
