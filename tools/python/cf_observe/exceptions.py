"""What can go wrong. None of these ever reaches an agent from a callback or an instrumentor: there they are logged."""
from __future__ import annotations


class TracerError(Exception):
    """A run could not be opened, recorded into, or written."""


class StepValidationError(TracerError, ValueError):
    """A step breaks the contract. `field` names the one that is wrong: "tokens_in"."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class InstrumentorError(Exception):
    """A framework could not be instrumented: it is not installed, or too old."""


class ConversionError(Exception):
    """A span could not be made into a step."""


class CollectorError(Exception):
    """The collector could not be started."""
