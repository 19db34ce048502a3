"""From the events of a framework to runs: a tree of what is open, by the framework's own ids.

One root is one run, so concurrent invocations never mix. Shared by the callback handler and the instrumentors.
"""
from __future__ import annotations

import atexit
import os
import threading
import weakref
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Union

from . import _context
from ._log import log
from .exceptions import TracerError
from .redaction import RedactionConfig
from .tracer import OpenStep, Tracer

PARTIAL_MAX = 64  # runs whose beginning was not seen, and whose end therefore isn't either

_recorders: "weakref.WeakSet[Recorder]" = weakref.WeakSet()


class Run:
    """One root invocation."""

    def __init__(self, tracer: Tracer, root: Any) -> None:
        self.tracer, self.root = tracer, root
        self.notes: Dict[str, Any] = {}  # what the framework's side remembers for the run


class Node:
    """Something that has begun. `step` is None when it is only passed through: its children are its parent's."""

    def __init__(self, run: Run, step: Optional[OpenStep], step_id: str) -> None:
        self.run, self.step, self.step_id = run, step, step_id
        self.notes: Dict[str, Any] = {}


class Recorder:
    """begin() and end() in any order and from any thread."""

    def __init__(self, output_path: Union[str, "os.PathLike[str]", None], redaction_config: Optional[RedactionConfig],
                 make_tracer: Optional[Callable[..., Tracer]] = None, unseen_parents: bool = False) -> None:
        self._output = Path(output_path).absolute() if output_path is not None else None
        self._redaction = redaction_config
        self._make_tracer = make_tracer or Tracer
        self._unseen_parents = unseen_parents
        self.forget()
        _recorders.add(self)

    def forget(self) -> None:
        """As new."""
        self._lock = threading.RLock()
        self._nodes: Dict[Any, Node] = {}
        self._partial: Dict[Any, Run] = {}
        self._finished: List[Tracer] = []

    @property
    def redacts_inputs(self) -> bool:
        return self._redaction is not None and self._redaction.redact_inputs

    def node(self, key: Any) -> Optional[Node]:
        return self._nodes.get(key)

    def begin(self, key: Any, parent: Any, root: Callable[[], Dict[str, Any]], step_type: Optional[str],
              fields: Optional[Mapping[str, Any]] = None, metadata: Optional[Mapping[str, Any]] = None) -> Node:
        """root(): what a Tracer is opened with, when this is the root of a run. step_type None: passed through."""
        with self._lock:
            above = self._nodes.get(parent) if parent is not None else None
            if above:
                run, parent_id = above.run, above.step_id
            else:
                run, parent_id = self._open_run(key, parent, root), ""
            step = None
            if step_type:
                try:
                    step = run.tracer.step(step_type, parent_step_id=parent_id, metadata=metadata, **dict(fields or {}))
                except TracerError:
                    log.warning("a %s was not recorded", step_type, exc_info=True)
            node = Node(run, step, str(step.step_id) if step else parent_id)
            self._nodes[key] = node
            return node

    def end(self, key: Any, fields: Optional[Mapping[str, Any]] = None, metadata: Optional[Mapping[str, Any]] = None,
            error: Union[BaseException, str, None] = None) -> Optional[Node]:
        """Ends it, and the run with it when it is the root. None: its beginning was not seen."""
        with self._lock:
            node = self._nodes.pop(key, None)
            if not node:
                log.debug("the end of %s is not recorded: its beginning was not seen", key)
                return None
            try:
                if node.step:
                    node.step.set(metadata, **dict(fields or {})).end(error)
            except TracerError:
                log.warning("the end of a step was not recorded", exc_info=True)
            finally:
                if node.run.root == key:
                    self._finish(node.run, error)
            return node

    def _open_run(self, key: Any, parent: Any, root: Callable[[], Dict[str, Any]]) -> Run:
        if parent is not None and self._unseen_parents and parent in self._partial:
            return self._partial[parent]
        options = root()
        otherwise = options.pop("context_id", None)
        partial = parent is not None and self._unseen_parents
        if partial:
            log.warning("instrumented late: %s was under way already, its trace is partial", options["agent_info"]["name"])
            options["metadata"] = dict(options.get("metadata") or {}, partial=True, reason="instrumented late")
        tracer = self._make_tracer(output_path=self._next_path(), redaction_config=self._redaction,
                                   context_id=_context.current_execution(otherwise), **options)
        log.debug("run %s begins: %s", tracer.run_id, options["agent_info"])
        run = Run(tracer, None if partial else key)
        if partial:
            if len(self._partial) >= PARTIAL_MAX:
                self._finish(self._partial.pop(next(iter(self._partial))), None)
            self._partial[parent] = run
        return run

    def _next_path(self) -> Optional[Path]:
        """A path that names one file is that of the first run; the others are beside it."""
        path = self._output
        return path.parent if path and path.suffix == ".json" and path.exists() else path

    def _finish(self, run: Run, error: Union[BaseException, str, None]) -> None:
        for key in [k for k, n in self._nodes.items() if n.run is run]:
            del self._nodes[key]
        try:
            run.tracer.close(error)
        except TracerError:
            log.warning("a trace could not be written", exc_info=True)
        self._finished.append(run.tracer)

    def finish_partial(self) -> None:
        """Their end is never seen: what is there is what there is."""
        with self._lock:
            while self._partial:
                self._finish(self._partial.popitem()[1], None)

    def finish_all(self) -> None:
        """Ends what is still open, as it is."""
        with self._lock:
            self.finish_partial()
            for run in {id(n.run): n.run for n in self._nodes.values()}.values():
                self._finish(run, None)

    def traces(self) -> List[Dict[str, Any]]:
        with self._lock:
            self.finish_partial()
            finished = list(self._finished)
        out = []
        for tracer in finished:
            try:
                out.append(tracer.get_trace())
            except (TracerError, ValueError):
                log.warning("a trace can't be read again", exc_info=True)
        return out

    def last_trace(self) -> Optional[Dict[str, Any]]:
        with self._lock:
            last = self._finished[-1] if self._finished else None
        return last.get_trace() if last else None


def _start_again() -> None:
    """In a child process: the parent goes on with its runs, and whoever held a lock is not here."""
    for recorder in list(_recorders):
        recorder.forget()


os.register_at_fork(after_in_child=_start_again)


@atexit.register
def _finish_all() -> None:
    for recorder in list(_recorders):
        recorder.finish_all()
