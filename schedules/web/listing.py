"""The officer's rules as a list: what each is called, when it holds, how it is painted, and where it is edited.

Overrides that are over are not listed; the relay drops them a day later. Nor is the switch that turns everything off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from schedules.reader import Span, instant
from schedules.web import rosters, switch
from schedules.web.rule_words import Words
from schedules.web.shifts import Entry
from schedules.web.visit import Visit


@dataclass(frozen=True, slots=True, repr=False)
class Listed:
    """A rule in the list."""

    look: str
    """Its class in the style sheet, as the picture paints it."""
    name: str
    when: str
    edit: str
    """Path below the language; empty for what is not edited but deleted only."""
    delete: str
    is_over: bool = False
    was_pressed: bool = False
    """It is what "reachable now" has left, and no plan."""


def rules(visit: Visit) -> list[Listed]:
    """In the order of the document, windows first."""
    words = Words(visit.gettext, visit.dates)
    return [*_windows(visit, words), *_overrides(visit, words)]


def _entries(visit: Visit, part: str) -> Sequence[Entry]:
    return cast("Sequence[Entry]", visit.plan.document.get(part, ()))


def _windows(visit: Visit, words: Words) -> Iterator[Listed]:
    closes = visit.plan.rules.zone.closes
    for index, (entry, window) in enumerate(zip(_entries(visit, "windows"), visit.plan.rules.windows, strict=True)):
        is_cycle = entry["kind"] == "cycle"
        place = f"/rules/windows/{index}"
        edit = "/rhythm" if is_cycle and not rosters.is_import(entry) else "" if entry["kind"] == "cron" else place
        is_over = isinstance(window.times, Span) and instant(window.times.end, closes) <= visit.now
        yield Listed(
            "c" if is_cycle else "r", words.name(entry), words.times(entry), edit, f"{place}/delete", is_over
        )  # fmt: skip


def _overrides(visit: Visit, words: Words) -> Iterator[Listed]:
    closes = visit.plan.rules.zone.closes
    listed = zip(_entries(visit, "overrides"), visit.plan.rules.overrides, strict=True)
    for index, (entry, override) in enumerate(listed):
        if switch.is_switch(entry) or instant(override.span.end, closes) <= visit.now:
            continue
        pressed = switch.was_pressed(entry)
        name = visit.gettext("Reachable") if pressed else words.name(entry)
        when = words.times(entry)
        if override.classes is not None:
            when += ", " + visit.gettext("only for %(classes)s", classes=", ".join(sorted(override.classes)))
        place = f"/rules/overrides/{index}"
        yield Listed("r" if override.rests else "o", name, when, place, f"{place}/delete", False, pressed)
