"""What the demo shows: plain lines without a terminal, a picture on one."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from relay.simulators.demo.ledger import FIVE_MINUTES, Ledger
from relay.simulators.demo.report import Report
from relay.simulators.demo.view import LiveView, PlainView, curve
from relay.simulators.world import BEGINS, ENDS, World, at

GOOD = Report(
    users=100, devices=130, events=7, wakeups=5, deferred=1, merged=2, alarms=3, in_rest_without_bypass=0, lost=0,
    books_balance=True, force_seconds=0.25, seconds=4.0,
)  # fmt: skip


@pytest.fixture
def ledger() -> Ledger:
    world = World(seed=1, officers=100)
    ledger = Ledger(world.officers)
    awake = next(n for n, officer in enumerate(world.officers) if not officer.rests)
    ledger.posted(BEGINS, "message", [awake])
    ledger.arrived(BEGINS, next(phone.token for phone in world.officers[awake].phones if phone.token))
    return ledger


def plain() -> tuple[PlainView, StringIO]:
    out = StringIO()
    return PlainView(Console(file=out, width=40)), out


def test_there_is_one_line_each_half_hour_whatever_the_steps(ledger: Ledger) -> None:
    view, out = plain()
    for t in (BEGINS + 10, at(21 * 60 + 31), at(21 * 60 + 40), at(23 * 60), ENDS):
        view.show(t, ledger)
    lines = out.getvalue().splitlines()
    assert [line[:5] for line in lines[:4]] == ["21:30", "22:00", "22:30", "23:00"]
    assert (len(lines), lines[-1][:5]) == (20, "07:00")
    assert lines[0] == (
        "21:30  events 1, deferred 0, merged 0, woken 1, alarms 0, in rest without bypass 0"
    )  # not wrapped, whatever the width


def test_the_verdict_is_said_in_words() -> None:
    view, out = plain()
    view.end(GOOD)
    view.end(replace(GOOD, in_rest_without_bypass=2, lost=1, books_balance=False))
    assert "0 woken in rest without a bypass, 0 lost, books balance (4 s in all)" in out.getvalue()
    assert "2 woken in rest without a bypass, 1 lost, books DO NOT BALANCE" in out.getvalue()


@pytest.mark.parametrize(
    ("change", "good"),
    [({}, True), ({"in_rest_without_bypass": 1}, False), ({"lost": 1}, False), ({"books_balance": False}, False)],
    ids=str,
)
def test_a_report_is_good_when_nothing_is_wrong(change: dict[str, int], good: bool) -> None:
    assert replace(GOOD, **change).is_good is good  # type: ignore[arg-type]  # flags are numbers


def test_the_curve_has_a_column_for_five_minutes_and_shows_the_least() -> None:
    column = int((at(30 * 60) - BEGINS) // FIVE_MINUTES)  # 06:00
    rows = [row.plain for row in curve({0: 1, column: 1000, column + 1: 500})]
    assert len(rows) == 2
    assert rows[0].startswith("  21:00 ▁ ")
    assert rows[1].startswith("  02:00 ")
    assert rows[1][8 + column - 60 :].startswith("█▄ ")
    assert "highest 1,000" in rows[1]


def test_an_empty_night_has_an_empty_curve() -> None:
    assert not set("▁▂▃▄▅▆▇█") & set("".join(row.plain for row in curve({})))


async def test_the_live_view_draws_counters_the_curve_and_the_verdict(ledger: Ledger) -> None:
    out = StringIO()
    view = LiveView(Console(file=out, force_terminal=True, width=100, height=40))
    with view.running():
        view.say("The night begins.")
        view.show(at(22 * 60), ledger)
        view.show(ENDS, ledger)
        view.end(GOOD)
    shown = out.getvalue()
    for part in ("The night begins.", "22:00", "07:00", "in rest without bypass", "█", "books balance"):
        assert part in shown


async def test_the_live_view_does_not_draw_each_step(ledger: Ledger) -> None:
    out = StringIO()
    view = LiveView(Console(file=out, force_terminal=True, width=100, height=40))
    with view.running():
        for second in range(0, 6000, 10):
            view.show(BEGINS + second, ledger)
    assert out.getvalue().count("wakeups, each column") < 100
