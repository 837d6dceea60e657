"""The forms of single rules: every week, once or for days, on public holidays, on call, off duty.

`show` and the readers of each shape are each other's inverse as far as controls can show a rule (shapes.py). Times of
day are in steps of a minute; what has seconds or an offset is shown by the clock on the wall of the document's zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final, cast

from schedules.errors import Text
from schedules.walltime import Zone
from schedules.web.changes import List
from schedules.web.fields import NO_DATE, NO_TIME, FieldError, Fields, closing, filled, one, opening, shown, wall_time
from schedules.web.rhythm_form import RHYTHM
from schedules.web.shapes import Member, Shape
from schedules.web.shifts import Entry
from schedules.windows import FORMS

_WEEK: Final = [1, 2, 3, 4, 5, 6, 7]

_NO_DAY: Final = Text("Please choose at least one day.", "Bitte mindestens einen Tag wählen.")
_EQUAL: Final = Text(
    "Start and end are the same. Please change the end or choose “Whole day”.",
    "Beginn und Ende sind gleich. Bitte das Ende ändern oder „Ganzer Tag“ wählen.",
)
_START: Final = Text("The start", "Der Beginn")
_END: Final = Text("The end", "Das Ende")
_FIRST: Final = Text("The first day", "Der erste Tag")
_LAST: Final = Text("The last day", "Der letzte Tag")
_DAYS: Final = Text("The days", "Die Tage")
_LABEL: Final = Text("The name", "Der Name")
_REST: Final = Text("The kind of rest", "Die Art der Ruhe")
_KIND: Final = Text("The kind of rule", "Die Art der Regel")
_LAND: Final = Text("The federal state", "Das Bundesland")


# --- what all have


def _label(fields: Fields, _: Entry | None) -> str:
    return one(fields, "label")


def _rest(fields: Fields, _: Entry | None) -> str:
    return one(fields, "rest")


def _named(entry: Entry, default: str) -> dict[str, list[str]]:
    return filled(label=shown(entry.get("label", "")), rest=str(entry.get("rest", default)))


def _window(kind: str) -> tuple[Member, ...]:
    return (
        Member("rest", "rest", _REST, _rest, FORMS[kind].default.value),
        Member("label", "label", _LABEL, _label, ""),
    )


# --- hours of a day: every week, and on holidays


def _start(fields: Fields, _: Entry | None) -> str:
    return "00:00" if one(fields, "all") else one(fields, "from")


def _end(fields: Fields, _: Entry | None) -> str:
    return "24:00" if one(fields, "all") else closing(one(fields, "to"))


def _days(fields: Fields, _: Entry | None) -> list[int]:
    return sorted({int(day) for day in fields.get("d", ()) if day in "1234567" and len(day) == 1})


def _land(fields: Fields, _: Entry | None) -> str:
    return one(fields, "land")


def _hours(start: object, end: object) -> dict[str, list[str]]:
    if (start, end) == ("00:00", "24:00"):
        return {"all": ["on"]}
    return filled(**{"from": opening(start), "to": opening(end)})


def _check_hours(fields: Fields) -> list[FieldError]:
    if one(fields, "all"):
        return []
    missing = [FieldError(name, NO_TIME) for name in ("from", "to") if not one(fields, name)]
    if not missing and one(fields, "from") == one(fields, "to"):
        return [FieldError("to", _EQUAL)]
    return missing


def _check_weekly(fields: Fields) -> list[FieldError]:
    return [*([] if _days(fields, None) else [FieldError("d", _NO_DAY)]), *_check_hours(fields)]


def _show_weekly(entry: Entry, _: Zone) -> dict[str, list[str]]:
    days = cast("Sequence[int]", entry.get("days", _WEEK))
    return {
        "d": [str(day) for day in sorted(days)],
        **_hours(entry["start"], entry["end"]),
        **_named(entry, FORMS["weekly"].default.value),
    }


def _show_holidays(entry: Entry, _: Zone) -> dict[str, list[str]]:
    return {
        "land": [str(entry["land"])],
        **_hours(entry.get("start", "00:00"), entry.get("end", "24:00")),
        **_named(entry, FORMS["holidays"].default.value),
    }


WEEKLY: Final = Shape(
    name="weekly", where="windows", kinds=frozenset({"weekly"}), show=_show_weekly, check=_check_weekly,
    members=(
        Member("kind", "kind", _KIND, lambda fields, base: "weekly"),
        Member("start", "from", _START, _start), Member("end", "to", _END, _end),
        Member("days", "d", _DAYS, _days, _WEEK), *_window("weekly"),
    ),
)  # fmt: skip

HOLIDAYS: Final = Shape(
    name="holidays", where="windows", kinds=frozenset({"holidays"}), show=_show_holidays, check=_check_hours,
    members=(
        Member("kind", "kind", _KIND, lambda fields, base: "holidays"), Member("land", "land", _LAND, _land),
        Member("start", "from", _START, _start, "00:00"), Member("end", "to", _END, _end, "24:00"),
        *_window("holidays"),
    ),
)  # fmt: skip


# --- dates and times: leave, what is once, on call, off duty


def _whole_days(fields: Fields) -> bool:
    return not one(fields, "time1") and not one(fields, "time2")


def _moment(fields: Fields, number: int) -> str:
    """A wall time. Without a time of day the first is the start of its day and the second the end of its day."""
    day, time = one(fields, f"day{number}"), one(fields, f"time{number}")
    if time or number == 1:
        return f"{day}T{time or '00:00'}"
    try:
        return f"{date.fromisoformat(day) + timedelta(days=1)}T00:00"
    except (ValueError, OverflowError):
        return day


def _if_dates(number: int) -> Member:
    name = ("from", "to")[number - 1]

    def read(fields: Fields, _: Entry | None) -> str | None:
        return one(fields, f"day{number}") if _whole_days(fields) else None

    return Member(name, f"day{number}", (_FIRST, _LAST)[number - 1], read)


def _if_once(number: int, *, always: bool) -> Member:
    def read(fields: Fields, _: Entry | None) -> str | None:
        return _moment(fields, number) if always or not _whole_days(fields) else None

    return Member(("start", "end")[number - 1], f"day{number}", (_START, _END)[number - 1], read)


def _check_dated(fields: Fields) -> list[FieldError]:
    return [FieldError(name, NO_DATE) for name in ("day1", "day2") if not one(fields, name)]


def _show_dated(entry: Entry, zone: Zone) -> dict[str, list[str]]:
    named = _named(entry, FORMS["dates"].default.value)
    if entry["kind"] == "dates":
        return {**filled(day1=str(entry["from"]), time1="", day2=str(entry["to"]), time2=""), **named}
    start, end = (wall_time(str(entry[name]), zone) for name in ("start", "end"))
    return {
        **filled(
            day1=f"{start:%Y-%m-%d}", time1=f"{start:%H:%M}", day2=f"{end:%Y-%m-%d}", time2=f"{end:%H:%M}"
        ),
        **named,
    }  # fmt: skip


DATED: Final = Shape(
    name="dated", where="windows", kinds=frozenset({"dates", "once"}), show=_show_dated, check=_check_dated,
    members=(
        Member("kind", "kind", _KIND, lambda fields, base: "dates" if _whole_days(fields) else "once"),
        _if_dates(1), _if_dates(2), _if_once(1, always=False), _if_once(2, always=False), *_window("dates"),
    ),
)  # fmt: skip
"""Whole days where no time is given, `dates`; else from a time to a time, `once`."""


def _override(name: str, kind: str) -> Shape:
    kept: List = "overrides"
    return Shape(
        name=name, where=kept, kinds=frozenset({kind}), show=_show_dated, check=_check_dated,
        members=(
            Member("kind", "kind", _KIND, lambda fields, base: kind),
            _if_once(1, always=True), _if_once(2, always=True), Member("label", "label", _LABEL, _label, ""),
        ),
    )  # fmt: skip


ON_CALL: Final = _override("oncall", "reachable")
OFF_DUTY: Final = _override("offduty", "rest")

SHAPES: Final = {shape.name: shape for shape in (WEEKLY, DATED, HOLIDAYS, ON_CALL, OFF_DUTY, RHYTHM)}


def shape_of(where: List, entry: Entry) -> Shape | None:
    """The form in which a rule is edited; None where there is none (`cron`)."""
    return next((s for s in SHAPES.values() if s.where == where and entry.get("kind") in s.kinds), None)
