"""The officer's rules as a list: what each is called, when it holds, how it is painted, and where it is edited.

Names are the officer's labels, else what the kind is called. Overrides that are over are not listed; the relay drops
them a day later. Times of a rule are told as they were written, on the wall; an instant as the wall clock shows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, cast

from schedules.explain import called
from schedules.reader import Span, instant
from schedules.table import DAY
from schedules.web import switch
from schedules.web.visit import Visit

Entry = Mapping[str, object]

LANDS: Final = {
    "BW": "Baden-Württemberg", "BY": "Bayern", "BE": "Berlin", "BB": "Brandenburg", "HB": "Bremen", "HH": "Hamburg",
    "HE": "Hessen", "MV": "Mecklenburg-Vorpommern", "NI": "Niedersachsen", "NW": "Nordrhein-Westfalen",
    "RP": "Rheinland-Pfalz", "SL": "Saarland", "SN": "Sachsen", "ST": "Sachsen-Anhalt", "SH": "Schleswig-Holstein",
    "TH": "Thüringen",
}  # fmt: skip
"""Names of the Länder; in English as well."""


@dataclass(frozen=True, slots=True, repr=False)
class Listed:
    """A rule in the list."""

    look: str
    """Its class in the style sheet, as the picture paints it."""
    name: str
    when: str
    edit: str
    """Path below the language; empty for what is not edited but deleted only."""
    delete: str
    is_over: bool


def rules(visit: Visit) -> list[Listed]:
    """In the order of the document, windows first."""
    return [*_windows(visit), *_overrides(visit)]


def _entries(visit: Visit, part: str) -> Sequence[Entry]:
    return cast("Sequence[Entry]", visit.plan.document.get(part, ()))


def _windows(visit: Visit) -> Iterator[Listed]:
    for index, (entry, window) in enumerate(zip(_entries(visit, "windows"), visit.plan.rules.windows, strict=True)):
        is_cycle = entry["kind"] == "cycle"
        name = str(entry.get("label") or visit.gettext("Rhythm")) if is_cycle else called(window, visit.language)
        is_over = isinstance(window.times, Span) and instant(window.times.end, visit.plan.rules.zone.closes) <= visit.now
        edit = "/rhythm" if is_cycle else "" if entry["kind"] == "cron" else f"/rules/windows/{index}"
        yield Listed(
            "c" if is_cycle else "r", name[:1].upper() + name[1:], _when(visit, entry, window.times), edit,
            f"/rules/windows/{index}/delete", is_over,
        )  # fmt: skip


def _overrides(visit: Visit) -> Iterator[Listed]:
    zone = visit.plan.rules.zone
    listed = zip(_entries(visit, "overrides"), visit.plan.rules.overrides, strict=True)
    for index, (entry, override) in enumerate(listed):
        if switch.is_switch(entry) or instant(override.span.end, zone.closes) <= visit.now:
            continue
        if override.rests:
            name = override.label or visit.gettext("Off duty")
        elif override.label:
            name = override.label
        else:
            pressed = "id" not in entry and str(entry["start"]).endswith("Z") and str(entry["end"]).endswith("Z")
            name = visit.gettext("Reachable") if pressed else visit.gettext("On call")
        when = _between(visit, override.span)
        if override.classes is not None:
            when += " · " + visit.gettext("only for %(classes)s", classes=", ".join(sorted(override.classes)))
        place = f"/rules/overrides/{index}"
        yield Listed("r" if override.rests else "o", name, when, place, f"{place}/delete", False)


# --- when


def _when(visit: Visit, entry: Entry, times: object) -> str:
    match entry["kind"]:
        case "weekly":
            days = cast("Sequence[int]", entry.get("days", (1, 2, 3, 4, 5, 6, 7)))
            return f"{weekdays(visit, days)} {_hours(visit, entry)}"
        case "holidays":
            land = LANDS.get(str(entry["land"]), str(entry["land"]))
            told = visit.gettext("public holidays in %(land)s", land=land)
            return told if _whole(entry) else f"{told}, {_hours(visit, entry)}"
        case "cycle":
            free = visit.gettext("off")
            return ", ".join(free if shift == "-" else shift for shift in cast("Sequence[str]", entry["days"]))
        case "cron":
            minutes = cast("int", entry["duration_minutes"])
            length = f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
            return visit.gettext("by the cron rule %(rule)s for %(length)s", rule=entry["start"], length=length)
        case _:
            assert isinstance(times, Span)
            return _between(visit, times)


def weekdays(visit: Visit, days: Sequence[int]) -> str:
    """täglich; freitags; Mo–Fr; Mo, Mi, Fr."""
    listed = sorted(set(days))
    monday = date(2024, 1, 1)
    names = [visit.dates.weekday(monday.replace(day=day)) for day in listed]
    if len(listed) == 7:
        return visit.gettext("daily")
    if len(listed) > 2 and listed[-1] - listed[0] == len(listed) - 1:
        return f"{names[0]}–{names[-1]}"
    return ", ".join(names)


def _hours(visit: Visit, entry: Entry) -> str:
    return visit.gettext("whole day") if _whole(entry) else f"{entry.get('start', '00:00')}–{entry.get('end', '24:00')}"


def _whole(entry: Entry) -> bool:
    return (entry.get("start", "00:00"), entry.get("end", "24:00")) == ("00:00", "24:00")


def _between(visit: Visit, span: Span) -> str:
    """Sa 28.11. bis Mo 30.11.; Do 26.11. 18:00–22:00; Do 26.11. 18:00 bis Fr 27.11. 06:00."""
    zone, dates = visit.plan.rules.zone, visit.dates
    start, end = instant(span.start, zone.opens), instant(span.end, zone.closes)
    first, last = dates.date_of(start), dates.date_of(end)
    if zone.wall(start) % DAY == 0 and zone.wall(end) % DAY == 0:
        last = dates.date_of(end - 1)
        if first == last:
            return dates.day(first)
        return visit.gettext("%(first)s to %(last)s", first=dates.day(first), last=dates.day(last))
    if first == last:
        return f"{dates.day(first)} {dates.clock(start)}–{dates.clock(end)}"
    return visit.gettext("%(first)s to %(last)s", first=dates.stamp(start), last=dates.stamp(end))
