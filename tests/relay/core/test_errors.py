"""Errors hold what their answer needs, and nothing that must not be said."""

from __future__ import annotations

import pytest

from relay.core import errors
from relay.core.errors import (
    DeviceLimitReached,
    IdempotencyMismatch,
    NotFound,
    Overloaded,
    Problem,
    Refused,
    RelayError,
    TooManyRecipients,
    Unavailable,
    VersionConflict,
)


def test_one_base_catches_all_that_the_relay_refuses() -> None:
    own = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, Exception)]
    assert len(own) > 8
    assert all(issubclass(error, RelayError) for error in own)
    assert not any(issubclass(error, (ValueError, OSError, LookupError)) for error in own)


def test_a_refusal_names_every_fault_with_its_place() -> None:
    refused = Refused(Problem("events[3].user", "is missing"), Problem("events[9].ttl", "must be a number"))
    assert [problem.path for problem in refused.problems] == ["events[3].user", "events[9].ttl"]
    assert str(refused) == "events[3].user: is missing; events[9].ttl: must be a number"


@pytest.mark.parametrize(
    ("error", "holds"),
    [
        (TooManyRecipients(25_000), {"limit": 25_000}),
        (VersionConflict(7), {"current": 7}),
        (VersionConflict(None), {"current": None}),
        (DeviceLimitReached(3), {"limit": 3}),
        (Overloaded(retry_after=1), {"retry_after": 1}),
        (Unavailable(retry_after=5), {"retry_after": 5}),
        (NotFound("no such device"), {}),
        (IdempotencyMismatch("used with another body"), {}),
    ],
)
def test_an_error_holds_the_figures_of_its_answer_and_a_sentence(error: RelayError, holds: dict[str, object]) -> None:
    assert vars(error) == holds
    assert str(error)
