"""The one way to write a document, for comparing, for export, and for diffs that show nothing but what has changed.

    canonical({"windows": [{"end": "06:00", "start": "22:00", "kind": "weekly", "label": "", "rest": "night"}]})
    {"timezone": "Europe/Berlin", "windows": [{"kind": "weekly", "start": "22:00", "end": "06:00"}]}

The law. `parse(canonical(d)) == parse(d)`, and `canonical(canonical(d))` is `canonical(d)` to the order of its members.
The order in which somebody wrote members, weekdays, classes, shifts, swaps and devices does not matter, nor does saying
what is meant anyway.

Theory of operation. The document is parsed first; what has no fault needs no second look, and all that can be raised is
the RuleError of `parse`. Then tables (`_DOCUMENT`, `_WINDOWS`, `_OVERRIDE`, `_DEVICE`) name the members in their order,
how the value of each is written, and what it is when it says nothing. Such members are left out, empty lists too, so
that no program can tell "no overrides yet" from "none any more". Only the zone is always written: the document means
the same where another zone is the default.

How values are written:

    cron             from its value: 00 07 01,3,2 * 7,6,5 is 0 7 1-3 * 5-0. Weekdays are a circle, 0 is Sunday; three
                     and more in a row are a range. Never longer than what was written, so never over its limit
    time of day      as an end, midnight is 24:00, never 00:00
    moment           without seconds when they are 00; +00:00 and -00:00 are Z. Other offsets stay: they tell by which
                     clock somebody thought
    texts            as they are; `id` and `label` are left out when empty

What stays as it is: the order of windows and of overrides, since reasons name their paths; the kinds, though a weekly
window may mean the same as a cron one, and names of zones and shifts, used or not, since they are how their owner
thinks. Hence equal bytes are equal rules, but not the other way round.

Rejected: writing from the parsed rules alone (they no longer know offsets, kinds, names of shifts and ids), and sorted
members as in RFC 8785 (`days` before `kind`: nobody wants to read that).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Final, NamedTuple

from schedules import cron
from schedules.rules import DEFAULT_ZONE, Wake, parse
from schedules.windows import RestKind


def canonical(document: Mapping[str, object]) -> dict[str, object]:
    """The document as it should be written: plain dicts and lists, made anew. Raises RuleError as `parse` does."""
    parse(document)
    return _written({"timezone": DEFAULT_ZONE, **document}, _DOCUMENT)


def encoded(document: Mapping[str, object]) -> bytes:
    """The canonical document as JSON in UTF-8 without blanks: equal bytes for equal forms. Raises RuleError."""
    text = json.dumps(canonical(document), ensure_ascii=False, separators=(",", ":"))
    # Half a surrogate pair, which JSON lets through, has no UTF-8; Python's backslash form of it is JSON's escape.
    return text.encode("utf-8", "backslashreplace")


class _Member(NamedTuple):
    name: str
    write: Callable[[object], object]
    silent: object = None
    """The value, as it is written, that says nothing: the member is left out. None: there is no such value."""


_Form = tuple[_Member, ...]
"""The members of an object, in the order in which they are written."""


def _written(value: object, form: _Form) -> dict[str, object]:
    given = _object(value)
    members = ((m.name, m.write(given[m.name]), m.silent) for m in form if m.name in given)
    return {name: written for name, written, silent in members if written != silent}


# --- values: they are known to have no fault, so a wrong type here is a fault of ours


def _object(value: object) -> Mapping[str, object]:
    assert isinstance(value, Mapping)
    return value


def _list(value: object) -> Sequence[object]:
    assert isinstance(value, Sequence)
    return value


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return int(value)


def _closing(value: object) -> str:
    """A time of day that ends something. 00:00 is the midnight that follows, and not every reader knows that."""
    clock = str(value)
    return "24:00" if clock == "00:00" else clock


def _moment(value: object) -> str:
    text = str(value)
    minute, rest = text[:16], text[16:].removeprefix(":00")
    return minute + (rest[:-6] + "Z" if rest.endswith(("+00:00", "-00:00")) else rest)


def _cron(value: object) -> str:
    starts = cron.parse(str(value))
    days, months, weekdays = _field(starts.days), _field(starts.months), _field(starts.weekdays, circle=7)
    return f"{starts.minute} {starts.hour} {days} {months} {weekdays}"


def _field(values: frozenset[int] | None, circle: int = 100) -> str:
    """Values as numbers and ranges. After `circle` - 1 comes 0; no field but the weekday gets that far."""
    if values is None:
        return "*"
    if len(values) == circle:
        return f"0-{circle - 1}"
    parts: list[tuple[int, ...]] = []
    for first in values:
        if (first - 1) % circle not in values:
            length = next(n for n in count(1) if (first + n) % circle not in values)
            run = [(first + n) % circle for n in range(length)]
            parts += [(run[0], run[-1])] if length > 2 else [(one,) for one in run]
    return ",".join("-".join(map(str, part)) for part in sorted(parts))


def _weekdays(value: object) -> list[int]:
    return sorted(_whole(day) for day in _list(value))


def _classes(value: object) -> list[str]:
    return sorted({str(name) for name in _list(value)})


def _names(value: object) -> list[str]:
    return [str(name) for name in _list(value)]


def _shifts(value: object) -> dict[str, object]:
    return {name: _written(shift, _SHIFT) for name, shift in sorted(_object(value).items())}


def _swaps(value: object) -> list[dict[str, object]]:
    return sorted((_written(swap, _SWAP) for swap in _list(value)), key=lambda swap: str(swap["date"]))


def _devices(value: object) -> dict[str, object]:
    devices = {name: _written(device, _DEVICE) for name, device in sorted(_object(value).items())}
    return {name: device for name, device in devices.items() if device}


def _windows(value: object) -> list[dict[str, object]]:
    return [_written(window, _WINDOWS[str(_object(window)["kind"])]) for window in _list(value)]


def _overrides(value: object) -> list[dict[str, object]]:
    return [_written(override, _OVERRIDE) for override in _list(value)]


# --- forms


def _entry(*members: _Member) -> _Form:
    return (_Member("kind", str), *members, _Member("label", str, ""), _Member("id", str, ""))


def _window(default: RestKind, *members: _Member) -> _Form:
    return _entry(*members, _Member("rest", str, default.value))


_DATES: Final = (_Member("from", str), _Member("to", str))
_MOMENTS: Final = (_Member("start", _moment), _Member("end", _moment))
_SHIFT: Final = (_Member("start", str), _Member("end", _closing))
_SWAP: Final = (_Member("date", str), _Member("shift", str))
_WINDOWS: Final[Mapping[str, _Form]] = {
    "weekly": _window(RestKind.NIGHT, *_SHIFT, _Member("days", _weekdays, [1, 2, 3, 4, 5, 6, 7])),
    "cron": _window(RestKind.NIGHT, _Member("start", _cron), _Member("duration_minutes", _whole)),
    "cycle": _window(
        RestKind.FREE, _Member("anchor", str), _Member("days", _names), _Member("shifts", _shifts),
        _Member("swaps", _swaps, []), _Member("lead_minutes", _whole, 0), _Member("lag_minutes", _whole, 0), *_DATES,
    ),
    "holidays": _window(
        RestKind.FREE, _Member("land", str), _Member("start", str, "00:00"), _Member("end", _closing, "24:00")
    ),
    "once": _window(RestKind.LEAVE, *_MOMENTS),
    "dates": _window(RestKind.LEAVE, *_DATES),
}  # fmt: skip
"""As `parse` reads them; the tests hold the two tables together."""
_OVERRIDE: Final = _entry(*_MOMENTS, _Member("classes", _classes))
_DEVICE: Final = (_Member("wake", str, Wake.FOLLOW.value),)
_DOCUMENT: Final = (
    _Member("timezone", str), _Member("windows", _windows, []), _Member("overrides", _overrides, []),
    _Member("devices", _devices, {}),
)  # fmt: skip
