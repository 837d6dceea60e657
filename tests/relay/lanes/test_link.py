"""A link: when it connects, how often, and that the others do not wait for it."""

from __future__ import annotations

from itertools import pairwise

from relay.lanes.link import CONNECT, LONGEST_WAIT
from tests.relay.world import virtual, world

MINUTE = 60.0


@virtual
async def test_an_unreachable_provider_is_tried_with_growing_pauses_by_one_link_at_a_time() -> None:
    async with world(connections=3, running=False) as w:
        w.network.reachable = False
        w.network.connect_seconds = 0.2
        await w.begin()
        users = await w.crowd(50)
        await w.post(*users)
        await w.pass_time(30 * MINUTE)
        assert w.network.most_at_once == 1
        attempts = w.network.attempts
        assert len([at for at in attempts if at <= 10]) >= 6
        last_minutes = [at for at in attempts if at > 20 * MINUTE]
        assert 3 * 10 <= len(last_minutes) <= 3 * 21
        assert w.account == {"accepted": 50, "pending": 50}
        w.network.reachable = True
        await w.pass_time(LONGEST_WAIT + 5)
        assert len(w.requests()) == 50
        assert w.account == {"accepted": 50, "woken": 50}
        assert len(w.network.open_lines) == 3


@virtual
async def test_pauses_between_attempts_double_from_one_second_to_a_minute_with_jitter() -> None:
    async with world(running=False) as w:
        w.network.reachable = False
        await w.begin()
        await w.pass_time(15 * MINUTE)
        gaps = [after - before for before, after in pairwise(w.network.attempts)]
        for gap, step in zip(gaps, (1, 2, 4, 8, 16, 32, 60, 60, 60, 60), strict=False):
            assert step / 2 <= gap <= step
        assert len({round(gap / min(2**n, 60), 3) for n, gap in enumerate(gaps)}) > 5


@virtual
async def test_an_attempt_that_hangs_is_given_up_and_meanwhile_no_other_begins() -> None:
    async with world(connections=2, running=False) as w:
        w.network.connect_seconds = 1000.0
        await w.begin()
        await w.pass_time(2 * MINUTE)
        assert w.network.most_at_once == 1
        gaps = [after - before for before, after in pairwise(w.network.attempts)]
        assert min(gaps) >= CONNECT
        w.network.connect_seconds = 0.1
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(CONNECT + 2 * LONGEST_WAIT)
        assert len(w.rang("anna")) == 1


@virtual
async def test_a_lane_opens_at_most_sixty_connections_in_any_minute_even_if_each_works_for_a_while() -> None:
    """A provider in trouble ends each after a few good answers: no back-off counts that."""
    async with world(connections=4) as w:
        users = await w.crowd(900)
        for first in range(0, len(users), 6):
            await w.post(*users[first : first + 6])
            await w.pass_time(0.5)
            useful = {entry.connection for entry in w.fake.journal.entries}
            for number, line in enumerate(w.network.lines, 1):
                if number in useful and line in w.network.open_lines:
                    await line.cut()
        attempts = w.network.attempts
        assert len(attempts) > 60
        assert max(sum(first <= at < first + MINUTE for at in attempts) for first in attempts) <= 60
        assert attempts[19] < 10, "the first twenty are not kept waiting"
        await w.pass_time(10 * MINUTE)
        assert w.account["woken"] == 900


@virtual
async def test_one_link_in_back_off_does_not_keep_another_from_reconnecting() -> None:
    """Connections that are worth nothing at one place of the pool must not delay an alarm at the other."""
    async with world(connections=2) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(1)
        useful = w.network.lines[w.fake.journal.entries[0].connection - 1]
        for _ in range(8):
            for line in w.network.open_lines:
                if line is not useful:
                    await line.cut()
            await w.pass_time(20)
        for line in w.network.open_lines:
            await line.cut()
        began = w.now - w.start
        await w.alarm("anna")
        await w.pass_time(LONGEST_WAIT)
        assert w.rang("anna")[1] - began <= 0.1


@virtual
async def test_an_idle_connection_that_the_provider_closes_now_and_then_is_replaced_at_once() -> None:
    """It has carried nothing, but it has not failed either: an alarm must not wait for a back-off."""
    async with world() as w:
        await w.register("anna")
        for _ in range(8):
            await w.pass_time(5 * MINUTE)
            await w.fake.goaway(reason="IdleTimeout")
        await w.alarm("anna")
        began = w.now - w.start
        await w.pass_time(LONGEST_WAIT)
        assert w.rang("anna") == [began]
