"""Edits of one thing: time on call is there and can be taken back; a device is woken as was said; all else stays."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import RuleError, Wake, compile_table, parse
from schedules.edits import off_call, on_call, waking
from schedules.rules import MAX_DEVICES, MAX_OVERRIDES
from tests.schedules.documents import DAY, PLACES, Document, Place, documents, examples, instants
from tests.schedules.test_acts import HOUR, NIGHT, NOON, full, override, overrides, resting, spans, utc, written


@pytest.fixture(scope="module", params=PLACES, ids=str)
def place(request: pytest.FixtureRequest) -> Place:
    assert isinstance(request.param, Place)
    return request.param


def faults(edit: Callable[[], object]) -> list[str]:
    with pytest.raises(RuleError) as caught:
        edit()
    assert all(problem.sentence and problem.german for problem in caught.value.problems)
    return [problem.path for problem in caught.value.problems]


# --- on call


@examples(0.3)
@given(data=st.data())
def test_on_call_somebody_is_reachable_and_afterwards_as_before(place: Place, data: st.DataObject) -> None:
    """Taken back, everything is as it was; but for what ended more than a day ago."""
    document = data.draw(documents(place))
    untouched = copy.deepcopy(document)
    now = data.draw(instants(place))
    start = now + data.draw(st.integers(-DAY, 2 * DAY))
    end = max(start, now) + data.draw(st.integers(1, 2 * DAY))
    is_text = data.draw(st.booleans())
    began, over = (written(start), written(end)) if is_text else (float(start), end - 0.25)
    after = on_call(document, now, began, over, "c1", "Ruf")
    assert document == untouched
    assert {name: after[name] for name in after if name != "overrides"} == {
        name: document[name] for name in document if name != "overrides"
    }
    assert overrides(after)[-1] == override("reachable", written(start), written(end), id="c1", label="Ruf")
    for second in {start, (start + end) // 2, end - 1}:
        if second >= now - DAY:
            assert not resting(after, second)
    before, then = compile_table(parse(document), now), compile_table(parse(after), now)
    for second in [start - 1, end, end + 1, *data.draw(st.lists(instants(place), max_size=5))]:
        if second >= now - DAY and not start <= second < end:
            assert then.at(second).resting == before.at(second).resting
    back = off_call(after, now, "c1")
    assert back is not None
    kept = [entry for entry, span in zip(overrides(document), spans(document), strict=True) if span[1] >= now - DAY]
    assert overrides(back) == kept


def test_a_second_that_an_edge_touches_belongs_to_it() -> None:
    assert spans(on_call({}, NOON, NOON + 0.75, NOON + 10.25, "c1")) == [(NOON, NOON + 11)]


def test_wall_times_stay_wall_times() -> None:
    """18:00 in Lisbon is what the clock reads there."""
    after = on_call({"timezone": "Europe/Lisbon"}, NOON, "2026-11-24T18:00", "2026-11-25T08:00", "c1")
    assert overrides(after) == [override("reachable", "2026-11-24T18:00", "2026-11-25T08:00", id="c1")]
    assert spans(after) == [(utc("2026-11-24T18:00"), utc("2026-11-25T08:00"))]


@pytest.mark.parametrize(
    ("start", "end", "label", "paths"),
    [
        (NOON - HOUR, NOON, "", ["end"]),
        (NOON - 2 * HOUR, "2026-11-24T12:30", "", ["end"]),  # in Berlin, 11:30 in UTC
        (NOON + HOUR, NOON + HOUR, "", ["end"]),
        (NOON + HOUR, NOON, "", ["end"]),
        ("x", "y", "", ["start", "end"]),
        ("2026-02-30T00:00", "2200-01-01T00:00", "", ["start", "end"]),
        (-1e18, 1e18, "", ["start", "end"]),
        (NOON, NOON + HOUR, "x" * 201, ["label"]),
    ],
)
def test_what_is_amiss_is_named_as_the_caller_names_it(
    start: float | str, end: float | str, label: str, paths: list[str]
) -> None:
    document: Document = {"windows": [NIGHT], "overrides": [override("rest", 0, 60)]}
    assert sorted(faults(lambda: on_call(document, NOON, start, end, "c1", label))) == sorted(paths)


def test_there_is_no_fifty_first_override() -> None:
    document: Document = {"overrides": full(MAX_OVERRIDES)}
    assert faults(lambda: on_call(document, NOON, NOON, NOON + HOUR, "c1")) == ["overrides"]
    old: Document = {"overrides": [*full(MAX_OVERRIDES - 1), override("rest", -6000, -3000)]}
    assert len(overrides(on_call(old, NOON, NOON, NOON + HOUR, "c1"))) == MAX_OVERRIDES


@pytest.mark.parametrize("ended", [DAY, DAY + 1])
def test_an_override_is_dropped_24_hours_after_its_end(ended: int) -> None:
    """L3; also when another one is taken back."""
    old = override("rest", "2026-01-01T00:00", written(NOON - ended))
    after = on_call({"overrides": [old]}, NOON + 0.5, NOON, NOON + HOUR, "c1")
    assert (old in overrides(after)) is (ended == DAY)
    back = off_call({"overrides": [old, override("reachable", 0, 60, id="c1")]}, NOON + 0.5, "c1")
    assert back is not None
    assert (old in overrides(back)) is (ended == DAY)


def test_only_time_on_call_is_taken_back_by_its_id() -> None:
    document: Document = {"overrides": [override("rest", 0, 60, id="c1"), override("reachable", 0, 60)]}
    assert off_call(document, NOON, "c1") is None
    assert off_call({}, NOON, "c1") is None


def test_a_document_that_cannot_be_read_is_refused() -> None:
    document: Document = {"timezone": "Nowhere"}
    for edit in (
        lambda: on_call(document, NOON, NOON, NOON + HOUR, "c1"),
        lambda: off_call(document, NOON, "c1"),
        lambda: waking(document, "phone", Wake.NEVER, ()),
    ):
        assert faults(edit) == ["timezone"]


# --- how a device is woken


@pytest.mark.parametrize("wake", Wake)
@pytest.mark.parametrize("before", [None, *Wake])
def test_a_device_is_woken_as_was_said(before: Wake | None, wake: Wake) -> None:
    document: Document = {"windows": [NIGHT]}
    if before is not None:
        document["devices"] = {"tablet": {"wake": "never"}, "phone": {"wake": before.value}}
    untouched = copy.deepcopy(document)
    after = waking(document, "phone", wake, ())
    assert document == untouched
    if wake is (before or Wake.FOLLOW):
        assert after is None
        return
    assert after is not None
    assert after["windows"] is document["windows"]
    others = {} if before is None else {"tablet": Wake.NEVER}
    assert parse(after).wakes == others | ({} if wake is Wake.FOLLOW else {"phone": wake})


def test_devices_that_are_gone_make_room() -> None:
    """Not before it is needed: their names may come back. Where all of them are there, there is no room."""
    names = [f"d{i}" for i in range(MAX_DEVICES)]
    document: Document = {"devices": {name: {"wake": "always"} for name in names}}
    after = waking(document, "phone", Wake.NEVER, ["d3", "phone"])
    assert after is not None
    assert parse(after).wakes == {"d3": Wake.ALWAYS, "phone": Wake.NEVER}
    assert faults(lambda: waking(document, "phone", Wake.NEVER, [*names, "phone"])) == ["devices"]
    changed = waking(document, "d0", Wake.NEVER, [])
    assert changed is not None
    assert len(parse(changed).wakes) == MAX_DEVICES


def test_a_name_that_no_document_may_hold_is_refused() -> None:
    assert faults(lambda: waking({}, "x" * 201, Wake.NEVER, ())) == ["devices[0]"]
