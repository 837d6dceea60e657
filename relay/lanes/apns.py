"""APNs: the requests of one app, and the meaning of Apple's answers.

Verdict table in core/verdicts.py, constant bytes in core/envelope.py, provider token in credentials.py. The varying
fields (`authorization`, `apns-expiration`) are shared tuples: all wakeups of five minutes and one life step carry the
same one, so the wire encodes it once.
"""

from __future__ import annotations

import json
from typing import Final

from relay.core import verdicts
from relay.core.envelope import APNS_BODY, APNS_PATH, APNS_VARYING, apns_constant
from relay.core.life import TICK, apns_expiration
from relay.lanes.credentials import ProviderToken
from relay.lanes.provider import Judgement, Limited
from relay.wire import Answer, Request, Template

HOSTS: Final = {"production": "api.push.apple.com", "sandbox": "api.sandbox.push.apple.com"}
PORT: Final = 443


class Apns:
    """Provider of one app (topic) of one team. `host`/`port` are overridden for simulators and tests only."""

    def __init__(self, topic: str, token: ProviderToken, host: str, port: int = PORT) -> None:
        self.host = host
        self.port = port
        self._topic = topic
        self.token = token
        self._at = float("nan")
        self._until = (b"", 0)
        """(provider token, five minutes) for which `_by_life` is good; looked at again at each new instant."""
        self._by_life: dict[int, tuple[bytes, ...]] = {}

    def with_token(self, token: ProviderToken) -> Apns:
        """The same app with another key, for connections that are opened from now on."""
        return Apns(self._topic, token, self.host, self.port)

    def is_ready(self, now: float) -> bool:
        return True

    def template(self) -> Template:
        authority = self.host if self.port == PORT else f"{self.host}:{self.port}"
        return Template(apns_constant(authority, self._topic), APNS_VARYING)

    def credential(self, now: float) -> bytes:
        return self.token.bearer(now)

    def request(self, flight: Limited, token: str, now: float) -> Request:
        if now != self._at:
            self._turn_to(now)
        varying = self._by_life.get(flight.life)
        if varying is None:
            expiration = apns_expiration(now, flight.life)
            varying = self._by_life[flight.life] = (self._until[0], b"%d" % expiration)
        return Request(flight, APNS_PATH + token.encode(), varying, APNS_BODY)

    def _turn_to(self, now: float) -> None:
        self._at = now
        until = (self.token.bearer(now), int(now) // TICK)
        if until != self._until:
            self._until, self._by_life = until, {}

    def judge(self, answer: Answer, now: float) -> Judgement:
        reason, since = _reason(answer.body)
        return Judgement(verdicts.apns(answer.status, reason), reason or f"status_{answer.status}", since)

    def step_back(self, now: float) -> bool:
        self._at = float("nan")
        return self.token.step_back(now)

    def credential_refused(self, now: float) -> str:
        self._at = float("nan")
        return "" if self.token.expired(now) else "clock_is_wrong"


def _reason(body: bytes) -> tuple[str, float | None]:
    """(reason, timestamp in UTC seconds) of an error body; ("", None) when it is not Apple's JSON.

    Only words of Apple's alphabet pass: the reason reaches logs and metrics.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return "", None
    if not isinstance(content, dict):
        return "", None
    reason, since = content.get("reason"), content.get("timestamp")
    word = reason if isinstance(reason, str) and reason.isascii() and reason.isalpha() and len(reason) <= 40 else ""
    is_instant = isinstance(since, int) and not isinstance(since, bool) and 0 < since < 2**53
    return word, since / 1000 if is_instant and isinstance(since, int) else None
