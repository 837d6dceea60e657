"""In which direction rest fails (R11, L8): clocks that step, machines that sleep, zones that change or vanish.

Whatever happens, nobody is rung in what was rest, nothing is lost, and alarms pass.
"""

from __future__ import annotations

from importlib import resources
from zoneinfo import ZoneInfo

import pytest

from relay import trust
from relay.clock import SLICE
from relay.core.errors import NotFound
from relay.core.operating import Selection, resume
from relay.dispatch import SETTLED
from schedules import rules
from schedules.walltime import Zone
from tests.relay.world import NOON, SettableClock, rest_between, virtual, world

HOUR = 3600.0
NIGHT = NOON + 10.5 * HOUR
"""22:30 in Berlin."""
MORNING = NOON + 18 * HOUR
NIGHTS = {"windows": [{"kind": "weekly", "start": "22:00", "end": "06:00"}]}


@virtual
async def test_a_machine_that_slept_through_the_morning_wakes_everybody_once_when_it_wakes() -> None:
    clock = SettableClock(NIGHT)
    async with world(start=NIGHT, clock=clock, provider_has_it=True) as w:
        users = await w.crowd(30)
        for user in users:
            await w.rest(user, NIGHTS)
        await w.post(*users)
        await w.pass_time(60)
        assert w.requests() == []
        clock.error += 9 * HOUR  # suspended; trio's clock stood still meanwhile
        await w.pass_time(SLICE + 30)
        assert len(w.requests()) == 30
        await w.pass_time(600)
        assert len(w.requests()) == 30
        assert w.account == {"accepted": 30, "woken": 30}


@virtual
async def test_a_machine_that_slept_into_the_night_rings_nobody() -> None:
    clock = SettableClock(NIGHT - HOUR)
    async with world(start=NIGHT - HOUR, clock=clock, provider_has_it=True, connections=1) as w:
        await w.register("anna")
        await w.rest("anna", NIGHTS)
        await w.post("anna")
        await w.pass_time(1)
        assert len(w.requests()) == 1
        await w.post("anna")  # held
        clock.error += 2 * HOUR
        await w.pass_time(SLICE + 400)
        assert len(w.requests()) == 1
        await w.alarm("anna")
        await w.pass_time(5)
        assert len(w.requests()) == 2


@virtual
async def test_a_clock_that_is_set_back_into_the_night_holds_what_has_not_left_and_repeats_nothing() -> None:
    clock = SettableClock(MORNING - 60)
    async with world(start=MORNING - 60, clock=clock, provider_has_it=True) as w:
        w.forgiven.add("pings_too_often")  # it reckons by that clock too
        for user in ("anna", "bert"):
            await w.register(user)
        await w.rest("anna", NIGHTS)
        await w.post("anna")
        await w.pass_time(120 + SLICE)
        assert len(w.requests()) == 1
        await w.rest("bert", NIGHTS)
        clock.error -= HOUR / 2  # it is 05:33 again
        await w.post("anna", "bert")
        await w.pass_time(HOUR / 3)
        assert len(w.requests()) == 1
        await w.pass_time(HOUR / 3)
        assert len(w.requests()) == 3
        assert w.account == {"accepted": 3, "woken": 3}


@virtual
async def test_a_zone_that_the_new_edition_does_not_have_is_rest_without_end_and_alarms_pass(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An edition comes with a restart, and the last good table is gone with the process."""
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", NIGHTS | {"timezone": "Europe/Berlin"})

        def gone(_name: str) -> Zone:
            raise KeyError("no such time zone")

        monkeypatch.setattr(rules, "zone", gone)
        await w.restart()
        await w.post("anna")
        await w.pass_time(60)
        assert w.requests() == []
        assert w.relay.tables.unreadable >= 1
        await w.alarm("anna")
        await w.pass_time(5)
        assert len(w.requests()) == 1
        monkeypatch.undo()
        await w.restart()
        await w.pass_time(SETTLED + 10)
        assert w.account == {"accepted": 2, "woken": 2}


def fixed_zone(hours: int) -> Zone:
    """Berlin, where the clock never changes any more."""
    with resources.files("tzdata").joinpath("zoneinfo", "Etc", f"GMT-{hours}").open("rb") as file:
        return Zone("Europe/Berlin", ZoneInfo.from_file(file, key="Europe/Berlin"))


@pytest.mark.parametrize(("hours", "later"), [(1, HOUR), (2, 0.0), (3, -HOUR)])
@virtual
async def test_new_rules_of_a_zone_move_the_release_with_them(
    hours: int, later: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new edition says that summer time is abolished, or doubled: then 06:00 of a July is another instant."""
    july = NOON + 232 * 24 * HOUR  # 13:00 in Berlin
    async with world(start=july + 10 * HOUR, jitter=30.0) as w:
        await w.register("anna")
        await w.rest("anna", NIGHTS)
        await w.post("anna")
        await w.pass_time(10)
        assert july + 17 * HOUR <= w.person("anna").slots["message"].due_at < july + 17 * HOUR + 30
        monkeypatch.setattr(rules, "zone", lambda _name: fixed_zone(hours))
        await w.restart()
        await w.pass_time(7 * HOUR + later - 20)
        assert w.requests() == []
        await w.pass_time(60)
        assert len(w.requests()) == 1


@virtual
async def test_a_restart_within_the_jitter_lets_nobody_go_early() -> None:
    """Else all would go at once a minute after it."""
    async with world(start=MORNING - 60, jitter=300.0) as w:
        users = await w.crowd(60)
        for user in users:
            await w.rest(user, NIGHTS)
        await w.post(*users)
        await w.pass_time(70)
        await w.restart()
        due = {slot.due_at for _person, _name, slot in w.relay.people.slots()}
        await w.pass_time(SETTLED + 1)
        assert {slot.due_at for _person, _name, slot in w.relay.people.slots()} <= due
        assert 5 < len(w.requests()) < 55
        await w.pass_time(300)
        assert len(w.requests()) == 60


# --- a clock that is years off

YEARS = 20 * 365 * 86_400.0


@pytest.mark.parametrize("error", [YEARS, -YEARS], ids=["ahead", "behind"])
@virtual
async def test_while_the_clock_is_years_off_nothing_is_given_up_and_only_alarms_leave(error: float) -> None:
    clock = SettableClock()
    async with world(clock=clock, connections=1) as w:
        for user in ("anna", "bert"):
            await w.register(user)
        await w.rest("anna", {"windows": [{"kind": "once", "start": "2026-11-24T10:00Z", "end": "2026-11-24T14:00Z"}]})
        await w.post("anna")
        await w.pass_time(10)
        clock.error = error
        await w.pass_time(SLICE + 2)
        assert w.relay.ops.reasons() == ["clock_is_wrong"]
        await w.post("bert")
        await w.pass_time(2 * HOUR - 100)
        assert w.requests() == []
        w.forgiven |= {"ExpiredProviderToken", "InvalidProviderToken"}
        with pytest.raises(NotFound):
            await w.relay.journal.operate(lambda draft: resume(draft, Selection(None, None, None), "why", "root"))
        clock.error = 0.0
        await w.pass_time(SLICE + 2)
        assert w.relay.ops.reasons() == []
        await w.pass_time(4 * HOUR)
        assert w.account == {"accepted": 2, "woken": 2}
        assert [entry.status for entry in w.requests("bert")] == [200]
        assert w.rang("anna") == [3 * HOUR]


@virtual
async def test_what_came_while_the_clock_was_ahead_does_not_wait_for_that_time() -> None:
    """A message, a hold, a back-off and an order of the wrong afternoon; it is noon again."""
    clock = SettableClock()
    async with world(clock=clock, provider_has_it=True, connections=1) as w:
        w.forgiven.add("pings_too_often")  # it reckons by that clock too
        for user in ("held", "failing", "resting"):
            await w.register(user)
        clock.error = 5 * HOUR
        await w.pass_time(SLICE + 2)
        await w.rest(
            "resting", {"windows": [{"kind": "once", "start": "2026-11-24T15:00Z", "end": "2026-11-24T18:00Z"}]}
        )
        for _ in range(4):
            await w.post("held")
            await w.pass_time(90)
        rung = len(w.requests("held"))
        await w.post("held", "resting")
        await w.post("held", event_class="control")
        w.fake.injections.answers += [(503, "ServiceUnavailable")] * 3
        await w.post("failing")
        await w.pass_time(40)
        clock.error = 0.0
        w.fake.injections.answers.clear()
        await w.pass_time(SLICE + 300)
        assert len(w.requests("held")) > rung
        assert w.rang("resting"), "it is hours before the rest"
        await w.pass_time(HOUR / 2)
        assert w.wakeups("failing")
        assert w.account.get("pending", 0) == 0


@virtual
async def test_what_is_kept_for_a_day_is_not_purged_by_a_clock_that_is_years_ahead() -> None:
    clock = SettableClock()
    async with world(clock=clock) as w:
        await w.register("anna")
        await w.alarm("anna")
        await w.pass_time(10)
        clock.error = YEARS
        await w.pass_time(2 * HOUR)
        assert len(w.relay.people.remembered) == len(w.relay.people.receipts) == 1
        clock.error = 0.0
        await w.pass_time(26 * HOUR)
        assert len(w.relay.people.remembered) == len(w.relay.people.receipts) == 0


@pytest.mark.parametrize("now", [0.0, trust.EARLIEST - 1, trust.LATEST, 1e12, 1e18])
def test_a_relay_does_not_start_by_a_clock_that_cannot_be_right(now: float) -> None:
    with pytest.raises(trust.ClockIsWrong, match=r"^the clock says .*; set it, and start again$"):
        trust.check(now)


@pytest.mark.parametrize("ahead", [2 * 24 * HOUR, 3 * 365 * 24 * HOUR], ids=["days", "years"])
@virtual
async def test_what_an_earlier_process_wrote_by_a_clock_that_was_ahead_does_not_wait_for_that_time(
    ahead: float,
) -> None:
    """The relay was started by it, and is started again by one that is right."""
    clock = SettableClock()
    async with world(clock=clock, provider_has_it=True, connections=1) as w:
        w.forgiven |= {"pings_too_often", "ExpiredProviderToken", "InvalidProviderToken"}
        for user in ("resting", "ordered"):
            await w.register(user)
        clock.error = ahead
        await w.restart()
        now = clock.now()
        await w.rest("resting", rest_between(now - HOUR, now + HOUR))
        await w.post("resting")
        await w.post("ordered", event_class="control")
        await w.pass_time(60)
        clock.error = 0.0
        await w.restart()
        await w.pass_time(10)
        assert w.rang("resting") == [70 - 10]
        assert w.person("ordered").slots["control"].due_at <= clock.now() + 24 * HOUR
        await w.post("resting")
        await w.pass_time(600)
        assert len(w.rang("resting")) == 2
