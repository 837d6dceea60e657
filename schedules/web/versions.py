"""Two documents beside each other: where they begin to differ, in which rules, and what follows from it.

For the preview of an edit, and for the page that asks which of two versions shall hold. Rules are compared as they are
written, one by one; what both have is not told.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Final, NamedTuple

from schedules import compile_table, parse
from schedules.explain import phases
from schedules.table import DAY, FAR
from schedules.web.changes import mark
from schedules.web.shifts import Entry, entries

LOOK: Final = 35 * DAY
"""Seconds in which two versions are compared before it is said that they do not differ (R10)."""


class Part(NamedTuple):
    """Some words of a line, and whether the other version has others there."""

    text: str
    differs: bool


Line = tuple[Part, ...]


class Turn(NamedTuple):
    """What comes after the last instant at which two versions agree."""

    is_rest: bool
    """Whether rest begins at `at`, or ends."""
    at: int | None
    """UTC seconds; None: not within 400 days."""


def first_difference(one: Entry, other: Entry, now: float, ahead: int = FAR * DAY) -> int | None:
    """The first instant from `now` on at which one has rest and the other not; None: none within `ahead` seconds."""
    start = int(now // 1)
    edges = [_edges(document, start, start + ahead) for document in (one, other)]
    if edges[0][0] != edges[1][0]:
        return start
    return next((min(e for e in pair if e is not None) for pair in zip_longest(*edges) if pair[0] != pair[1]), None)


def _edges(document: Entry, start: int, end: int) -> list[int]:
    """The instants at which rest begins or ends; the first tells which: 0 for rest, 1 for none."""
    rules = parse(document)
    found = list(phases(compile_table(rules, start), start, end, rules))
    return [0 if found[0].resting else 1, *(phase.start for phase in found[1:])]


def turn(document: Entry, at: int) -> Turn:
    """What a version does next, from the second before `at` on."""
    rest = compile_table(parse(document), at - 1).at(at - 1)
    return Turn(not rest.resting, rest.until if rest.resting else rest.next_start)


def differing(one: Entry, other: Entry) -> tuple[list[Entry], list[Entry]]:
    """The rules of each that the other has not, in order."""
    return _beyond(one, other), _beyond(other, one)


def _beyond(document: Entry, other: Entry) -> list[Entry]:
    known = [mark(entry) for where in ("windows", "overrides") for entry in entries(other, where)]
    found = []
    for where in ("windows", "overrides"):
        for entry in entries(document, where):
            own = mark(entry)
            if own in known:
                known.remove(own)
            else:
                found.append(entry)
    return found


def lines(own: Sequence[Entry], others: Sequence[Entry], told: Callable[[Entry], str]) -> list[Line]:
    """Rules in words. What an edited rule says otherwise differs; of a rule that the other has not, all does."""
    by_kind = {str(entry["kind"]): told(entry) for entry in reversed(others)}
    return [_line(told(entry), by_kind.get(str(entry["kind"]), "")) for entry in own]


def _line(text: str, other: str) -> Line:
    words, others = text.split(" "), other.split(" ")
    parts = []
    for act, first, last, _, _ in SequenceMatcher(None, words, others, autojunk=False).get_opcodes():
        if first < last:
            parts.append(Part(" ".join(words[first:last]), act != "equal"))
    return tuple(parts)
