"""What is taken out of steps before anything stores, prints or probes them."""
from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, List, Optional, Pattern, Sequence, Union


class _Default(str):
    """The default replacement, told from the same text given by the user."""


@dataclass
class RedactionConfig:
    """Secrets of known shapes (provider keys, tokens, private keys) are always taken out. More is, by

    redact_inputs, redact_outputs: the structure stays, the content becomes [REDACTED]
    patterns: Python regular expressions; what they match, anywhere in a step, becomes `replacement`
    replacement: used literally, for secrets of known shapes as well. Without it those become [REDACTED:kind:hash]

    A pattern that does not compile is a ValueError at once.
    """
    redact_inputs: bool = False
    redact_outputs: bool = False
    patterns: Optional[Sequence[Union[str, Pattern[str]]]] = None
    replacement: str = _Default("[REDACTED]")
    _compiled: List[Pattern[str]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        patterns = [self.patterns] if isinstance(self.patterns, (str, re.Pattern)) else self.patterns or []
        self._compiled = []
        for pattern in patterns:
            try:
                self._compiled.append(re.compile(pattern))
            except (re.error, TypeError) as e:
                raise ValueError("RedactionConfig.patterns: %r: %s" % (pattern, e)) from e
        if not isinstance(self.replacement, str):
            raise ValueError("RedactionConfig.replacement: must be text")

    @property
    def explicit_replacement(self) -> Optional[str]:
        """What the user chose; None: the default."""
        return None if isinstance(self.replacement, _Default) else self.replacement

    def apply(self, value: Any) -> Any:
        """Plain data without what the patterns match, keys of dicts included."""
        if not self._compiled:
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, dict):
            return {self._text(k): self.apply(v) for k, v in value.items()}
        if isinstance(value, list):
            return [self.apply(v) for v in value]
        return value

    def _text(self, text: str) -> str:
        for pattern in self._compiled:
            text = pattern.sub(lambda m: self.replacement if m.group() else "", text)
        return text
