"""A second evaluator of rest documents, written from the rules and not from the code.

It knows nothing of schedules/: the zones come from `whenever`, the cron matcher is its own, and time is a row of
minutes. Each minute carries the label that the wall clock shows; R3 and R4 are then no arithmetic but a search: a rest
opens at the first minute whose label is X, closes at the last one, and where no minute has the label, at the first one
that reads later. Rest is painted minute by minute. Slow and plain; good for whole-minute documents within one row.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

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


def paint(document: Document, labels: Row) -> Painted:
    """R7: the windows and rests, then the reachable times wiped out."""
    spans = list(_occurrences(document, labels))
    rest = bytearray(len(labels.labels))
    for _, rests, start, end in sorted(spans, key=lambda span: not span[1]):
        if start < end:
            rest[max(start, 0) : max(end, 0)] = bytes([rests]) * (max(end, 0) - max(start, 0))
    return Painted(labels, rest, spans)


def empty_spans(document: Document, labels: Row) -> set[str]:
    """Paths of the one-off windows and overrides that a document must not hold: they end before they begin (R6)."""
    return {
        f"{path}.end"
        for path, entry in _entries(document)
        if entry["kind"] != "cron" and _edge(labels, entry, "start") >= _edge(labels, entry, "end")
    }


def _occurrences(document: Document, labels: Row) -> Iterator[tuple[str, bool, int, int]]:
    for path, entry in _entries(document):
        if entry["kind"] != "cron":
            yield path, entry["kind"] != "reachable", _edge(labels, entry, "start"), _edge(labels, entry, "end")
            continue
        expression, length = str(entry["start"]), int(str(entry["duration_minutes"]))
        minute, hour = expression.split()[:2]
        # From before the row, where a long window may have begun, to its end.
        for day in range(labels.labels[0] // _DAY - length // _DAY - 2, labels.labels[-1] // _DAY + 1):
            if starts_on(expression, _EPOCH.add(days=day)):
                start = day * _DAY + int(hour) * 60 + int(minute)
                yield path, True, labels.opens(start), labels.closes(start + length)


def _entries(document: Document) -> Iterator[tuple[str, Mapping[str, object]]]:
    for name in ("windows", "overrides"):
        entries = document[name]
        assert isinstance(entries, list)
        for index, entry in enumerate(entries):
            yield f"{name}[{index}]", entry


def _edge(labels: Row, entry: Mapping[str, object], name: str) -> int:
    text = str(entry[name])
    if text.endswith("Z") or text[-6] in "+-":
        return whenever.OffsetDateTime.parse_iso(text).timestamp() // 60 - labels.first
    label = whenever.PlainDateTime.parse_iso(text).assume_utc().timestamp() // 60
    return labels.opens(label) if name == "start" else labels.closes(label)
