"""The cage around croniter: what gets in, what stays out, and what the inmates mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import pytest
import whenever
from croniter import croniter
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from schedules import cron
from tests.schedules import second_evaluator
from tests.schedules.documents import examples

EPOCH = datetime(1970, 1, 1)
SHAPE, RANGE, BACKWARDS, EQUAL, LONG, NEVER = (
    "must have five fields",
    "outside",
    "runs backwards",
    "equal ends",
    "longer than 64",
    "never matches within 400 days|can ever match",
)

SENTENCE = re.compile(
    r"must have five fields: one minute, one hour, and for day, month and weekday \* or numbers like 1,3-5"
    r"|has a (minute|hour|day|month|weekday) (outside \d+-\d+|range with equal ends; write the single value"
    r"|range that runs backwards)|is longer than 64 characters|never matches within 400 days"
    r"|is not an expression that can ever match"
)

# Each line is a text that croniter 7.0.0 accepts and reads in a way nobody means, or that is not the form we use.
REFUSED = [
    # A range with equal ends means the whole field to croniter: every day, every hour.
    ("0 22 * * 3-3", EQUAL),
    ("0 22 * * 1-1", EQUAL),
    ("0 22 * * 1,3-3", EQUAL),
    ("0 22 5-5 * *", EQUAL),
    ("0 22 * 12-12 *", EQUAL),
    ("0 22-22 * * *", SHAPE),
    ("0-0 22 * * *", SHAPE),
    # Both ends are Sunday.
    ("0 22 * * 0-7", EQUAL),
    ("0 22 * * 7-0", EQUAL),
    ("0 22 * * 7-7", EQUAL),
    # One minute and one hour: `22-6` would be nine starts, `*` sixty.
    ("0 22-6 * * *", SHAPE),
    ("0 22,23 * * *", SHAPE),
    ("0,30 22 * * *", SHAPE),
    ("* 22 * * *", SHAPE),
    ("0 * * * *", SHAPE),
    # Four fields, a sixth that is seconds, a seventh that is the year.
    ("", SHAPE),
    ("0 22 * *", SHAPE),
    ("0 22 * * * 30", SHAPE),
    ("0 22 * * * *", SHAPE),
    ("0 22 * * * 0 2026", SHAPE),
    # Names.
    ("0 22 * * mon", SHAPE),
    ("0 22 * * MON-FRI", SHAPE),
    ("0 22 * * mon-mon", SHAPE),
    ("0 22 * * mo,di", SHAPE),
    ("0 22 * jan *", SHAPE),
    # Shortcuts and extensions.
    ("@midnight", SHAPE),
    ("@daily", SHAPE),
    ("0 22 L * *", SHAPE),
    ("0 22 15W * *", SHAPE),
    ("0 22 * * L5", SHAPE),
    ("0 22 * * 5#5", SHAPE),
    ("0 22 ? * 1", SHAPE),
    ("R R * * *", SHAPE),
    ("0 22 R * *", SHAPE),
    ("H H * * *", SHAPE),
    ("H(0-29) 22 * * *", SHAPE),
    # Steps.
    ("*/90 22 * * *", SHAPE),
    ("0 22 */2 * *", SHAPE),
    ("0 22 1-31/2 * *", SHAPE),
    ("0 22 * 12/1 *", SHAPE),
    ("0 */6 * * *", SHAPE),
    # Blanks other than one between fields, and those around, are not canonical.
    ("0  22 * * *", SHAPE),
    ("0\t22 * * *", SHAPE),
    ("0 22 * * *\n", SHAPE),
    ("\n0 22 * * *", SHAPE),
    ("\t0 22 * * *", SHAPE),
    ("0 22 * * *\r\n", SHAPE),
    ("0\u00a022 * * *", SHAPE),
    ("0\u200322 * * *", SHAPE),
    ("\ufeff0 22 * * *", SHAPE),
    ("0 22 * * *\0", SHAPE),
    ("0 22 1, 2 * *", SHAPE),
    # Digits that are digits only to Unicode.
    ("٠ ٢٢ * * *", SHAPE),
    ("0 22 * * ３", SHAPE),
    ("0 22 ² * *", SHAPE),
    ("0 22 * ⅷ *", SHAPE),
    # Numbers.
    ("60 22 * * *", RANGE),
    ("0 24 * * *", RANGE),
    ("0 22 0 * *", RANGE),
    ("0 22 32 * *", RANGE),
    ("0 22 1-32 * *", RANGE),
    ("0 22 * 0 *", RANGE),
    ("0 22 * 13 *", RANGE),
    ("0 22 * * 8", RANGE),
    ("0 22 * * 5-8", RANGE),
    ("000 22 * * *", SHAPE),
    ("-1 22 * * *", SHAPE),
    ("+1 22 * * *", SHAPE),
    ("0 22 1.5 * *", SHAPE),
    ("0 22 1_0 * *", SHAPE),
    ("1e1 22 * * *", SHAPE),
    # Lists that are not lists.
    ("0 22 1, * *", SHAPE),
    ("0 22 ,1 * *", SHAPE),
    ("0 22 1,,2 * *", SHAPE),
    ("0 22 1-2-3 * *", SHAPE),
    ("0 22 1- * *", SHAPE),
    ("0 22 -5 * *", SHAPE),
    ("0 22 *,1 * *", SHAPE),
    ("0 22 1,* * *", SHAPE),
    ("0 22 *-5 * *", SHAPE),
    # Backwards; only weekdays go round.
    ("0 22 28-3 * *", BACKWARDS),
    ("0 22 1,28-3 * *", BACKWARDS),
    ("0 22 * 11-2 *", BACKWARDS),
    # What never matches, or not within 400 days.
    ("0 0 31 2 *", NEVER),
    ("0 0 30 2 *", NEVER),
    ("0 0 30,31 2 *", NEVER),
    ("0 0 31 2,4,6,9,11 *", NEVER),
    ("0 0 29 2 *", NEVER),
    # Long: croniter needs a second for a list of 400,000 characters.
    ("0 22 " + ",".join(["1"] * 30) + " * *", LONG),
    ("0 22 " + ",".join(["1"] * 200_000) + " * *", LONG),
    ("0 22 * * *" + " " * 55, LONG),
    ("*/" + "9" * 5_000 + " 22 * * *", LONG),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED, ids=[repr(text[:24]) for text, _ in REFUSED])
def test_a_trap_is_refused_with_its_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        cron.parse(text)


def test_what_has_the_wrong_form_never_reaches_croniter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only texts of a dozen plain shapes do, so what croniter makes of the others is of no interest."""

    def asked(*_: object, **__: object) -> None:
        raise AssertionError("croniter was asked")

    monkeypatch.setattr(croniter, "expand", asked)
    for text, sentence in REFUSED:
        if sentence != NEVER:
            with pytest.raises(ValueError, match=sentence):
                cron.parse(text)


@pytest.mark.parametrize(
    ("text", "hour", "starts"),
    [
        # January 2026 begins on a Thursday; 0 and 7 are Sunday.
        ("0 22 * * *", 22, [1, 2, 3, 4, 5, 6, 7]),
        ("  0 22 * * *  ", 22, [1, 2, 3, 4, 5, 6, 7]),
        ("00 06 * * *", 6, [1, 2, 3, 4, 5, 6, 7]),
        ("0 22 * * 0", 22, [4]),
        ("0 22 * * 7", 22, [4]),
        ("0 22 * * 0,7", 22, [4]),
        ("0 22 * * 3", 22, [7]),
        ("0 22 * * 1-5", 22, [1, 2, 5, 6, 7]),
        ("0 22 * * 1-7", 22, [1, 2, 3, 4, 5, 6, 7]),
        ("0 22 * * 0-6", 22, [1, 2, 3, 4, 5, 6, 7]),
        ("0 22 * * 5-7", 22, [2, 3, 4]),
        ("0 22 * * 6-7", 22, [3, 4]),
        # Weekday ranges may go round the week: Friday to Monday.
        ("0 22 * * 5-1", 22, [2, 3, 4, 5]),
        ("0 22 * * 7-2", 22, [4, 5, 6]),
        ("0 22 * * 6-2,4", 22, [1, 3, 4, 5, 6]),
        ("0 22 * * 2-1", 22, [1, 2, 3, 4, 5, 6, 7]),
        ("0 22 3 * *", 22, [3]),
        ("0 22 03-04,6 * *", 22, [3, 4, 6]),
        ("0 22 3 1 *", 22, [3]),
        ("0 22 3 2 *", 22, []),
        ("0 22 * 1 *", 22, [1, 2, 3, 4, 5, 6, 7]),
        ("0 22 * 2-12 *", 22, []),
        # Day and weekday: either, as in Vixie's cron; a written-out full range is a restriction, too.
        ("0 22 1 * 1", 22, [1, 5]),
        ("0 22 1 1 1", 22, [1, 5]),
        ("0 22 1 2 1", 22, []),
        ("0 22 31 * 1", 22, [5]),
        ("0 22 1-31 * 1", 22, [1, 2, 3, 4, 5, 6, 7]),
        ("0 22 1 * 0-6", 22, [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_an_accepted_expression_means_these_days_of_the_first_week_of_2026(
    text: str, hour: int, starts: list[int]
) -> None:
    first = (date(2026, 1, 1) - date(1970, 1, 1)).days
    expected = [datetime(2026, 1, day, hour) for day in starts]
    assert moments(cron.parse(text), first, first + 6) == expected


def test_64_characters_are_enough_and_allowed() -> None:
    text = "0 22 " + ",".join(f"{day:02}" for day in range(1, 19)) + " * *" + " "
    assert len(text) <= cron.LONGEST
    assert cron.parse(text.ljust(cron.LONGEST)).days == frozenset(range(1, 19))


def test_the_29th_is_skipped_in_a_february_without_one() -> None:
    """1900 and 2100 are no leap years, 2000 and 2028 are."""
    expression = cron.parse("0 22 29 2,3 *")
    for year, days in ((2027, [29]), (2028, [29, 29]), (2100, [29]), (2000, [29, 29]), (1900, [29])):
        first = (date(year, 2, 1) - date(1970, 1, 1)).days
        assert [moment.day for moment in moments(expression, first, first + 59)] == days


def test_both_ends_of_a_walk_are_included() -> None:
    expression = cron.parse("30 6 * * *")
    assert list(expression.starts(0, 0)) == [6 * 3600 + 1800]
    assert list(expression.starts(1, 0)) == []
    assert list(expression.starts(-1, 0)) == [6 * 3600 + 1800 - 86_400, 6 * 3600 + 1800]


def moments(expression: cron.Cron, first: int, last: int) -> list[datetime]:
    return [EPOCH + timedelta(seconds=wall) for wall in expression.starts(first, last)]


def number_lists(low: int, high: int, *, round_about: bool) -> st.SearchStrategy[str]:
    """Lists of one to three numbers and ranges; `round_about`: ranges may wrap."""
    number = st.integers(low, high)

    def ranged(pair: tuple[int, int]) -> str:
        first, last = pair if round_about else sorted(pair)
        return f"{first}-{last}" if first != last and {first, last} != {0, 7} else f"{first}"

    part = st.one_of(number.map(str), number.map(lambda n: f"{n:02}"), st.tuples(number, number).map(ranged))
    return st.one_of(st.just("*"), st.lists(part, min_size=1, max_size=3).map(",".join))


EXPRESSIONS = st.tuples(
    st.integers(0, 59).map(str),
    st.integers(0, 23).map(str),
    number_lists(1, 31, round_about=False),
    st.one_of(st.just("*"), number_lists(1, 12, round_about=False)),
    number_lists(0, 7, round_about=True),
).map(" ".join)
FIRST_DAYS = st.integers((date(2027, 1, 1) - EPOCH.date()).days, (date(2029, 1, 1) - EPOCH.date()).days)
"""Two years that hold a 29 February."""
DAYS = 60


def accepted(text: str) -> cron.Cron | None:
    """What the cage makes of a text of the right form; None for one that never matches."""
    try:
        return cron.parse(text)
    except ValueError as error:
        if "match" not in str(error):
            raise
        return None


def naive(iterator: Iterator[datetime], first: int) -> list[datetime]:
    """The starts of an oracle within the walk."""
    end = EPOCH + timedelta(days=first + DAYS)
    found: list[datetime] = []
    for moment in iterator:
        if moment >= end:
            break
        found.append(moment)
    return found


@examples(2.5)
@given(text=EXPRESSIONS, first=FIRST_DAYS)
def test_our_walk_is_what_croniter_says_of_naive_times(text: str, first: int) -> None:
    expression = accepted(text)
    if expression is None:
        return
    just_before = EPOCH + timedelta(days=first, seconds=-1)
    theirs = naive(croniter(text, just_before, ret_type=datetime), first)
    assert moments(expression, first, first + DAYS - 1) == theirs


@examples(1.2)
@given(text=EXPRESSIONS, first=FIRST_DAYS)
def test_our_walk_is_what_cronsim_says(text: str, first: int) -> None:
    """But for weekday ranges that go round the week, which its dialect does not have."""
    expression = accepted(text)
    if expression is None:
        return
    if any(part[0] > part[-1] for part in text.split()[4].split(",") if "-" in part):
        return
    theirs = naive(CronSim(text, EPOCH + timedelta(days=first, minutes=-1)), first)
    assert moments(expression, first, first + DAYS - 1) == theirs


@given(text=EXPRESSIONS, first=FIRST_DAYS)
def test_our_walk_is_what_the_second_evaluator_says(text: str, first: int) -> None:
    expression = accepted(text)
    if expression is None:
        return
    days = [first + n for n in range(DAYS)]
    theirs = [day for day in days if second_evaluator.starts_on(text, whenever.Date(1970, 1, 1).add(days=day))]
    assert [day for day in days if expression.matches(day)] == theirs


@given(text=EXPRESSIONS)
def test_what_never_matches_is_refused_and_only_that(text: str) -> None:
    """From 2026 on, as the cage looks: the dates of the 29 February alone are further away than 400 days."""
    first = whenever.Date(2026, 1, 1)
    matches = any(second_evaluator.starts_on(text, first.add(days=day)) for day in range(cron.REACH_DAYS))
    assert (accepted(text) is not None) == matches


@given(text=st.one_of(st.text(max_size=20), st.text("0123456789*-,/ LW#?RH@", max_size=20)))
def test_any_other_text_is_refused_with_one_of_the_same_sentences(text: str) -> None:
    """They tell which field is at fault and never what stood in it."""
    try:
        cron.parse(text)
    except ValueError as error:
        sentence = str(error)
    else:
        return
    assert SENTENCE.fullmatch(sentence)


def test_the_time_of_day_is_that_of_the_fields() -> None:
    expression = cron.parse("59 23 * * *")
    assert (expression.minute, expression.hour) == (59, 23)
    assert moments(expression, 0, 0) == [datetime(1970, 1, 1, 23, 59)]
