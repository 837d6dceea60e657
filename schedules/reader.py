"""Reading a document's members: each value checked, each fault collected with its path, in English and German.

A reader never stops at the first fault, and never repeats a value: leave and shifts are personal. Methods return None
for what is missing or faulty, and the caller makes nothing of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, TypeVar

from schedules.errors import Problem, Text
from schedules.walltime import Zone, wall_of

T = TypeVar("T")

_CLOCK: Final = r"(?:[01]\d|2[0-3]):[0-5]\d"
_ISO: Final = re.compile(rf"(\d{{4}})-\d\d-\d\dT{_CLOCK}(?::[0-5]\d)?(?:Z|[+-]{_CLOCK})?", re.ASCII)
"""Narrow, because versions of Python differ in what else they read: 24:00, +01:99."""
_TIME: Final = re.compile(rf"{_CLOCK}|24:00", re.ASCII)
_DATE: Final = re.compile(r"(\d{4})-\d\d-\d\d", re.ASCII)
_YEARS: Final = (2000, 2199)
_LABEL: Final = 200
_EPOCH: Final = date(1970, 1, 1).toordinal()

_OBJECT: Final = Text("must be an object", "muss ein Objekt sein")
_UNKNOWN: Final = Text("is not known here; known are {known}", "ist hier nicht bekannt; bekannt sind {known}")
_MISSING: Final = Text("is missing", "fehlt")
_LIST: Final = Text("must be a list", "muss eine Liste sein")
_EMPTY: Final = Text("must not be empty", "darf nicht leer sein")
_MANY: Final = Text("has more than {most} entries", "hat mehr als {most} Einträge")
_ONE_OF: Final = Text("must be one of {known}", "muss eines von diesen sein: {known}")
_WORDS: Final = Text("must be a text of at most {most} characters", "muss ein Text von höchstens {most} Zeichen sein")
_NAME: Final = Text(
    "must have a name of at most {most} characters", "muss einen Namen von höchstens {most} Zeichen haben"
)
MOMENT: Final = Text(
    "must be a time like 2026-12-21T18:00, or with an offset like …+01:00 or …Z",
    "muss ein Zeitpunkt sein wie 2026-12-21T18:00, oder mit Abstand zu UTC wie …+01:00 oder …Z",
)
DAY: Final = Text("must be a date like 2026-12-21", "muss ein Datum sein wie 2026-12-21")
OCLOCK: Final = Text("must be a time of day like 22:00", "muss eine Uhrzeit sein wie 22:00")
_CALENDAR: Final = Text("is not a date that exists in the calendar", "ist kein Datum, das es im Kalender gibt")
_CENTURIES: Final = Text("must lie in the years {first} to {last}", "muss in den Jahren {first} bis {last} liegen")
_LATER: Final = Text("must be later than the start", "muss nach dem Beginn liegen")
_NOT_EARLIER: Final = Text("must not be earlier than the first day", "darf nicht vor dem ersten Tag liegen")
_WHOLE: Final = Text("must be a whole number from {low} to {high}", "muss eine ganze Zahl von {low} bis {high} sein")


@dataclass(frozen=True, slots=True)
class Edge:
    """A point in time: an instant, or a wall time of the document's zone. Seconds since 1970."""

    at: int
    is_wall: bool


@dataclass(frozen=True, slots=True)
class Span:
    """From one edge to another, once."""

    start: Edge
    end: Edge


def instant(edge: Edge, resolve: Callable[[int], int]) -> int:
    """The instant of an edge; `resolve` is `Zone.opens` or `Zone.closes`."""
    return resolve(edge.at) if edge.is_wall else edge.at


class Reader:
    """Collects faults while reading."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.zone: Zone | None = None

    def fault(self, path: str, text: Text, **values: object) -> None:
        self.problems.append(Problem.of(path, text.filled(**values) if values else text))

    def members(
        self, value: object, path: str, required: frozenset[str], optional: frozenset[str]
    ) -> Mapping[str, object]:
        """The value as an object with known members; faults for the rest."""
        if not isinstance(value, Mapping):
            self.fault(path or "document", _OBJECT)
            return {}
        prefix = f"{path}." if path else ""
        for name in value:
            if not isinstance(name, str) or name not in required | optional:
                known = ", ".join(sorted(required | optional))
                self.fault(f"{prefix}{_shown(name)}", _UNKNOWN, known=known)
        for name in sorted(required - value.keys()):
            self.fault(f"{prefix}{name}", _MISSING)
        return value

    def named(self, value: object, path: str, most: int) -> Iterator[tuple[str, str, object]]:
        """Members with names of the writer's choice: (path, name, value). Names are personal, so paths count them."""
        if not isinstance(value, Mapping):
            self.fault(path, _OBJECT)
        elif len(value) > most:
            self.fault(path, _MANY, most=most)
        else:
            for index, (name, entry) in enumerate(value.items()):
                if isinstance(name, str) and 1 <= len(name) <= _LABEL:
                    yield f"{path}[{index}]", name, entry
                else:
                    self.fault(f"{path}[{index}]", _NAME, most=_LABEL)

    def items(self, value: object, path: str, most: int, *, least: int = 0) -> Sequence[object]:
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            self.fault(path, _LIST)
            return ()
        if len(value) > most:
            self.fault(path, _MANY, most=most)
            return ()
        if len(value) < least:
            self.fault(path, _EMPTY)
        return value

    def one_of(self, value: object, path: str, table: Mapping[str, T]) -> T | None:
        found = table.get(value) if isinstance(value, str) else None
        if found is None:
            self.fault(path, _ONE_OF, known=", ".join(table))
        return found

    def kind(self, value: object, path: str, table: Mapping[str, T]) -> T | None:
        """The table's entry for the value's kind; None, and a fault, when it has none."""
        if not isinstance(value, Mapping):
            self.fault(path, _OBJECT)
            return None
        return self.one_of(value.get("kind"), f"{path}.kind", table)

    def words(self, value: object, path: str) -> str:
        if isinstance(value, str) and len(value) <= _LABEL:
            return value
        self.fault(path, _WORDS, most=_LABEL)
        return ""

    def whole(self, value: object, path: str, low: int, high: int) -> int | None:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.fault(path, _WHOLE, low=low, high=high)
        return None

    # --- time

    def clock(self, value: object, path: str) -> int | None:
        """A time of day, in minutes; 24:00 is the day's end."""
        if isinstance(value, str) and _TIME.fullmatch(value):
            return int(value[:2]) * 60 + int(value[3:])
        self.fault(path, OCLOCK)
        return None

    def day(self, value: object, path: str) -> int | None:
        """A date, as days since 1970."""
        match = _DATE.fullmatch(value) if isinstance(value, str) else None
        if match is None or not isinstance(value, str):
            self.fault(path, DAY)
            return None
        if not self._in_years(int(match[1]), path):
            return None
        try:
            return date.fromisoformat(value).toordinal() - _EPOCH
        except ValueError:
            self.fault(path, _CALENDAR)
            return None

    def edge(self, value: Mapping[str, object], name: str, path: str) -> Edge | None:
        if name not in value:
            return None
        text = value[name]
        match = _ISO.fullmatch(text) if isinstance(text, str) else None
        if match is None or not isinstance(text, str):
            self.fault(f"{path}.{name}", MOMENT)
            return None
        if not self._in_years(int(match[1]), f"{path}.{name}"):
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fault(f"{path}.{name}", _CALENDAR)
            return None
        if moment.tzinfo is None:
            return Edge(wall_of(moment), is_wall=True)
        return Edge(int(moment.astimezone(UTC).timestamp()), is_wall=False)

    def span(self, value: Mapping[str, object], path: str) -> Span | None:
        start, end = self.edge(value, "start", path), self.edge(value, "end", path)
        if start is None or end is None:
            return None
        if self._is_empty(start, end):
            self.fault(f"{path}.end", _LATER)
            return None
        return Span(start, end)

    def days(self, value: Mapping[str, object], first: str, last: str, path: str) -> tuple[int | None, int | None]:
        """Two dates, each perhaps missing; the last is not before the first."""
        began, ended = (self.day(value[n], f"{path}.{n}") if n in value else None for n in (first, last))
        if began is not None and ended is not None and ended < began:
            self.fault(f"{path}.{last}", _NOT_EARLIER)
            return None, None
        return began, ended

    def _in_years(self, year: int, path: str) -> bool:
        if _YEARS[0] <= year <= _YEARS[1]:
            return True
        self.fault(path, _CENTURIES, first=_YEARS[0], last=_YEARS[1])
        return False

    def _is_empty(self, start: Edge, end: Edge) -> bool:
        """Whether nothing lies between; not known, hence False, for wall times when the zone is a fault."""
        if self.zone is None:
            return not (start.is_wall or end.is_wall) and start.at >= end.at
        return instant(start, self.zone.opens) >= instant(end, self.zone.closes)


def _shown(name: object) -> str:
    """A member's name as it may stand in a path: names are the writer's, so only plain short ones are repeated."""
    return name if isinstance(name, str) and name.isidentifier() and len(name) <= 40 else "(other)"
