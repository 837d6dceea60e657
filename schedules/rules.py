"""What an officer can say: a document, checked whole, into frozen values.

    {"timezone": "Europe/Berlin",
     "windows":   [{"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480},
                   {"kind": "once", "start": "2026-12-21T00:00", "end": "2027-01-04T00:00"}],
     "overrides": [{"kind": "reachable", "start": "2026-11-24T18:00", "end": "2026-11-25T08:00"}]}

Every fault is listed with its path, not only the first; unknown fields are faults. (A window of an unknown kind is one
fault: which fields it should have, nobody knows.) Kinds are a table (`_WINDOWS`): a new kind is one function and one
line. Times with an offset are instants; without one they are what the wall clock reads in the document's zone (R6), so
that a change of the zone's rules moves them along.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeVar

from schedules import cron
from schedules.cron import Cron
from schedules.errors import Problem, RuleError
from schedules.walltime import Zone, wall_of, zone

MAX_WINDOWS: Final = 30
MAX_OVERRIDES: Final = 50
MAX_MINUTES: Final = 20_160
"""Longest recurring window (14 days); longer absences are `once`."""
DEFAULT_ZONE: Final = "Europe/Berlin"

_CLOCK: Final = r"(?:[01]\d|2[0-3]):[0-5]\d"
_ISO: Final = re.compile(rf"(\d{{4}})-\d\d-\d\dT{_CLOCK}(?::[0-5]\d)?(?:Z|[+-]{_CLOCK})?", re.ASCII)
"""Narrow, because versions of Python differ in what else they read: 24:00, +01:99."""
_YEARS: Final = (2000, 2199)
_LABEL: Final = 200

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Edge:
    """A point in time: an instant, or a wall time of the document's zone. Seconds since 1970."""

    at: int
    is_wall: bool


@dataclass(frozen=True, slots=True)
class Recurring:
    """Starts by cron, each `minutes` long on the wall clock (R2)."""

    cron: Cron
    minutes: int


@dataclass(frozen=True, slots=True)
class Span:
    """From one edge to another, once."""

    start: Edge
    end: Edge


@dataclass(frozen=True, slots=True)
class Override:
    """Rest or reachable, once; reachable beats everything (R7)."""

    rests: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Rules:
    zone: Zone
    windows: tuple[Recurring | Span, ...]
    overrides: tuple[Override, ...]


class _Reader:
    """Collects faults while reading."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.zone: Zone | None = None

    def fault(self, path: str, sentence: str) -> None:
        self.problems.append(Problem(path, sentence))

    def members(
        self, value: object, path: str, required: frozenset[str], optional: frozenset[str]
    ) -> Mapping[str, object]:
        """The value as an object with known members; faults for the rest."""
        if not isinstance(value, Mapping):
            self.fault(path or "document", "must be an object")
            return {}
        prefix = f"{path}." if path else ""
        for name in value:
            if not isinstance(name, str) or name not in required | optional:
                known = ", ".join(sorted(required | optional))
                self.fault(f"{prefix}{_shown(name)}", f"is not known here; known are {known}")
        for name in sorted(required - value.keys()):
            self.fault(f"{prefix}{name}", "is missing")
        return value

    def items(self, value: object, path: str, most: int) -> Sequence[object]:
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
            self.fault(path, "must be a list")
            return ()
        if len(value) > most:
            self.fault(path, f"has more than {most} entries")
            return ()
        return value

    def label(self, value: Mapping[str, object], path: str) -> None:
        for name in ("id", "label"):
            text = value.get(name, "")
            if not isinstance(text, str) or len(text) > _LABEL:
                self.fault(f"{path}.{name}", f"must be a text of at most {_LABEL} characters")

    def edge(self, value: Mapping[str, object], name: str, path: str) -> Edge | None:
        """A time; None when missing or faulty."""
        if name not in value:
            return None
        text = value[name]
        match = _ISO.fullmatch(text) if isinstance(text, str) else None
        if match is None or not isinstance(text, str):
            self.fault(f"{path}.{name}", "must be a time like 2026-12-21T18:00, or with an offset like …+01:00 or …Z")
            return None
        if not _YEARS[0] <= int(match[1]) <= _YEARS[1]:
            self.fault(f"{path}.{name}", f"must lie in the years {_YEARS[0]} to {_YEARS[1]}")
            return None
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            self.fault(f"{path}.{name}", "is not a date and time that exists in the calendar")
            return None
        if moment.tzinfo is None:
            return Edge(wall_of(moment), is_wall=True)
        return Edge(int(moment.astimezone(UTC).timestamp()), is_wall=False)

    def span(self, value: Mapping[str, object], path: str) -> Span | None:
        start, end = self.edge(value, "start", path), self.edge(value, "end", path)
        if start is None or end is None:
            return None
        if self._is_empty(start, end):
            self.fault(f"{path}.end", "must be later than start")
            return None
        return Span(start, end)

    def _is_empty(self, start: Edge, end: Edge) -> bool:
        """Whether nothing lies between; not known, hence False, for wall times when the zone is a fault."""
        if self.zone is None:
            return not (start.is_wall or end.is_wall) and start.at >= end.at
        return instant(start, self.zone.opens) >= instant(end, self.zone.closes)

    def cron(self, value: Mapping[str, object], path: str) -> Cron | None:
        """The starts of a window; None when missing or faulty."""
        if "start" not in value:
            return None
        text = value["start"]
        if not isinstance(text, str):
            self.fault(f"{path}.start", "must be a text")
            return None
        try:
            return cron.parse(text)
        except ValueError as error:
            self.fault(f"{path}.start", str(error))
            return None

    def minutes(self, value: Mapping[str, object], path: str) -> int | None:
        """The length of a window; None when missing or faulty."""
        if "duration_minutes" not in value:
            return None
        minutes = value["duration_minutes"]
        if not isinstance(minutes, int) or isinstance(minutes, bool) or not 1 <= minutes <= MAX_MINUTES:
            self.fault(f"{path}.duration_minutes", f"must be a whole number from 1 to {MAX_MINUTES}")
            return None
        return minutes


def instant(edge: Edge, resolve: Callable[[int], int]) -> int:
    """The instant of an edge; `resolve` is `Zone.opens` or `Zone.closes`."""
    return resolve(edge.at) if edge.is_wall else edge.at


def parse(document: Mapping[str, object]) -> Rules:
    """Read a document. Raises RuleError with every fault."""
    reader = _Reader()
    known = reader.members(document, "", frozenset(), frozenset({"timezone", "windows", "overrides"}))
    _read_zone(reader, known.get("timezone", DEFAULT_ZONE))
    windows = [
        _read_window(reader, item, f"windows[{i}]")
        for i, item in enumerate(reader.items(known.get("windows", ()), "windows", MAX_WINDOWS))
    ]
    overrides = [
        _read_override(reader, item, f"overrides[{i}]")
        for i, item in enumerate(reader.items(known.get("overrides", ()), "overrides", MAX_OVERRIDES))
    ]
    if reader.problems or reader.zone is None:
        raise RuleError(tuple(reader.problems))
    return Rules(reader.zone, tuple(w for w in windows if w), tuple(o for o in overrides if o))


def _read_zone(reader: _Reader, name: object) -> None:
    try:
        reader.zone = zone(name) if isinstance(name, str) else None
    except KeyError:
        reader.zone = None
    if reader.zone is None:
        reader.fault("timezone", "must be the name of a time zone, like Europe/Berlin")


def _read_window(reader: _Reader, value: object, path: str) -> Recurring | Span | None:
    read = _kind(reader, value, path, _WINDOWS)
    return read(reader, value, path) if read is not None else None


def _read_recurring(reader: _Reader, value: object, path: str) -> Recurring | None:
    window = reader.members(value, path, frozenset({"kind", "start", "duration_minutes"}), frozenset({"id", "label"}))
    reader.label(window, path)
    starts, minutes = reader.cron(window, path), reader.minutes(window, path)
    return Recurring(starts, minutes) if starts is not None and minutes is not None else None


def _read_once(reader: _Reader, value: object, path: str) -> Span | None:
    window = reader.members(value, path, frozenset({"kind", "start", "end"}), frozenset({"id", "label"}))
    reader.label(window, path)
    return reader.span(window, path)


def _read_override(reader: _Reader, value: object, path: str) -> Override | None:
    rests = _kind(reader, value, path, _OVERRIDES)
    if not isinstance(value, Mapping):
        return None
    override = reader.members(value, path, frozenset({"start", "end"}), frozenset({"kind", "id", "label"}))
    reader.label(override, path)
    span = reader.span(override, path)
    return Override(rests, span) if rests is not None and span is not None else None


def _kind(reader: _Reader, value: object, path: str, table: Mapping[str, T]) -> T | None:
    """The table's entry for the value's kind; None, and a fault, when it has none."""
    if not isinstance(value, Mapping):
        reader.fault(path, "must be an object")
        return None
    kind = value.get("kind")
    found = table.get(kind) if isinstance(kind, str) else None
    if found is None:
        reader.fault(f"{path}.kind", f"must be one of {', '.join(table)}")
    return found


def _shown(name: object) -> str:
    """A member's name as it may stand in a path: names are the writer's, so only plain short ones are repeated."""
    return name if isinstance(name, str) and name.isidentifier() and len(name) <= 40 else "(other)"


_WINDOWS: Final[Mapping[str, Callable[[_Reader, object, str], Recurring | Span | None]]] = {
    "cron": _read_recurring,
    "once": _read_once,
}
_OVERRIDES: Final[Mapping[str, bool]] = {"rest": True, "reachable": False}
