"""libcontextforge by ctypes: where it is, and the few functions of contextforge/tracer.h that Python needs."""
from __future__ import annotations

import ctypes
import os
from ctypes import POINTER, Structure, c_bool, c_char, c_char_p, c_double, c_int, c_int64, c_size_t, c_void_p
from typing import Optional

from .exceptions import StepValidationError, TracerError

CF_JSON = 2
CF_INVALID = -1


class _Number(ctypes.Union):
    _fields_ = [("integer", c_int64), ("number", c_double)]


class Value(Structure):
    """cf_value"""
    _fields_ = [("kind", c_int), ("text", c_char_p), ("len", c_size_t), ("as_", _Number)]

    @classmethod
    def json(cls, raw: Optional[bytes]) -> "Value":
        return cls(CF_JSON, raw, len(raw)) if raw is not None else cls()


class RunOptions(Structure):
    """cf_run_options"""
    _fields_ = [
        ("size", c_size_t), ("agent_name", c_char_p), ("agent_version", c_char_p), ("agent_framework", c_char_p),
        ("agent_framework_version", c_char_p), ("task_description", c_char_p), ("task_goal", c_char_p),
        ("task_input", Value), ("metadata", Value), ("output_path", c_char_p), ("run_id", c_char_p),
        ("context_id", c_char_p), ("started_ns", c_int64), ("redact_inputs", c_bool), ("redact_outputs", c_bool),
        ("redact_patterns", POINTER(c_char_p)), ("n_redact_patterns", c_size_t), ("redact_replacement", c_char_p),
    ]


class BeginOptions(Structure):
    """cf_begin_options"""
    _fields_ = [("size", c_size_t), ("parent_step_id", c_char_p), ("timestamp_ns", c_int64), ("metadata", Value),
                ("detached", c_bool)]


class Id(Structure):
    """cf_id"""
    _fields_ = [("text", c_char * 64)]


_SIGNATURES = {
    "cf_error": (c_char_p, []),
    "cf_version": (c_char_p, []),
    "cf_free": (None, [c_void_p]),
    "cf_run_open": (c_void_p, [POINTER(RunOptions)]),
    "cf_run_id": (c_char_p, [c_void_p]),
    "cf_run_path": (c_char_p, [c_void_p]),
    "cf_run_add_metadata": (c_int, [c_void_p, Value]),
    "cf_run_end": (c_int, [c_void_p, c_char_p]),
    "cf_run_close": (c_int, [c_void_p]),
    "cf_run_to_json": (c_void_p, [c_void_p, c_int]),
    "cf_run_save": (c_int, [c_void_p, c_char_p]),
    "cf_record": (c_int, [c_void_p, c_char_p, c_size_t, c_void_p, POINTER(Id)]),
    "cf_begin": (c_void_p, [c_void_p, c_int, c_char_p, POINTER(BeginOptions)]),
    "cf_span_id": (c_char_p, [c_void_p]),
}


def _candidates() -> "list[str]":
    named = os.environ.get("CONTEXTFORGE_LIBRARY")
    if named:
        return [named]  # a person said so: nothing else is meant
    return [os.path.join(os.path.dirname(os.path.abspath(__file__)), "libcontextforge.so"), "libcontextforge.so.0"]


def _load() -> ctypes.CDLL:
    tried = []
    for name in _candidates():
        if os.path.isabs(name) and not os.path.exists(name):
            tried.append("%s: not there" % name)
            continue
        try:
            library = ctypes.CDLL(name)
            for function, (result, arguments) in _SIGNATURES.items():
                getattr(library, function).restype = result
                getattr(library, function).argtypes = arguments
            return library
        except (OSError, AttributeError) as e:
            tried.append("%s: %s" % (name, e))
    raise TracerError("libcontextforge was not found. Run `make` first and then `pip install ./tools/python`, or set "
                      "CONTEXTFORGE_LIBRARY to libcontextforge.so. Tried " + "; ".join(tried))


_library: Optional[ctypes.CDLL] = None


def library() -> ctypes.CDLL:
    """The library, loaded at first use. TracerError says what to do when it is not there."""
    global _library
    if _library is None:
        _library = _load()
    return _library


def error(code: int = CF_INVALID) -> TracerError:
    """The last error of this thread as an exception. Its text begins with the field: "llm_call.tokens_in: must be"."""
    text = (library().cf_error() or b"").decode("utf-8", "replace") or "libcontextforge failed (%d)" % code
    if code != CF_INVALID:
        return TracerError(text)
    place = text.split(":", 1)[0]
    return StepValidationError(text, place.split(".", 1)[-1])
