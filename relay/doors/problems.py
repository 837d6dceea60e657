"""Problem details (RFC 9457): what is wrong, in a form a program can act on and a person can read.

`type` is stable and is what a client should look at. Values of the input are never repeated, only paths and sentences:
an error must not become the place where a user id is logged.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

import msgspec

from relay.core.errors import (
    CursorExpired,
    DeviceLimitReached,
    EndlessRest,
    IdempotencyMismatch,
    NotAdmitted,
    NotFound,
    Overloaded,
    Problem,
    Refused,
    RelayError,
    TooLarge,
    TooManyRecipients,
    TooManyTraces,
    TooOften,
    Unavailable,
    Unconfirmed,
    UnreadableRest,
    VersionConflict,
)
from relay.core.passes import PassKind
from relay.doors.http1 import Response
from schedules.errors import Text

MOST_ERRORS: Final = 100

TYPES: Final[dict[str, tuple[int, str]]] = {
    "malformed": (400, "The request cannot be read"),
    "unauthorized": (401, "The API key or token is missing or not valid"),
    "forbidden": (403, "The API key does not have the scope for this"),
    "link": (403, "The link is not valid, or not any more"),
    "support-code": (403, "The support code is missing or not valid, or not any more"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "The method is not offered here"),
    "confirmation": (409, "This must be confirmed"),
    "endless": (409, "The rest has no end"),
    "unreadable": (409, "The rest document that is kept cannot be read"),
    "device-limit": (409, "The user has as many devices as allowed"),
    "cursor-expired": (410, "What follows this cursor is not known any more"),
    "version": (412, "The document was changed meanwhile"),
    "too-large": (413, "The request is too large"),
    "media-type": (415, "The content type is not understood"),
    "validation": (422, "The request is not valid"),
    "idempotency": (422, "The Idempotency-Key was used with another body"),
    "overloaded": (429, "Too many requests are waiting"),
    "too-often": (429, "This was asked for too often"),
    "too-many-traces": (429, "As many others have this on as is possible at a time"),
    "head-too-large": (431, "The request head is too large"),
    "internal": (500, "Something went wrong here"),
    "unavailable": (503, "The relay cannot take requests now"),
}
"""type → (status, title)."""

_ENDLESS: Final = Text(
    "no end of the rest is known: say until when", "ein Ende der Ruhe ist nicht bekannt: sagen Sie, bis wann"
)
_UNREADABLE: Final = Text(
    "nothing in it can be changed; it can be replaced or deleted",
    "darin lässt sich nichts ändern; Sie können es ersetzen oder löschen",
)
_BY_STATUS: Final = {status: name for name, (status, _) in reversed(TYPES.items())}
_encode: Final = msgspec.json.Encoder().encode


def problem(
    name: str,
    detail: str = "",
    errors: Iterable[Problem] = (),
    headers: tuple[tuple[bytes, bytes], ...] = (),
    **members: object,
) -> Response:
    """The answer for a problem type; `members` extend its body. In it `de` is German: of the detail, or of a fault."""
    status, title = TYPES[name]
    body: dict[str, object] = {"type": f"/problems/{name}", "title": title, "status": status}
    if detail:
        body["detail"] = detail
    listed = [_fault(error) for error in islice(errors, MOST_ERRORS)]
    if listed:
        body["errors"] = listed
    body.update(members)
    return Response(status, _encode(body), b"application/problem+json", headers)


def _fault(error: Problem) -> dict[str, str]:
    fault = {"path": error.path, "sentence": error.sentence}
    return fault | {"de": error.german} if error.german else fault


def refusal(status: int, sentence: str) -> Response:
    """The answer to what never became a request (http1.py)."""
    headers = ((b"retry-after", b"5"),) if status in (429, 503) else ()
    return problem(_BY_STATUS[status], sentence, headers=headers)


def of(error: RelayError) -> Response | None:
    """The answer for an error of the core; None when it is none a client can act on."""
    match error:
        case Refused():
            return problem("validation", errors=error.problems)
        case TooManyRecipients() | TooLarge():
            return problem("too-large", str(error))
        case Unconfirmed():
            return problem("confirmation", str(error), confirm=error.confirm, de=error.german)
        case EndlessRest():
            return problem("endless", _ENDLESS.english, de=_ENDLESS.german)
        case UnreadableRest():
            return problem("unreadable", _UNREADABLE.english, de=_UNREADABLE.german)
        case NotFound():
            return problem("not-found")  # not whether it is the user or the device: who has a record is not told
        case NotAdmitted():
            # Not why: whether somebody has a code at all is not told.
            return problem("link" if error.kind is PassKind.LINK else "support-code")
        case CursorExpired():
            return problem("cursor-expired", str(error), restart=error.restart)
        case VersionConflict():
            current = () if error.current is None else ((b"etag", b'"%d"' % error.current),)
            return problem("version", str(error), headers=current)
        case IdempotencyMismatch():
            return problem("idempotency")
        case DeviceLimitReached():
            return problem("device-limit", str(error))
        case Overloaded():
            return problem("overloaded", str(error), headers=((b"retry-after", b"%d" % error.retry_after),))
        case TooOften():
            return problem("too-often", headers=((b"retry-after", b"%d" % error.retry_after),))
        case TooManyTraces():
            return problem("too-many-traces", headers=((b"retry-after", b"%d" % error.retry_after),))
        case Unavailable():
            return problem("unavailable", str(error), headers=((b"retry-after", b"%d" % error.retry_after),))
    return None
