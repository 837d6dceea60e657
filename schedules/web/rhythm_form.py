"""The form of a rhythm: a matrix with a row for each day of the cycle and a column for each shift.

Shifts are called by numbers in the controls (`d3` is `2`, or `-`), so that one may be renamed without the days that
have it. Their names and hours are `name1`, `from1`, `to1` and so on; a row of these that is empty is no shift. Swaps
travel as controls `swap`, `2026-12-01=2`, and are made and taken back by acts on the form (`exchange`, `take_back`):
nothing is saved by them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final, cast

from schedules.errors import Text
from schedules.walltime import Zone
from schedules.web import shifts
from schedules.web.changes import swapped
from schedules.web.fields import NO_DATE, NO_TIME, FieldError, Fields, closing, filled, number, one, opening, shown
from schedules.web.shapes import Member, Shape
from schedules.web.shifts import Entry
from schedules.windows import FORMS, FREE, MAX_ROW, MAX_SHIFTS

_NO_LENGTH: Final = Text(f"Please give a number from 1 to {MAX_ROW}.", f"Bitte eine Zahl von 1 bis {MAX_ROW} angeben.")
_NO_NAME: Final = Text("Please give the shift a name.", "Bitte der Schicht einen Namen geben.")
_SAME_NAME: Final = Text("Another shift has this name too.", "So heißt schon eine andere Schicht.")
_NO_SHIFT: Final = Text("Please choose a shift, or free.", "Bitte eine Schicht wählen, oder frei.")
_NO_DUTY: Final = Text(
    "Please choose a shift on at least one day.", "Bitte an mindestens einem Tag eine Schicht wählen."
)

_BEFORE: Final = Text("The time before duty", "Die Zeit vor dem Dienst")
_AFTER: Final = Text("The time after duty", "Die Zeit nach dem Dienst")


def shift_numbers(fields: Fields) -> list[str]:
    """The shifts of a form that have a name or an hour, by their numbers in order."""
    numbers = (str(n) for n in range(1, MAX_SHIFTS + 2))
    return [n for n in numbers if any(one(fields, f"{control}{n}") for control in ("name", "from", "to"))]


def length(fields: Fields) -> int | None:
    """Days of the cycle; None where it is none that we take."""
    found = number(one(fields, "length"))
    return found if isinstance(found, int) and 1 <= found <= MAX_ROW else None


def row(fields: Fields) -> list[str]:
    """The numbers of the shifts of the days, `-` where there is none."""
    return [one(fields, f"d{day}") or FREE for day in range(1, (length(fields) or 0) + 1)]


def _names(fields: Fields, base: Entry | None) -> dict[str, str]:
    """Number → name, as the document has it where it is shown as it was."""
    names = {n: one(fields, f"name{n}") for n in shift_numbers(fields)}
    for n, name in enumerate(_shifts(base) if base is not None else (), start=1):
        if names.get(str(n)) == shown(name):
            names[str(n)] = name
    return {FREE: FREE, **names}


def _shifts(entry: Entry) -> Mapping[str, Mapping[str, str]]:
    return cast("Mapping[str, Mapping[str, str]]", entry["shifts"])


def _read_days(fields: Fields, base: Entry | None) -> list[str]:
    names = _names(fields, base)
    return [names.get(n, n) for n in row(fields)]


def _read_shifts(fields: Fields, base: Entry | None) -> dict[str, dict[str, str]]:
    return {
        name: {"start": one(fields, f"from{n}"), "end": closing(one(fields, f"to{n}"))}
        for n, name in _names(fields, base).items()
        if n != FREE
    }


def _read_swaps(fields: Fields, base: Entry | None) -> list[dict[str, str]]:
    names = _names(fields, base)
    swaps = (swap.partition("=") for swap in fields.get("swap", ()))
    return [{"date": day, "shift": names[n]} for day, _, n in swaps if n in names]


def _minutes(control: str) -> Callable[[Fields, Entry | None], int | str]:
    return lambda fields, base: number(one(fields, control) or "0")


def _date(control: str) -> Callable[[Fields, Entry | None], str | None]:
    return lambda fields, base: one(fields, control) or None


def _check(fields: Fields) -> list[FieldError]:
    errors = [] if one(fields, "anchor") else [FieldError("anchor", NO_DATE)]
    if length(fields) is None:
        errors.append(FieldError("length", _NO_LENGTH))
    taken: set[str] = set()
    for n in shift_numbers(fields):
        name = one(fields, f"name{n}")
        if not name or name in taken:
            errors.append(FieldError(f"name{n}", _SAME_NAME if name else _NO_NAME))
        taken.add(name)
        errors += [FieldError(f"{edge}{n}", NO_TIME) for edge in ("from", "to") if not one(fields, f"{edge}{n}")]
    known = {FREE, *shift_numbers(fields)}
    days = row(fields)
    errors += [FieldError(f"d{day}", _NO_SHIFT) for day, n in enumerate(days, start=1) if n not in known]
    if days and set(days) == {FREE}:
        errors.append(FieldError("d1", _NO_DUTY))
    return errors


def _swaps(entry: Entry, numbers: Mapping[str, str]) -> list[str]:
    swaps = cast("Sequence[Mapping[str, str]]", entry.get("swaps", ()))
    return [f"{swap['date']}={numbers[swap['shift']]}" for swap in swaps]


def _show(entry: Entry, _: Zone) -> dict[str, list[str]]:
    hours = _shifts(entry)
    numbers = {FREE: FREE, **{name: str(n) for n, name in enumerate(hours, start=1)}}
    days = cast("Sequence[str]", entry["days"])
    fields = {f"d{n}": numbers[name] for n, name in enumerate(days, start=1)}
    for name, shift in hours.items():
        n = numbers[name]
        fields |= {f"name{n}": shown(name), f"from{n}": shift["start"], f"to{n}": opening(shift["end"])}
    return filled(
        anchor=str(entry["anchor"]), length=str(len(days)), swap=_swaps(entry, numbers),
        before=str(entry.get("lead_minutes", 0)), after=str(entry.get("lag_minutes", 0)),
        first=str(entry.get("from", "")), last=str(entry.get("to", "")),
        label=shown(entry.get("label", "")), rest=str(entry.get("rest", FORMS["cycle"].default.value)), **fields,
    )  # fmt: skip


_BELOW: Final = re.compile(r"(days|shifts|swaps)\[(\d+)\](?:\.(start|end))?")


def _control(below: str, fields: Fields) -> str | None:
    match = _BELOW.match(below)
    if match is None or match[1] == "swaps":
        return None
    index = int(match[2])
    if match[1] == "days":
        return f"d{index + 1}"
    numbers = shift_numbers(fields)
    edge = {"start": "from", "end": "to", None: "name"}[match[3]]
    return f"{edge}{numbers[index]}" if index < len(numbers) else None


RHYTHM: Final = Shape(
    name="cycle", where="windows", kinds=frozenset({"cycle"}), show=_show, check=_check, control=_control,
    members=(
        Member("kind", "kind", Text("The kind of rule", "Die Art der Regel"), lambda fields, base: "cycle"),
        Member("anchor", "anchor", Text("Day 1", "Tag 1"), lambda fields, base: one(fields, "anchor")),
        Member("days", "d1", Text("The day", "Der Tag"), _read_days),
        Member("shifts", "name1", Text("The shift", "Die Schicht"), _read_shifts),
        Member("swaps", "swap1", Text("The swap", "Der Tausch"), _read_swaps, []),
        Member("lead_minutes", "before", _BEFORE, _minutes("before"), 0),
        Member("lag_minutes", "after", _AFTER, _minutes("after"), 0),
        Member("from", "first", Text("The first day", "Der erste Tag"), _date("first")),
        Member("to", "last", Text("The last day", "Der letzte Tag"), _date("last")),
        Member("rest", "rest", Text("The kind of rest", "Die Art der Ruhe"),
               lambda fields, base: one(fields, "rest") or FORMS["cycle"].default.value, FORMS["cycle"].default.value),
        Member("label", "label", Text("The name", "Der Name"), lambda fields, base: one(fields, "label"), ""),
    ),
)  # fmt: skip


# --- acts on the form, before it is saved


def exchange(
    fields: Fields, entry: Entry, base: Entry | None, days: tuple[int, int], today: int
) -> dict[str, list[str]]:
    """The form in which two days (since 1970) have each other's shifts.

    `entry` is the rhythm that the form says, `base` the one it was made from.
    """
    first, second = days
    changed = swapped(entry, {first: shifts.on(entry, second), second: shifts.on(entry, first)}, today)
    return {**_copied(fields), "swap": _swaps(changed, {name: n for n, name in _names(fields, base).items()})}


def take_back(fields: Fields, day: str) -> dict[str, list[str]]:
    """The form without the swap of a date."""
    return {**_copied(fields), "swap": [s for s in fields.get("swap", ()) if s.partition("=")[0] != day]}


def _copied(fields: Fields) -> dict[str, list[str]]:
    return {name: list(values) for name, values in fields.items()}
