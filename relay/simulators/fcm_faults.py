"""Answers that a fake FCM can be told to give, by name: the errors of FCM, and those of what stands in front of it."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from relay.simulators.fcm_answer import (
    NOT_A_TOKEN,
    Answer,
    accepted,
    fcm_error,
    plain,
    quota_exceeded,
    token_expired,
)

_WAIT: Final = 60
"""Seconds of a retry-after, where it is to be felt; short where it need not."""
_SHORT: Final = 2
_HTML: Final = (("content-type", "text/html; charset=UTF-8"), ("server", "ESF"))


def _quota(retry_after: str) -> Answer:
    return quota_exceeded("project", "Quota exceeded: Message rate per minute.", retry_after)


def _busy(more: dict[str, str]) -> Answer:
    answer = fcm_error(503, "UNAVAILABLE", "The service is currently unavailable.")
    return Answer(503, answer.body, reason=answer.reason, more=more)


def _page(status: int) -> Answer:
    return Answer(status, f"<!DOCTYPE html><title>Error {status}</title>".encode(), _HTML)


ANSWERS: Final[dict[str, Callable[[float], Answer]]] = {
    "INVALID_ARGUMENT": lambda _: fcm_error(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "INVALID_ARGUMENT-token": lambda _: fcm_error(400, "INVALID_ARGUMENT", NOT_A_TOKEN),
    "UNREGISTERED": lambda _: fcm_error(404, "UNREGISTERED", "Requested entity was not found."),
    "SENDER_ID_MISMATCH": lambda _: fcm_error(403, "SENDER_ID_MISMATCH", "SenderId mismatch"),
    "429": lambda _: _quota(""),
    "429-seconds": lambda _: _quota(str(_WAIT)),
    "429-date": lambda now: _quota(formatdate(now + _WAIT, usegmt=True)),
    "429-short": lambda _: _quota(str(_SHORT)),
    "500": lambda _: fcm_error(500, "INTERNAL", "Internal error encountered."),
    "503": lambda _: _busy({}),
    "503-seconds": lambda _: _busy({"retry-after": str(_SHORT)}),
    "401": lambda _: token_expired(),
    "401-third-party": lambda _: fcm_error(401, "THIRD_PARTY_AUTH_ERROR", "Auth error from APNS or Web Push Service"),
    "403-iam": lambda _: plain(403, "Permission 'cloudmessaging.messages.create' denied on resource."),
    "404-html": lambda _: _page(404),
    "502-html": lambda _: _page(502),
    "200-empty": lambda _: Answer(200, b""),
    "200-truncated": lambda _: Answer(200, accepted("projects/x/messages/0:1").body[:12]),
    "500-truncated": lambda _: Answer(500, fcm_error(500, "INTERNAL", "Internal error encountered.").body[:40]),
    "200-wrong-type": lambda _: Answer(200, accepted("projects/x/messages/0:1").body, _HTML),
    "503-wrong-type": lambda _: Answer(503, fcm_error(503, "UNAVAILABLE", "x").body, _HTML, "UNAVAILABLE"),
}
"""Name → answer (UTC seconds)."""
