"""From one rest document to the next: every edit that the officer's page makes, as a function of values.

The law. An edit changes what it names and nothing else: other rules keep their text, their order and their odd members,
so that what came by the API survives a visit to the page. The document given is never changed. Nothing is checked here
but addresses; whether the result can be used, `parse` says when it is saved.

A rule is addressed by its list and index, as in the paths of reasons and faults, together with the version of the
document it was read in. When somebody else has saved in between, the index alone could name another rule; `followed`
finds the rule again by the marks of all rules of the list that the form was made from, and never takes for it one
that was there before under another number.

Rejected: ids given to every rule (the document is the officer's text; an id that only our page needs would stand in
every export), and patches (RFC 6902): they address by index as well, and know no "the same rule, changed".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from schedules.web import shifts
from schedules.web.shifts import Entry

Document = dict[str, object]
List = Literal["windows", "overrides"]

RECURRING: Final = frozenset({"weekly", "cron", "cycle", "holidays"})
"""Kinds of windows that a preset takes the place of."""
_MARK: Final = 12
"""Characters of a rule's mark: 48 bits, for at most 50 rules."""
_SWAPS_KEPT: Final = 4
"""Days that a swap is kept after its own: until no rest that it shapes can still be going on (`cycle._REACH`)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a rule stands."""

    where: List
    index: int

    @property
    def path(self) -> str:
        return f"{self.where}[{self.index}]"


class NoSuchRuleError(LookupError):
    """There is no rule at this place."""


def rule(document: Entry, place: Place) -> Entry:
    """Raises NoSuchRuleError."""
    listed = shifts.entries(document, place.where)
    if not 0 <= place.index < len(listed):
        raise NoSuchRuleError(place.path)
    return listed[place.index]


def added(document: Entry, where: List, entries: Sequence[Entry]) -> Document:
    """With these rules at the end of a list."""
    return {**document, where: [*shifts.entries(document, where), *entries]}


def replaced(document: Entry, place: Place, entries: Sequence[Entry]) -> Document:
    """With these rules, mostly one, in the place of one. Raises NoSuchRuleError."""
    rule(document, place)
    listed = shifts.entries(document, place.where)
    return {**document, place.where: [*listed[: place.index], *entries, *listed[place.index + 1 :]]}


def removed(document: Entry, place: Place) -> Document:
    """Without a rule. Raises NoSuchRuleError."""
    return replaced(document, place, ())


def with_preset(document: Entry, windows: Sequence[Entry], *, replaces: bool) -> Document:
    """With the windows of a preset, after the others or instead of those that recur.

    Leave and other times that come once, overrides and devices stay in either case.
    """
    listed = shifts.entries(document, "windows")
    kept = [window for window in listed if not (replaces and window["kind"] in RECURRING)]
    return {**document, "windows": [*windows, *kept] if replaces else [*kept, *windows]}


def with_shift(document: Entry, index: int, day: int, shift: str, today: int) -> Document:
    """With another shift (`-`: free) on a day of the rhythm `windows[index]`; the planned one again ends a swap.

    Days since 1970. Swaps that no rest depends on any more are dropped (L3, no history). Raises NoSuchRuleError when
    there is no rhythm.
    """
    place = Place("windows", index)
    window = rule(document, place)
    if window.get("kind") != "cycle":
        raise NoSuchRuleError(place.path)
    return replaced(document, place, [swapped(window, {day: shift}, today)])


def swapped(window: Entry, shifts_by_day: Mapping[int, str], today: int) -> Document:
    """A rhythm with other shifts on some days."""
    listed = {**shifts.swaps(window), **shifts_by_day}
    swaps = [
        {"date": shifts.date_of(day).isoformat(), "shift": shift}
        for day, shift in sorted(listed.items())
        if day >= today - _SWAPS_KEPT and shift != shifts.planned(window, day)
    ]
    if not swaps:
        return {name: value for name, value in window.items() if name != "swaps"}
    return {**window, "swaps": swaps}


# --- a rule that is looked for in another version


def mark(entry: Entry) -> str:
    """A short text that only this rule has; it says nothing of what stands in it."""
    written = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(written.encode(), digest_size=_MARK // 2).hexdigest()


def marks(document: Entry, where: List) -> tuple[str, ...]:
    """The marks of a list's rules, in order."""
    return tuple(mark(entry) for entry in shifts.entries(document, where))


def followed(document: Entry, place: Place, before: Sequence[str]) -> Place | None:
    """Where the rule stands now that stood at `place` when the list had these marks; None when it is not there.

    Unchanged it is known by its mark. Changed it is known by its place, if the list has as many rules as before and the
    one that stands there is new.
    """
    now = marks(document, place.where)
    if not 0 <= place.index < len(before):
        return None
    own = before[place.index]
    if own in now:
        same = [index for index, one in enumerate(now) if one == own]
        return Place(place.where, min(same, key=lambda index: abs(index - place.index)))
    if len(now) == len(before) and now[place.index] not in before:
        return place
    return None
