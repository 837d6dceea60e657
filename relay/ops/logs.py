"""Logs: one line per event of the relay's life, never one per wakeup or request.

JSON to standard error; on a terminal, `key=value`. As a second line of defence (the first is that nobody hands such
things in) fields with a name of what is private, and values that are not plain, are replaced. A log that cannot be
written is no reason to stop: the line is lost, the relay goes on.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final

import structlog

_FORBIDDEN: Final = frozenset(
    {"user", "users", "device", "devices", "token", "tokens", "rest", "rule", "rules", "document", "secret", "key"}
)
"""Words; a name is private when one of its words is (`user_id`)."""
_PLAIN: Final = (str, int, float, bool, type(None))
HIDDEN: Final = "<hidden>"
SELDOM: Final = 60.0
"""Seconds between two lines about connections that cannot be accepted; trio would tell of it ten times a second."""


def configure(now: Callable[[], float], keep: Callable[[str], object] | None = None) -> None:
    """Set up logging for this process. `now`: UTC seconds. `keep`: takes each line, instead of standard error."""

    def stamp(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["at"] = datetime.fromtimestamp(now(), UTC).isoformat(timespec="milliseconds")
        return event

    render: Any = structlog.processors.JSONRenderer()
    if keep is None and sys.stderr.isatty():
        render = structlog.processors.KeyValueRenderer(key_order=["at", "level", "event"])
    structlog.configure(
        processors=[structlog.processors.add_log_level, stamp, hide, render],
        logger_factory=lambda *_: _StandardError() if keep is None else _Kept(keep),
    )
    listeners = logging.getLogger("trio.serve_listeners")
    listeners.handlers, listeners.propagate = [_Accepting(now)], False


def hide(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace what must not be in a log."""
    for name, value in event.items():
        if not _FORBIDDEN.isdisjoint(name.lower().split("_")) or not isinstance(value, _PLAIN):
            event[name] = HIDDEN
    return event


class _Accepting(logging.Handler):
    """No connection can be accepted, mostly for want of descriptors: said once in a while, without a traceback."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__()
        self._now = now
        self._said_at = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        now = self._now()
        if abs(now - self._said_at) >= SELDOM:
            self._said_at = now
            error = record.exc_info[1] if record.exc_info else None
            structlog.get_logger().error("accept_failed", reason=getattr(error, "strerror", None) or "unknown")


class _Kept:
    """Hands lines to somebody who shows them later, if at all."""

    def __init__(self, keep: Callable[[str], object]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = keep


class _StandardError:
    """Writes lines to standard error, whose reader may go away and whose disk may be full."""

    def write(self, line: str) -> None:
        try:
            sys.stderr.write(line + "\n")
            sys.stderr.flush()
        except BrokenPipeError:
            # Nobody reads any more. Without this the exit would fail for the line that is left in the buffer.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, sys.stderr.fileno())
            os.close(nowhere)
        except OSError:
            pass

    debug = info = warning = error = critical = write
