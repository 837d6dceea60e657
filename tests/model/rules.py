"""Rest documents, judged one instant at a time, from the norm (schedules/README.md) and not from the code.

Nothing here knows `schedules`. From which wall time until which a window rests, the second evaluator says
(tests/schedules/second_evaluator.py); which instants those are, walls.py. Whether there is rest at an instant is asked
rule by rule; what comes next, of one edge after the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any, Final

from relay.core.events import EventClass
from tests.model.walls import DAY, closes, opens
from tests.schedules.second_evaluator import in_labels, kind_of

MARGIN: Final = 10
"""Seconds before a rest in which nothing may leave any more."""
HORIZON: Final = 400 * DAY
"""A rest that does not end within this is without end."""
STRETCH: Final = 8 * DAY
"""Edges are laid out for so long at a time, and remembered."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A window or an override, as the document writes it."""

    zone: str
    text: str
    kind: str
    """What its rest is for (`off` for an override); empty: reachable."""
    classes: frozenset[str] | None

    def counts_for(self, event_class: EventClass) -> bool:
        """R14."""
        return self.kind not in event_class.through and (self.classes is None or event_class.name in self.classes)

    def holds(self, second: int) -> bool:
        return any(start <= second < end for start, end in _spans(self, second // STRETCH))


@dataclass(frozen=True, slots=True)
class Rest:
    """The rules that count for somebody."""

    rules: tuple[Rule, ...] = ()

    def rests(self, instant: float) -> bool:
        """R7: some rule says so, and none says reachable."""
        kinds = self.reasons(instant)
        return bool(kinds) and "" not in kinds

    def reasons(self, instant: float) -> set[str]:
        """The kinds of the rules that hold."""
        second = int(instant // 1)
        return {rule.kind for rule in self.rules if rule.holds(second)}

    def changes(self, after: float, until: float) -> list[int]:
        """Instants in (after, until] at which the state may change."""
        stretches = range(int(after // STRETCH), int(until // STRETCH) + 1)
        spans = (span for stretch in stretches for rule in self.rules for span in _spans(rule, stretch))
        return sorted({edge for span in spans for edge in span if after < edge <= until})

    def next_rest(self, instant: float) -> float | None:
        """Start of the next rest after an instant at which one is reachable."""
        return _next(self, int(instant // 1), resting=True)

    def release(self, instant: float) -> float | None:
        """The first reachable instant from this one on; None for a rest without end."""
        return _next(self, int(instant // 1), resting=False) if self.rests(instant) else instant

    def passes(self, instant: float) -> bool:
        """Whether an ordinary wakeup may leave: reachable, and for long enough."""
        return not self.rests(instant) and not any(self.rests(e) for e in self.changes(instant, instant + MARGIN))

    def first_pass(self, start: float, end: float) -> float | None:
        """The first instant in [start, end] at which an ordinary wakeup may leave."""
        return start if self.passes(start) else next((float(t) for t in self.ahead(start, end) if self.passes(t)), None)

    def is_endless(self, instant: float) -> bool:
        """Whether no such instant is known."""
        return not self.passes(instant) and _never_passes(self, int(instant // 1))

    def ahead(self, after: float, until: float) -> Iterator[int]:
        """The same as `changes`, laid out as far as somebody looks."""
        while after < until:
            near = min(after + STRETCH, until)
            yield from self.changes(after, near)
            after = near


NO_REST: Final = Rest()


class Rules:
    """A document. Without one: that of somebody who has said nothing."""

    def __init__(self, document: Mapping[str, Any] | None = None) -> None:
        self.document = document or {}
        zone = self.document.get("timezone", "UTC")
        entries = [*self.document.get("windows", ()), *self.document.get("overrides", ())]
        self._rules = tuple(_rule(zone, entry) for entry in entries)
        self.wakes: dict[str, str] = {name: device["wake"] for name, device in self.document.get("devices", {}).items()}
        self._seen: dict[str, Rest] = {}

    def seen_by(self, event_class: EventClass) -> Rest:
        """The rest that a class must keep to."""
        if event_class.pierces:
            return NO_REST
        rest = self._seen.get(event_class.name)
        if rest is None:
            rest = self._seen[event_class.name] = Rest(tuple(r for r in self._rules if r.counts_for(event_class)))
        return rest

    @cached_property
    def whole(self) -> Rest:
        """All rules at once, for their edges."""
        return Rest(self._rules)


NONE: Final = Rules()


def _rule(zone: str, entry: Mapping[str, Any]) -> Rule:
    classes = frozenset(entry["classes"]) if "classes" in entry else None
    return Rule(zone, json.dumps(entry), kind_of(entry), classes)


@lru_cache(maxsize=50_000)
def _spans(rule: Rule, stretch: int) -> tuple[tuple[int, int], ...]:
    """From when until when a rule holds, as far as it touches a stretch of time; perhaps more, beside it."""
    entry = json.loads(rule.text)
    if entry["kind"] in ("once", "rest", "reachable"):
        return ((_instant(rule.zone, entry, "start"), _instant(rule.zone, entry, "end")),)
    began, over = stretch * STRETCH, (stretch + 1) * STRETCH
    walls = in_labels(entry, began // DAY - 1, over // DAY + 1)
    spans = [(opens(rule.zone, 60 * start), closes(rule.zone, 60 * end)) for start, end in walls]
    return tuple((start, end) for start, end in spans if start < end and end >= began and start <= over)


def _instant(zone: str, entry: Mapping[str, str], name: str) -> int:
    """R6."""
    time = datetime.fromisoformat(entry[name])
    if time.tzinfo is not None:
        return int(time.timestamp())
    wall = int(datetime.fromisoformat(f"{entry[name]}Z").timestamp())
    return opens(zone, wall) if name == "start" else closes(zone, wall)


@lru_cache(maxsize=10_000)
def _next(rest: Rest, second: int, *, resting: bool) -> int | None:
    """The first edge after an instant at which the state is this; None when there is none in sight."""
    return next((edge for edge in rest.ahead(second, second + HORIZON - 1) if rest.rests(edge) is resting), None)


@lru_cache(maxsize=10_000)
def _never_passes(rest: Rest, second: int) -> bool:
    return not any(rest.passes(edge) for edge in rest.ahead(second, second + HORIZON - 1))
