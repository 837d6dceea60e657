"""Undo remembers one step of a session, for ten minutes, and as long as nothing else was saved."""

from __future__ import annotations

import pytest

from schedules.web import memory
from schedules.web.memory import KEPT, Memory, Step
from schedules.web.port import Secret

ANNA, BERT = Secret("me.anna"), Secret("me.bert")
NOON = 1_795_000_000.0


def step(at: float = NOON, version: int | None = 3) -> Step:
    return Step(at, {"windows": []}, version, False)


def test_a_step_is_known_to_its_session_only() -> None:
    kept = Memory()
    kept.keep(ANNA, step())
    assert kept.last(ANNA, 3, NOON) == step()
    assert kept.last(BERT, 3, NOON) is None


def test_it_is_known_while_the_document_is_as_it_left_it() -> None:
    kept = Memory()
    kept.keep(ANNA, step())
    assert kept.last(ANNA, 4, NOON) is None
    assert kept.last(ANNA, None, NOON) is None
    kept.keep(ANNA, step(version=None))
    assert kept.last(ANNA, None, NOON) is not None


def test_it_is_known_for_ten_minutes() -> None:
    kept = Memory()
    kept.keep(ANNA, step())
    assert kept.last(ANNA, 3, NOON + KEPT - 0.001) is not None
    assert kept.last(ANNA, 3, NOON + KEPT) is None


def test_it_ends_with_the_session() -> None:
    kept = Memory()
    kept.keep(ANNA, step())
    kept.forget(ANNA)
    kept.forget(BERT)
    assert kept.last(ANNA, 3, NOON) is None


def test_what_is_too_old_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Memory()
    kept.keep(ANNA, step())
    kept.keep(BERT, step(NOON + KEPT))
    assert repr(kept) == "<Memory: 1 steps>"


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST", 2)
    kept = Memory()
    for number in range(4):
        kept.keep(Secret(f"me.{number}"), step(NOON + number))
    assert repr(kept) == "<Memory: 2 steps>"
    assert kept.last(Secret("me.3"), 3, NOON + 3) is not None
    assert kept.last(Secret("me.0"), 3, NOON + 3) is None


def test_nothing_of_anybody_is_printed() -> None:
    kept = Memory()
    kept.keep(ANNA, Step(NOON, {"windows": [{"label": "canary"}]}, 3, False))
    assert "canary" not in repr(kept) + repr(kept.last(ANNA, 3, NOON))
    assert "anna" not in repr(ANNA)
