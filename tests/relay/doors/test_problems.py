"""Problem details (RFC 9457): the answers for everything that goes wrong."""

from __future__ import annotations

import json
from http import HTTPStatus

import pytest

from relay.core.errors import (
    CursorExpired,
    DeviceLimitReached,
    IdempotencyMismatch,
    NotFound,
    Overloaded,
    Problem,
    Refused,
    RelayError,
    TooManyRecipients,
    TooManyTraces,
    TooOften,
    Unavailable,
    VersionConflict,
)
from relay.core.seal import SealBroken
from relay.doors import problems
from relay.doors.http1 import Response

TYPES = {
    "malformed": 400, "unauthorized": 401, "forbidden": 403, "link": 403, "support-code": 403,
    "not-found": 404, "method-not-allowed": 405,
    "confirmation": 409, "endless": 409, "unreadable": 409, "device-limit": 409, "cursor-expired": 410, "version": 412,
    "too-large": 413, "media-type": 415, "validation": 422, "idempotency": 422,
    "overloaded": 429, "too-often": 429, "too-many-traces": 429, "head-too-large": 431, "internal": 500,
    "unavailable": 503,
}  # fmt: skip
"""What clients program against. A type that is renamed or moved to another status breaks them."""

ERRORS: list[tuple[RelayError, str, dict[bytes, bytes]]] = [
    (Refused(Problem("user", "is missing")), "validation", {}),
    (TooManyRecipients(25_000), "too-large", {}),
    (NotFound("no such user"), "not-found", {}),
    (VersionConflict(7), "version", {b"etag": b'"7"'}),
    (VersionConflict(None), "version", {}),
    (CursorExpired(17), "cursor-expired", {}),
    (IdempotencyMismatch("…"), "idempotency", {}),
    (DeviceLimitReached(3), "device-limit", {}),
    (Overloaded(4), "overloaded", {b"retry-after": b"4"}),
    (TooOften(6), "too-often", {b"retry-after": b"6"}),
    (TooManyTraces(7), "too-many-traces", {b"retry-after": b"7"}),
    (Unavailable(5), "unavailable", {b"retry-after": b"5"}),
]


def body_of(answer: Response) -> dict[str, object]:
    content = json.loads(answer.body)
    assert isinstance(content, dict)
    return content


def test_the_types_and_their_statuses_are_stable() -> None:
    assert {name: status for name, (status, _title) in problems.TYPES.items()} == TYPES


@pytest.mark.parametrize("name", TYPES)
def test_a_problem_has_type_title_and_the_status_of_the_answer(name: str) -> None:
    answer = problems.problem(name)
    content = body_of(answer)
    assert answer.content_type == b"application/problem+json"
    assert (content["type"], content["status"]) == (f"/problems/{name}", answer.status)
    assert content["title"]
    assert "detail" not in content
    assert "errors" not in content


@pytest.mark.parametrize(("error", "name", "headers"), ERRORS, ids=lambda value: type(value).__name__)
def test_an_error_of_the_core_becomes_its_answer(error: RelayError, name: str, headers: dict[bytes, bytes]) -> None:
    answer = problems.of(error)
    assert answer is not None
    assert body_of(answer)["type"] == f"/problems/{name}"
    assert answer.status == TYPES[name]
    assert dict(answer.headers) == headers


def test_an_error_no_client_can_act_on_has_no_answer_of_its_own() -> None:
    """A record that does not open is our trouble; the router makes it a 500 and reports it."""
    assert problems.of(SealBroken("…")) is None


def test_every_fault_is_listed_with_path_and_sentence_up_to_a_hundred() -> None:
    faults = [Problem(f"events[{index}].user", "is missing") for index in range(150)]
    answer = problems.of(Refused(*faults))
    assert answer is not None
    assert body_of(answer)["errors"] == [
        {"path": f"events[{index}].user", "sentence": "is missing"} for index in range(100)
    ]


@pytest.mark.parametrize("status", sorted({400, 413, 429, 431, 503}))
def test_what_never_became_a_request_is_answered_like_everything_else(status: int) -> None:
    answer = problems.refusal(status, "why")
    assert answer.status == status
    assert body_of(answer)["status"] == status
    assert body_of(answer)["detail"] == "why"
    assert (b"retry-after" in dict(answer.headers)) == (status in (429, 503))


def test_every_status_has_a_phrase() -> None:
    assert {status for status, _ in problems.TYPES.values()} <= {status.value for status in HTTPStatus}
