"""Reading a document: every fault with its path, all at once, and never a word of what was written."""

from __future__ import annotations

import copy
import json
import math
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schedules
from schedules import Problem, RuleError, parse, state
from schedules.reader import Edge, Span
from schedules.windows import FORMS, Recurring
from tests.schedules.documents import examples

NIGHT: dict[str, object] = {"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}
LEAVE: dict[str, object] = {"kind": "once", "start": "2026-12-21T00:00", "end": "2027-01-04T00:00"}
ON_CALL: dict[str, object] = {"kind": "reachable", "start": "2026-11-24T18:00Z", "end": "2026-11-25T08:00Z"}


def problems(document: object) -> tuple[Problem, ...]:
    """The faults of a document; none when it is good."""
    try:
        parse(document)  # type: ignore[arg-type]
    except RuleError as error:
        return error.problems or (Problem("nothing", "was said", "wurde gesagt"),)
    return ()


def paths(document: object) -> list[str]:
    return [problem.path for problem in problems(document)]


def window(**changed: object) -> dict[str, object]:
    return {"windows": [NIGHT | changed]}


def leave(**changed: object) -> dict[str, object]:
    return {"windows": [LEAVE | changed]}


def on_call(**changed: object) -> dict[str, object]:
    return {"overrides": [ON_CALL | changed]}


def without(entry: Mapping[str, object], name: str) -> dict[str, object]:
    return {key: value for key, value in entry.items() if key != name}


def test_a_document_becomes_values() -> None:
    rules = parse(
        {"timezone": "Asia/Tokyo", "windows": [NIGHT, LEAVE], "overrides": [ON_CALL, ON_CALL | {"kind": "rest"}]}
    )
    assert rules.zone.name == "Asia/Tokyo"
    night, once = rules.windows
    assert isinstance(night.times, Recurring)
    assert (night.times.cron.hour, night.times.minutes) == (22, 480)
    assert isinstance(once.times, Span)
    assert [override.rests for override in rules.overrides] == [False, True]


def test_the_example_of_the_norm_is_a_document() -> None:
    norm = (Path(schedules.__file__).parent / "README.md").read_text()
    example = json.loads(norm.partition("```json")[2].partition("```")[0])
    rules = parse(example)
    assert {entry["kind"] for entry in example["windows"]} == set(FORMS), "it shows every kind"
    assert (len(rules.windows), len(rules.overrides), len(rules.wakes)) == (6, 3, 2)
    assert all(f"- **R{number}** " in norm for number in range(1, 16))


def test_the_default_zone_is_berlin() -> None:
    assert parse({}).zone.name == "Europe/Berlin"


def test_equal_documents_are_equal_values() -> None:
    """Windows are the key under which tables are shared."""
    document = {"windows": [NIGHT, LEAVE], "overrides": [ON_CALL]}
    assert parse(document) == parse(copy.deepcopy(document))
    assert hash(parse(document).windows) == hash(parse(copy.deepcopy(document)).windows)


@pytest.mark.parametrize(
    ("text", "edge"),
    [
        ("1970-01-01T00:00", None),
        ("2026-12-21T18:00", Edge(1797876000, is_wall=True)),
        ("2026-12-21T18:00:30", Edge(1797876030, is_wall=True)),
        ("2026-12-21T18:00Z", Edge(1797876000, is_wall=False)),
        ("2026-12-21T18:00:30Z", Edge(1797876030, is_wall=False)),
        ("2026-12-21T18:00+00:00", Edge(1797876000, is_wall=False)),
        ("2026-12-21T18:00-00:00", Edge(1797876000, is_wall=False)),
        ("2026-12-21T18:00+01:00", Edge(1797872400, is_wall=False)),
        ("2026-12-21T18:00:00-03:30", Edge(1797888600, is_wall=False)),
        ("2026-12-21T18:00+23:59", Edge(1797789660, is_wall=False)),
    ],
)
def test_a_time_with_an_offset_is_an_instant_and_without_one_a_wall_time(text: str, edge: Edge | None) -> None:
    """R6."""
    document = leave(start=text, end="2199-01-01T00:00Z")
    if edge is None:
        assert paths(document) == ["windows[0].start"]
        return
    (once,) = parse(document).windows
    assert isinstance(once.times, Span)
    assert once.times.start == edge


@pytest.mark.parametrize(
    ("document", "found"),
    [
        # The document.
        (None, ["document"]),
        ([], ["document"]),
        ("{}", ["document"]),
        (42, ["document"]),
        ({"window": []}, ["window"]),
        ({"Windows": []}, ["Windows"]),
        ({"windows ": []}, ["(other)"]),
        ({1: []}, ["(other)"]),
        ({None: []}, ["(other)"]),
        ({b"windows": []}, ["(other)"]),
        ({"": []}, ["(other)"]),
        ({"x" * 41: []}, ["(other)"]),
        ({"x" * 40: []}, ["x" * 40]),
        ({"a.b": 1, "c d": 1}, ["(other)", "(other)"]),
        # Its zone.
        ({"timezone": None}, ["timezone"]),
        ({"timezone": ""}, ["timezone"]),
        ({"timezone": "localtime"}, ["timezone"]),
        ({"timezone": "+01:00"}, ["timezone"]),
        ({"timezone": "../Berlin"}, ["timezone"]),
        ({"timezone": ["Europe/Berlin"]}, ["timezone"]),
        ({"timezone": 1}, ["timezone"]),
        # Its lists.
        ({"windows": None}, ["windows"]),
        ({"windows": {}}, ["windows"]),
        ({"windows": "0 22 * * *"}, ["windows"]),
        ({"windows": b"0 22 * * *"}, ["windows"]),
        ({"windows": 1, "overrides": False}, ["windows", "overrides"]),
        ({"windows": {"0": NIGHT}}, ["windows"]),
        ({"windows": [NIGHT] * 31}, ["windows"]),
        ({"overrides": [ON_CALL] * 51}, ["overrides"]),
        # What is in them.
        ({"windows": [None]}, ["windows[0]"]),
        ({"windows": [[NIGHT]]}, ["windows[0]"]),
        ({"windows": [NIGHT, "0 22 * * *"]}, ["windows[1]"]),
        ({"overrides": [7]}, ["overrides[0]"]),
        ({"windows": [{}]}, ["windows[0].kind"]),
        ({"windows": [without(NIGHT, "kind")]}, ["windows[0].kind"]),
        ({"windows": [{"kind": "CRON"}]}, ["windows[0].kind"]),
        ({"windows": [{"kind": None}]}, ["windows[0].kind"]),
        ({"windows": [{"kind": ["cron"]}]}, ["windows[0].kind"]),
        ({"windows": [{"kind": "rest"}]}, ["windows[0].kind"]),
        ({"windows": [ON_CALL]}, ["windows[0].kind"]),
        ({"overrides": [LEAVE]}, ["overrides[0].kind"]),
        # Recurring windows.
        ({"windows": [{"kind": "cron"}]}, ["windows[0].duration_minutes", "windows[0].start"]),
        ({"windows": [without(NIGHT, "start")]}, ["windows[0].start"]),
        ({"windows": [without(NIGHT, "duration_minutes")]}, ["windows[0].duration_minutes"]),
        (window(start=None), ["windows[0].start"]),
        (window(start=22), ["windows[0].start"]),
        (window(start=["0 22 * * *"]), ["windows[0].start"]),
        (window(start="22:00"), ["windows[0].start"]),
        (window(start="0 22 * * 3-3"), ["windows[0].start"]),
        (window(start="0 0 31 2 *"), ["windows[0].start"]),
        (window(duration_minutes=None), ["windows[0].duration_minutes"]),
        (window(duration_minutes="480"), ["windows[0].duration_minutes"]),
        (window(duration_minutes=480.0), ["windows[0].duration_minutes"]),
        (window(duration_minutes=True), ["windows[0].duration_minutes"]),
        (window(duration_minutes=0), ["windows[0].duration_minutes"]),
        (window(duration_minutes=-1), ["windows[0].duration_minutes"]),
        (window(duration_minutes=20_161), ["windows[0].duration_minutes"]),
        (window(duration_minutes=10**400), ["windows[0].duration_minutes"]),
        (window(duration_minutes=math.nan), ["windows[0].duration_minutes"]),
        (window(duration_minutes=math.inf), ["windows[0].duration_minutes"]),
        (window(end="0 6 * * *"), ["windows[0].end"]),
        (window(minutes=3), ["windows[0].minutes"]),
        (window(**{"two words": 3}), ["windows[0].(other)"]),
        (window(start="x", duration_minutes=0), ["windows[0].start", "windows[0].duration_minutes"]),
        (window(start=1, end=1), ["windows[0].end", "windows[0].start"]),
        # Labels.
        (window(id=1), ["windows[0].id"]),
        (window(label=None), ["windows[0].label"]),
        (window(label="x" * 201, id="x" * 201), ["windows[0].id", "windows[0].label"]),
        (leave(label=b"x"), ["windows[0].label"]),
        (on_call(id={}), ["overrides[0].id"]),
        # One-off windows and overrides.
        ({"windows": [{"kind": "once"}]}, ["windows[0].end", "windows[0].start"]),
        ({"overrides": [{"kind": "rest"}]}, ["overrides[0].end", "overrides[0].start"]),
        ({"overrides": [without(ON_CALL, "kind")]}, ["overrides[0].kind"]),
        (leave(duration_minutes=60), ["windows[0].duration_minutes"]),
        (leave(start=""), ["windows[0].start"]),
        (leave(start=1797876000), ["windows[0].start"]),
        (leave(end=None), ["windows[0].end"]),
        (leave(start="now", end="never"), ["windows[0].start", "windows[0].end"]),
        (leave(end="2026-12-21T00:00"), ["windows[0].end"]),
        (leave(end="2026-12-20T23:59:59"), ["windows[0].end"]),
        (on_call(end="2026-11-24T18:00Z"), ["overrides[0].end"]),
        (on_call(end="2026-11-24T19:00+01:00"), ["overrides[0].end"]),
        (on_call(end="2026-11-24T19:00"), ["overrides[0].end"]),
        # Faults in several places of one override.
        (on_call(kind="busy", start="soon", x=1), ["overrides[0].kind", "overrides[0].x", "overrides[0].start"]),
        (on_call(kind=0, end="2026-11-24T17:00Z", id=3), ["overrides[0].kind", "overrides[0].id", "overrides[0].end"]),
        # Only what cannot be known without a zone waits for the zone.
        ({"timezone": "Mars"} | on_call(end="2026-11-24T17:00Z"), ["timezone", "overrides[0].end"]),
        ({"timezone": "Mars"} | leave(end="2026-12-20T00:00"), ["timezone"]),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_path(document: object, found: list[str]) -> None:
    assert paths(document) == found


WEEK: dict[str, object] = {"kind": "weekly", "start": "22:00", "end": "06:00", "days": [1, 2, 3]}
CYCLE: dict[str, object] = {
    "kind": "cycle", "anchor": "2026-01-05", "days": ["F", "S", "N", "-", "-"],
    "shifts": {"F": {"start": "06:00", "end": "14:00"}, "S": {"start": "14:00", "end": "22:00"},
               "N": {"start": "22:00", "end": "06:00"}},
    "swaps": [{"date": "2026-12-24", "shift": "-"}], "lead_minutes": 30, "lag_minutes": 30, "from": "2026-01-01",
    "to": "2027-12-31",
}  # fmt: skip
HOLIDAYS: dict[str, object] = {"kind": "holidays", "land": "NI", "start": "00:00", "end": "24:00"}
DATES: dict[str, object] = {"kind": "dates", "from": "2026-12-21", "to": "2027-01-03"}


@pytest.mark.parametrize(
    ("entry", "changed", "found"),
    [
        # The friendly form.
        (WEEK, {"start": "24:00"}, ["start"]),
        (WEEK, {"start": "6:00"}, ["start"]),
        (WEEK, {"start": "22:00:00", "end": 6}, ["start", "end"]),
        (WEEK, {"end": "22:00"}, ["end"]),
        (WEEK, {"end": "25:00"}, ["end"]),
        (WEEK, {"days": []}, ["days"]),
        (WEEK, {"days": [0]}, ["days"]),
        (WEEK, {"days": [8]}, ["days"]),
        (WEEK, {"days": [1, 1]}, ["days"]),
        (WEEK, {"days": [True]}, ["days"]),
        (WEEK, {"days": [1.0]}, ["days"]),
        (WEEK, {"days": ["mo"]}, ["days"]),
        (WEEK, {"days": list(range(1, 9))}, ["days"]),
        (WEEK, {"duration_minutes": 480}, ["duration_minutes"]),
        # What a rest is for.
        (WEEK, {"rest": "party"}, ["rest"]),
        (WEEK, {"rest": "off"}, ["rest"]),
        (DATES, {"rest": None}, ["rest"]),
        # Dates.
        (DATES, {"to": "2026-12-20"}, ["to"]),
        (DATES, {"to": "2027-02-29"}, ["to"]),
        (DATES, {"from": "2026-12-21T00:00"}, ["from"]),
        (DATES, {"from": "1999-12-31"}, ["from"]),
        # Holidays.
        (HOLIDAYS, {"land": "Niedersachsen"}, ["land"]),
        (HOLIDAYS, {"land": None}, ["land"]),
        (HOLIDAYS, {"end": "00:00"}, ["end"]),
        # Rotating shifts.
        (CYCLE, {"anchor": "today"}, ["anchor"]),
        (CYCLE, {"days": ["F", "X", 1]}, ["days[1]", "days[2]"]),
        (CYCLE, {"days": ["-", "-"]}, ["days"]),
        (CYCLE, {"days": []}, ["days"]),
        (CYCLE, {"days": ["F"] * 127}, ["days"]),
        (CYCLE, {"shifts": {}, "days": ["-"], "swaps": []}, ["days"]),
        (CYCLE, {"shifts": [], "days": ["-"], "swaps": []}, ["shifts"]),
        (CYCLE, {"shifts": {"F": {"start": "06:00"}}, "days": ["F"]}, ["shifts[0].end"]),
        (CYCLE, {"shifts": {"": 1, "-": {"start": "06:00", "end": "07:00"}}, "days": ["-"], "swaps": []},
         ["shifts[0]", "shifts[1]"]),
        (CYCLE, {"swaps": [{"date": "2026-12-24"}]}, ["swaps[0].shift"]),
        (CYCLE, {"swaps": [{"date": "2026-12-24", "shift": "X"}]}, ["swaps[0].shift"]),
        (CYCLE, {"swaps": [{"date": "2026-12-24", "shift": "F"}] * 2}, ["swaps[1].date"]),
        (CYCLE, {"swaps": [{"date": "2026-12-24", "shift": "F"}] * 201}, ["swaps"]),
        (CYCLE, {"lead_minutes": 721, "lag_minutes": -1}, ["lead_minutes", "lag_minutes"]),
        (CYCLE, {"to": "2025-12-31"}, ["to"]),
    ],
)  # fmt: skip
def test_a_fault_in_a_window_of_another_kind(
    entry: dict[str, object], changed: dict[str, object], found: list[str]
) -> None:
    assert paths({"windows": [entry]}) == []
    assert paths({"windows": [entry | changed]}) == [f"windows[0].{path}" for path in found]


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (on_call(classes=["roster"]), []),
        (on_call(classes=[]), ["overrides[0].classes"]),
        (on_call(classes="roster"), ["overrides[0].classes"]),
        (on_call(classes=["roster", 1]), ["overrides[0].classes[1]"]),
        ({"devices": {"phone": {"wake": "always"}, "tablet": {"wake": "never"}, "pc": {"wake": "follow"}}}, []),
        ({"devices": []}, ["devices"]),
        ({"devices": {"phone": "never"}}, ["devices[0]"]),
        ({"devices": {"phone": {"wake": "never"}, "tablet": {"wake": "sometimes"}}}, ["devices[1].wake"]),
        ({"devices": {"": {"wake": "never"}}}, ["devices[0]"]),
        ({"devices": {str(n): {"wake": "never"} for n in range(21)}}, ["devices"]),
    ],
)
def test_a_fault_in_what_is_said_of_classes_and_devices(document: object, found: list[str]) -> None:
    assert paths(document) == found


def test_every_fault_is_told_in_german_too() -> None:
    document = {
        "timezone": 1, "extra": 1, "windows": [
            CYCLE | {"days": ["-"], "lead_minutes": 1000}, WEEK | {"days": [9]}, DATES | {"to": "2026-01-01"},
            NIGHT | {"start": "99 22 * * *"}, NIGHT | {"start": "0 0 31 2 *"}, LEAVE | {"end": "x"}, {"kind": "x"},
        ],
        "overrides": [ON_CALL | {"end": "2026-11-24T18:00Z"}, 1], "devices": {"a": {}},
    }  # fmt: skip
    found = problems(document)
    assert len(found) == 13
    for problem in found:
        assert problem.german
        assert problem.german != problem.sentence
        assert "{" not in problem.german + problem.sentence


def test_what_a_rest_is_for_unless_it_is_said() -> None:
    windows = parse({"windows": [NIGHT, WEEK, CYCLE, HOLIDAYS, LEAVE, DATES, DATES | {"rest": "sick"}]}).windows
    assert [window.kind for window in windows] == ["night", "night", "free", "free", "leave", "leave", "sick"]


def test_nobody_prints_rules() -> None:
    rules = parse({"windows": [NIGHT | {"label": CANARY}, CYCLE], "devices": {CANARY: {"wake": "never"}}})
    assert repr(rules) == "<Rules: 2 windows, 0 overrides>"
    assert CANARY not in repr(rules.windows) + f"{rules}"


@pytest.mark.parametrize(
    "text",
    [
        "", " ", "now", "2026", "2026-12-21", "18:00", "20261221T1800", "2026-W52-1T18:00", "2026-12-21 18:00",
        "2026-12-21t18:00", "2026-12-21T18", "2026-12-21T1800", "2026-12-21T18:00z", "2026-12-21T18:00:00.5",
        "2026-12-21T18:00:00,5Z", "2026-12-21T18:00 +01:00", "2026-12-21T18:00+01", "2026-12-21T18:00+0100",
        "2026-12-21T18:00+01:00:00", "2026-12-21T18:00+24:00", "2026-12-21T18:00+01:60", "2026-12-21T18:00+01:99",
        "2026-12-21T18:00[Europe/Berlin]", "2026-12-21T18:00CET", "2026-12-21T24:00", "2026-12-21T24:00:00Z",
        "2026-12-21T25:00", "2026-12-21T18:60", "2026-12-21T18:00:60", "2026-13-01T00:00", "2026-00-01T00:00",
        "2026-02-29T00:00", "2026-04-31T00:00", "2026-12-00T00:00", "1999-12-31T23:59", "2200-01-01T00:00",
        "0000-01-01T00:00", "9999-12-31T23:59", "12026-12-21T18:00", "-2026-12-21T18:00", "2026-12-21T18:00\n",
        " 2026-12-21T18:00", "2026-12-21T18:00 ", "２０２６-12-21T18:00", "2026-12-21T18:00−01:00", "2026‐12‐21T18:00",
        "2026-12-21T18:00\0", "1797876000", "x" * 100_000,
    ],
    ids=lambda text: repr(text[:28]),
)  # fmt: skip
def test_what_is_no_time_of_our_form_is_refused(text: str) -> None:
    assert paths(leave(start=text)) == ["windows[0].start"]
    assert paths(on_call(start=text)) == ["overrides[0].start"]


def test_all_faults_are_listed_at_once() -> None:
    document = {
        "zone": "Europe/Berlin",
        "timezone": "Europe/Atlantis",
        "windows": [
            {"kind": "cron", "start": "0 22 * * 1-1", "duration_minutes": 0, "extra": 1},
            {"kind": "once", "start": "2026-13-01T00:00", "end": "2027-01-04"},
            {"kind": "monthly"},
            NIGHT,
            17,
        ],
        "overrides": [{"kind": "rest", "start": "2026-11-24T18:00Z", "end": "2026-11-24T17:00Z", "label": 5}],
    }
    assert paths(document) == [
        "zone", "timezone",
        "windows[0].extra", "windows[0].start", "windows[0].duration_minutes",
        "windows[1].start", "windows[1].end", "windows[2].kind", "windows[4]",
        "overrides[0].label", "overrides[0].end",
    ]  # fmt: skip


def test_each_fault_has_a_sentence_and_the_error_shows_them_all() -> None:
    with pytest.raises(RuleError) as caught:
        parse({"timezone": "", "windows": [NIGHT | {"duration_minutes": 0}]})
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value.problems, tuple)
    for problem in caught.value.problems:
        assert len(problem.sentence.split()) >= 2
        assert f"{problem.path}: {problem.sentence}" in str(caught.value)


def test_the_limits_themselves_are_allowed() -> None:
    many = {
        "windows": [NIGHT | {"duration_minutes": minutes + 1} for minutes in range(30)],
        "overrides": [ON_CALL] * 50,
    }
    rules = parse(many)
    assert (len(rules.windows), len(rules.overrides)) == (30, 50)
    for minutes in (1, 20_160):
        assert paths(window(duration_minutes=minutes)) == []
    assert paths(window(label="x" * 200, id="")) == []
    assert paths(leave(start="2000-01-01T00:00", end="2199-12-31T23:59:59")) == []
    assert paths(leave(start="2028-02-29T00:00", end="2028-03-01T00:00")) == []


def test_a_list_over_its_limit_is_not_read_at_all() -> None:
    """One fault, not a million."""
    assert paths({"windows": ["bad"] * 1_000_000}) == ["windows"]


def test_a_one_off_in_the_skipped_hour_is_nothing_and_in_the_repeated_hour_it_may_run_backwards() -> None:
    """R6 by R3 and R4: the first reading of the start, the second of the end."""
    assert paths(leave(start="2026-03-29T02:10", end="2026-03-29T02:50")) == ["windows[0].end"]
    assert paths(leave(start="2026-03-29T02:10", end="2026-03-29T03:00")) == ["windows[0].end"]
    assert paths(leave(start="2026-03-29T02:10", end="2026-03-29T03:00:01")) == []
    assert paths(leave(start="2026-10-25T02:50", end="2026-10-25T02:10")) == []
    assert paths(leave(start="2026-10-25T02:50", end="2026-10-25T01:50")) == ["windows[0].end"]


CANARY = "Kanarienvogel Frau Muster, Ostfriesland 4711"
NUMBER = 47_114_711


@pytest.mark.parametrize(
    "value", [CANARY, NUMBER, [CANARY], {CANARY: CANARY}, {"kind": CANARY}, [[NUMBER]], CANARY.encode(), NUMBER + 0.5]
)
def test_no_value_is_ever_repeated(value: object) -> None:
    """Leave and shifts are personal: an error message may reach a log."""
    entries = [
        NIGHT | {name: value} for name in ("kind", "start", "duration_minutes", "id", "label", "extra", CANARY)
    ] + [LEAVE | {name: value} for name in ("kind", "start", "end", "id", "label", CANARY)] + [value]  # fmt: skip
    entries += [entry | {name: value} for entry in (WEEK, CYCLE, HOLIDAYS, DATES) for name in (*entry, "rest")]
    entries += [CYCLE | {"shifts": {CANARY: value}}, CYCLE | {"swaps": [{"date": value, CANARY: value}]}]
    documents: list[object] = [value, {CANARY: value}]
    documents += [{name: value} for name in ("timezone", "windows", "overrides", "devices", "extra")]
    documents += [{"devices": {CANARY: value}}, {"devices": {CANARY: {"wake": value, CANARY: value}}}]
    documents += [{"overrides": [ON_CALL | {"classes": [value]}]}]
    documents += [{"windows": [entry]} for entry in entries] + [{"overrides": [entry]} for entry in entries]
    for document in documents:
        try:
            parse(document)  # type: ignore[arg-type]
        except RuleError as error:
            told = [str(error), repr(error), *traceback.format_exception(error), repr(error.args)]
            told += [text for problem in error.problems for text in (problem.path, repr(problem))]
            for text in told:
                assert "Kanarien" not in text
                assert "4711" not in text


def test_a_cron_text_is_not_repeated_by_what_croniter_says_of_it() -> None:
    with pytest.raises(RuleError) as caught:
        parse(window(start="0 0 31 2 *"))
    assert "31" not in str(caught.value)
    assert caught.value.__context__ is None


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**1000), st.floats(), st.text(max_size=8), st.binary(max_size=4),
    st.sampled_from(
        ("cron", "once", "rest", "reachable", "0 22 * * *", "Europe/Berlin", "2026-12-21T00:00", "2027-01-04T00:00Z")
    ),
)  # fmt: skip
NAMES = st.sampled_from(("timezone", "windows", "overrides", "kind", "start", "end", "duration_minutes", "id", "label"))
KEYS = st.one_of(NAMES, NAMES, st.text(max_size=4), st.integers(), st.none(), st.floats(), st.binary(max_size=2))
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=5), st.tuples(inner, inner)
    ),
    max_leaves=12,
)  # fmt: skip
ENTRY = st.dictionaries(NAMES, SCALARS, max_size=6)
ALMOST = st.fixed_dictionaries(
    {}, optional={
        "timezone": SCALARS,
        "windows": st.one_of(st.lists(ENTRY, max_size=3), ANYTHING),
        "overrides": st.one_of(st.lists(ENTRY, max_size=3), ANYTHING),
    },
)  # fmt: skip


@examples(1.5)
@given(st.one_of(ANYTHING, ALMOST))
def test_whatever_the_document_is_it_is_read_or_refused(document: object) -> None:
    """Nothing but RuleError, and every path begins at the top of the document."""
    for problem in problems(document):
        assert problem.path == "document" or problem.path.split(".")[0].split("[")[0]
        assert problem.sentence
    if not problems(document):
        assert isinstance(document, Mapping)
        state(document, datetime(2026, 11, 24, tzinfo=UTC))


def test_deep_nesting_is_not_followed() -> None:
    deep: object = "bottom"
    for _ in range(100_000):
        deep = [deep]
    for document in (deep, {"windows": deep}, window(start=deep), window(label=deep), {"timezone": deep}):
        assert problems(document)


def test_a_mapping_of_any_kind_is_an_object_and_a_sequence_a_list() -> None:
    class Once(Sequence[object]):
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> object:  # type: ignore[override]
            if index:
                raise IndexError
            return MappingProxyType(NIGHT)

    assert parse(MappingProxyType({"windows": Once()})).windows == parse({"windows": [NIGHT]}).windows


def test_an_iterator_or_a_set_is_no_list() -> None:
    assert paths({"windows": iter([NIGHT]), "overrides": {1, 2}}) == ["windows", "overrides"]


def test_an_error_stands_for_itself() -> None:
    error = RuleError((Problem("windows[0]", "must be an object", "…"), Problem("timezone", "is missing", "…")))
    assert str(error) == "windows[0]: must be an object; timezone: is missing"
    assert error.problems[1].path == "timezone"
