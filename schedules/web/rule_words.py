"""A rule in words, as it stands in lists: what it is called, and when it holds.

    Dienstsport      Fr 15:00–17:00                 Urlaub            Sa 28.11. bis Mo 30.11.
    Rhythmus         Früh, Spät, Nacht, frei, frei  Rufbereitschaft   Do 26.11. 18:00–22:00

Names are the officer's, on one line; a rule without one is called by what it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, cast

from schedules.holidays import LAENDER
from schedules.web import rosters
from schedules.web.dates import Dates
from schedules.web.fields import shown, wall_time
from schedules.web.shifts import Entry, date_of
from schedules.windows import FORMS, FREE

_EVERY: Final = [1, 2, 3, 4, 5, 6, 7]
_ROW: Final = 10
"""Days of a rhythm that are named; of longer ones the length is told."""
_MONDAY: Final = date_of(4)


@dataclass(frozen=True, slots=True)
class Words:
    """Writes rules in one language."""

    gettext: Callable[..., str]
    dates: Dates

    def name(self, entry: Entry) -> str:
        """Its label, else what it is."""
        return shown(entry.get("label", "")) or self.kind(entry)

    def kind(self, entry: Entry) -> str:
        """What it is, whatever it is called."""
        gettext = self.gettext
        kind = str(entry["kind"])
        if rosters.is_import(entry):
            return gettext("Duty roster")
        fixed = {
            "cycle": gettext("Rhythm"),
            "holidays": gettext("Public holidays"),
            "reachable": gettext("On call"),
            "rest": gettext("Off duty"),
        }
        return fixed.get(kind) or self.rests()[str(entry.get("rest", FORMS[kind].default.value))]

    def rests(self) -> dict[str, str]:
        """What a rest may be for."""
        gettext = self.gettext
        return {
            "night": gettext("Night rest"),
            "free": gettext("Free time"),
            "leave": gettext("Leave"),
            "sick": gettext("Sick leave"),
        }

    def times(self, entry: Entry) -> str:
        """When it holds."""
        return _TIMES[str(entry["kind"])](self, entry)

    def _weekly(self, entry: Entry) -> str:
        days = sorted(cast("Sequence[int]", entry.get("days", _EVERY)))
        return f"{self._weekdays(days)} {self._hours(str(entry['start']), str(entry['end']))}"

    def _weekdays(self, days: Sequence[int]) -> str:
        named = [self.dates.weekday(_MONDAY + timedelta(days=day - 1)) for day in days]
        if len(days) == len(_EVERY):
            return self.gettext("daily")
        if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
            return self.gettext("%(first)s to %(last)s", first=named[0], last=named[-1])
        return ", ".join(named)

    def _hours(self, start: str, end: str) -> str:
        if start == "00:00" and end in ("24:00", "00:00"):
            return self.gettext("all day")
        return f"{start}–{end}"

    def _cron(self, entry: Entry) -> str:
        minutes = int(cast("int", entry["duration_minutes"]))
        length = f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")
        return self.gettext(
            "from another program: %(start)s, %(length)s each time", start=shown(entry["start"]), length=length
        )

    def _holidays(self, entry: Entry) -> str:
        hours = self._hours(str(entry.get("start", "00:00")), str(entry.get("end", "24:00")))
        return f"{LAENDER[str(entry['land'])]}, {hours}"

    def _dates(self, entry: Entry) -> str:
        first, last = (self.dates.day(date.fromisoformat(str(entry[name]))) for name in ("from", "to"))
        return first if first == last else self.gettext("%(first)s to %(last)s", first=first, last=last)

    def _span(self, entry: Entry) -> str:
        start, end = (wall_time(str(entry[name]), self.dates.zone) for name in ("start", "end"))
        first, last = (f"{self.dates.day(moment.date())} {moment:%H:%M}" for moment in (start, end))
        if start.date() == end.date() and start < end:
            return f"{first}–{end:%H:%M}"
        return self.gettext("%(first)s to %(last)s", first=first, last=last)

    def _cycle(self, entry: Entry) -> str:
        row = cast("Sequence[str]", entry["days"])
        if rosters.is_import(entry) and entry.keys() >= {"from", "to"}:
            return self._dates(entry)
        if len(row) > _ROW:
            return self.gettext("%(days)s days in turn", days=len(row))
        return ", ".join(self.shift(name) for name in row)

    def shift(self, name: str) -> str:
        """A shift of a rhythm; "-" is free."""
        return self.gettext("free") if name == FREE else shown(name)


_TIMES: Final[Mapping[str, Callable[[Words, Entry], str]]] = {
    "weekly": Words._weekly,
    "cron": Words._cron,
    "holidays": Words._holidays,
    "dates": Words._dates,
    "once": Words._span,
    "cycle": Words._cycle,
    "rest": Words._span,
    "reachable": Words._span,
}
