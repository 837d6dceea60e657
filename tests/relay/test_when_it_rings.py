"""When a phone rings: rest, holds, edits, the last look, deadlines and echoes, through the whole relay."""

from __future__ import annotations

import pytest
import trio

from relay.clock import SLICE
from relay.core.devices import Platform
from relay.core.events import DAY, HOUR
from relay.core.gate import jitter
from relay.core.slots import RETENTION
from tests.relay.world import ENDLESS, SettableClock, World, nightly, rest_between, virtual, world

# --- one wakeup per device, and when


@virtual
async def test_an_event_wakes_every_phone_once_and_a_pc_never() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.register("anna", "pc", app="", platform=Platform.NONE)
        taken = await w.post("anna", "nobody")
        await w.pass_time(DAY)
        assert (taken.accepted, taken.unknown) == (1, 1)
        assert w.rang("anna", "phone") == w.rang("anna", "tablet") == [0.0]
        assert len(w.requests()) == 2
        assert w.account == {"accepted": 1, "woken": 1}


@virtual
async def test_a_wakeup_waits_for_the_end_of_rest_and_comes_in_that_very_second() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        await w.post("anna")
        await w.until(w.start + HOUR - 0.001)
        assert w.requests() == []
        await w.pass_time(1)
        assert w.rang("anna") == [HOUR, HOUR]


@virtual
async def test_a_nightly_rest_holds_until_six_by_the_wall_clock_of_the_person() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", nightly())
        await w.until(w.start + 12 * HOUR)
        await w.post("anna")
        await w.pass_time(DAY)
        assert w.rang("anna") == [18 * HOUR]


@virtual
async def test_jitter_spreads_the_releases_and_stands_still_over_a_restart() -> None:
    async with world(jitter=300.0) as w:
        end = w.start + HOUR
        users = await w.crowd(60, rest_between(w.start, end))
        await w.post(*users)
        await w.pass_time(HOUR / 2)
        await w.restart()
        await w.pass_time(HOUR)
        for user in users:
            assert w.rang(user) == pytest.approx([HOUR + jitter(w.key(user), end, 300.0)], abs=0.002)
        instants = [w.rang(user)[0] for user in users]
        assert min(instants) >= HOUR
        assert max(instants) < HOUR + 300
        thirds = [sum(HOUR + k * 100 <= at < HOUR + (k + 1) * 100 for at in instants) for k in range(3)]
        assert min(thirds) >= 10


@virtual
async def test_a_hole_in_the_rest_that_is_too_short_to_be_used_costs_nobody_the_message() -> None:
    """The deadline of seven days counts from the return after nine, not from the nine seconds in the first hour: also
    when the relay was down in between."""
    async with world(jitter=300.0) as w:
        await w.register("anna")
        back = w.start + 9 * DAY
        await w.rest("anna", rest_between(w.start, w.start + HOUR, w.start + HOUR + 9, back))
        await w.post("anna")
        await w.pass_time(2 * HOUR)
        w.kill()
        await w.until(back + 301)
        await w.restart()
        await w.pass_time(1)
        assert w.rang("anna") == [9 * DAY + 301]


@virtual
async def test_what_came_during_rest_rings_once() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        for _ in range(50):
            await w.post("anna")
            await w.pass_time(10)
        await w.post("anna", event_class="roster")
        await w.pass_time(DAY)
        assert w.rang("anna") == [HOUR]
        assert w.account == {"accepted": 51, "woken": 2, "merged": 49}


@virtual
async def test_holds_grow_from_5_to_300_seconds_while_nothing_is_seen() -> None:
    """A post during a hold rings at its end: 5, 15, 60, 300, 300 s after the last one."""
    async with world() as w:
        await w.register("anna")
        for _ in range(700):
            await w.post("anna")
            await w.pass_time(1)
        assert w.rang("anna") == [0, 5, 20, 80, 380, 680]
        assert w.account == {"accepted": 700, "woken": 6, "merged": 675, "pending": 19}


@virtual
async def test_after_long_silence_holds_start_anew() -> None:
    async with world() as w:
        await w.register("anna")
        for _ in range(30):
            await w.post("anna")
            await w.pass_time(1)
        assert w.rang("anna") == [0, 5, 20]
        await w.until(w.start + 1000)
        for _ in range(10):
            await w.post("anna")
            await w.pass_time(1)
        assert w.rang("anna")[3:] == [80, 1000, 1005]


@virtual
async def test_reading_cuts_a_running_hold_to_the_shortest() -> None:
    async with world() as w:
        await w.register("anna")
        for _ in range(100):
            await w.post("anna")
            await w.pass_time(1)
        assert w.rang("anna") == [0, 5, 20, 80]
        await w.seen("anna")
        await w.post("anna")
        await w.pass_time(1)
        await w.post("anna")
        await w.pass_time(10)
        assert w.rang("anna")[4:] == [100, 105]


@virtual
async def test_what_was_read_during_rest_does_not_ring() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        await w.post("anna")
        await w.post("anna", event_class="roster")
        await w.pass_time(60)
        await w.seen("anna")
        await w.pass_time(DAY)
        assert w.requests() == []
        assert w.account == {"accepted": 2, "cancelled": 2}


@virtual
async def test_an_old_read_marker_does_not_cancel_what_is_newer() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        await w.post("anna")
        await w.pass_time(60)
        await w.seen("anna", at=w.start - 1)
        await w.pass_time(DAY)
        assert w.rang("anna") == [HOUR]


@virtual
async def test_reading_does_not_cancel_an_alarm() -> None:
    async with world() as w:
        await w.network.unplug()
        await w.register("anna")
        await w.alarm("anna")
        await w.post("anna")
        await w.pass_time(1)
        await w.seen("anna")
        w.network.reachable = True
        await w.pass_time(120)
        assert len(w.rang("anna")) == 1
        assert w.account == {"accepted": 2, "cancelled": 1, "woken": 1}


@virtual
async def test_an_alarm_pierces_rest_and_leaves_the_message_for_the_morning() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        await w.post("anna")
        await w.pass_time(60)
        await w.alarm("anna")
        await w.pass_time(60)
        assert w.rang("anna", "phone") == w.rang("anna", "tablet") == [60]
        assert w.account == {"accepted": 2, "woken": 1, "pending": 1}
        await w.pass_time(DAY)
        assert w.rang("anna", "phone") == w.rang("anna", "tablet") == [60, HOUR]


@virtual
async def test_an_alarm_ignores_holds_and_takes_the_held_message_along() -> None:
    async with world() as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(1)
        await w.post("anna")
        await w.pass_time(1)
        await w.alarm("anna")
        await w.pass_time(1)
        await w.alarm("anna")
        await w.pass_time(HOUR)
        assert w.rang("anna") == [0, 2, 3]
        assert w.account == {"accepted": 4, "woken": 4}


# --- edits while something waits


@virtual
async def test_deleting_the_rest_rings_what_waits_at_once() -> None:
    async with world(jitter=300.0) as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        await w.post("anna")
        await w.pass_time(100)
        await w.no_rest("anna")
        await w.pass_time(DAY)
        assert w.rang("anna") == [100]


@pytest.mark.parametrize(("end", "rings"), [(2 * HOUR, 2 * HOUR), (600.0, 600.0), (50.0, 100.0)])
@virtual
async def test_an_edited_rest_moves_what_waits(end: float, rings: float) -> None:
    """Longer, shorter, and already over at the edit, which comes after 100 s."""
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        await w.post("anna")
        await w.pass_time(100)
        await w.rest("anna", rest_between(w.start, w.start + end))
        await w.pass_time(DAY)
        assert w.rang("anna") == [rings]


@virtual
async def test_a_rest_put_before_a_held_event_defers_it() -> None:
    async with world() as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(1)
        await w.post("anna")
        await w.pass_time(1)
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        await w.pass_time(DAY)
        assert w.rang("anna") == [0, HOUR]


@virtual
async def test_a_rest_without_end_keeps_everything_but_alarms_and_gives_up_after_35_days() -> None:
    clock = SettableClock()
    async with world(clock=clock) as w:
        await w.register("anna")
        await w.rest("anna", ENDLESS)
        await w.post("anna")
        await w.pass_time(HOUR)
        await w.alarm("anna")
        await w.pass_time(HOUR)
        assert w.rang("anna") == [HOUR]
        clock.error = RETENTION - 2 * HOUR - 2 * SLICE
        await w.pass_time(SLICE)
        assert w.account == {"accepted": 2, "woken": 1, "pending": 1}
        await w.pass_time(2 * SLICE)
        assert w.account == {"accepted": 2, "woken": 1, "expired": 1}
        assert w.rang("anna") == [HOUR]


@virtual
async def test_a_rest_without_end_that_is_lifted_rings() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", ENDLESS)
        await w.post("anna")
        await w.pass_time(2 * DAY)
        await w.no_rest("anna")
        await w.pass_time(DAY)
        assert w.rang("anna") == [2 * DAY]


# --- the last look


@pytest.mark.parametrize(("before", "rings"), [(10.0, 100 + HOUR), (1.0, 100 + HOUR), (10.5, 89.5)])
@virtual
async def test_nothing_is_sent_within_ten_seconds_before_rest(before: float, rings: float) -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start + 100, w.start + 100 + HOUR))
        await w.pass_time(100 - before)
        await w.post("anna")
        await w.pass_time(DAY)
        assert w.rang("anna") == [rings]


@virtual
async def test_rest_that_begins_while_the_wakeup_waits_for_a_connection_holds_it_back() -> None:
    async with world() as w:
        await w.network.unplug()
        await w.register("anna")
        await w.register("bert")
        await w.rest("anna", rest_between(w.start + 100, w.start + HOUR))
        await w.post("anna", "bert")
        await w.pass_time(101)
        assert w.lane.queued == 2
        w.network.reachable = True
        await w.pass_time(200)
        assert len(w.rang("bert")) == 1
        assert w.requests("anna") == []
        assert w.lane.refused == 1
        await w.pass_time(DAY)
        assert w.rang("anna") == [HOUR]


@virtual
async def test_rest_that_begins_while_the_wakeup_waits_for_a_stream_holds_it_back() -> None:
    async with world(streams=1) as w:
        await w.register("anna")
        await w.register("bert")
        await w.post("bert")
        await w.pass_time(HOUR)
        w.fake.injections.latency = lambda: 20.0
        await w.rest("anna", rest_between(w.now + 15, w.now + HOUR))
        await w.post("bert")
        await w.quiet()
        await w.post("anna")
        await w.pass_time(30)
        assert len(w.rang("bert")) == 2
        assert w.requests("anna") == []
        await w.pass_time(HOUR)
        assert w.rang("anna") == [2 * HOUR]


@virtual
async def test_the_last_look_comes_after_waiting_for_a_stuck_writer() -> None:
    """The wakeup may leave when its write begins, but not any more when the socket is free."""
    async with world() as w:
        await w.register("anna")
        await w.register("bert")
        await w.post("bert")
        await w.pass_time(60)
        line = w.network.lines[0]
        line.jam()
        await w.fake.set_streams(500)
        await w.quiet()
        await w.rest("anna", rest_between(w.now + 15, w.now + HOUR))
        await w.post("anna")
        await w.pass_time(8)
        line.flow()
        await w.pass_time(600)
        assert w.requests("anna") == []
        assert w.lane.refused == 1
        await w.pass_time(DAY)
        assert w.rang("anna") == [60 + HOUR]


@virtual
async def test_a_wakeup_in_a_write_that_hangs_is_not_sent_again_in_rest() -> None:
    async with world() as w:
        await w.register("anna")
        await w.register("bert")
        await w.post("bert")
        await w.pass_time(60)
        w.network.lines[0].jam()
        await w.rest("anna", rest_between(w.now + 11, w.now + HOUR))
        await w.post("anna")
        await w.pass_time(600)
        assert len(w.network.lines) == 2
        assert w.requests("anna") == []
        await w.pass_time(DAY)
        assert w.rang("anna") == [60 + HOUR]


@virtual
async def test_a_retry_asks_the_gate_again() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(503, "ServiceUnavailable")]
        await w.rest("anna", rest_between(w.start + 15, w.start + HOUR))
        await w.post("anna")
        await w.pass_time(DAY)
        assert [entry.status for entry in w.requests("anna")] == [503, 200]
        assert w.rang("anna") == [HOUR]


# --- deadlines


@virtual
async def test_a_class_deadline_ends_what_the_provider_did_not_take() -> None:
    async with world() as w:
        await w.network.unplug()
        await w.register("anna")
        await w.post("anna", event_class="brief")
        await w.until(w.start + 599)
        assert w.account == {"accepted": 1, "pending": 1}
        await w.pass_time(2)
        assert w.account == {"accepted": 1, "expired": 1}
        w.network.reachable = True
        await w.pass_time(DAY)
        assert w.requests() == []


@virtual
async def test_a_class_deadline_counts_from_the_end_of_rest() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start, w.start + 2 * HOUR))
        await w.post("anna", event_class="brief")
        await w.pass_time(DAY)
        assert w.rang("anna") == [2 * HOUR]


@virtual
async def test_a_message_that_ceases_to_exist_during_rest_never_rings() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        await w.post("anna", ttl=600)
        await w.pass_time(601)
        assert w.account == {"accepted": 1, "expired": 1}
        await w.pass_time(DAY)
        assert w.requests() == []


@virtual
async def test_a_merged_slot_lives_as_long_as_its_longest_message() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        await w.post("anna", ttl=2 * HOUR)
        await w.post("anna", ttl=600)
        await w.pass_time(DAY)
        assert w.rang("anna") == [HOUR]
        assert w.account == {"accepted": 2, "woken": 1, "merged": 1}


# --- echoes


async def _offline_over_night(w: World) -> None:
    """Anna's phone is off; a message comes ten minutes before a rest of an hour."""
    await w.register("anna")
    await w.rest("anna", rest_between(w.start + 600, w.start + 600 + HOUR))
    await w.post("anna")
    await w.pass_time(60)
    assert w.rang("anna") == [0]
    assert w.wakeups("anna")[0].value(b"apns-expiration") == b"%d" % (w.start + 300)


@virtual
async def test_a_wakeup_whose_life_was_cut_by_rest_is_repeated_after_it() -> None:
    async with world(posts_seen=True) as w:
        await _offline_over_night(w)
        await w.pass_time(DAY)
        assert w.rang("anna") == [0, 600 + HOUR]
        assert w.account == {"accepted": 1, "woken": 1}


@virtual
async def test_an_echo_of_what_was_read_is_not_sent() -> None:
    async with world(posts_seen=True) as w:
        await _offline_over_night(w)
        await w.seen("anna")
        await w.pass_time(DAY)
        assert w.rang("anna") == [0]


@virtual
async def test_without_read_markers_there_is_no_echo() -> None:
    async with world() as w:
        await _offline_over_night(w)
        await w.pass_time(DAY)
        assert w.rang("anna") == [0]


# --- reading on a PC


@virtual
async def test_while_somebody_reads_on_a_pc_messages_wait_and_alarms_do_not() -> None:
    async with world() as w:
        await w.register("anna")
        await w.seen("anna", active_for=60)
        await w.post("anna")
        await w.pass_time(10)
        assert w.rang("anna") == []
        await w.alarm("anna")
        await w.pass_time(10)
        assert w.rang("anna") == [10], "and it stands for the message too"
        await w.post("anna")
        await w.pass_time(100)
        assert w.rang("anna") == [10, 60]


@virtual
async def test_what_is_read_within_the_time_never_rings() -> None:
    async with world() as w:
        await w.register("anna")
        for _ in range(5):
            await w.seen("anna", active_for=60)
            await w.post("anna")
            await w.pass_time(50)
        await w.seen("anna")
        await w.pass_time(DAY)
        assert w.requests() == []
        assert w.account == {"accepted": 5, "cancelled": 5}


# --- who leaves


@virtual
async def test_who_was_deleted_is_not_woken_and_a_late_answer_is_no_error() -> None:
    """One wakeup waits for a connection, one event for its hold, and one answer is still on its way."""
    async with world() as w:
        for user in ("anna", "bert"):
            await w.register(user)
        await w.post("anna")
        await w.quiet()
        await w.post("anna")
        await w.forget("anna")
        await w.network.unplug()
        await w.post("bert")
        await w.forget("bert")
        w.network.reachable = True
        await w.pass_time(DAY)
        assert (len(w.rang("anna")), w.rang("bert")) == (1, [])
        w.check()
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(1)
        assert len(w.rang("anna")) == 2


@virtual
async def test_an_answer_that_comes_after_the_deletion_books_nothing() -> None:
    async with world() as w:
        await w.register("anna")
        await w.register("bert")
        await w.post("bert")
        await w.pass_time(1)
        for line in w.network.open_lines:
            line.mute()
        await w.post("anna")
        await w.quiet()
        await w.forget("anna")
        await w.register("anna")
        await w.pass_time(DAY)
        assert w.account == {"accepted": 2, "woken": 1, "cancelled": 1}
        assert w.relay.journal.statistics().healthy


# --- waiting for feedback while the relay stops


@virtual
async def test_who_waits_for_feedback_is_answered_when_the_relay_stops() -> None:
    async with world() as w:
        answers: list[float] = []

        async def wait() -> None:
            await w.relay.engine.feedback(w.tenant, None, 30.0)
            answers.append(trio.current_time())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await w.pass_time(2)
            w.stop.set()
            await w.stopped.wait()
        assert answers == [w.now - w.start] == [2]
