"""How FCM answers: a name for what was accepted, and Google's error model with typed details for what was not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

_TYPES: Final = "type.googleapis.com/"
_FCM_ERROR: Final = _TYPES + "google.firebase.fcm.v1.FcmError"
_HEADERS: Final = (
    ("content-type", "application/json; charset=UTF-8"),
    ("server", "ESF"),
    ("cache-control", "private"),
    ("x-content-type-options", "nosniff"),
)
NOT_A_TOKEN: Final = "The registration token is not a valid FCM registration token"
_STATUS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """To one request. `reason` is for the journal: the most telling word of it."""

    status: int
    body: bytes
    headers: Sequence[tuple[str, str]] = ()
    """In the place of Google's, if there are any."""
    reason: str = ""
    more: Mapping[str, str] = field(default_factory=dict)
    """Beside them."""

    @property
    def fields(self) -> list[tuple[str, str]]:
        return [(":status", str(self.status)), *(self.headers or _HEADERS), *self.more.items()]


def accepted(name: str) -> Answer:
    return Answer(200, _json({"name": name}))


def fcm_error(status: int, code: str, message: str) -> Answer:
    """Refused for a reason that FCM has a word for."""
    return _error(status, message, code, [{"@type": _FCM_ERROR, "errorCode": code}])


def plain(status: int, message: str) -> Answer:
    """Refused by something in front of FCM: without an FcmError."""
    return _error(status, message, _STATUS[status], [])


def token_expired() -> Answer:
    reason = "ACCESS_TOKEN_EXPIRED"
    metadata = {"service": "fcm.googleapis.com", "method": "google.firebase.fcm.v1.FcmService.SendMessage"}
    info = {"@type": _TYPES + "google.rpc.ErrorInfo", "reason": reason, "domain": "googleapis.com"}
    message = "Request had invalid authentication credentials. Expected OAuth 2 access token."
    return _error(401, message, reason, [{**info, "metadata": metadata}])


def bad_request(violations: Sequence[tuple[str, str]]) -> Answer:
    """(field, description) of everything that is wrong with the message."""
    found = [{"field": name, "description": description} for name, description in violations]
    detail: dict[str, object] = {"@type": _TYPES + "google.rpc.BadRequest", "fieldViolations": found}
    return _error(400, "\n".join(description for _, description in violations), "BAD_REQUEST", [detail])


def quota_exceeded(subject: str, description: str, retry_after: str) -> Answer:
    """`retry_after`: value of the field of that name; empty: it is left out."""
    code = "QUOTA_EXCEEDED"
    failure: dict[str, object] = {
        "@type": _TYPES + "google.rpc.QuotaFailure",
        "violations": [{"subject": subject, "description": description}],
    }
    more = {"retry-after": retry_after} if retry_after else {}
    return _error(429, description, code, [{"@type": _FCM_ERROR, "errorCode": code}, failure], more)


def _error(
    status: int, message: str, reason: str, details: list[dict[str, object]], more: Mapping[str, str] | None = None
) -> Answer:
    error: dict[str, object] = {"code": status, "message": message, "status": _STATUS[status]}
    if details:
        error["details"] = details
    return Answer(status, _json({"error": error}), reason=reason, more=more or {})


def _json(content: object) -> bytes:
    return json.dumps(content, indent=2).encode() + b"\n"
