"""Frameworks in one line:

    from cf_observe.instrumentation import LangChainInstrumentor

    LangChainInstrumentor().instrument()

A framework is imported when it is instrumented, never before.
"""
from .base import BaseInstrumentor
from .crewai import CrewAIInstrumentor
from .langchain import LangChainInstrumentor

# A new framework is a class and a row.
REGISTRY = {
    "langchain": LangChainInstrumentor,  # and LangGraph
    "crewai": CrewAIInstrumentor,
}

__all__ = ["BaseInstrumentor", "CrewAIInstrumentor", "LangChainInstrumentor", "REGISTRY"]
