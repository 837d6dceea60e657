"""The officer's acts, "off duty now" and "reachable now": from a rest document to the one that takes its place.

The law. After an act the person is what the button says at every instant of [now, until), and at every other instant
of the last 24 hours and of the future what they were before. "Off duty" speaks to every class of events that pierces
nothing, "reachable" to all. A second touched by either edge belongs to the act: `now` is floored (R1), `until` rounded
up.

Theory of operation. The act is one new override. R7 is set algebra without an order, and reachable beats rest; so
being the last word is not enough, and the act also cuts [now, until) out of every override that says the opposite,
those for single classes too. What lies before and after stays, in up to two parts. "Reachable" would win without the
cut; it cuts all the same, so that no rest that was called off comes back when the new override is edited away.

Edges that are not cut keep their text: a wall time moves along with the rules of its zone (R6). Cuts are instants,
since in the hour that is repeated a wall time cannot say which of two it means.

Overrides that say the same for all classes, with the same label and no id, are one where they touch the new one. Thus
a hundred presses leave one override, and off duty, reachable, off duty leaves no scar. Overrides that ended more than
24 hours ago are dropped (L3, no history).

Rejected: priorities, or the time of each press with the last one winning: R7 would get an order, every second
evaluator would have to know it, and the document would be a diary of presses. Dropping what overlaps as a whole: a
break of an hour would end a week on call. Tidying overrides that do not touch the new one: they are their writer's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, cast

from schedules.intervals import Interval, merge
from schedules.reader import instant
from schedules.rules import parse
from schedules.table import DAY

KEPT: Final = DAY
"""Seconds that an override outlives its end (L3)."""

_WRITABLE: Final = (0, 253_402_300_799)
"""UTC seconds: 1970 to 9999. Farther years are written as these, and are refused like all but 2000 to 2199."""


def off_duty(document: Mapping[str, object], now: float, until: float, *, label: str = "") -> dict[str, object]:
    """The document with which the person rests from `now` to `until` (UTC seconds), whatever it said of that time.

    Raises ValueError unless both are finite and `until` is later. Raises RuleError when the document cannot be read,
    and when the new one could not: too many overrides, years outside 2000 to 2199, a label that is too long.
    """
    return _act(document, "rest", now, until, label)


def reachable(document: Mapping[str, object], now: float, until: float, *, label: str = "") -> dict[str, object]:
    """The document with which the person is reachable from `now` to `until`; otherwise like `off_duty`."""
    return _act(document, "reachable", now, until, label)


class Placed(NamedTuple):
    """An override as it is written, and its span in UTC seconds."""

    entry: Mapping[str, object]
    start: int
    end: int


def _act(document: Mapping[str, object], kind: str, now: float, until: float, label: str) -> dict[str, object]:
    if not -math.inf < now < until < math.inf:
        raise ValueError("until must be later than now, and both must be finite")
    act = math.floor(now), math.ceil(until)
    new: dict[str, object] = {"kind": kind, "start": written(act[0]), "end": written(act[1])}
    if label:
        new["label"] = label
    placed: list[Placed] = []
    for override in placed_overrides(document):
        if override.end < act[0] - KEPT:
            continue
        placed += [override] if override.entry["kind"] == kind else _outside(override, act)
    result = {**document, "overrides": _joined(new, act, placed)}
    parse(result)
    return result


def placed_overrides(document: Mapping[str, object]) -> list[Placed]:
    """Its overrides and where they lie, in their order. Raises RuleError."""
    rules = parse(document)
    zone = rules.zone
    # What is parsed without a fault is a list of objects, one for each of the rules.
    entries = cast("Sequence[Mapping[str, object]]", document.get("overrides", ()))
    return [
        Placed(entry, instant(rule.span.start, zone.opens), instant(rule.span.end, zone.closes))
        for entry, rule in zip(entries, rules.overrides, strict=True)
    ]


def _outside(override: Placed, act: Interval) -> list[Placed]:
    """What an act leaves of an override. An id names one thing: of two parts that which is still to come, for the one
    before an act is over."""
    entry, start, end = override
    first, last = act
    if end <= first or last <= start:
        return [override]
    parts: list[Placed] = []
    if start < first:
        before = {**entry, "end": written(first)}
        if last < end:
            before.pop("id", None)
        parts.append(Placed(before, start, first))
    if last < end:
        parts.append(Placed({**entry, "start": written(last)}, last, end))
    return parts


def _joined(new: Mapping[str, object], act: Interval, placed: Sequence[Placed]) -> list[Mapping[str, object]]:
    """The overrides with the new one, which takes in those that say the same and touch it, directly or in a row."""
    alike = [override for override in placed if _is_alike(override.entry, new)]
    spans = merge([act, *((override.start, override.end) for override in alike)])
    start, end = next(span for span in spans if span[0] <= act[0] < span[1])
    taken = [override for override in alike if start <= override.start < end]
    edges = {
        "start": next((o.entry["start"] for o in taken if o.start == start), new["start"]),
        "end": next((o.entry["end"] for o in taken if o.end == end), new["end"]),
    }
    return [*(override.entry for override in placed if override not in taken), {**new, **edges}]


def _is_alike(entry: Mapping[str, object], new: Mapping[str, object]) -> bool:
    return (
        entry["kind"] == new["kind"]
        and entry.get("label", "") == new.get("label", "")
        and not entry.keys() & {"id", "classes"}
    )


def written(second: int) -> str:
    """An instant (UTC seconds) as it stands in a document."""
    low, high = _WRITABLE
    return f"{datetime.fromtimestamp(min(max(second, low), high), UTC):%Y-%m-%dT%H:%M:%SZ}"
