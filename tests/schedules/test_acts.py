"""What a press of a button promises: the last act holds, nothing else moves, and no diary is kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import RuleError, compile_table, parse, state
from schedules.acts import off_duty, reachable
from schedules.reader import instant
from schedules.rules import MAX_OVERRIDES
from tests.schedules.documents import DAY, PLACES, Document, Entry, Place, documents, examples, instants

Act = Callable[[Document, float, float], Document]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE, HOUR = 60, 3600
NIGHT: Final[Entry] = {"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480, "label": "nights"}
SAYS: Final[dict[Act, str]] = {off_duty: "rest", reachable: "reachable"}


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


NOON: Final = utc("2026-11-24T12:00")


def written(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().replace("+00:00", "Z")


def override(kind: str, start: int | str, end: int | str, **more: object) -> Entry:
    """An override; whole numbers are minutes from noon."""
    start, end = (written(NOON + edge * MINUTE) if isinstance(edge, int) else edge for edge in (start, end))
    return {"kind": kind, "start": start, "end": end, **more}


def overrides(document: Document) -> list[Entry]:
    found = document.get("overrides", [])
    assert isinstance(found, list)
    return found


def spans(document: Document) -> list[tuple[int, int]]:
    """The overrides in UTC seconds, in their order."""
    rules = parse(document)
    zone = rules.zone
    return [(instant(o.span.start, zone.opens), instant(o.span.end, zone.closes)) for o in rules.overrides]


def resting(document: Document, second: float) -> bool:
    return state(document, EPOCH + timedelta(seconds=second)).resting


def refusal(act: Act, document: Document, now: float, until: float) -> list[str]:
    with pytest.raises(RuleError) as caught:
        act(document, now, until)
    return [problem.path for problem in caught.value.problems]


# The property: any document, any presses.

_ACT: Final = st.sampled_from((off_duty, reachable))
_FRACTION: Final = st.sampled_from((0, 0, 0.5))
_LATER: Final = st.sampled_from((0, 0, 1, 59, HOUR, DAY, 2 * DAY)) | st.integers(0, 2 * DAY)
_LENGTH: Final = st.sampled_from((1, MINUTE, HOUR, 8 * HOUR, DAY)) | st.integers(1, 3 * DAY)
_NAMES: Final[st.SearchStrategy[list[Entry]]] = st.lists(
    st.sampled_from(({}, {}, {"id": "…"}, {"label": "on call"})), min_size=3, max_size=3
)


@pytest.fixture(scope="module", params=PLACES, ids=str)
def place(request: pytest.FixtureRequest) -> Place:
    assert isinstance(request.param, Place)
    return request.param


def named(document: Document, names: list[Entry]) -> Document:
    """The document with ids and labels on some overrides; no id twice."""
    entries: list[Entry] = []
    for i, (entry, more) in enumerate(zip(overrides(document), names, strict=False)):
        entries.append(entry | more | ({"id": f"o{i}"} if "id" in more else {}))
    return document | {"overrides": entries}


def instants_from(data: st.DataObject, document: Document, first: float, by: st.SearchStrategy[int]) -> float:
    """An instant some time after the first, perhaps in the middle of a second; often where an override has an edge."""
    at_edge = [edge for span in spans(document) for edge in span if first < edge < first + 3 * DAY]
    later = by.map(lambda seconds: math.floor(first) + seconds)
    second = data.draw(st.sampled_from(at_edge) | later if at_edge else later)
    return max(first, second + data.draw(_FRACTION))


def as_classes_see(document: Document, seconds: Iterable[int]) -> list[tuple[bool, bool]]:
    """Whether the person rests, for all classes and for the roster's, at each of the seconds."""
    seconds = list(seconds)
    table = compile_table(parse(document), seconds[0])
    roster = table.for_class("roster")
    return [(table.at(second).resting, roster.at(second).resting) for second in seconds]


def check(act: Act, before: Document, now: float, until: float, asked: list[int]) -> Document:
    """Press, and compare with the law; gives the new document."""
    untouched = copy.deepcopy(before)
    after = act(before, now, until)
    assert before == untouched
    rests, first, last = act is off_duty, math.floor(now), math.ceil(until)

    for moment in (now, (now + until) / 2, until - 0.001):
        assert resting(after, moment) is rests
    edges = {edge for document in (before, after) for span in spans(document) for edge in span}
    seconds = {near for edge in {first, last, *edges, *asked} for near in (edge - 1, edge, edge + 1)}
    inside = {second for second in seconds if first <= second < last}
    assert set(as_classes_see(after, inside)) == {(rests, rests)}
    outside = sorted(second for second in seconds - inside if second >= first - DAY)
    assert as_classes_see(after, outside) == as_classes_see(before, outside)

    check_writing(act, before, after, first, last)
    return after


def check_writing(act: Act, before: Document, after: Document, first: int, last: int) -> None:
    """What the result holds, beside what it means."""
    assert list(after) == list(dict.fromkeys([*before, "overrides"]))
    assert all(after[name] is before[name] for name in after if name != "overrides")
    for entry, (start, end) in zip(overrides(after), spans(after), strict=True):
        assert end >= first - DAY, "no history"
        assert entry["kind"] == SAYS[act] or end <= first or start >= last, "nothing contrary is left"
    texts = {entry[name] for entry in overrides(before) for name in ("start", "end")}
    assert {entry[name] for entry in overrides(after) for name in ("start", "end")} <= texts | {
        written(first), written(last),
    }  # fmt: skip
    ids = [entry["id"] for entry in overrides(after) if "id" in entry]
    assert len(ids) == len(set(ids))


@examples(0.3)
@given(data=st.data())
def test_the_last_act_holds_and_nothing_else_moves(place: Place, data: st.DataObject) -> None:
    document = named(data.draw(documents(place)), data.draw(_NAMES))
    now: float = data.draw(instants(place))
    for act in data.draw(st.lists(_ACT, min_size=1, max_size=4)):
        now = instants_from(data, document, now, _LATER)
        until = instants_from(data, document, now, _LENGTH)
        if until == now:
            until += 1
        document = check(act, document, now, until, data.draw(st.lists(instants(place), max_size=4)))
        assert act(document, now, until) == document, "twice is once"


@examples(0.15)
@given(data=st.data())
def test_reachable_until_the_end_of_the_current_rest_is_reachable(place: Place, data: st.DataObject) -> None:
    """The person has no rest left of the current one, and all that follows it."""
    document = data.draw(documents(place))
    now = data.draw(instants(place)) + data.draw(_FRACTION)
    until = state(document, EPOCH + timedelta(seconds=now)).until
    if until is not None:
        after = check(reachable, document, now, until.timestamp(), [])
        assert not state(after, EPOCH + timedelta(seconds=now)).resting


# The cut.


@pytest.mark.parametrize(
    ("span", "left"),
    [
        ((-60, 0), [(-60, 0)]),  # touches
        ((60, 120), [(60, 120)]),
        ((-60, -30), [(-60, -30)]),
        ((90, 120), [(90, 120)]),
        ((0, 60), []),  # inside
        ((10, 50), []),
        ((-1, 60), [(-1, 0)]),  # over one edge
        ((-60, 1), [(-60, 0)]),
        ((0, 61), [(60, 61)]),
        ((59, 120), [(60, 120)]),
        ((-1, 61), [(-1, 0), (60, 61)]),  # over both
    ],
)
@pytest.mark.parametrize("act", [off_duty, reachable])
@pytest.mark.parametrize("more", [{}, {"classes": ["roster"], "label": "on call"}])
def test_an_act_cuts_what_says_the_opposite(
    act: Act, more: Entry, span: tuple[int, int], left: list[tuple[int, int]]
) -> None:
    contrary = "reachable" if act is off_duty else "rest"
    document: Document = {"windows": [NIGHT], "overrides": [override(contrary, *span) | more]}
    after = act(document, NOON, NOON + HOUR)
    assert overrides(after) == [*(override(contrary, *part) | more for part in left), override(SAYS[act], 0, 60)]


def test_on_call_is_split_around_a_break() -> None:
    """Label and classes stay on both parts; an id names one thing, what is still to come."""
    on_call = override("reachable", -600, 600, id="a1", label="on call", classes=["roster", "alarm"])
    after = off_duty({"overrides": [on_call]}, NOON, NOON + HOUR, label="break")
    assert overrides(after) == [
        override("reachable", -600, 0, label="on call", classes=["roster", "alarm"]),
        override("reachable", 60, 600, id="a1", label="on call", classes=["roster", "alarm"]),
        override("rest", 0, 60, label="break"),
    ]


def test_the_only_part_that_is_left_keeps_the_id() -> None:
    on_call = override("reachable", 0, 600, id="a1")
    assert overrides(off_duty({"overrides": [on_call]}, NOON, NOON + HOUR))[0] == override(
        "reachable", 60, 600, id="a1"
    )


def test_edges_that_are_not_cut_keep_their_text() -> None:
    on_call = override("reachable", "2026-11-24T08:00", "2026-11-24T20:00+01:00")
    assert overrides(off_duty({"overrides": [on_call]}, NOON, NOON + HOUR)) == [
        override("reachable", "2026-11-24T08:00", 0),
        override("reachable", 60, "2026-11-24T20:00+01:00"),
        override("rest", 0, 60),
    ]


def test_what_only_touches_keeps_its_text() -> None:
    """In Berlin, 13:00 to 14:00 is the hour from noon in UTC."""
    before = override("reachable", "2026-11-24T08:00", "2026-11-24T13:00")
    after = override("reachable", "2026-11-24T14:00", "2026-11-24T18:00")
    found = overrides(off_duty({"overrides": [before, after]}, NOON, NOON + HOUR))
    assert found == [before, after, override("rest", 0, 60)]


def test_a_wall_time_is_cut_by_instants_in_the_autumn_night() -> None:
    """On call from the first 02:45 to the second 02:15, which is half an hour; off duty in the middle of it."""
    on_call = override("reachable", "2026-10-25T02:45", "2026-10-25T02:15")
    now, until = utc("2026-10-25T00:50"), utc("2026-10-25T01:05")
    after = check(off_duty, {"windows": [NIGHT], "overrides": [on_call]}, now, until, [])
    assert overrides(after) == [
        override("reachable", "2026-10-25T02:45", "2026-10-25T00:50:00Z"),
        override("reachable", "2026-10-25T01:05:00Z", "2026-10-25T02:15"),
        override("rest", "2026-10-25T00:50:00Z", "2026-10-25T01:05:00Z"),
    ]


def test_a_part_in_the_skipped_hour_is_nothing() -> None:
    """In spring 02:30 is the jump, 01:00Z: no part is left after it, though the texts look like half an hour."""
    on_call = override("reachable", "2026-03-29T01:30", "2026-03-29T02:30")
    now, until = utc("2026-03-29T00:45"), utc("2026-03-29T01:00")
    after = check(off_duty, {"overrides": [on_call]}, now, until, [])
    assert overrides(after) == [
        override("reachable", "2026-03-29T01:30", "2026-03-29T00:45:00Z"),
        override("rest", "2026-03-29T00:45:00Z", "2026-03-29T01:00:00Z"),
    ]


def test_a_second_that_an_edge_touches_belongs_to_the_act() -> None:
    """R1 floors the question; so the answer is right from the start to the last fraction."""
    after = off_duty({}, NOON + 0.75, NOON + 10.25)
    assert spans(after) == [(NOON, NOON + 11)]
    assert spans(off_duty({}, NOON + 0.25, NOON + 0.5)) == [(NOON, NOON + 1)]


def test_all_else_stays_as_it_is() -> None:
    document: Document = {
        "devices": {"tablet": {"wake": "never"}},
        "overrides": (MappingProxyType(override("rest", 0, 60, id="a1", label="x")), override("rest", 600, 700)),
        "timezone": "Europe/Lisbon",
        "windows": [NIGHT],
    }
    after = off_duty(document, NOON, NOON + HOUR)
    assert list(after) == list(document)
    assert all(after[name] is document[name] for name in ("devices", "timezone", "windows"))
    assert overrides(after) == [*document["overrides"], override("rest", 0, 60)]  # type: ignore[misc]


def test_a_document_without_rules_gets_one() -> None:
    """And its windows and zone are not written out."""
    assert off_duty({}, NOON, NOON + HOUR) == {"overrides": [override("rest", 0, 60)]}


# One override for many presses.


@pytest.mark.parametrize("act", [off_duty, reachable])
@pytest.mark.parametrize("every", [0, 1, HOUR])
@pytest.mark.parametrize("label", ["", "home"])
def test_a_hundred_presses_leave_one_override(act: Callable[..., Document], every: int, label: str) -> None:
    document: Document = {"windows": [NIGHT]}
    for press in range(100):
        document = act(document, NOON + press * every, NOON + press * every + HOUR, label=label)
    (one,) = overrides(document)
    assert one.get("label", "") == label
    assert spans(document) == [(NOON, NOON + 99 * every + HOUR)]


def test_presses_that_do_not_touch_are_two() -> None:
    """A hole of one second is a hole (R8)."""
    document = off_duty({}, NOON, NOON + HOUR)
    assert spans(off_duty(document, NOON + HOUR, NOON + 2 * HOUR)) == [(NOON, NOON + 2 * HOUR)]
    apart = [(NOON, NOON + HOUR), (NOON + HOUR + 1, NOON + 2 * HOUR)]
    assert spans(off_duty(document, NOON + HOUR + 1, NOON + 2 * HOUR)) == apart


def test_off_duty_reachable_off_duty_leaves_no_scar() -> None:
    document = off_duty({}, NOON, NOON + 8 * HOUR)
    there_and_back = off_duty(reachable(document, NOON + HOUR, NOON + 2 * HOUR), NOON + HOUR, NOON + 2 * HOUR)
    assert there_and_back == document


def test_a_row_of_overrides_is_taken_in_with_its_outermost_texts() -> None:
    document: Document = {
        "overrides": [
            override("rest", 120, "2026-11-24T18:00"),  # 13:00 in Berlin is noon in UTC
            override("rest", 30, 120),
            override("rest", "2026-11-24T12:30", 10),
            override("rest", 301, 400),
        ]
    }
    assert overrides(off_duty(document, NOON, NOON + HOUR)) == [
        override("rest", 301, 400),
        override("rest", "2026-11-24T12:30", "2026-11-24T18:00"),
    ]


@pytest.mark.parametrize("more", [{"id": "a1"}, {"label": "leave"}, {"classes": ["roster"]}])
def test_what_somebody_named_is_not_taken_in(more: Entry) -> None:
    document: Document = {"overrides": [override("rest", -60, 30, **more)]}
    assert overrides(off_duty(document, NOON, NOON + HOUR)) == [*overrides(document), override("rest", 0, 60)]


# No history, limits, faults.


@pytest.mark.parametrize("kind", ["rest", "reachable"])
@pytest.mark.parametrize(("ended", "stays"), [(DAY, True), (DAY + 1, False), (30 * DAY, False)])
def test_an_override_is_dropped_24_hours_after_its_end(kind: str, ended: int, stays: bool) -> None:
    """L3."""
    old = override(kind, "2026-01-01T00:00", written(NOON - ended), id="a1")
    after = off_duty({"overrides": [old]}, NOON + 0.5, NOON + HOUR)
    assert (old in overrides(after)) is stays


def full(count: int) -> list[Entry]:
    return [override("reachable", 600 + i, 601 + i, label="on call") for i in range(count)]


def test_there_is_no_fifty_first_override() -> None:
    """Neither by the new one nor by a split; a caller never stores what cannot be read."""
    assert refusal(off_duty, {"overrides": full(MAX_OVERRIDES)}, NOON, NOON + HOUR) == ["overrides"]
    assert len(overrides(off_duty({"overrides": full(MAX_OVERRIDES - 1)}, NOON, NOON + HOUR))) == MAX_OVERRIDES
    around, inside = override("reachable", -1, 61), override("reachable", 0, 60)
    old = override("reachable", -3000, -2000)
    others = full(MAX_OVERRIDES - 2)
    assert refusal(off_duty, {"overrides": [*others, around]}, NOON, NOON + HOUR) == ["overrides"]
    for making_room in (inside, old):
        document: Document = {"overrides": [*full(MAX_OVERRIDES - 1), making_room]}
        assert len(overrides(off_duty(document, NOON, NOON + HOUR))) == MAX_OVERRIDES


@pytest.mark.parametrize("act", [off_duty, reachable])
@pytest.mark.parametrize(
    ("now", "until"),
    [(NOON, NOON), (NOON + 0.5, NOON + 0.5), (NOON + 0.5, NOON + 0.25), (NOON, NOON - 1), (math.nan, NOON),
     (NOON, math.nan), (NOON, math.inf), (-math.inf, NOON)],
)  # fmt: skip
def test_an_act_that_ends_before_it_begins_is_refused(act: Act, now: float, until: float) -> None:
    with pytest.raises(ValueError, match="until must be later than now") as caught:
        act({}, now, until)
    assert not isinstance(caught.value, RuleError)


@pytest.mark.parametrize("act", [off_duty, reachable])
def test_a_document_that_cannot_be_read_is_refused(act: Act) -> None:
    document: Document = {"timezone": "Nowhere", "overrides": [override("rest", 60, 0)]}
    assert refusal(act, document, NOON, NOON + HOUR) == ["timezone", "overrides[0].end"]


@pytest.mark.parametrize(
    ("now", "until", "faults"),
    [
        (utc("1999-12-31T23:59:59"), NOON, ["overrides[0].start"]),
        (NOON, utc("2200-01-01T00:00"), ["overrides[0].end"]),
        (-1e30, 1e30, ["overrides[0].start", "overrides[0].end"]),
    ],
)
def test_years_without_a_calendar_of_ours_are_refused(now: float, until: float, faults: list[str]) -> None:
    assert refusal(off_duty, {}, now, until) == faults


def test_an_act_may_last_from_the_first_to_the_last_second_of_our_calendar() -> None:
    first, last = utc("2000-01-01T00:00"), utc("2199-12-31T23:59:59")
    assert spans(reachable({}, first, last)) == [(first, last)]


def test_a_label_is_a_label() -> None:
    with pytest.raises(RuleError) as caught:
        reachable({}, NOON, NOON + HOUR, label="x" * 201)
    assert [problem.path for problem in caught.value.problems] == ["overrides[0].label"]
