"""Tracer: a run of an agent, recorded step by step by libcontextforge."""
from __future__ import annotations

import atexit
import ctypes
import dataclasses
import itertools
import json
import os
import tempfile
import threading
import weakref
from pathlib import Path
from types import TracebackType
from typing import Any, Dict, Generator, List, Mapping, Optional, Type, Union

from . import _context, _library, _steps, _values
from ._log import log
from .exceptions import StepValidationError, TracerError
from .redaction import RedactionConfig
from .types import AgentInfo, TaskInfo

_serials = itertools.count(1)
_open_tracers: "weakref.WeakSet[Tracer]" = weakref.WeakSet()


class StepId(str):
    """The id of a step. May be awaited, so that `await t.user_input(...)` reads well in asynchronous code."""

    def __await__(self) -> "Generator[Any, None, StepId]":
        return self
        yield  # pylint: disable=unreachable


class OpenStep:
    """A step that has begun; see Tracer.step. What is set last counts."""

    def __init__(self, tracer: "Tracer", step_type: str, span: int, step_id: str, fields: Dict[str, Any],
                 metadata: Optional[Mapping[str, Any]]) -> None:
        self.step_id = StepId(step_id)
        self._tracer, self._type, self._span = tracer, step_type, span
        self._fields, self._metadata = dict(fields), dict(metadata or {})
        self._token: Any = None

    def set(self, metadata: Optional[Mapping[str, Any]] = None, **fields: Any) -> "OpenStep":
        """Adds fields of the step: `s.set(output="4", tokens_in=12)`."""
        _steps.check_names(self._type, fields)
        self._fields.update(fields)
        self._metadata.update(metadata or {})
        return self

    def get(self, name: str) -> Any:
        """A field as it was set; None: it was not."""
        return self._fields.get(name)

    def end(self, error: Union[BaseException, str, None] = None) -> StepId:
        """Ends it; latency is measured where it was not set. A second end has no effect."""
        span, self._span = self._span, 0
        if not span:
            return self.step_id
        if error is not None:
            self._failed(error)
        self._tracer._record(self._type, self._fields, None, None, self._metadata, span)
        return self.step_id

    def _failed(self, error: Union[BaseException, str]) -> None:
        message = str(error) or type(error).__name__
        self._metadata["error"] = {"message": message}
        if isinstance(error, BaseException):
            self._metadata["error"]["type"] = type(error).__name__
        if self._type == "tool_call":
            self._fields.setdefault("success", False)
            self._fields.setdefault("error", message)

    def __enter__(self) -> "OpenStep":
        scopes = _context.scopes
        self._token = scopes.set(scopes.get() + ((self._tracer._serial, str(self.step_id)),))
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 where: Optional[TracebackType]) -> None:
        try:
            _context.scopes.reset(self._token)
        except ValueError:  # left in another context than entered: that one ends with its task
            log.debug("a step was left in another context than it was entered in")
        try:
            self.end(error)
        except TracerError:
            if error is None:
                raise
            log.warning("a failed %s could not be recorded", self._type, exc_info=True)

    async def __aenter__(self) -> "OpenStep":
        return self.__enter__()

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        where: Optional[TracebackType]) -> None:
        self.__exit__(kind, error, where)


class Tracer:
    """One run of an agent. Any thread and any asyncio task may record into it.

        with Tracer.run(agent_info={"name": "my-agent"}, output_path="traces") as t:
            t.user_input("What is 2+2?")
            t.llm_call("gpt-4o", "What is 2+2?", "4", tokens_in=12, tokens_out=1)
            t.final_output("4")

    agent_info, task_info: dicts, or AgentInfo and TaskInfo
    output_path: a directory (made when it is missing) or a path that ends in .json; the trace is there when the run
        ends, and its journal while it goes on, so that a crash loses at most the step being recorded. Without it nothing
        is on disk before save()
    auto_timestamps: False: each step must be given its `timestamp`
    redaction_config: a RedactionConfig; secrets of known shapes are taken out in any case
    context_id: joins independent runs of one execution; made when it is missing
    metadata: more about the run

    Every step method gives the step's id, and takes
    parent_step_id: the step it belongs to; without it, the innermost step() that is open in this thread or task
    timestamp: when it began (datetime, seconds since 1970 or RFC 3339 text); without it now, less its latency
    metadata: a dict

    A step that breaks the contract is a StepValidationError that names the field, and is not recorded.
    """

    def __init__(self, agent_info: Union[AgentInfo, Mapping[str, Any]],
                 task_info: Union[TaskInfo, Mapping[str, Any], None] = None,
                 output_path: Union[str, "os.PathLike[str]", None] = None, auto_timestamps: bool = True, *,
                 redaction_config: Optional[RedactionConfig] = None, context_id: Optional[str] = None,
                 metadata: Optional[Mapping[str, Any]] = None) -> None:
        self._run: Optional[int] = None
        self._lib = _library.library()
        self._serial = next(_serials)
        self._lock = threading.RLock()  # of _run: a recording call must not meet a close
        self._pid = os.getpid()
        self._auto = auto_timestamps
        self._redaction = redaction_config or RedactionConfig()
        self._final: Optional[str] = None
        self._tokens: List[Any] = []
        self.context_id = context_id or _context.current_execution()
        self._open(_as_dict(agent_info), _as_dict(task_info), output_path, dict(metadata or {}))
        _open_tracers.add(self)

    @classmethod
    def run(cls, *args: Any, **kwargs: Any) -> "Tracer":
        """For `with`. An exception that leaves the block marks the run as failed, and goes on."""
        return cls(*args, **kwargs)

    @classmethod
    def run_async(cls, *args: Any, **kwargs: Any) -> "Tracer":
        """The same for `async with`. Step methods may be awaited or called plainly."""
        return cls(*args, **kwargs)

    def _open(self, agent: Dict[str, Any], task: Dict[str, Any], output_path: Any, metadata: Dict[str, Any]) -> None:
        known = {f.name for f in dataclasses.fields(AgentInfo)}
        others = {k: v for k, v in agent.items() if k not in known and v is not None}
        if others:
            metadata["agent_info"] = others
        o = _library.RunOptions(size=ctypes.sizeof(_library.RunOptions))
        for name in known:
            setattr(o, "agent_" + name, self._c_text(agent.get(name)))
        o.task_description, o.task_goal = self._c_text(task.get("description")), self._c_text(task.get("goal"))
        if task.get("input") is not None:
            o.task_input = _library.Value.json(self._json(_values.plain(task["input"])))
        if metadata:
            o.metadata = _library.Value.json(self._json(_values.plain(metadata)))
        o.output_path = os.fsencode(os.fspath(output_path)) if output_path is not None else None
        o.context_id = self.context_id.encode()
        o.redact_inputs, o.redact_outputs = self._redaction.redact_inputs, self._redaction.redact_outputs
        literal = self._redaction.explicit_replacement
        o.redact_replacement = literal.encode() if literal is not None else None
        run = self._lib.cf_run_open(ctypes.byref(o))
        if not run:
            raise TracerError(str(_library.error()))
        self._run = run
        self.run_id: str = self._lib.cf_run_id(run).decode()
        path = self._lib.cf_run_path(run)
        self._path = Path(os.fsdecode(path)) if path else None

    # ---- Steps

    def user_input(self, content: str, *, input_type: Optional[str] = None, parent_step_id: Optional[str] = None,
                   timestamp: Any = None, metadata: Optional[Mapping[str, Any]] = None) -> StepId:
        """What a person or a caller asked."""
        return self._record("user_input", {"content": content, "input_type": input_type}, parent_step_id, timestamp, metadata)

    def llm_call(self, model: str, input: Any, output: Any, *, tokens_in: Optional[int] = None,  # pylint: disable=redefined-builtin
                 tokens_out: Optional[int] = None, tokens_total: Optional[int] = None,
                 latency_ms: Union[int, float, None] = None, cost_estimate: Optional[float] = None,
                 provider: Optional[str] = None, parent_step_id: Optional[str] = None, timestamp: Any = None,
                 metadata: Optional[Mapping[str, Any]] = None) -> StepId:
        """A call of a language model. input: text or messages ({"role", "content"}); output: text or an object."""
        return self._record("llm_call", {
            "model": model, "input": input, "output": output, "tokens_in": tokens_in, "tokens_out": tokens_out,
            "tokens_total": tokens_total, "latency_ms": latency_ms, "cost_estimate": cost_estimate, "provider": provider,
        }, parent_step_id, timestamp, metadata)

    def tool_call(self, tool_name: str, arguments: Any, result: Any = None, *, latency_ms: Union[int, float, None] = None,
                  success: Optional[bool] = None, error: Optional[str] = None,
                  resource_impact: Optional[Mapping[str, Any]] = None, parent_step_id: Optional[str] = None,
                  timestamp: Any = None, metadata: Optional[Mapping[str, Any]] = None) -> StepId:
        """A tool and what it gave. resource_impact: {"amount", "unit"}."""
        return self._record("tool_call", {
            "tool_name": tool_name, "arguments": arguments, "result": result, "latency_ms": latency_ms, "success": success,
            "error": error, "resource_impact": resource_impact,
        }, parent_step_id, timestamp, metadata)

    def retrieval(self, query: str, results: List[Any], match_count: Optional[int] = None, *,
                  latency_ms: Union[int, float, None] = None, parent_step_id: Optional[str] = None, timestamp: Any = None,
                  metadata: Optional[Mapping[str, Any]] = None) -> StepId:
        """A search. results: [{"content", "score"?, "metadata"?}]; match_count: as many as results when left out."""
        return self._record("retrieval", {"query": query, "results": results, "match_count": match_count,
                                          "latency_ms": latency_ms}, parent_step_id, timestamp, metadata)

    def memory_read(self, query: Any, results: List[Any], match_count: Optional[int] = None, *,
                    relevance_scores: Optional[List[float]] = None, total_available: Optional[int] = None,
                    parent_step_id: Optional[str] = None, timestamp: Any = None,
                    metadata: Optional[Mapping[str, Any]] = None) -> StepId:
        """What was looked up in the agent's memory."""
        return self._record("memory_read", {
            "query": query, "results": results, "match_count": match_count, "relevance_scores": relevance_scores,
            "total_available": total_available,
        }, parent_step_id, timestamp, metadata)

    def memory_write(self, entity_type: str, operation: str, data: Mapping[str, Any], *, entity_id: Optional[str] = None,
                     namespace: Optional[List[str]] = None, key: Optional[str] = None,
                     changes: Optional[List[Any]] = None, triggered_by_step_id: Optional[str] = None,
                     parent_step_id: Optional[str] = None, timestamp: Any = None,
                     metadata: Optional[Mapping[str, Any]] = None) -> StepId:
        """What was changed in the agent's memory. operation: add, update or delete."""
        return self._record("memory_write", {
            "entity_type": entity_type, "operation": operation, "data": data, "entity_id": entity_id, "namespace": namespace,
            "key": key, "changes": changes, "triggered_by_step_id": triggered_by_step_id,
        }, parent_step_id, timestamp, metadata)

    def state_change(self, state_key: str, new_value: Any, *, old_value: Any = None, reason: Optional[str] = None,
                     parent_step_id: Optional[str] = None, timestamp: Any = None,
                     metadata: Optional[Mapping[str, Any]] = None) -> StepId:
        """Something of the agent's own state that changed."""
        return self._record("state_change", {"state_key": state_key, "new_value": new_value, "old_value": old_value,
                                             "reason": reason}, parent_step_id, timestamp, metadata)

    def interrupt(self, prompt: str, response: Any, wait_duration_ms: Union[int, float], *,
                  parent_step_id: Optional[str] = None, timestamp: Any = None,
                  metadata: Optional[Mapping[str, Any]] = None) -> StepId:
        """A person was asked in the middle of the run."""
        return self._record("interrupt", {"prompt": prompt, "response": response, "wait_duration_ms": wait_duration_ms},
                            parent_step_id, timestamp, metadata)

    def final_output(self, content: Any, *, format: Optional[str] = None,  # pylint: disable=redefined-builtin
                     parent_step_id: Optional[str] = None, timestamp: Any = None,
                     metadata: Optional[Mapping[str, Any]] = None) -> StepId:
        """What the agent answered in the end."""
        return self._record("final_output", {"content": content, "format": format}, parent_step_id, timestamp, metadata)

    def step(self, type: str, *, parent_step_id: Optional[str] = None, timestamp: Any = None,  # pylint: disable=redefined-builtin
             metadata: Optional[Mapping[str, Any]] = None, **fields: Any) -> OpenStep:
        """A step with a beginning and an end, for `with` or `async with`. What this thread or task records inside becomes
        its child, its latency is measured, and an exception becomes its error and goes on.

            with t.step("tool_call", tool_name="search", arguments={"q": q}) as s:
                s.set(result=search(q))
        """
        _steps.check_names(type, fields)
        names = _steps.REQUIRED[type][0]
        name = fields.get(names)
        o = _library.BeginOptions(size=ctypes.sizeof(_library.BeginOptions), detached=True)
        o.parent_step_id = self._parent(parent_step_id)
        o.timestamp_ns = self._time(type, timestamp, _values.time_ns)
        if metadata:
            o.metadata = _library.Value.json(self._json(_values.plain(dict(metadata))))
        text = self._c_text(name) if isinstance(name, str) else None
        with self._own():
            run = self._usable()
            span = self._lib.cf_begin(run, _steps.TYPES.index(type), text, ctypes.byref(o))
            if not span:
                raise _library.error()
            return OpenStep(self, type, span, self._lib.cf_span_id(span).decode(), fields, metadata)

    def add_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Adds to the run's metadata; keys that are there are replaced."""
        raw = self._json(_values.plain(dict(metadata)))
        with self._own():
            code = self._lib.cf_run_add_metadata(self._usable(), _library.Value.json(raw))
            if code:
                raise _library.error(code)

    def _record(self, step_type: str, fields: Mapping[str, Any], parent: Optional[str], timestamp: Any,
                metadata: Optional[Mapping[str, Any]], span: int = 0) -> StepId:
        step: Dict[str, Any] = self._redaction.apply(_steps.members(step_type, dict(fields)))
        step["step_type"] = step_type
        if metadata:
            step["metadata"] = self._redaction.apply(_values.plain(dict(metadata)))
        if not span:
            at = self._time(step_type, timestamp, _values.time_text)
            if at:
                step["timestamp"] = at
            step["parent_step_id"] = self._parent(parent).decode()
        raw, repaired = _values.dumps(step)
        if repaired:
            step["metadata"] = {**(step.get("metadata") or {}), "invalid_utf8": True}
            raw = _values.dumps(step)[0]
        step_id = _library.Id()
        with self._own():
            code = self._lib.cf_record(self._usable(), raw, len(raw), span or None, ctypes.byref(step_id))
            if code:
                raise _library.error(code)
        return StepId(step_id.text.decode())

    def _parent(self, given: Optional[str]) -> bytes:
        if given is not None:
            return str(given).encode("utf-8", "replace")
        for serial, step_id in reversed(_context.scopes.get()):
            if serial == self._serial:
                return step_id.encode()
        return b""

    def _time(self, step_type: str, timestamp: Any, form: Any) -> Any:
        if timestamp is None and not self._auto:
            raise StepValidationError("%s.timestamp: is required, for auto_timestamps is off" % step_type, "timestamp")
        try:
            return form(timestamp)
        except (TypeError, ValueError, OverflowError, OSError) as e:
            raise StepValidationError("%s.timestamp: %s" % (step_type, e), "timestamp") from e

    def _json(self, value: Any) -> bytes:
        return _values.dumps(self._redaction.apply(value))[0]

    def _c_text(self, value: Any) -> Optional[bytes]:
        """For a C string: a NUL ends it."""
        if value is None:
            return None
        return self._redaction.apply(str(value)).encode("utf-8", "replace").split(b"\0", 1)[0]

    # ---- The trace

    def get_trace(self) -> Dict[str, Any]:
        """The trace as it is now, as a dict that context_forge.core.trace.TraceRun validates."""
        return json.loads(self._text())

    def to_json(self, indent: Optional[int] = None, exclude_none: bool = True) -> str:
        """The trace as it is now, as JSON text. exclude_none=False writes what is not known as null."""
        if exclude_none and not indent:
            return self._text()
        trace = self.get_trace()
        if not exclude_none:
            for step in trace["steps"]:
                for name in _steps.OPTIONAL.get(step["step_type"], ()):
                    step.setdefault(name, None)
        return json.dumps(trace, indent=indent, ensure_ascii=False)

    def save(self, path: Union[str, "os.PathLike[str]", None] = None) -> Path:
        """Writes the trace as it is now, and says where. Without a path: where output_path says, else into ./traces."""
        with self._own():
            if path is None and self._path and not self._is_open():
                return self._path
            to = Path(path) if path is not None else self._path or Path("traces")
            if to.is_dir() or to.suffix != ".json":
                to = to / ("trace-%s.json" % self.run_id)
            if self._is_open():
                code = self._lib.cf_run_save(self._usable(), os.fsencode(to))
                if code:
                    raise TracerError(str(_library.error(code)))
            else:
                _write(to, self._text())
        return to

    def close(self, error: Union[BaseException, str, None] = None) -> None:
        """Ends the run; with an error, as failed. `with` does it. A second close has no effect."""
        if not self._is_open():
            return
        with self._own():
            if not self._is_open():
                return
            run, self._run = self._run, None
            why = None if error is None else (str(error) or type(error).__name__)
            code = self._lib.cf_run_end(run, self._c_text(why))
            if not self._path:
                self._final = self._read(run)
            code = self._lib.cf_run_close(run) or code
            if code:
                raise TracerError(str(_library.error(code)))

    def _is_open(self) -> bool:
        return self._run is not None and self._pid == os.getpid()

    def _usable(self) -> int:
        if self._run is None:
            raise TracerError("the run has ended")
        return self._run

    def _own(self) -> threading.RLock:
        """The lock. Not in a child process, where whoever held it is not there to give it back."""
        if self._pid != os.getpid():
            raise TracerError("the run belongs to the parent process; open one in this process")
        return self._lock

    def _read(self, run: Optional[int]) -> str:
        text = self._lib.cf_run_to_json(run, 0)
        if not text:
            raise TracerError(str(_library.error()))
        try:
            return ctypes.string_at(text).decode("utf-8")
        finally:
            self._lib.cf_free(text)

    def _text(self) -> str:
        with self._own():
            if self._run is not None:
                return self._read(self._run)
        if self._final is not None:
            return self._final
        try:
            return self._path.read_text("utf-8") if self._path else ""
        except OSError as e:
            raise TracerError("the trace can't be read: %s" % e) from e

    def __enter__(self) -> "Tracer":
        self._tokens.append(_context.execution.set(self.context_id))
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                 where: Optional[TracebackType]) -> None:
        try:
            _context.execution.reset(self._tokens.pop())
        except ValueError:
            log.debug("a run was left in another context than it was entered in")
        try:
            self.close(error)
        except TracerError:
            if error is None:
                raise
            log.warning("the trace of a failed run could not be written", exc_info=True)

    async def __aenter__(self) -> "Tracer":
        return self.__enter__()

    async def __aexit__(self, kind: Optional[Type[BaseException]], error: Optional[BaseException],
                        where: Optional[TracebackType]) -> None:
        self.__exit__(kind, error, where)

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:  # pylint: disable=broad-except
            pass  # nobody is there to be told


def _as_dict(info: Any) -> Dict[str, Any]:
    if info is None:
        return {}
    if dataclasses.is_dataclass(info) and not isinstance(info, type):
        return {f.name: getattr(info, f.name) for f in dataclasses.fields(info)}
    if isinstance(info, Mapping):
        return dict(info)
    if callable(getattr(info, "model_dump", None)):
        return dict(info.model_dump())
    raise TracerError("agent_info and task_info: must be a dict, AgentInfo or TaskInfo")


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and for the owner only: traces hold what people said."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fd, part = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
        with os.fdopen(fd, "w", encoding="utf-8") as f:
            f.write(text)
        os.replace(part, path)
    except OSError as e:
        raise TracerError("path: %s" % e) from e


@atexit.register
def _close_all() -> None:
    for tracer in list(_open_tracers):
        tracer.__del__()
