"""Connections are replaced by age: the next is opened first, one of a lane at a time (virtual time)."""

from __future__ import annotations

from itertools import pairwise

import trio

from relay.core.events import HOUR
from relay.lanes.link import AGE, SPREAD
from tests.relay.lanes.peer import Arrival, Peer, Talk
from tests.relay.world import APP, virtual, world

OLDEST = AGE * (1 + SPREAD)


@virtual
async def test_a_connection_is_replaced_after_an_hour_give_or_take_a_tenth() -> None:
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        await w.pass_time(AGE * (1 - SPREAD) - 1)
        assert len(peer.talks) == 1
        await w.pass_time(AGE * 2 * SPREAD + 2)
        assert len(peer.talks) == 2
        assert len(peer.open_talks) == 1
        await w.pass_time(20 * HOUR)
        lives = [after.began - before.began for before, after in pairwise(peer.talks)]
        assert all(AGE * (1 - SPREAD) <= life <= OLDEST for life in lives)
        assert len({round(life) for life in lives}) > 5


@virtual
async def test_the_next_connection_may_carry_before_the_old_one_stops() -> None:
    """An alarm finds a connection at any instant."""
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        w.network.connect_seconds = 5.0
        await w.pass_time(AGE * (1 - SPREAD) - 1)
        while len(peer.talks) < 2 or peer.talks[0].ended is None:
            await w.alarm("anna")
            await w.pass_time(1.0)
        before, after = peer.talks
        assert before.ended is not None
        assert before.ended >= after.began
        waits = [arrival.at - round(arrival.at) for arrival in peer.arrivals[1:]]
        assert max(map(abs, waits)) < 0.01


def _was_open(talk: Talk, at: float) -> bool:
    return talk.began <= at and (talk.ended is None or talk.ended >= at)


@virtual
async def test_no_two_connections_of_a_lane_are_replaced_at_the_same_time() -> None:
    """Also not while one of them still waits for its answers."""

    async def slowly(talk: Talk, arrival: Arrival) -> None:
        answers.start_soon(answer, talk, arrival)

    async def answer(talk: Talk, arrival: Arrival) -> None:
        await trio.sleep(20.0)
        if talk.ended is None:
            await talk.answer(arrival.stream)

    peer = Peer(slowly)
    async with trio.open_nursery() as answers, world(connections=8, serve={APP: peer.serve}) as w:
        users = await w.crowd(40)
        while w.now < w.start + 2 * OLDEST:
            await w.alarm(*users)
            await w.pass_time(60.0)
        assert len(peer.talks) >= 16
        others = [sum(_was_open(talk, later.began) for talk in peer.talks) for later in peer.talks[8:]]
        assert set(others) == {9}


@virtual
async def test_an_old_connection_is_kept_while_the_next_cannot_be_had() -> None:
    async with world() as w:
        await w.register("anna")
        w.network.reachable = False
        await w.pass_time(OLDEST + HOUR)
        assert len(w.network.open_lines) == 1
        await w.alarm("anna")
        await w.pass_time(1)
        assert len(w.rang("anna")) == 1
        w.network.reachable = True
        await w.pass_time(120)
        assert len(w.network.open_lines) == 1
        assert len(w.network.lines) == 2


@virtual
async def test_draining_does_not_wait_for_a_replacement() -> None:
    async with world(grace=10.0) as w:
        w.network.reachable = False
        await w.pass_time(OLDEST + 60)
        began = trio.current_time()
        w.stop.set()
        await w.stopped.wait()
        assert trio.current_time() - began < 2.0
