"""The public holidays (gesetzliche Feiertage) of the 16 German Länder, as our own table.

The law: each Land has its Feiertagsgesetz; 3 October alone is federal (Einigungsvertrag, art. 2). One line of the table
is one holiday in one set of Länder in one span of years; a year is worked out from it once and then remembered. A new
law is a new line. The state of November 2026 is tested against the package `holidays` for 2018 to 2099; other years
from 1991 are answered without that promise. A day is an int: days since 1970-01-01.

Only what holds in the whole Land counts: no Mariä Himmelfahrt in Bavaria, no Fronleichnam in parts of Saxony and
Thuringia, no Friedensfest in Augsburg. A rest must not depend on a municipality that we do not know. Nor do Sundays
count as such, although Hesse calls each of them a holiday: plans name weekdays themselves. Brandenburg names Easter
Sunday and Whit Sunday in its list, and so does the table.

Rejected: the package at run time (14 MB for 16 short lists, and an upgrade could change somebody's rest without a line
of ours changing; it is the second opinion in the tests); a list of dates (it ends some day, and hides the rule); a web
service (no I/O here).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

LAENDER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "BW": "Baden-Württemberg",
        "BY": "Bayern",
        "BE": "Berlin",
        "BB": "Brandenburg",
        "HB": "Bremen",
        "HH": "Hamburg",
        "HE": "Hessen",
        "MV": "Mecklenburg-Vorpommern",
        "NI": "Niedersachsen",
        "NW": "Nordrhein-Westfalen",
        "RP": "Rheinland-Pfalz",
        "SL": "Saarland",
        "SN": "Sachsen",
        "ST": "Sachsen-Anhalt",
        "SH": "Schleswig-Holstein",
        "TH": "Thüringen",
    }
)
"""Code (ISO 3166-2:DE) → name."""

FIRST_YEAR: Final = 1991
"""The first whole year in which all 16 Länder were in the Federal Republic."""
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_WEDNESDAY: Final = 6
"""Of the week that begins on Thursday, as the epoch did: `day % 7`."""
_REMEMBERED: Final = 16 * 32
"""Years kept: 32 of every Land, about 1 kB each."""


class Holiday(NamedTuple):
    """What a holiday is called."""

    de: str
    en: str


class _Rule(NamedTuple):
    """One line of the table. `when` gives the day in a year."""

    when: Callable[[int], int]
    name: Holiday
    laender: frozenset[str]
    since: int = FIRST_YEAR
    until: int | None = None


def easter(year: int) -> int:
    """Easter Sunday (Gregorian).

    From an unnamed correspondent of Nature (20 April 1876), by way of Butcher's Ecclesiastical Calendar (1877) and
    Meeus, Astronomical Algorithms, chapter 8; the remainders are theirs, the names are ours.
    """
    century, in_century = divmod(year, 100)
    golden = year % 19
    lunar_correction = (century - (century + 8) // 25 + 1) // 3
    full_moon = (19 * golden + century - century // 4 - lunar_correction + 15) % 30
    sunday = (32 + 2 * (century % 4) + 2 * (in_century // 4) - full_moon - in_century % 4) % 7
    week_too_late = (golden + 11 * full_moon + 22 * sunday) // 451
    return _day(year, 3, 22) + full_moon + sunday - 7 * week_too_late


def _day(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal() - _EPOCH_ORDINAL


def _on(month: int, day: int) -> Callable[[int], int]:
    return lambda year: _day(year, month, day)


def _after_easter(days: int) -> Callable[[int], int]:
    return lambda year: easter(year) + days


def _wednesday_before(month: int, day: int) -> Callable[[int], int]:
    def when(year: int) -> int:
        eve = _day(year, month, day) - 1
        return eve - (eve - _WEDNESDAY) % 7

    return when


def _in(codes: str) -> frozenset[str]:
    return frozenset(codes.split())


_ALL: Final = frozenset(LAENDER)
_WOMEN: Final = Holiday("Frauentag", "International Women's Day")
_LIBERATION: Final = Holiday("Tag der Befreiung", "Liberation Day")
_REFORMATION: Final = Holiday("Reformationstag", "Reformation Day")
_REPENTANCE: Final = Holiday("Buß- und Bettag", "Day of Repentance and Prayer")

_RULES: Final = (
    _Rule(_on(1, 1), Holiday("Neujahr", "New Year's Day"), _ALL),
    _Rule(_on(1, 6), Holiday("Heilige Drei Könige", "Epiphany"), _in("BW BY ST")),
    _Rule(_on(3, 8), _WOMEN, _in("BE"), since=2019),
    _Rule(_on(3, 8), _WOMEN, _in("MV"), since=2023),
    _Rule(_after_easter(-2), Holiday("Karfreitag", "Good Friday"), _ALL),
    _Rule(_after_easter(0), Holiday("Ostersonntag", "Easter Sunday"), _in("BB")),
    _Rule(_after_easter(1), Holiday("Ostermontag", "Easter Monday"), _ALL),
    _Rule(_on(5, 1), Holiday("Tag der Arbeit", "Labour Day"), _ALL),
    _Rule(_on(5, 8), _LIBERATION, _in("BE"), since=2020, until=2020),
    _Rule(_on(5, 8), _LIBERATION, _in("BE"), since=2025, until=2025),
    _Rule(_after_easter(39), Holiday("Christi Himmelfahrt", "Ascension Day"), _ALL),
    _Rule(_after_easter(49), Holiday("Pfingstsonntag", "Whit Sunday"), _in("BB")),
    _Rule(_after_easter(50), Holiday("Pfingstmontag", "Whit Monday"), _ALL),
    _Rule(_after_easter(60), Holiday("Fronleichnam", "Corpus Christi"), _in("BW BY HE NW RP SL")),
    _Rule(
        _on(6, 17),
        Holiday("75. Jahrestag des 17. Juni 1953", "75th anniversary of the 1953 uprising"),
        _in("BE"),
        since=2028,
        until=2028,
    ),
    _Rule(_on(8, 15), Holiday("Mariä Himmelfahrt", "Assumption Day"), _in("SL")),
    _Rule(_on(9, 20), Holiday("Weltkindertag", "World Children's Day"), _in("TH"), since=2019),
    _Rule(_on(10, 3), Holiday("Tag der Deutschen Einheit", "German Unity Day"), _ALL),
    _Rule(_on(10, 31), _REFORMATION, _in("BB MV SN ST TH")),
    _Rule(_on(10, 31), _REFORMATION, _ALL, since=2017, until=2017),  # 500 years
    _Rule(_on(10, 31), _REFORMATION, _in("HB HH NI SH"), since=2018),
    _Rule(_on(11, 1), Holiday("Allerheiligen", "All Saints' Day"), _in("BW BY NW RP SL")),
    _Rule(_wednesday_before(11, 23), _REPENTANCE, _ALL, until=1994),  # given up to pay for the care insurance
    _Rule(_wednesday_before(11, 23), _REPENTANCE, _in("SN"), since=1995),
    _Rule(_on(12, 25), Holiday("Erster Weihnachtstag", "Christmas Day"), _ALL),
    _Rule(_on(12, 26), Holiday("Zweiter Weihnachtstag", "Second Day of Christmas"), _ALL),
)


@lru_cache(maxsize=_REMEMBERED)
def holidays(land: str, year: int) -> Mapping[int, Holiday]:
    """Day → holiday, in order. Raises KeyError for an unknown Land, ValueError for a year outside 1991 to 9999.

    Where two fall on one day (1 May and Ascension in 2008 and 2160), the first line of the table names it.
    """
    if land not in LAENDER:
        raise KeyError("no such Land")
    if year < FIRST_YEAR:
        raise ValueError(f"no holidays are known before {FIRST_YEAR}")
    found: dict[int, Holiday] = {}
    for rule in _RULES:
        if land in rule.laender and rule.since <= year and (rule.until is None or year <= rule.until):
            found.setdefault(rule.when(year), rule.name)
    return MappingProxyType(dict(sorted(found.items())))


def is_holiday(land: str, day: int) -> Holiday | None:
    """The holiday on a day, if it is one; none before FIRST_YEAR. Raises KeyError for an unknown Land."""
    year = date.fromordinal(day + _EPOCH_ORDINAL).year
    return holidays(land, year).get(day) if year >= FIRST_YEAR else None
