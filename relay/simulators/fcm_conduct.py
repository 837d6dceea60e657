"""Whether a sender retries, and lets a bulk send grow, as Google asks it to (validation F-06).

Source: Google, "Best practices when sending FCM messages at scale": after 429 wait for what `retry-after` says, or a
minute; after 5xx never less than ten seconds; never retry 400, 403 or 404. Time runs from when a request was judged, so
that an answer under way is no reason to complain. A bulk send goes from nothing to its peak over a minute or more. What
is a bulk send nobody can see from outside: the run is marked as one at the fake.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from relay.simulators.fcm_answer import Answer

AFTER_5XX: Final = 10.0
AFTER_429: Final = 60.0
AFTER_STOP: Final = 60.0
"""Seconds after a refusal that is about the project, not the device: a probe may come then [C]."""
RAMP: Final = 60.0
"""Seconds from nothing to the peak of a bulk send, at least."""
PEAK: Final = 10_000.0
"""Requests a second: what the quota of a project, 600,000 a minute, comes to."""
_ABOUT_DEVICE: Final = {(400, "INVALID_ARGUMENT"), (403, "SENDER_ID_MISMATCH"), (404, "UNREGISTERED")}


@dataclass(frozen=True, slots=True)
class _Refusal:
    """What a token must not be used for before `until`."""

    breach: str
    until: float
    digest: bytes = b""
    """Of the body that must not come again; empty: none may."""


class SendConduct:
    """Remembers the last refusal of each token. `violate` is told of breaches."""

    def __init__(self, violate: Callable[[str], None]) -> None:
        self._violate = violate
        self._refusals: dict[str, _Refusal] = {}

    def see(self, token: str, body: bytes, now: float) -> None:
        """A request has come."""
        known = self._refusals.get(token)
        if known is not None and now < known.until and known.digest in (b"", _digest(body)):
            self._violate(known.breach)

    def answered(self, token: str, body: bytes, answer: Answer, now: float) -> None:
        status, about_device = answer.status, (answer.status, reason(answer)) in _ABOUT_DEVICE
        if not token or status == 401:  # a new access token, and the same again: that is how it should be
            return
        if status >= 500:
            self._refusals[token] = _Refusal("retry_too_soon_after_5xx", now + max(AFTER_5XX, _wait(answer, now)))
        elif status == 429:
            self._refusals[token] = _Refusal("retry_too_soon_after_429", now + (_wait(answer, now) or AFTER_429))
        elif status in (400, 403, 404):
            until = float("inf") if about_device or status == 400 else now + AFTER_STOP
            self._refusals[token] = _Refusal("retry_of_refused", until, b"" if about_device else _digest(body))
        else:
            self._refusals.pop(token, None)


class Ramp:
    """How a bulk run may grow: evenly, from nothing to `peak` requests a second within `seconds`.

    In its n-th second (1, 2, …) n / `seconds` of the peak may come. The run begins with its first request. `violate` is
    told of each second in which more come.
    """

    def __init__(self, violate: Callable[[str], None], peak: float = PEAK, seconds: float = RAMP) -> None:
        self._violate = violate
        self._peak = peak
        self._seconds = seconds
        self._began: float | None = None
        self._second = 0
        self._count = 0

    def allowed(self, second: int) -> float:
        """Most requests in that second of the run (1, 2, …)."""
        return min(self._peak, self._peak * second / self._seconds)

    def see(self, now: float) -> None:
        """A request has come."""
        if self._began is None:
            self._began = now
        second = int(now - self._began) + 1
        if second != self._second:
            self._second, self._count = second, 0
        self._count += 1
        if self._count - 1 <= self.allowed(second) < self._count:
            self._violate("ramp_too_steep")


def reason(answer: Answer) -> str:
    """The FcmError's code, also of an answer that was injected."""
    if answer.reason:
        return answer.reason
    try:
        details = json.loads(answer.body)["error"]["details"]
        return next((str(detail["errorCode"]) for detail in details if "errorCode" in detail), "")
    except (ValueError, KeyError, TypeError):
        return ""


def _wait(answer: Answer, now: float) -> float:
    value = dict(answer.fields).get("retry-after", "")
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError):
        return 0.0


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()
