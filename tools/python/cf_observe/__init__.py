"""cf_observe: agents say what they do, and get a ContextForge trace of it.

    from cf_observe import Tracer

    with Tracer.run(agent_info={"name": "my-agent"}, output_path="traces") as t:
        t.user_input("What is 2+2?")
        t.llm_call("gpt-4o", "What is 2+2?", "4", tokens_in=12, tokens_out=1)
        t.final_output("4")

Frameworks in one line: cf_observe.instrumentation. One LangChain call: cf_observe.callbacks. Everything is recorded by
libcontextforge; frameworks are imported when they are instrumented, never before.
"""
from .exceptions import CollectorError, ConversionError, InstrumentorError, StepValidationError, TracerError
from .redaction import RedactionConfig
from .tracer import OpenStep, StepId, Tracer
from .types import AgentInfo, TaskInfo

__version__ = "0.1.0"
__all__ = ["AgentInfo", "CollectorError", "ConversionError", "InstrumentorError", "OpenStep", "RedactionConfig", "StepId",
           "StepValidationError", "TaskInfo", "Tracer", "TracerError"]
