"""How long the longest wait lasts: counted from the oldest notice that is pending, whatever else its slot is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relay.store import rows
from relay.store.figures import longest_wait
from tests.relay.store.batches import NOW, a_slot


def waits(*since: float) -> list[bytes]:
    return [rows.slot(replace(a_slot(), first_at=NOW - seconds)) for seconds in since]


@pytest.mark.parametrize(
    ("slots", "expected"),
    [
        ([], None),
        (waits(5.0), 5.0),
        (waits(5.0, 70.5, 0.0), 70.5),
        (waits(-60.0), 0.0),
        ([rows.slot(replace(a_slot(), first_at=0.0, total=3, booked=3)), *waits(1.0)], 1.0),
        ([rows.slot(replace(a_slot(), first_at=0.0, total=0, booked=0))], None),
    ],
    ids=["nothing", "one", "the longest", "of the future", "booked already", "an echo"],
)
def test_the_longest_wait(slots: list[bytes], expected: float | None) -> None:
    assert longest_wait(slots, NOW) == expected
