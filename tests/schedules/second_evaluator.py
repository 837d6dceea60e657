"""A second evaluator of rest documents, written from the rules and not from the code.

It knows nothing of schedules/: the zones come from `whenever`, the cron matcher is its own, and time is a row of
minutes. Each minute carries the label that the wall clock shows; R3 and R4 are then no arithmetic but a search: a rest
opens at the first minute whose label is X, closes at the last one, and where no minute has the label, at the first one
that reads later. Rest is painted minute by minute; of a cycle the duties are painted, and rest is what stays blank.
Holidays are those of the package `holidays`. Slow and plain; good for whole-minute documents within one row.
"""

from __future__ import annotations

from array import array
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib import resources
from typing import Any

import holidays
import whenever

Document = Mapping[str, object]

# Both evaluators must read the same edition of the zone data: the wheel's, not the machine's.
with resources.as_file(resources.files("tzdata") / "zoneinfo") as _wheel:
    whenever.reset_tzpath([_wheel])
whenever.clear_tzcache()

_EPOCH = whenever.Date(1970, 1, 1)
_DAY = 1440


@dataclass(frozen=True, slots=True)
class Answer:
    """UTC seconds; None also when the row of minutes ends before the answer."""

    resting: bool
    until: int | None
    next_start: int | None
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """The labels of consecutive minutes in one zone. Minutes and labels count from 1970-01-01T00:00."""

    first: int
    labels: Sequence[int]
    earliest: Mapping[int, int]
    latest: Mapping[int, int]

    def opens(self, label: int) -> int:
        """Index of the minute in which a rest from `label` on begins."""
        return self.earliest[label] if label in self.earliest else self._later(label)

    def closes(self, label: int) -> int:
        """Index of the first minute after a rest until `label`."""
        return self.latest[label] if label in self.latest else self._later(label)

    def _later(self, label: int) -> int:
        return next((i for i, shown in enumerate(self.labels) if shown > label), len(self.labels))


@lru_cache(maxsize=2)
def row(zone: str, first: int, count: int) -> Row:
    """`count` minutes of a zone from the minute `first` on."""
    labels = array("q", [shown(zone, minute * 60) // 60 for minute in range(first, first + count)])
    latest = {label: index for index, label in enumerate(labels)}
    earliest = {label: len(labels) - 1 - index for index, label in enumerate(reversed(labels))}
    return Row(first, labels, earliest, latest)


def shown(zone: str, second: int) -> int:
    """What the wall clock of a zone shows at an instant, as seconds since 1970-01-01T00:00."""
    return int(whenever.Instant.from_timestamp(second).to_tz(zone).to_plain().assume_utc().timestamp())


def starts_on(expression: str, day: whenever.Date) -> bool:
    """Whether a cron expression of five fields has a start on the day."""
    _, _, days, months, weekdays = expression.split()
    if not _names(months, day.month, 12):
        return False
    day_fits = _names(days, day.day, 31)
    weekday = day.day_of_week().value
    weekday_fits = _names(weekdays, weekday, 7) or (weekday == 7 and _names(weekdays, 0, 7))
    if days != "*" and weekdays != "*":
        return day_fits or weekday_fits
    return day_fits and weekday_fits


def _names(field: str, value: int, top: int) -> bool:
    for part in field.split(","):
        if part == "*":
            return True
        low, _, high = part.partition("-")
        if not high:
            found = int(low) == value
        elif int(low) <= int(high):
            found = int(low) <= value <= int(high)
        else:
            found = int(low) <= value <= top or value <= int(high)
        if found:
            return True
    return False


@dataclass(frozen=True, slots=True)
class Painted:
    """A document on a row of minutes."""

    row: Row
    rest: bytearray
    spans: Sequence[tuple[str, bool, int, int]]
    """Path, whether it is rest, first index, index after the last."""

    def at(self, second: int) -> Answer:
        index = second // 60 - self.row.first
        here = {path: rests for path, rests, start, end in self.spans if start <= index < end}
        opened = tuple(path for path, rests in here.items() if not rests)
        reasons = opened or tuple(here)
        if self.rest[index]:
            return Answer(True, self._instant(self.rest.find(0, index)), None, reasons)
        return Answer(False, None, self._instant(self.rest.find(1, index)), reasons)

    def _instant(self, index: int) -> int | None:
        return None if index < 0 else (self.row.first + index) * 60


def paint(document: Document, labels: Row, pierced: frozenset[str] = frozenset(), event_class: str = "") -> Painted:
    """R7: the windows and rests, then the reachable times wiped out; as a class sees it that pierces some kinds."""
    seen = [
        (path, entry)
        for path, entry in _entries(document)
        if kind_of(entry) not in pierced and event_class in _listed(entry.get("classes", [event_class]))
    ]
    spans = [span for path, entry in seen for span in _occurrences(path, entry, labels)]
    rest = bytearray(len(labels.labels))
    for _, rests, start, end in sorted(spans, key=lambda span: not span[1]):
        if start < end:
            rest[max(start, 0) : max(end, 0)] = bytes([rests]) * (max(end, 0) - max(start, 0))
    return Painted(labels, rest, spans)


_KINDS = {"weekly": "night", "cron": "night", "cycle": "free", "holidays": "free", "once": "leave", "dates": "leave"}


def kind_of(entry: Mapping[str, object]) -> str:
    """What a rule's rest is for; empty for a time of being reachable."""
    if entry["kind"] == "reachable":
        return ""
    return "off" if entry["kind"] == "rest" else str(entry.get("rest", _KINDS[str(entry["kind"])]))


def empty_spans(document: Document, labels: Row) -> set[str]:
    """Paths of the one-off windows and overrides that a document must not hold: they end before they begin (R6)."""
    return {
        f"{path}.end"
        for path, entry in _entries(document)
        if entry["kind"] in ("once", "rest", "reachable")
        and _edge(labels, entry, "start") >= _edge(labels, entry, "end")
    }


def _occurrences(path: str, entry: Mapping[str, object], labels: Row) -> Iterator[tuple[str, bool, int, int]]:
    kind = str(entry["kind"])
    if kind in _IN_LABELS:
        for start, end in in_labels(entry, labels.labels[0] // _DAY, labels.labels[-1] // _DAY):
            yield path, True, labels.opens(start), labels.closes(end)
    else:
        yield path, kind != "reachable", _edge(labels, entry, "start"), _edge(labels, entry, "end")


def in_labels(entry: Mapping[str, object], first: int, last: int) -> Iterator[tuple[int, int]]:
    """From which label until which a window rests, as far as it touches these days; a cycle is cut beside them."""
    return _IN_LABELS[str(entry["kind"])](entry, first, last)


def _cron(entry: Mapping[str, object], first: int, last: int) -> Iterator[tuple[int, int]]:
    expression, length = str(entry["start"]), int(str(entry["duration_minutes"]))
    minute, hour = expression.split()[:2]
    # From before the row, where a long window may have begun, to its end.
    for day in range(first - length // _DAY - 2, last + 1):
        if starts_on(expression, _EPOCH.add(days=day)):
            start = day * _DAY + int(hour) * 60 + int(minute)
            yield start, start + length


def _weekly(entry: Mapping[str, object], first: int, last: int) -> Iterator[tuple[int, int]]:
    weekdays = _listed(entry.get("days", [1, 2, 3, 4, 5, 6, 7]))
    for day in range(first - 2, last + 1):
        if _EPOCH.add(days=day).day_of_week().value in weekdays:
            yield _from_clock_to_clock(day, entry)


def _on_holidays(entry: Mapping[str, object], first: int, last: int) -> Iterator[tuple[int, int]]:
    calendar = _calendar(str(entry["land"]))
    for day in range(first - 2, last + 1):
        if _EPOCH.add(days=day).to_stdlib() in calendar:
            yield _from_clock_to_clock(day, {"start": "00:00", "end": "24:00", **entry})


@lru_cache
def _calendar(land: str) -> Container[date]:
    return holidays.country_holidays("DE", subdiv=land)


def _from_clock_to_clock(day: int, entry: Mapping[str, object]) -> tuple[int, int]:
    """The next time the wall clock reads the end."""
    start, end = (int(str(entry[name])[:2]) * 60 + int(str(entry[name])[3:]) for name in ("start", "end"))
    return day * _DAY + start, (day + (end <= start)) * _DAY + end


def _dates(entry: Mapping[str, object], _first: int, _last: int) -> Iterator[tuple[int, int]]:
    yield _date(entry["from"]) * _DAY, (_date(entry["to"]) + 1) * _DAY


def _date(text: object) -> int:
    return whenever.Date.parse_iso(str(text)).to_stdlib().toordinal() - _EPOCH.to_stdlib().toordinal()


def _cycle(entry: Mapping[str, object], first: int, last: int) -> Iterator[tuple[int, int]]:
    shifts, swaps = entry["shifts"], {_date(swap["date"]): swap["shift"] for swap in _listed(entry.get("swaps", []))}
    row, anchor = _listed(entry["days"]), _date(entry["anchor"])
    assert isinstance(shifts, Mapping)
    lead, lag = int(str(entry.get("lead_minutes", 0))), int(str(entry.get("lag_minutes", 0)))
    origin = (first - 5) * _DAY
    blank = bytearray((last - first + 11) * _DAY)
    holds = range(
        _date(entry["from"]) if "from" in entry else first - 5, (_date(entry["to"]) if "to" in entry else last + 5) + 1
    )
    for day in range(first - 5, last + 6):
        if day in holds:
            blank[day * _DAY - origin : (day + 1) * _DAY - origin] = b"1" * _DAY
    for day in range(first - 4, last + 5):
        name = swaps.get(day, row[(day - anchor) % len(row)])
        if day in holds and name != "-":
            start, end = _from_clock_to_clock(day, shifts[name])
            busy = range(len(blank))[max(0, start - lead - origin) : max(0, end + lag - origin)]
            blank[busy.start : busy.stop] = bytes(len(busy))
    position = 0
    while (start := blank.find(b"1", position)) >= 0:
        position = blank.find(0, start)
        position = len(blank) if position < 0 else position
        yield origin + start, origin + position


_IN_LABELS = {
    "cron": _cron, "weekly": _weekly, "holidays": _on_holidays, "dates": _dates, "cycle": _cycle,
}  # fmt: skip
"""Kind → its windows, as labels, on days near these."""


def _listed(value: object) -> list[Any]:
    assert isinstance(value, list)
    return value


def _entries(document: Document) -> Iterator[tuple[str, Mapping[str, object]]]:
    for name in ("windows", "overrides"):
        for index, entry in enumerate(_listed(document[name])):
            yield f"{name}[{index}]", entry


def _edge(labels: Row, entry: Mapping[str, object], name: str) -> int:
    text = str(entry[name])
    if text.endswith("Z") or text[-6] in "+-":
        return whenever.OffsetDateTime.parse_iso(text).timestamp() // 60 - labels.first
    label = whenever.PlainDateTime.parse_iso(text).assume_utc().timestamp() // 60
    return labels.opens(label) if name == "start" else labels.closes(label)
