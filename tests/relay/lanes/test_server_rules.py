"""HTTP/2 as real servers speak it, what a lane makes of it: rules by their number, as in tests/relay/wire.

The peers here do what the servers did that forced the rule; relay/README.md states them.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from relay.core.breaker import State
from relay.core.events import HOUR
from relay.lanes.session import ANSWER, FEW, STARVED, Session
from tests.relay.lanes.peer import REFUSED, Arrival, Peer, Talk
from tests.relay.wire.scenes import at_stream
from tests.relay.world import APP, World, token_of, virtual, world


@virtual
async def test_rule_07_a_refused_stream_is_not_processed_and_halves_what_may_be_open() -> None:
    """It counts no attempt. Answers then raise the number again, one by one."""

    async def reply(talk: Talk, arrival: Arrival) -> None:
        if arrival.stream == 1:
            await talk.answer(1)
        elif len(talk.streams) == 1 + 40:
            await talk.reset(arrival.stream, REFUSED)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(141)
        await w.post(users[0])
        await w.pass_time(1)
        await w.post(*users[1:41])
        await w.pass_time(1)
        await w.alarm(*users[41:])
        await w.pass_time(1)
        (talk,) = peer.talks
        assert len(talk.streams) == 1 + 40
        await talk.answer(*talk.streams[1:20])
        await w.pass_time(1)
        assert len(talk.streams) == 1 + 40 + (20 + 19 - 20)
        assert all(person.phones[0].attempt == 0 for person in map(w.person, users))


@virtual
async def test_rule_12_below_the_last_stream_and_cut_is_sent_again_and_above_it_at_once() -> None:
    """hypercorn: GOAWAY after 1,000 requests, and those in flight are cut although they are below its last stream."""

    async def reply(talk: Talk, arrival: Arrival) -> None:
        if talk.number or arrival.stream == 1:
            await talk.answer(arrival.stream)
        elif arrival.stream == 2 * 9 + 1:
            await talk.goaway(11)
            await talk.close()

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(10)
        await w.post(users[0])
        await w.pass_time(10)
        await w.post(*users[1:])
        await w.pass_time(0.5)
        disowned, unknown = 4, 5
        assert w.account == {"accepted": 10, "woken": 1 + disowned, "pending": unknown}
        assert sum(w.person(user).phones[0].attempt for user in users) == unknown
        await w.pass_time(5)
        assert w.account == {"accepted": 10, "woken": 10}
        assert len(peer.arrivals) == 10 + disowned + unknown


@virtual
async def test_rule_13_a_planned_end_every_so_many_requests_loses_and_doubles_nothing() -> None:
    """nginx, hypercorn. The next connection is there when the old one goes."""
    answered: Counter[str] = Counter()

    async def reply(talk: Talk, arrival: Arrival) -> None:
        if len(talk.streams) > 50:
            return
        answered[arrival.token] += 1
        if len(talk.streams) == 50:
            await talk.goaway(arrival.stream)
        await talk.answer(arrival.stream)
        if len(talk.streams) == 50:
            await talk.close()

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(490)
        await w.post(*users)
        await w.pass_time(ANSWER)
        assert w.account == {"accepted": 490, "woken": 490}
        assert answered == {token_of(user): 1 for user in users}
        assert all(w.person(user).phones[0].attempt == 0 for user in users)
        assert len(peer.talks) == 10
        for before, after in pairwise(peer.talks):
            assert before.ended is not None
            assert after.began - before.ended < 0.1


@pytest.mark.parametrize("late", [FEW, FEW + 1])
@virtual
async def test_rule_16_a_few_late_requests_are_cancelled_and_many_cost_the_connection(late: int) -> None:
    """Tomcat ends a connection at the 20th cancel, Deno at the 41st. An answer to another shows that the peer lives."""
    silent = {token_of(f"user{number}") for number in range(1, 1 + late)}

    async def reply(talk: Talk, arrival: Arrival) -> None:
        if arrival.token not in silent:
            await talk.answer(arrival.stream)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        first, *waiting, last = await w.crowd(late + 2)
        await w.post(first)
        await w.pass_time(1)
        await w.post(*waiting)
        await w.pass_time(ANSWER - 1)
        await w.post(last)
        await w.pass_time(1.1)
        talk = peer.talks[0]
        assert (len(talk.cancelled), talk.ended is None) == ((FEW, True) if late == FEW else (0, False))
        assert w.account["woken"] == 2


async def _replaced_after(w: World, peer: Peer, seconds: float) -> None:
    """The first connection gives way to a second one, which carries what waited."""
    await w.post("bert")
    await w.pass_time(seconds + 0.5)
    assert [arrival.talk for arrival in peer.arrivals] == [0, 1]
    assert peer.talks[1].began - peer.talks[0].began == pytest.approx(10 + seconds, abs=0.1)
    assert peer.talks[0].ended is not None
    assert w.account == {"accepted": 2, "woken": 2}


@virtual
async def test_rule_17_a_connection_without_window_and_with_nothing_open_is_replaced_after_a_second() -> None:
    """Tomcat leaks credit on early answers, and is dead after 1,400 of them."""
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.register("bert")
        await w.post("anna")
        await w.pass_time(10)
        await peer.talks[0].settings(window=1)
        await _replaced_after(w, peer, STARVED)


@virtual
async def test_rule_17_a_connection_that_has_used_up_its_stream_numbers_is_replaced_likewise() -> None:
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.register("bert")
        await w.post("anna")
        await w.pass_time(9)
        (lane,) = w.relay.pool._lanes.values()
        (session,) = lane.sessions
        assert isinstance(session, Session)
        at_stream(session._connection, 2**31 + 1)
        await w.pass_time(1)
        await _replaced_after(w, peer, STARVED)


@virtual
async def test_rule_18_pings_are_ten_minutes_apart_and_a_burst_after_silence_has_one() -> None:
    """gRPC ends a connection for ten PINGs in a second, Jetty for 126."""
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(30)
        await w.post(users[0])
        await w.pass_time(HOUR - 1)
        quiet = peer.talks[0].pings
        assert quiet <= 6
        await w.post(*users)
        await w.pass_time(10)
        for _ in range(20):
            await w.alarm(*users)
            await w.pass_time(0.05)
        assert peer.talks[0].pings <= quiet + 1
        assert len(peer.talks) == 1


@virtual
async def test_rule_19_a_503_may_be_the_only_notice_of_a_shutdown() -> None:
    """Jetty; Apple's `Shutdown`. It is about this connection: the next one is opened, and nobody is in back-off."""

    async def reply(talk: Talk, arrival: Arrival) -> None:
        if talk.number == 0 and arrival.stream > 1:
            await talk.answer(arrival.stream, status=503, body=b'{"reason":"Shutdown"}')
        else:
            await talk.answer(arrival.stream)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(5)
        await w.post(users[0])
        await w.pass_time(10)
        await w.post(*users[1:])
        await w.pass_time(0.5)
        assert w.account == {"accepted": 5, "woken": 5}
        assert {arrival.talk for arrival in peer.arrivals} == {0, 1}
        assert len(peer.open_talks) == 1
        assert w.lane.state is State.CLOSED
        assert all(w.person(user).phones[0].attempt == 0 for user in users)
