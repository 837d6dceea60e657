"""The table of public holidays: against the package `holidays`, and against dates written down by hand.

The package is locked. When a newer one disagrees, a law has changed (a line is missing here) or one of the two is
wrong; the law decides, and a difference that stays becomes a named case.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import cast

import pytest
from holidays.constants import PUBLIC
from holidays.countries.germany import Germany

from schedules.holidays import FIRST_YEAR, LAENDER, Holiday, easter, holidays, is_holiday

PROMISED = range(2018, 2100)
EPOCH = date(1970, 1, 1)


def day(text: str) -> int:
    return (date.fromisoformat(text) - EPOCH).days


def text(day: int) -> str:
    return (EPOCH + timedelta(days=day)).isoformat()


def german(land: str, year: int) -> dict[str, str]:
    return {text(day): holiday.de for day, holiday in holidays(land, year).items()}


@pytest.mark.parametrize("land", LAENDER)
def test_the_package_knows_the_same_days_in_every_promised_year(land: str) -> None:
    """No differences are allowed for; there are none."""
    theirs = Germany(subdiv=land, years=PROMISED, categories=PUBLIC)
    for year in PROMISED:
        assert list(german(land, year)) == sorted(day.isoformat() for day in theirs if day.year == year)


def test_there_are_sixteen_laender_and_the_package_has_the_same() -> None:
    assert len(LAENDER) == 16
    assert {code: name for name, code in Germany.subdivisions_aliases.items()} == LAENDER


def test_a_year_in_lower_saxony_written_by_hand() -> None:
    assert german("NI", 2026) == {
        "2026-01-01": "Neujahr",
        "2026-04-03": "Karfreitag",
        "2026-04-06": "Ostermontag",
        "2026-05-01": "Tag der Arbeit",
        "2026-05-14": "Christi Himmelfahrt",
        "2026-05-25": "Pfingstmontag",
        "2026-10-03": "Tag der Deutschen Einheit",
        "2026-10-31": "Reformationstag",
        "2026-12-25": "Erster Weihnachtstag",
        "2026-12-26": "Zweiter Weihnachtstag",
    }


@pytest.mark.parametrize(
    "date_of_easter",
    [
        "2000-04-23",
        "2024-03-31",
        "2038-04-25",  # the latest there is
        "2285-03-22",  # the earliest there is
        # Where the plain remainders would be a week late.
        "1981-04-19",
        "2049-04-18",
        "2076-04-19",
    ],
)
def test_easter(date_of_easter: str) -> None:
    assert text(easter(int(date_of_easter[:4]))) == date_of_easter


# A day, its holiday, and every Land that has it; written by hand.
SINGLE = [
    ("2026-01-06", "Heilige Drei Könige", "BW BY ST"),
    ("2018-03-08", "Frauentag", ""),
    ("2019-03-08", "Frauentag", "BE"),
    ("2022-03-08", "Frauentag", "BE"),
    ("2023-03-08", "Frauentag", "BE MV"),
    ("2020-05-08", "Tag der Befreiung", "BE"),
    ("2021-05-08", "Tag der Befreiung", ""),
    ("2025-05-08", "Tag der Befreiung", "BE"),
    ("2026-05-08", "Tag der Befreiung", ""),
    ("2026-06-04", "Fronleichnam", "BW BY HE NW RP SL"),
    ("2027-06-17", "75. Jahrestag des 17. Juni 1953", ""),
    ("2028-06-17", "75. Jahrestag des 17. Juni 1953", "BE"),
    ("2029-06-17", "75. Jahrestag des 17. Juni 1953", ""),
    ("2018-09-20", "Weltkindertag", ""),
    ("2019-09-20", "Weltkindertag", "TH"),
    ("2016-10-31", "Reformationstag", "BB MV SN ST TH"),
    ("2017-10-31", "Reformationstag", " ".join(LAENDER)),
    ("2018-10-31", "Reformationstag", "BB HB HH MV NI SH SN ST TH"),
    ("2026-11-01", "Allerheiligen", "BW BY NW RP SL"),
    ("1994-11-16", "Buß- und Bettag", " ".join(LAENDER)),
    ("1995-11-22", "Buß- und Bettag", "SN"),  # the latest it can be
    ("2026-11-18", "Buß- und Bettag", "SN"),
    ("2028-11-22", "Buß- und Bettag", "SN"),
    ("2033-11-16", "Buß- und Bettag", "SN"),  # the earliest
    # Not in the whole Land: in Bavaria by municipality, and in Augsburg alone.
    ("2026-08-15", "Mariä Himmelfahrt", "SL"),
    ("2026-08-08", "Augsburger Hohes Friedensfest", ""),
    # Every Sunday is a holiday by the law of Hesse; Brandenburg alone names these two. The package agrees.
    ("2026-04-05", "Ostersonntag", "BB"),
    ("2026-05-24", "Pfingstsonntag", "BB"),
]


@pytest.mark.parametrize(("on", "name", "laender"), SINGLE)
def test_a_holiday_is_one_in_these_laender_and_no_others(on: str, name: str, laender: str) -> None:
    named = {land: found.de for land in LAENDER if (found := is_holiday(land, day(on)))}
    assert named == dict.fromkeys(laender.split(), name)


@pytest.mark.parametrize("year", [2008, 2160])
def test_two_holidays_on_one_day_are_one_entry_named_by_the_first(year: int) -> None:
    """Ascension falls on 1 May when Easter is on 23 March."""
    first_of_may = day(f"{year}-05-01")
    assert easter(year) + 39 == first_of_may
    assert is_holiday("NW", first_of_may) == Holiday("Tag der Arbeit", "Labour Day")


def test_every_holiday_has_a_name_in_both_languages() -> None:
    for land in LAENDER:
        for year in (FIRST_YEAR, *PROMISED):
            assert all(holiday.de.strip() and holiday.en.strip() for holiday in holidays(land, year).values())


@pytest.mark.parametrize("land", LAENDER)
def test_asking_day_by_day_finds_what_the_year_lists(land: str) -> None:
    """Both ends of the year included, a leap year as well: no day is counted to its neighbour."""
    for year in (2027, 2028):
        days = range(day(f"{year}-01-01"), day(f"{year + 1}-01-01"))
        assert {d: found for d in days if (found := is_holiday(land, d))} == holidays(land, year)


def test_the_days_of_a_year_are_in_order_and_in_the_year() -> None:
    """Also in 2285, when Ascension comes before 1 May."""
    for land in LAENDER:
        for year in (FIRST_YEAR, 2026, 2285, 9999):
            days = list(holidays(land, year))
            assert days == sorted(days)
            assert {text(d)[:4] for d in days} == {str(year)}


@pytest.mark.parametrize("land", ["", "ni", "XX", "BW BY", "Augsburg", "Niedersachsen"])
def test_an_unknown_land_is_an_error_that_does_not_repeat_it(land: str) -> None:
    for ask in (lambda: holidays(land, 2026), lambda: is_holiday(land, day("2026-01-01"))):
        with pytest.raises(KeyError, match=r"^'no such Land'$"):
            ask()


def test_years_without_a_table_are_an_error_and_not_a_year_of_work() -> None:
    assert is_holiday("NI", day("1991-01-01"))
    assert is_holiday("NI", day("1990-12-25")) is None, "a table may be asked about any instant"
    with pytest.raises(ValueError, match="before 1991"):
        holidays("NI", 1990)
    with pytest.raises(ValueError, match="year"):
        holidays("NI", 10_000)


def test_a_year_is_worked_out_once_and_nobody_can_change_it() -> None:
    year = holidays("NI", 2026)
    assert holidays("NI", 2026) is year
    with pytest.raises(TypeError):
        cast("dict[int, Holiday]", year)[0] = Holiday("Feierabend", "evening")
    with pytest.raises(TypeError):
        cast("dict[str, str]", LAENDER)["XX"] = "Atlantis"
    with pytest.raises(AttributeError):
        year[day("2026-01-01")].de = "Werktag"  # type: ignore[misc]
