"""FCM: the requests of one project, and the meaning of Google's answers.

The message is built by pyfcm once per life step, at start, around a placeholder; a wakeup is then prefix, token and
suffix. Header block and body have a constant length per length of token. No notification (the app's service runs in
every state), no collapse key (FCM throttles collapsible messages to one in three minutes; the relay merges itself),
high priority, `ttl` from the ladder.

Verdict table in core/verdicts.py. An answer's body is read for its error code only; what is no JSON of Google's (an
HTML page of a proxy, half a body) is judged by status alone.
"""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from typing import Any, Final

from pyfcm import FCMNotification

from relay.core import verdicts
from relay.core.life import LADDER, NOW_OR_NEVER
from relay.lanes.oauth import AccessToken
from relay.lanes.provider import Judgement, Limited
from relay.wire import Answer, Request, Template

HOST: Final = "fcm.googleapis.com"
PORT: Final = 443
LONGEST_WAIT: Final = 3600.0
"""Most seconds a Retry-After is obeyed for; one beyond that is a mistake, and a probe will tell."""
QUOTA_WAIT: Final = 60.0
"""Seconds to wait after a 429 that does not say for how long (Firebase, "Best practices … at scale")."""
_PLACEHOLDER: Final = "TOKEN"


class Fcm:
    """Provider of one Firebase project. `host`/`port` are overridden for simulators and tests only."""

    def __init__(
        self, project: str, token: AccessToken, host: str = HOST, port: int = PORT, *, dry_run: bool = False
    ) -> None:
        """`dry_run`: messages are checked and go to no phone (`validate_only`); for the doctor."""
        self.host = host
        self.port = port
        self._project = project
        self._token = token
        self._messages = messages(dry_run=dry_run)
        self._lengths: dict[tuple[bytes, int], tuple[bytes, ...]] = {}

    def is_ready(self, now: float) -> bool:
        return bool(self._token.bearer(now))

    def credential(self, now: float) -> bytes:
        return self._token.bearer(now)

    def template(self) -> Template:
        authority = self.host if self.port == PORT else f"{self.host}:{self.port}"
        return Template(
            (
                (b":method", b"POST"),
                (b":scheme", b"https"),
                (b":authority", authority.encode()),
                (b":path", f"/v1/projects/{self._project}/messages:send".encode()),
                (b"content-type", b"application/json"),
            ),
            (b"authorization", b"content-length"),
        )

    def request(self, flight: Limited, token: str, now: float) -> Request:
        prefix, suffix = self._messages[flight.life]
        body = prefix + token.encode() + suffix
        key = (self._token.bearer(now), len(body))
        varying = self._lengths.get(key)
        if varying is None:
            self._lengths = {k: v for k, v in self._lengths.items() if k[0] == key[0]}
            varying = self._lengths[key] = (key[0], b"%d" % key[1])
        return Request(flight, b"", varying, body)

    def judge(self, answer: Answer, now: float) -> Judgement:
        status, code, is_about_token = _error(answer.body)
        wait = _retry_after(answer.headers, now) or (QUOTA_WAIT if answer.status == 429 else 0.0)
        verdict = verdicts.fcm(answer.status, code, is_about_token=is_about_token)
        return Judgement(verdict, code or status or f"status_{answer.status}", wait=wait)

    def step_back(self, now: float) -> bool:
        return False  # Google does not count them

    def credential_refused(self, now: float) -> str:
        return "" if self._token.refused(now) else "credentials_refused"


def messages(*, dry_run: bool = False) -> dict[int, tuple[bytes, bytes]]:
    """Life step → (what comes before the token, what comes after it)."""
    builder: Any = FCMNotification(credentials=object())  # never used: only the builder is
    built: dict[int, tuple[bytes, bytes]] = {}
    for step in (NOW_OR_NEVER, *LADDER):
        message: bytes = builder.parse_payload(
            fcm_token=_PLACEHOLDER,
            data_payload={"w": ""},
            android_config={"priority": "HIGH", "ttl": f"{step}s"},
            dry_run=dry_run,
        )
        prefix, _, suffix = message.partition(_PLACEHOLDER.encode())
        built[step] = (prefix, suffix)
    return built


def _error(body: bytes) -> tuple[str, str, bool]:
    """(status, FcmError code, the message names the registration token) of an error body; empty when it is none.

    Only words of Google's alphabet pass: the reason reaches logs and metrics.
    """
    try:
        error = json.loads(body)["error"]
        details = error.get("details") or []
        codes = [d.get("errorCode") or d.get("reason") for d in details if isinstance(d, dict)]
        violations = any("fieldViolations" in d for d in details if isinstance(d, dict))
        about_token = not violations and "registration token" in str(error.get("message", ""))
        return _word(error.get("status")), next((w for c in codes if (w := _word(c))), ""), about_token
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return "", "", False


def _word(value: object) -> str:
    is_word = isinstance(value, str) and value.isascii() and value.replace("_", "").isalpha() and len(value) <= 40
    return value if is_word and isinstance(value, str) else ""


def _retry_after(headers: tuple[tuple[bytes, bytes], ...], now: float) -> float:
    """Seconds a `retry-after` asks to wait, given as such or as a date (RFC 9110, 10.2.3); 0 when there is none."""
    value = next((v.decode("latin-1").strip() for n, v in headers if n == b"retry-after"), "")
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_WAIT)
    try:
        return min(max(0.0, parsedate_to_datetime(value).timestamp() - now), LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError):
        return 0.0
