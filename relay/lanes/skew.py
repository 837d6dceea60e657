"""Whether our clock is right: compared with the `date` of what providers answer.

A clock that is wrong makes credentials that are refused for other words ("invalid", "expired"), and rings people at the
wrong hour; so it is named, with the number of seconds, where it can be seen. Google dates every answer (RFC 9110,
6.6.1), also those of the token endpoint; Apple dates none, but calls a young token expired (credentials.py).
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

import structlog

TOLERANCE: Final = 60.0
"""Seconds of difference that are nothing: dates are whole seconds, and answers take a while."""

log = structlog.get_logger()


def ahead(date: str, now: float) -> float | None:
    """Seconds by which our clock is ahead of a date that has just been said; None when it is no date with a zone."""
    try:
        said = parsedate_to_datetime(date)
        return None if said.tzinfo is None else now - said.timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


class Skew:
    """Of our clock against one app's provider. `app` is for the log."""

    __slots__ = ("_app", "error")

    def __init__(self, app: str) -> None:
        self._app = app
        self.error = 0
        """Seconds by which our clock is ahead of the provider's; 0 while that is within the tolerance."""

    def heard(self, date: str, now: float) -> None:
        """An answer that arrived now bears this date; what is no date with a zone says nothing."""
        error = ahead(date, now)
        if error is None:
            return
        if abs(error) <= TOLERANCE:
            if self.error:
                log.info("clock_is_right", app=self._app)
            self.error = 0
        elif abs(error - self.error) > TOLERANCE:
            self.error = round(error)
            log.error("clock_is_wrong", app=self._app, seconds_ahead=self.error)
