"""A rhythm by the names its owner gave: which shift a day has. Parsed rules know times only (`schedules/cycle.py`).

Days count from 1970-01-01. Windows are as they stand in a document that `parse` has accepted; a date in one is a day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import cast

from schedules.windows import FREE

Entry = Mapping[str, object]

_EPOCH = date(1970, 1, 1)


def day_of(text: str) -> int:
    """The day of an ISO date."""
    return (date.fromisoformat(text) - _EPOCH).days


def date_of(day: int) -> date:
    return _EPOCH + timedelta(days=day)


def cycles(document: Entry) -> Iterator[tuple[int, Entry]]:
    """(index, window) of the rhythms of a document."""
    for index, window in enumerate(entries(document, "windows")):
        if window.get("kind") == "cycle":
            yield index, window


def entries(document: Entry, name: str) -> Sequence[Entry]:
    """The windows or overrides of a document."""
    return cast("Sequence[Entry]", document.get(name, ()))


def swaps(window: Entry) -> dict[int, str]:
    """Day → what is done instead."""
    listed = cast("Sequence[Mapping[str, str]]", window.get("swaps", ()))
    return {day_of(swap["date"]): swap["shift"] for swap in listed}


def planned(window: Entry, day: int) -> str:
    """The shift that the row has for a day, `-` where it is free; swaps and bounds aside."""
    row = cast("Sequence[str]", window["days"])
    return row[(day - day_of(str(window["anchor"]))) % len(row)]


def is_bound(window: Entry, day: int) -> bool:
    """Whether the day lies within the dates from which and until which the rhythm holds."""
    first, last = window.get("from"), window.get("to")
    return (first is None or day_of(str(first)) <= day) and (last is None or day <= day_of(str(last)))


def days_ahead(window: Entry, first: int, number: int) -> list[int]:
    """The days among these on which the rhythm holds; a swap on any other would mean nothing."""
    return [day for day in range(first, first + number) if is_bound(window, day)]


def on(window: Entry, day: int) -> str:
    """The shift of a day, swaps counted; `-` where it is free or the rhythm does not hold."""
    return swaps(window).get(day, planned(window, day)) if is_bound(window, day) else FREE


def duties(window: Entry, first: int, last: int) -> Iterator[tuple[str, int, int]]:
    """(shift, start, end) of the duties that begin on these days, in wall times (seconds)."""
    shifts = cast("Mapping[str, Mapping[str, str]]", window["shifts"])
    swapped = swaps(window)
    for day in range(first, last + 1):
        name = swapped.get(day, planned(window, day)) if is_bound(window, day) else FREE
        if name != FREE:
            start, end = (_minutes(shifts[name][edge]) for edge in ("start", "end"))
            length = end - start if end > start else end - start + 1440
            yield name, day * 86_400 + start * 60, day * 86_400 + (start + length) * 60


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])
