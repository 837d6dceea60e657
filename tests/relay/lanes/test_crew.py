"""A lane opens more connections while its queue is long, and closes them when it is calm."""

from __future__ import annotations

from dataclasses import replace

from relay.core.breaker import State
from relay.lanes.crew import CALM
from tests.relay.world import World, app, tenant, virtual, world

GROWING = tenant(replace(app(connections=2), most_connections=6))
SLOW = 1.0


async def crowd(w: World, size: int) -> list[str]:
    """Known, and Apple takes its time: 20 streams on each connection, a second to each answer."""
    users = await w.crowd(size)
    w.fake.streams = 20
    w.fake.injections.latency = lambda: SLOW
    await w.post(users[0])
    await w.pass_time(60)
    return users


@virtual
async def test_a_long_queue_gets_more_connections_up_to_the_most() -> None:
    async with world(GROWING) as w:
        users = await crowd(w, 1_200)
        assert len(w.network.open_lines) == 2
        await w.post(*users)
        await w.pass_time(10)
        assert len(w.network.open_lines) == 6
        began = w.now
        while w.lane.queued:
            await w.pass_time(1)
        assert w.now - began <= 1_200 * SLOW / (5 * 19) + 5, "all of them carry, but the one for alarms"
        await w.pass_time(5)
        assert w.account["woken"] == 1_201
        assert w.network.most_at_once == 1, "they connect one after the other"


@virtual
async def test_a_short_queue_gets_none() -> None:
    async with world(GROWING) as w:
        users = await crowd(w, 60)
        await w.post(*users)
        await w.pass_time(30)
        assert len(w.network.open_lines) == 2
        assert w.account["woken"] == 61


@virtual
async def test_when_it_is_calm_they_are_closed_again_one_by_one_and_nothing_is_lost() -> None:
    async with world(GROWING) as w:
        users = await crowd(w, 1_200)
        await w.post(*users)
        await w.pass_time(60)
        seen = set()
        for _ in range(round(6 * CALM)):
            await w.pass_time(1)
            seen.add(len(w.network.open_lines))
        assert seen == {6, 5, 4, 3, 2}
        await w.alarm(*users[:50])
        await w.pass_time(10)
        assert w.account["woken"] == 1_251


@virtual
async def test_a_lane_that_may_not_send_needs_no_more_connections() -> None:
    async with world(GROWING) as w:
        users = await crowd(w, 1_200)
        w.fake.injections.answers = [(503, "ServiceUnavailable")] * 30
        await w.post(*users)
        await w.pass_time(2)
        before = len(w.network.lines)
        if w.lane.state is not State.CLOSED:
            await w.pass_time(5)
            assert len(w.network.lines) <= before + 1
        await w.pass_time(900)
        assert w.account["woken"] == 1_201


@virtual
async def test_a_drain_ends_all_of_them() -> None:
    async with world(GROWING) as w:
        users = await crowd(w, 1_200)
        await w.post(*users)
        await w.pass_time(5)
        assert len(w.network.open_lines) > 2
        await w.restart()
        await w.pass_time(60)
        assert w.account["woken"] == 1_201
