"""Logs: one line per event of the relay's life, never one per wakeup or request.

JSON to standard error; on a terminal, `key=value`. As a second line of defence (the first is that nobody hands such
things in) fields with a name of what is private, and values that are not plain, are replaced.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog

_FORBIDDEN: Final = frozenset(
    {"user", "users", "device", "token", "rest", "rule", "rules", "document", "secret", "key"}
)
_PLAIN: Final = (str, int, float, bool, type(None))
HIDDEN: Final = "<hidden>"


def configure(now: Callable[[], float]) -> None:
    """Set up logging for this process. `now`: UTC seconds."""

    def stamp(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["at"] = datetime.fromtimestamp(now(), UTC).isoformat(timespec="milliseconds")
        return event

    render: Any = structlog.processors.JSONRenderer()
    if sys.stderr.isatty():
        render = structlog.processors.KeyValueRenderer(key_order=["at", "level", "event"])
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, hide, render],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def hide(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what must not be in a log."""
    for name, value in event.items():
        if name in _FORBIDDEN or not isinstance(value, _PLAIN):
            event[name] = HIDDEN
    return event
