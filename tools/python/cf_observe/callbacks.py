"""ContextForgeHandler: trace one LangChain or LangGraph call.

    handler = ContextForgeHandler(output_path="traces")
    chain.invoke(x, config={"callbacks": [handler]})
    handler.get_trace()

Importing this module imports langchain_core; `cf_observe` itself never does.
"""
from __future__ import annotations

import sys
import threading
import time
from importlib import metadata as packages
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence

from . import _langchain_values as lc
from ._log import never_raises
from ._recorder import Node, Recorder
from .redaction import RedactionConfig
from .tracer import Tracer

try:
    from langchain_core.callbacks import BaseCallbackHandler
    from langchain_core.runnables.config import var_child_runnable_config
except ImportError as e:
    raise ImportError("cf_observe.callbacks needs LangChain: pip install langchain-core") from e

WAITING_MAX = 1000  # interrupted graphs whose answer has not come; the oldest is forgotten


class ContextForgeHandler(BaseCallbackHandler):
    """What LangChain and LangGraph report becomes a trace; one root invocation is one run.

    output_path: a directory (made when it is missing); without it all traces are kept in memory only
    redaction_config: a RedactionConfig
    capture_inputs, capture_outputs: False: prompts, arguments, queries or answers, results, documents are left out

    May be used by any number of threads and tasks at once. A failure in here never reaches the agent.
    """

    run_inline = True  # in the caller's own context and order, not in a pool: it takes microseconds
    raise_error = False

    def __init__(self, output_path: Any = None, redaction_config: Optional[RedactionConfig] = None, *,
                 capture_inputs: bool = True, capture_outputs: bool = True, agent_name: Optional[str] = None,
                 tracer_provider: Optional[Callable[..., Tracer]] = None, _recorder: Optional[Recorder] = None) -> None:
        super().__init__()
        self._recorder = _recorder or Recorder(output_path, redaction_config, tracer_provider)
        self._stopped = False
        self._inputs, self._outputs, self._agent_name = capture_inputs, capture_outputs, agent_name
        # What a chain gives holds what it was given (a prompt, a conversation): it is both.
        self._chains = capture_inputs and capture_outputs and not self._recorder.redacts_inputs
        self._lock = threading.Lock()
        self._waiting: Dict[str, List[Dict[str, Any]]] = {}  # by thread_id of LangGraph

    def get_trace(self) -> Optional[Dict[str, Any]]:
        """The root invocation that ended last; None: none has."""
        return self._recorder.last_trace()

    def get_traces(self) -> List[Dict[str, Any]]:
        """All root invocations that have ended, in that order."""
        return self._recorder.traces()

    def stop(self) -> None:
        """Nothing that begins from now on is traced; for calls that have the handler already."""
        self._stopped = True

    @property
    def ignore_chain(self) -> bool:
        return self._stopped

    ignore_llm = ignore_chat_model = ignore_retriever = ignore_agent = ignore_chain

    def _execution(self) -> Optional[str]:
        """The context_id of the run that this thread or task is inside of."""
        config = var_child_runnable_config.get() or {}
        node = self._recorder.node(getattr(config.get("callbacks"), "parent_run_id", None))
        return node.run.tracer.context_id if node else None

    # ---- Chains, agents, graphs and their nodes

    @never_raises
    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: Any, parent_run_id: Any = None,
                       tags: Optional[Sequence[str]] = None, metadata: Optional[Mapping[str, Any]] = None,
                       **kwargs: Any) -> None:
        name = _name(serialized, kwargs, "chain")
        hidden = "langsmith:hidden" in (tags or ()) and parent_run_id is not None
        kind = "node" if (metadata or {}).get("langgraph_node") == name else "graph" if name == "LangGraph" else "chain"
        node = self._begin(run_id, parent_run_id, name, metadata, None if hidden else "state_change",
                           {"state_key": name, "reason": kind}, inputs=inputs)
        if node.run.root == run_id and type(inputs).__name__ == "Command":
            self._resumed(node, inputs, metadata or {})

    @never_raises
    def on_chain_end(self, outputs: Any, *, run_id: Any, **kwargs: Any) -> None:
        node = self._recorder.node(run_id)
        if node:
            for i in lc.interrupts(outputs):
                self._interrupted(node, i)
        self._recorder.end(run_id, {"new_value": _readable(outputs)} if self._chains else {})

    @never_raises
    def on_chain_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        self._failed(run_id, error)

    # ---- Models

    @never_raises
    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: Any, parent_run_id: Any = None,
                            metadata: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> None:
        said = [lc.message(m) for m in (messages[0] if messages else [])]
        self._model(serialized, said, run_id, parent_run_id, metadata, kwargs)

    @never_raises
    def on_llm_start(self, serialized: Any, prompts: List[str], *, run_id: Any, parent_run_id: Any = None,
                     metadata: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> None:
        self._model(serialized, prompts[0] if len(prompts) == 1 else list(prompts), run_id, parent_run_id, metadata, kwargs)

    def _model(self, serialized: Any, said: Any, run_id: Any, parent: Any, metadata: Optional[Mapping[str, Any]],
               kwargs: Mapping[str, Any]) -> None:
        params, metadata = kwargs.get("invocation_params") or {}, metadata or {}
        more: Dict[str, Any] = {}
        tools = [n for n in (_tool_name(t) for t in params.get("tools") or ()) if n]
        if tools:
            more["tools_offered"] = tools
        if params.get("stream"):
            more["stream"] = True
        fields = {"model": lc.model_name(params, metadata, serialized), "provider": metadata.get("ls_provider")}
        if self._inputs:
            fields["input"] = said
        node = self._begin(run_id, parent, _name(serialized, kwargs, "model"), metadata, "llm_call", fields, more)
        node.notes["began"] = time.monotonic()

    @never_raises
    def on_llm_new_token(self, token: str, *, run_id: Any, **kwargs: Any) -> None:
        node = self._recorder.node(run_id)
        if node and node.step and "first" not in node.notes:
            node.notes["first"] = True
            ms = round(1000 * (time.monotonic() - node.notes.get("began", time.monotonic())))
            node.step.set({"stream": True, "time_to_first_token_ms": ms})

    @never_raises
    def on_llm_end(self, response: Any, *, run_id: Any, **kwargs: Any) -> None:
        node = self._recorder.node(run_id)
        if not node:
            return
        generations = response.generations[0] if response.generations else []
        first = generations[0] if generations else None
        fields = {**self._out(output=lc.output(first)), **lc.usage(response, first)}
        answered = lc.answered_by(response, first)
        metadata = lc.llm_metadata(response, first)
        if node.step and not node.step.get("model"):
            fields["model"] = answered
        elif answered:
            metadata["response_model"] = answered
        for call in getattr(getattr(first, "message", None), "tool_calls", None) or []:
            if call.get("id"):
                node.run.notes[call["id"]] = node.step_id
        self._recorder.end(run_id, fields, metadata)

    @never_raises
    def on_llm_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        self._failed(run_id, error)

    # ---- Tools and retrievers

    @never_raises
    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: Any, parent_run_id: Any = None,
                      metadata: Optional[Mapping[str, Any]] = None, inputs: Any = None, **kwargs: Any) -> None:
        name = _name(serialized, kwargs, "tool")
        fields: Dict[str, Any] = {"tool_name": name}
        if self._inputs:
            fields["arguments"] = lc.tool_arguments(input_str, inputs)
        node = self._begin(run_id, parent_run_id, name, metadata, "tool_call", fields)
        self._asked_for(node, kwargs.get("tool_call_id"))

    @never_raises
    def on_tool_end(self, output: Any, *, run_id: Any, **kwargs: Any) -> None:
        node = self._recorder.node(run_id)
        if node:
            self._asked_for(node, getattr(output, "tool_call_id", None))
        fields = lc.tool_result(output)
        if not self._outputs:
            fields = {"success": fields["success"]}
        self._recorder.end(run_id, fields)

    @never_raises
    def on_tool_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        self._failed(run_id, error)

    @staticmethod
    def _asked_for(node: Node, call_id: Any) -> None:
        if not call_id or not node.step:
            return
        asked = node.run.notes.get(call_id)
        node.step.set({"call_id": str(call_id), **({"requested_by": asked} if asked else {})})

    @never_raises
    def on_retriever_start(self, serialized: Any, query: str, *, run_id: Any, parent_run_id: Any = None,
                           metadata: Optional[Mapping[str, Any]] = None, **kwargs: Any) -> None:
        name = _name(serialized, kwargs, "retriever")
        self._begin(run_id, parent_run_id, name, metadata, "retrieval", {"query": query} if self._inputs else {},
                    {"retriever": name})

    @never_raises
    def on_retriever_end(self, documents: Sequence[Any], *, run_id: Any, **kwargs: Any) -> None:
        self._recorder.end(run_id, {"match_count": len(documents), **self._out(results=[lc.document(d) for d in documents])})

    @never_raises
    def on_retriever_error(self, error: BaseException, *, run_id: Any, **kwargs: Any) -> None:
        self._failed(run_id, error)

    # ---- What they share

    def _out(self, **fields: Any) -> Dict[str, Any]:
        return fields if self._outputs else {}

    def _begin(self, run_id: Any, parent: Any, name: str, metadata: Optional[Mapping[str, Any]], step_type: Optional[str],
               fields: Mapping[str, Any], more: Optional[Mapping[str, Any]] = None, inputs: Any = None) -> Node:
        metadata = metadata or {}

        def root() -> Dict[str, Any]:
            framework = "langgraph" if _is_graph(name, metadata) else "langchain"
            options: Dict[str, Any] = {
                "agent_info": {"name": self._agent_name or name, "framework": framework,
                               "framework_version": _version(framework)},
                "context_id": str(parent or run_id),
                "metadata": {"instrumentor": "langchain", "framework_run_id": str(run_id)},
            }
            if metadata.get("thread_id"):
                options["metadata"]["conversation_id"] = str(metadata["thread_id"])
            if self._inputs and inputs is not None:
                given = _readable(inputs)
                options["task_info"] = {"input": given if isinstance(given, dict) else {"value": given}}
            return options

        node = self._recorder.begin(run_id, parent, root, step_type, fields, more)
        if metadata.get("thread_id"):
            node.run.notes.setdefault("thread", str(metadata["thread_id"]))
        return node

    def _failed(self, run_id: Any, error: BaseException) -> None:
        node = self._recorder.node(run_id)
        if not node:
            return
        if not _is_control_flow(error):
            self._recorder.end(run_id, error=error)
            return
        for i in lc.interrupts(error):
            self._interrupted(node, i)
        stopped = "interrupted" if lc.interrupts(error) else "passed control on"
        self._recorder.end(run_id, metadata={"incomplete": True, "reason": stopped})

    def _interrupted(self, node: Node, i: Any) -> None:
        """The answer comes with another invocation, which records it with the time that it took."""
        seen = node.run.notes.setdefault("interrupts", set())
        key = lc.interrupt_id(i)
        if key in seen:
            return
        seen.add(key)
        fields = {"prompt": lc.as_text(i.value)} if self._outputs else {}
        step = node.run.tracer.step("interrupt", parent_step_id=node.step_id, wait_duration_ms=0,
                                    metadata={"interrupt_id": key, "incomplete": True, "reason": "not answered in this run"},
                                    **fields)
        step.end()
        thread = node.run.notes.get("thread")
        if thread:
            with self._lock:
                self._waiting.setdefault(thread, []).append({"prompt": fields.get("prompt"), "since": time.monotonic(),
                                                             "id": key, "run_id": node.run.tracer.run_id})
                while len(self._waiting) > WAITING_MAX:
                    del self._waiting[next(iter(self._waiting))]

    def _resumed(self, node: Node, command: Any, metadata: Mapping[str, Any]) -> None:
        answer = getattr(command, "resume", None)
        if answer is None:
            return
        with self._lock:
            waiting = self._waiting.pop(str(metadata.get("thread_id")), [])
        for asked in waiting or [{}]:
            response = answer.get(asked.get("id"), answer) if isinstance(answer, dict) else answer
            if not isinstance(response, (str, dict)):
                response = {"value": response}
            waited = round(1000 * (time.monotonic() - asked["since"])) if asked else None
            more = {"interrupt_id": asked["id"], "interrupted_run": asked["run_id"]} if asked else {}
            node.run.tracer.interrupt(asked.get("prompt"), response if self._inputs else None, waited,  # type: ignore[arg-type]
                                      parent_step_id=node.step_id, metadata=more)


def _name(serialized: Any, kwargs: Mapping[str, Any], otherwise: str) -> str:
    if kwargs.get("name"):
        return str(kwargs["name"])
    if isinstance(serialized, Mapping):
        if serialized.get("name"):
            return str(serialized["name"])
        if serialized.get("id"):
            return str(serialized["id"][-1])
    return otherwise


def _tool_name(tool: Any) -> Optional[str]:
    if not isinstance(tool, Mapping):
        return None
    function = tool.get("function")
    name = function.get("name") if isinstance(function, Mapping) else tool.get("name")
    return name if isinstance(name, str) else None


def _readable(value: Any) -> Any:
    """Inputs and outputs of chains, with messages in the form of the contract."""
    if isinstance(value, Mapping):
        return {str(k): _readable(v) for k, v in value.items() if k != "__interrupt__"}
    if isinstance(value, (list, tuple)):
        return [_readable(v) for v in value]
    if hasattr(value, "page_content"):
        return lc.document(value)
    if hasattr(value, "content") and isinstance(getattr(value, "type", None), str):
        return lc.message(value)
    if hasattr(value, "to_messages"):  # what a prompt template gives
        return [lc.message(m) for m in value.to_messages()]
    return value


def _is_graph(name: str, metadata: Mapping[str, Any]) -> bool:
    if "langgraph" not in sys.modules:
        return False
    return name == "LangGraph" or any(str(k).startswith("langgraph_") for k in metadata) \
        or metadata.get("ls_integration") == "langgraph" or "thread_id" in metadata


def _is_control_flow(error: BaseException) -> bool:
    """LangGraph's GraphBubbleUp and what is made from it: interrupts and commands to the parent graph, no failures."""
    return any(c.__name__ == "GraphBubbleUp" for c in type(error).__mro__)


def _version(package: str) -> Optional[str]:
    try:
        return packages.version(package)
    except packages.PackageNotFoundError:
        try:
            return packages.version(package + "-core")
        except packages.PackageNotFoundError:
            return None
