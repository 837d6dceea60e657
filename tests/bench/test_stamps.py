"""Which arrival belongs to which event."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stamps import Arrivals, delays

MS = 1_000_000


@pytest.fixture
def noted(tmp_path: Path) -> Path:
    path = tmp_path / "stamps"
    path.write_bytes(b"a 1\n")
    return path


def test_only_what_comes_from_now_on_is_read(noted: Path) -> None:
    arrivals = Arrivals(noted)
    assert not arrivals.read()
    with noted.open("ab") as file:
        file.write(b"a 5\nb 6\n")
    assert arrivals.read()
    assert arrivals.by_token == {"a": [5], "b": [6]}
    assert arrivals.count == 2


def test_half_a_line_waits_for_its_other_half(noted: Path) -> None:
    arrivals = Arrivals(noted)
    for half in (b"a 5\nb", b" 6", b"7\n"):
        with noted.open("ab") as file:
            file.write(half)
        arrivals.read()
    assert arrivals.by_token == {"a": [5], "b": [67]}


def test_waiting_ends_with_the_last_line_expected(noted: Path) -> None:
    arrivals = Arrivals(noted)
    with noted.open("ab") as file:
        file.write(b"a 5\na 6\n")
    arrivals.wait(2)
    assert arrivals.count == 2


def arrived(noted: Path, **by_token: list[int]) -> Arrivals:
    arrivals = Arrivals(noted)
    arrivals.by_token = by_token
    return arrivals


def test_an_event_ends_with_the_first_arrival_since(noted: Path) -> None:
    """Two that share a wakeup end with it both; one without an arrival is missing."""
    arrivals = arrived(noted, a=[2 * MS, 30 * MS], b=[MS])
    tokens, instants = ["a", "a", "a", "b", "c", "a"], [0, 10 * MS, 20 * MS, 2 * MS, 0, 31 * MS]
    assert delays(arrivals, tokens, instants) == ([2.0, 20.0, 10.0], 3)


@given(instants=st.lists(st.integers(0, 1000), unique=True).map(sorted), instant=st.integers(-1, 1001))
def test_the_first_since_is_the_earliest_not_before(instants: list[int], instant: int) -> None:
    arrivals = Arrivals(Path("/dev/null"))
    arrivals.by_token = {"a": instants}
    assert arrivals.first_after("a", instant) == min((at for at in instants if at >= instant), default=None)
