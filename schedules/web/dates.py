"""Dates and times as each language writes them: Di 24.11. and Tue 24 Nov, 24 hours, what the clock on the wall shows.

"today" and "tomorrow" stand together with the date only, since a page may lie open over midnight. The year is written
where the date is more than ten months away.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from schedules.table import DAY
from schedules.walltime import Zone

_EPOCH: Final = date(1970, 1, 1)
_FAR: Final = 300
"""Days after which a date has its year."""


@dataclass(frozen=True, slots=True)
class _Words:
    weekdays: tuple[str, ...]
    long_weekdays: tuple[str, ...]
    months: tuple[str, ...]
    near: tuple[str, str]
    """Today, tomorrow."""
    date: str
    date_of_year: str


_LANGUAGES: Final = {
    "de": _Words(
        ("Mo", "Di", "Mi", "Do", "Fr", "Sa", "So"),
        ("Montag", "Dienstag", "Mittwoch", "Donnerstag", "Freitag", "Samstag", "Sonntag"),
        tuple(f"{month}." for month in range(1, 13)),
        ("heute", "morgen"),
        "{day}.{month}",
        "{day}.{month}{year}",
    ),
    "en": _Words(
        ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
        ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
        ("today", "tomorrow"),
        "{day} {month}",
        "{day} {month} {year}",
    ),
}


@dataclass(frozen=True, slots=True)
class Dates:
    """Writes instants (UTC seconds), and dates of the calendar, for one reader now."""

    zone: Zone
    language: str
    now: float

    def date_of(self, at: float) -> date:
        return _EPOCH + timedelta(days=self.zone.wall(int(at // 1)) // DAY)

    def today(self) -> date:
        return self.date_of(self.now)

    def clock(self, at: float) -> str:
        """05:30; with seconds where there are any."""
        minutes, seconds = divmod(self.zone.wall(int(at // 1)) % DAY, 60)
        return f"{minutes // 60:02}:{minutes % 60:02}" + (f":{seconds:02}" if seconds else "")

    def minute(self, at: float) -> str:
        """05:30, whatever the seconds: for what has happened."""
        return self.clock(at - at % 60)

    def weekday(self, day: date) -> str:
        return self._words.weekdays[day.weekday()]

    def long_weekday(self, day: date) -> str:
        return self._words.long_weekdays[day.weekday()]

    def short(self, day: date) -> str:
        """24.11., 24 Nov."""
        words = self._words
        form = words.date if abs((day - self.today()).days) < _FAR else words.date_of_year
        return form.format(day=day.day, month=words.months[day.month - 1], year=day.year)

    def day(self, day: date) -> str:
        """Di 24.11."""
        return f"{self.weekday(day)} {self.short(day)}"

    def near(self, at: float) -> str:
        """heute, Di 24.11."""
        day = self.date_of(at)
        ahead = (day - self.today()).days
        return f"{self._words.near[ahead]}, {self.day(day)}" if ahead in (0, 1) else self.day(day)

    def edge(self, at: float) -> str:
        """Do 05:30 within six days, else Do 26.11. 05:30."""
        day = self.date_of(at)
        named = self.weekday(day) if abs((day - self.today()).days) < 6 else self.day(day)
        return f"{named} {self.clock(at)}"

    def stamp(self, at: float) -> str:
        """Di 24.11. 22:00."""
        return f"{self.day(self.date_of(at))} {self.clock(at)}"

    def happened(self, at: float) -> str:
        """Di 24.11. 22:00, without seconds."""
        return self.stamp(at - at % 60)

    def machine(self, at: float) -> str:
        """For `<time datetime>`: 2026-11-26T05:30:00+01:00."""
        second = int(at // 1)
        wall = self.zone.wall(second)
        offset = (wall - second) // 60
        local = datetime(1970, 1, 1) + timedelta(seconds=wall)
        return f"{local.isoformat()}{'-' if offset < 0 else '+'}{abs(offset) // 60:02}:{abs(offset) % 60:02}"

    @property
    def _words(self) -> _Words:
        return _LANGUAGES[self.language]
