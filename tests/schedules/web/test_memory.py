"""Undo remembers one step of a session, for ten minutes, and as long as nothing else was saved."""

from __future__ import annotations

import gc
from types import FunctionType, ModuleType

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


def test_what_is_too_old_is_thrown_away() -> None:
    kept = Memory()
    kept.keep(ANNA, step())
    kept.keep(BERT, step(NOON + 1))
    kept.sweep(NOON + KEPT - 0.001)
    assert len(kept) == 2
    kept.sweep(NOON + KEPT)
    assert len(kept) == 1
    assert kept.last(BERT, 3, NOON + KEPT) is not None
    kept.sweep(NOON + KEPT + 1)
    assert len(kept) == 0


def test_a_session_that_goes_on_does_not_keep_others_from_being_thrown_away() -> None:
    kept = Memory()
    kept.keep(ANNA, step())
    kept.keep(BERT, step(NOON + 1))
    kept.keep(ANNA, step(NOON + 500))
    kept.sweep(NOON + KEPT + 1)
    assert kept.last(ANNA, 3, NOON + KEPT + 1) is not None
    assert len(kept) == 1


def test_a_document_can_be_read_with_its_session_only() -> None:
    """Who has deleted everything in another session has put it out of reach."""
    kept = Memory()
    before = {"windows": [{"label": "canary ü"}], "overrides": []}
    kept.keep(ANNA, Step(NOON, before, 3, False))
    assert b"canary" not in _everything(kept)
    found = kept.last(ANNA, 3, NOON)
    assert found is not None
    assert found.before == before
    kept.keep(ANNA, Step(NOON, None, 4, True))
    found = kept.last(ANNA, 4, NOON)
    assert found == Step(NOON, None, 4, True)


def _everything(root: object) -> bytes:
    """What can be reached from here, as text."""
    seen: dict[int, object] = {}
    ahead = [root]
    while ahead:
        each = ahead.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType | FunctionType):
            seen[id(each)] = each
            ahead += gc.get_referents(each)
    texts = [each for each in seen.values() if isinstance(each, str | bytes)]
    return b"\n".join(each if isinstance(each, bytes) else each.encode() for each in texts)


def test_it_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MOST", 2)
    kept = Memory()
    for number in range(4):
        kept.keep(Secret(f"me.{number}"), step(NOON + number))
    assert len(kept) == 2
    assert kept.last(Secret("me.3"), 3, NOON + 3) is not None
    assert kept.last(Secret("me.0"), 3, NOON + 3) is None


def test_nothing_of_anybody_is_printed() -> None:
    kept = Memory()
    kept.keep(ANNA, Step(NOON, {"windows": [{"label": "canary"}]}, 3, False))
    assert "canary" not in repr(kept) + repr(kept.last(ANNA, 3, NOON))
    assert "anna" not in repr(ANNA)
