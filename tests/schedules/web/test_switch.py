"""Off is off at every instant, on is as before, and no rule is lost on the way."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from schedules import compile_table, parse
from schedules.acts import off_duty
from schedules.rules import MAX_OVERRIDES
from schedules.table import DAY
from schedules.web import switch
from tests.schedules.documents import PLACES, documents, instants

HOUR = 3600


@given(data=st.data())
def test_off_somebody_is_always_reachable_and_on_as_before(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(PLACES))
    document, now = data.draw(documents(place)), data.draw(instants(place))
    untouched = copy.deepcopy(document)
    off = switch.turned_off(document, parse(document), now)
    assert document == untouched
    assert switch.is_off(off)
    table = compile_table(parse(off), now)
    for ahead in (0, 1, HOUR, DAY, 30 * DAY, 399 * DAY):
        assert not table.at(now + ahead).resting
    on = switch.turned_on(off)
    assert not switch.is_off(on)
    assert on.get("windows") == document.get("windows")
    if len(document.get("overrides", ())) < MAX_OVERRIDES:  # type: ignore[arg-type]
        assert on["overrides"] == list(document.get("overrides", ()))  # type: ignore[call-overload]


@given(data=st.data())
def test_twice_is_once(data: st.DataObject) -> None:
    place = data.draw(st.sampled_from(PLACES))
    document, now = data.draw(documents(place)), data.draw(instants(place))
    once = switch.turned_off(document, parse(document), now)
    assert switch.turned_off(once, parse(once), now) == once


def test_off_duty_is_possible_while_it_is_off_and_it_is_off_again_afterwards() -> None:
    now = 1_795_000_000
    off = switch.turned_off({}, parse({}), now)
    resting = off_duty(off, now + HOUR, now + 2 * HOUR)
    table = compile_table(parse(resting), now)
    assert [table.at(now + hours * HOUR).resting for hours in (0, 1, 2)] == [False, True, False]
    assert switch.is_off(resting)
    assert switch.turned_on(resting)["overrides"]


def test_there_is_room_for_the_switch_when_overrides_are_over() -> None:
    now = 1_795_000_000
    past = {"kind": "rest", "start": "2020-01-01T00:00Z", "end": "2020-01-02T00:00Z"}
    full = {"overrides": [past] * MAX_OVERRIDES}
    assert len(switch.turned_off(full, parse(full), now)["overrides"]) == 1  # type: ignore[arg-type]
