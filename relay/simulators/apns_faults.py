"""Answers that a fake APNs can be told to give, by name: every reason of Apple's, and what is odd.

A name is Apple's reason; behind a reason that comes with two statuses, and for oddities, it says more. Sources: Apple,
"Handling notification responses from APNs"; protocols as seen by others for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from relay.simulators.apns_answer import Verdict

_OLD: Final = 365 * 86_400.0
_PAGE: Final = b"<html><body>Bad Gateway</body></html>"
_REASONS: Final = {
    400: (
        "BadCollapseId", "BadDeviceToken", "BadExpirationDate", "BadMessageId", "BadPriority", "BadTopic",
        "DeviceTokenNotForTopic", "DuplicateHeaders", "IdleTimeout", "InvalidPushType", "MissingDeviceToken",
        "MissingTopic", "PayloadEmpty", "TopicDisallowed",
    ),
    403: (
        "BadCertificate", "BadCertificateEnvironment", "BadEnvironmentKeyIdInToken", "ExpiredProviderToken",
        "Forbidden", "InvalidProviderToken", "MissingProviderToken", "UnrelatedKeyIdInToken",
    ),
    404: ("BadPath",),
    405: ("MethodNotAllowed",),
    413: ("PayloadTooLarge",),
    429: ("TooManyProviderTokenUpdates", "TooManyRequests"),
    500: ("InternalServerError",),
    503: ("ServiceUnavailable", "Shutdown"),
}  # fmt: skip
GOING: Final = "Shutdown-goaway"
"""503 Shutdown, and a GOAWAY at once."""

ANSWERS: Final[dict[str, Callable[[float], Verdict]]] = {
    **{
        reason: lambda _, status=status, reason=reason: Verdict(status, reason)  # type: ignore[misc]
        for status, reasons in _REASONS.items()
        for reason in reasons
    },
    "Unregistered": lambda now: Verdict(410, "Unregistered", int(now * 1000)),
    "Unregistered-old": lambda now: Verdict(410, "Unregistered", int((now - _OLD) * 1000)),
    "ExpiredToken": lambda now: Verdict(410, "ExpiredToken", int(now * 1000)),
    GOING: lambda _: Verdict(503, "Shutdown"),
    "unknown-400": lambda _: Verdict(400, "NeverHeardOf"),
    "unknown-503": lambda _: Verdict(503, "NeverHeardOf"),
    "not-json-400": lambda _: Verdict(400, raw=_PAGE),
    "not-json-502": lambda _: Verdict(502, raw=_PAGE),
    "no-body-500": lambda _: Verdict(500, raw=b""),
}
"""Name → answer (UTC seconds)."""


def weight(verdict: Verdict) -> int:
    """What an answer takes of a connection's budget of errors."""
    if verdict.status in (200, 410):
        return 0
    return 3 if verdict.reason == "BadDeviceToken" else 1
