"""One logger. CONTEXTFORGE_LOG_LEVEL=DEBUG shows what was hooked and why a call was not traced."""
from __future__ import annotations

import functools
import logging
import os
from typing import Any, Callable

log = logging.getLogger("cf_observe")


def _set_up() -> None:
    level = os.environ.get("CONTEXTFORGE_LOG_LEVEL", "").upper()
    if not level:
        return
    try:
        log.setLevel(level)
    except ValueError:
        log.warning("CONTEXTFORGE_LOG_LEVEL=%s is no level", level)
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("cf_observe: %(levelname)s: %(message)s"))
    log.addHandler(handler)
    log.propagate = False


_set_up()


def never_raises(method: Callable[..., Any]) -> Callable[..., Any]:
    """For what frameworks call: a failure is logged and the agent goes on."""

    @functools.wraps(method)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except Exception:  # pylint: disable=broad-except
            log.warning("%s failed; the agent goes on, its trace lacks this", method.__name__,
                        exc_info=log.isEnabledFor(logging.DEBUG))
            return None

    return guarded
