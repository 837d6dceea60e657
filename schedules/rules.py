"""What an officer can say: a document, checked whole, into frozen values. README.md describes the document.

    {"timezone": "Europe/Berlin",
     "windows":   [{"kind": "weekly", "start": "22:00", "end": "06:00"},
                   {"kind": "dates", "from": "2026-12-21", "to": "2027-01-03"}],
     "overrides": [{"kind": "reachable", "start": "2026-11-24T18:00", "end": "2026-11-25T08:00"}],
     "devices":   {"tablet": {"wake": "never"}}}

Every fault is listed with its path, not only the first; unknown fields are faults. (A window of an unknown kind is one
fault: which fields it should have, nobody knows.) Kinds of windows are a table (windows.py): a new kind is one function
and one line there. Times with an offset are instants; without one they are what the wall clock reads in the document's
zone (R6), so that a change of the zone's rules moves them along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from schedules.errors import RuleError, Text
from schedules.reader import Reader, Span
from schedules.walltime import Zone, zone
from schedules.windows import FORMS, Repeating, RestKind

MAX_WINDOWS: Final = 30
MAX_OVERRIDES: Final = 50
MAX_DEVICES: Final = 20
MAX_CLASSES: Final = 20
DEFAULT_ZONE: Final = "Europe/Berlin"

_ZONE: Final = Text(
    "must be the name of a time zone, like Europe/Berlin", "muss der Name einer Zeitzone sein, wie Europe/Berlin"
)


class Wake(StrEnum):
    """What a device does in rest."""

    FOLLOW = "follow"
    NEVER = "never"
    """Is woken by alarms only, in rest or not."""
    ALWAYS = "always"
    """Is woken in rest too."""


NO_WAKES: Final[Mapping[str, Wake]] = MappingProxyType({})
"""Nearly everybody's; one for all."""


@dataclass(frozen=True, slots=True, repr=False)
class Window:
    """When, what for, and how its owner calls it. No `repr`: rules are personal."""

    times: Repeating | Span
    kind: RestKind
    label: str


@dataclass(frozen=True, slots=True, repr=False)
class Override:
    """Rest or reachable, once; reachable beats everything (R7)."""

    rests: bool
    span: Span
    classes: frozenset[str] | None
    """Only for events of these classes; None: for all."""
    label: str


@dataclass(frozen=True, slots=True, repr=False)
class Rules:
    """Its `repr` tells how much there is, and nothing of it: rules are personal."""

    zone: Zone
    windows: tuple[Window, ...]
    overrides: tuple[Override, ...]
    wakes: Mapping[str, Wake] = field(default_factory=lambda: NO_WAKES, hash=False)
    """By device, as the backend calls it; the others follow."""

    def __repr__(self) -> str:
        return f"<Rules: {len(self.windows)} windows, {len(self.overrides)} overrides>"


def parse(document: Mapping[str, object]) -> Rules:
    """Read a document. Raises RuleError with every fault."""
    reader = Reader()
    known = reader.members(document, "", frozenset(), frozenset({"timezone", "windows", "overrides", "devices"}))
    _read_zone(reader, known.get("timezone", DEFAULT_ZONE))
    windows = [
        _read_window(reader, item, f"windows[{i}]")
        for i, item in enumerate(reader.items(known.get("windows", ()), "windows", MAX_WINDOWS))
    ]
    overrides = [
        _read_override(reader, item, f"overrides[{i}]")
        for i, item in enumerate(reader.items(known.get("overrides", ()), "overrides", MAX_OVERRIDES))
    ]
    wakes = _read_devices(reader, known.get("devices", {}))
    if reader.problems or reader.zone is None:
        raise RuleError(tuple(reader.problems))
    return Rules(reader.zone, tuple(w for w in windows if w), tuple(o for o in overrides if o), wakes)


def _read_zone(reader: Reader, name: object) -> None:
    try:
        reader.zone = zone(name) if isinstance(name, str) else None
    except KeyError:
        reader.zone = None
    if reader.zone is None:
        reader.fault("timezone", _ZONE)


def _read_window(reader: Reader, value: object, path: str) -> Window | None:
    form = reader.kind(value, path, FORMS)
    if form is None:
        return None
    window = reader.members(value, path, form.required | {"kind"}, form.optional | {"id", "label", "rest"})
    times = form.read(reader, window, path)
    kind: RestKind | None = form.default
    if "rest" in window:
        kind = reader.one_of(window["rest"], f"{path}.rest", _KINDS)
    label = _label(reader, window, path)
    return _shared(Window(times, kind, label)) if times is not None and kind is not None else None


@lru_cache(maxsize=1024)
def _shared(window: Window) -> Window:
    """The same object for all who have the same window: presets make that most people."""
    return window


def _label(reader: Reader, value: Mapping[str, object], path: str) -> str:
    reader.words(value.get("id", ""), f"{path}.id")
    return reader.words(value.get("label", ""), f"{path}.label")


def _read_override(reader: Reader, value: object, path: str) -> Override | None:
    rests = reader.kind(value, path, _OVERRIDES)
    if not isinstance(value, Mapping):
        return None
    override = reader.members(value, path, frozenset({"start", "end"}), frozenset({"kind", "id", "label", "classes"}))
    label = _label(reader, override, path)
    classes = None
    if "classes" in override:
        names = reader.items(override["classes"], f"{path}.classes", MAX_CLASSES, least=1)
        classes = frozenset(reader.words(name, f"{path}.classes[{i}]") for i, name in enumerate(names))
    span = reader.span(override, path)
    return Override(rests, span, classes, label) if rests is not None and span is not None else None


def _read_devices(reader: Reader, value: object) -> Mapping[str, Wake]:
    wakes: dict[str, Wake] = {}
    for path, name, entry in reader.named(value, "devices", MAX_DEVICES):
        device = reader.members(entry, path, frozenset({"wake"}), frozenset())
        wake = reader.one_of(device["wake"], f"{path}.wake", _WAKES) if "wake" in device else None
        if wake is not None and wake is not Wake.FOLLOW:
            wakes[name] = wake
    return wakes or NO_WAKES


_OVERRIDES: Final[Mapping[str, bool]] = {"rest": True, "reachable": False}
_KINDS: Final[Mapping[str, RestKind]] = {kind.value: kind for kind in RestKind if kind is not RestKind.OFF}
_WAKES: Final[Mapping[str, Wake]] = {wake.value: wake for wake in Wake}
