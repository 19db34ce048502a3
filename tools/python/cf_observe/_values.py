"""Any Python value as plain data (dict, list, str, numbers, bool, None), and plain data as JSON text."""
from __future__ import annotations

import dataclasses
import datetime
import enum
import json
import math
import re
from typing import Any, Optional, Tuple

_DEPTH_MAX = 60  # deeper than any message; what is below is written as text
_SURROGATES = re.compile("[\ud800-\udfff]")


def plain(value: Any, depth: int = 0) -> Any:
    """Never fails: what has no form in JSON becomes its text."""
    if value is None or isinstance(value, (bool, str)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, enum.Enum):
        return plain(value.value, depth + 1)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if depth >= _DEPTH_MAX:
        return _text(value)
    if isinstance(value, dict):
        return {k if isinstance(k, str) else _text(k): plain(v, depth + 1) for k, v in list(value.items())}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(v, depth + 1) for v in list(value)]
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray)):
        return bytes(value).decode("utf-8", "replace")
    return _object(value, depth)


def _object(value: Any, depth: int) -> Any:
    try:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {f.name: plain(getattr(value, f.name), depth + 1) for f in dataclasses.fields(value)}
        dump = getattr(value, "model_dump", None)
        if callable(dump) and not isinstance(value, type):
            return plain(dump(), depth + 1)
        item = getattr(value, "item", None)  # a number of numpy or torch
        if callable(item) and getattr(value, "shape", None) == ():
            return plain(item(), depth + 1)
    except Exception:  # pylint: disable=broad-except
        pass  # its text says something at least
    return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # pylint: disable=broad-except
        return "<%s>" % type(value).__name__


def dumps(value: Any) -> Tuple[bytes, bool]:
    """JSON text, and whether something in it was no text (half of a surrogate pair)."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode("utf-8"), False
    except UnicodeEncodeError:
        return _SURROGATES.sub("\ufffd", text).encode("utf-8"), True


def time_text(timestamp: Any) -> Optional[str]:
    """RFC 3339 in UTC. Takes a datetime (without a zone: UTC), seconds since 1970, or such text."""
    if timestamp is None or isinstance(timestamp, str):
        return timestamp
    if isinstance(timestamp, (int, float)) and not isinstance(timestamp, bool):
        timestamp = datetime.datetime.fromtimestamp(timestamp, datetime.timezone.utc)
    if not isinstance(timestamp, datetime.datetime):
        raise TypeError("must be a datetime, seconds since 1970, or RFC 3339 text")
    if timestamp.tzinfo is None:
        timestamp = timestamp.replace(tzinfo=datetime.timezone.utc)
    timestamp = timestamp.astimezone(datetime.timezone.utc)
    return timestamp.strftime("%Y-%m-%dT%H:%M:%S.") + "%06dZ" % timestamp.microsecond


def time_ns(timestamp: Any) -> int:
    """The same in ns since 1970; 0: none was given."""
    text = time_text(timestamp)
    if text is None:
        return 0
    at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    if at.tzinfo is None:
        at = at.replace(tzinfo=datetime.timezone.utc)
    delta = at - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    return (delta.days * 86400 + delta.seconds) * 1_000_000_000 + delta.microseconds * 1000
