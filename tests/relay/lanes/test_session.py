"""The life of one connection: limited, starved, silent, ended; and what becomes of the wakeups on it."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
from hyperframe.frame import Frame

from relay.core.envelope import APNS_BODY
from relay.core.events import DAY, HOUR
from relay.lanes.link import LONGEST_WAIT
from relay.lanes.session import ANSWER, FEW, GATE_TO_SOCKET, IDLE, PONG, SETTINGS, STARVED
from tests.relay.lanes.peer import PREFACE, REFUSED, Arrival, Peer, Talk, accept, ignore
from tests.relay.world import APP, World, token_of, virtual, world

MINUTE = 60.0


def _each_once(w: World, users: list[str]) -> None:
    """Everybody was asked for exactly once, and accepted."""
    assert Counter(entry.token for entry in w.requests()) == {token_of(user): 1 for user in users}
    assert w.account == {"accepted": len(users), "woken": len(users)}


# --- GOAWAY


@virtual
async def test_a_graceful_goaway_loses_nothing_doubles_nothing_and_opens_the_next_connection_first() -> None:
    async with world() as w:
        [first] = await w.crowd(1)
        await w.post(first)
        await w.pass_time(60)
        w.fake.injections.latency = lambda: 5.0
        users = await w.crowd(100)
        await w.post(*users)
        await w.pass_time(1)
        assert w.lane.in_flight == 100
        await w.fake.goaway()
        await w.pass_time(1)
        assert [line.closed for line in w.network.lines] == [False, False]
        await w.pass_time(4)
        assert [line.closed for line in w.network.lines] == [True, False]
        assert w.account == {"accepted": 101, "woken": 101}
        assert len(w.requests()) == 101
        await w.post(first)
        await w.pass_time(10)
        assert [entry.connection for entry in w.requests(first)][-1] == 2


@virtual
async def test_rolling_goaways_under_load_lose_nothing_and_double_nothing() -> None:
    """S2."""
    async with world(connections=2) as w:
        users = await w.crowd(200)
        w.fake.injections.latency = lambda: 0.3
        for start in range(0, 200, 10):
            await w.post(*users[start : start + 10])
            await w.pass_time(0.5)
            await w.fake.goaway()
        await w.pass_time(5)
        _each_once(w, users)
        assert len(w.network.lines) >= 20


@virtual
async def test_what_a_goaway_disowns_is_sent_again_at_once_and_counts_no_attempt() -> None:
    async def reply(talk: Talk, arrival: Arrival) -> None:
        if talk.number or arrival.stream == 1:
            await talk.answer(arrival.stream)
        elif arrival.stream == 21:
            await talk.goaway(2**31 - 1)
            await talk.goaway(11)
            await talk.answer(*range(3, 12, 2))

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(11)
        await w.post(users[0])
        await w.pass_time(10)
        await w.post(*users[1:])
        await w.pass_time(0.4)
        assert w.account == {"accepted": 11, "woken": 11}
        asked = Counter(arrival.token for arrival in peer.arrivals)
        assert sorted(asked.values()) == [1] * 6 + [2] * 5
        again = [arrival for arrival in peer.arrivals if arrival.talk == 1]
        assert {arrival.token for arrival in again} == {token for token, count in asked.items() if count == 2}
        assert all(w.person(user).phones[0].attempt == 0 for user in users)


@virtual
async def test_nothing_is_opened_after_the_first_goaway_even_if_it_disowns_nothing() -> None:
    async def reply(talk: Talk, arrival: Arrival) -> None:
        if talk.number == 0:
            await talk.goaway(2**31 - 1)
            await trio.sleep(3)
        await talk.answer(arrival.stream)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(5)
        await w.post(*users)
        await w.pass_time(2)
        assert [talk.streams for talk in peer.talks] == [[1], [1, 3, 5, 7]]
        assert len(peer.open_talks) == 2
        await w.pass_time(2)
        assert [talk.ended for talk in peer.talks] == [3.0, None]
        assert w.account == {"accepted": 5, "woken": 5}


@virtual
async def test_a_goaway_without_answers_is_waited_for_and_then_the_outcome_is_unknown() -> None:
    async def reply(talk: Talk, arrival: Arrival) -> None:
        if talk.number == 0:
            await talk.goaway(arrival.stream)
        else:
            await talk.answer(arrival.stream)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(ANSWER - 0.5)
        assert len(peer.arrivals) == 1
        await w.pass_time(3)
        assert [arrival.talk for arrival in peer.arrivals] == [0, 1]
        assert peer.talks[0].ended == ANSWER
        assert w.account == {"accepted": 1, "woken": 1}


# --- connections that break


@virtual
async def test_a_cut_connection_is_retried_and_doubles_at_most_what_was_in_flight() -> None:
    """S3: the provider has processed some of the requests, and nobody will know which."""
    async with world() as w:
        users = await w.crowd(200)
        await w.post(users[0])
        await w.pass_time(60)
        w.fake.injections.latency = lambda: 0.5
        await w.post(*users[1:100])
        await w.pass_time(0.2)
        in_flight = w.lane.in_flight
        assert in_flight == 99
        await w.network.lines[0].cut()
        await w.post(*users[100:])
        await w.pass_time(0.9)
        assert len(w.requests()) == 200
        await w.pass_time(10)
        assert w.account == {"accepted": 200, "woken": 200}
        asked = Counter(entry.token for entry in w.requests())
        assert set(asked) == {token_of(user) for user in users}
        assert sum(asked.values()) - 200 <= in_flight
        assert w.lane.answers["connection_closed"] == 99


@virtual
async def test_a_connection_dropped_between_processing_and_answer_loses_nothing() -> None:
    async with world() as w:
        users = await w.crowd(60)
        for drop in (1, 7, 20):
            w.fake.injections.drop_after = drop
            await w.post(*users)
            await w.pass_time(400)
            assert w.fake.injections.drop_after is None
        assert w.account == {"accepted": 180, "woken": 180}
        assert all(len(w.rang(user)) >= 3 for user in users)


@virtual
async def test_a_retry_after_a_lost_connection_comes_soon_and_the_attempt_counts() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.drop_after = 1
        await w.post("anna")
        await w.pass_time(0.5)
        assert w.person("anna").phones[0].attempt == 1
        await w.pass_time(DAY)
        first, second = w.rang("anna")
        assert 1.0 <= second - first <= 1.6
        assert w.person("anna").phones[0].attempt == 0


@pytest.mark.parametrize("code", [0, 1, 2, 5, 8])
@virtual
async def test_a_reset_without_an_answer_is_retried_like_a_lost_connection(code: int) -> None:
    resets = iter([True, False])

    async def reply(talk: Talk, arrival: Arrival) -> None:
        if next(resets):
            await talk.reset(arrival.stream, code)
        else:
            await talk.answer(arrival.stream)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(10)
        first, second = peer.arrivals
        assert 1.0 <= second.at - first.at <= 1.6
        assert second.talk == 0
        assert w.account == {"accepted": 1, "woken": 1}


@virtual
async def test_a_peer_that_breaks_the_protocol_is_left() -> None:
    async def reply(talk: Talk, arrival: Arrival) -> None:
        await talk.answer(99 if talk.number == 0 else arrival.stream)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(10)
        assert [arrival.talk for arrival in peer.arrivals] == [0, 1]
        assert w.account == {"accepted": 1, "woken": 1}


# --- refused streams


@virtual
async def test_refused_streams_are_sent_again_and_count_no_attempt() -> None:
    async def reply(talk: Talk, arrival: Arrival) -> None:
        if 1 < arrival.stream < 40:
            await talk.reset(arrival.stream, REFUSED)
        else:
            await talk.answer(arrival.stream)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(30)
        await w.post(*users)
        await w.pass_time(0.4)
        assert w.account == {"accepted": 30, "woken": 30}
        assert all(w.person(user).phones[0].attempt == 0 for user in users)


@virtual
async def test_a_peer_that_refuses_everything_is_not_hammered() -> None:
    async def reply(talk: Talk, arrival: Arrival) -> None:
        await talk.reset(arrival.stream, REFUSED)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(30)
        await w.post(*users)
        await w.pass_time(10 * MINUTE)
        assert len(peer.arrivals) <= 500
        peer.reply = accept
        await w.pass_time(2 * LONGEST_WAIT)
        assert w.account == {"accepted": 30, "woken": 30}
        assert all(w.person(user).phones[0].attempt == 0 for user in users)


@virtual
async def test_a_peer_that_refuses_above_a_number_gets_about_that_number() -> None:
    """A server whose real limit is lower than the one it announces."""
    open_: set[int] = set()
    refusals = 0

    async def reply(talk: Talk, arrival: Arrival) -> None:
        nonlocal refusals
        if len(open_) >= 10:
            refusals += 1
            await talk.reset(arrival.stream, REFUSED)
            return
        open_.add(arrival.stream)
        nursery.start_soon(answer, talk, arrival.stream)

    async def answer(talk: Talk, stream: int) -> None:
        await trio.sleep(0.1)
        open_.discard(stream)
        await talk.answer(stream)

    async with trio.open_nursery() as nursery:
        peer = Peer(reply)
        async with world(serve={APP: peer.serve}) as w:
            users = await w.crowd(300)
            await w.post(*users)
            await w.pass_time(20)
            assert w.account == {"accepted": 300, "woken": 300}
            assert refusals <= 600


# --- limits


@virtual
async def test_one_request_only_until_the_first_answer() -> None:
    """Apple, token authentication: one stream until a valid token was seen."""
    peer = Peer(ignore)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(20)
        await w.post(*users)
        await w.pass_time(5)
        assert [talk.streams for talk in peer.talks] == [[1]]
        await peer.talks[0].answer(1)
        await w.pass_time(1)
        assert len(peer.arrivals) == 20


@pytest.mark.parametrize("streams", [1, 3])
@virtual
async def test_never_more_streams_than_the_peer_allows(streams: int) -> None:
    peer = Peer(ignore, streams=streams)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(9)
        await w.post(*users)
        await w.pass_time(1)
        talk = peer.talks[0]
        await talk.answer(1)
        await w.pass_time(1)
        assert len(talk.streams) == 1 + streams
        for stream in range(3, 20, 2):
            await talk.answer(stream)
            await w.quiet()
            assert len(talk.streams) == min(9, (stream + 1) // 2 + streams)
            if len(talk.streams) == 9:
                break


@virtual
async def test_limits_that_flap_are_kept_and_lead_to_no_standstill() -> None:
    """S9: 1000, 1, 0, 1000 streams while many are in flight; the simulator counts every excess."""
    async with world() as w:
        users = await w.crowd(200)
        w.fake.injections.latency = lambda: 0.2
        for round_, start in enumerate(range(0, 200, 20)):
            await w.post(*users[start : start + 20])
            await w.pass_time(0.05)
            for streams in (1, 0, 1000) if round_ % 2 else (1000, 1, 0):
                await w.fake.set_streams(streams)
                await w.pass_time(0.07)
        await w.pass_time(1)
        stuck = len(w.requests())
        await w.pass_time(5)
        assert len(w.requests()) == stuck
        await w.fake.set_streams(1000)
        await w.pass_time(5)
        _each_once(w, users)
        assert len(w.network.lines) == 1


@virtual
async def test_every_write_is_whole_requests_of_at_most_16384_bytes() -> None:
    """Rule 14."""
    async with world() as w:
        users = await w.crowd(500)
        await w.post(*users)
        await w.pass_time(10)
        writes = w.network.lines[0].sent
        assert max(map(len, writes)) <= 16_384
        assert len(writes) <= 40
        for number, write in enumerate(writes):
            data = write.removeprefix(PREFACE) if number == 0 else write
            kinds = []
            while data:
                frame, length = Frame.parse_frame_header(memoryview(data[:9]))
                assert len(data) >= 9 + length
                kinds.append(type(frame).__name__)
                data = data[9 + length :]
            assert kinds.count("HeadersFrame") == kinds.count("DataFrame")
        _each_once(w, users)


# --- silence


@virtual
async def test_a_peer_that_never_sends_settings_is_replaced() -> None:
    peer = Peer(greets=False)
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(SETTINGS + 0.1)
        assert peer.talks[0].ended == SETTINGS
        assert peer.arrivals == []
        peer.greets = True
        await w.pass_time(30)
        assert len(peer.arrivals) == 1
        assert w.account == {"accepted": 1, "woken": 1}


@pytest.mark.parametrize("many", [3, 50])
@virtual
async def test_a_connection_that_falls_silent_is_dropped_and_its_wakeups_are_sent_again(many: int) -> None:
    async with world() as w:
        users = await w.crowd(many)
        await w.post(*users)
        await w.pass_time(20)
        w.network.lines[0].mute()
        began = w.now
        await w.post(*users)
        await w.pass_time(ANSWER + 5)
        assert [line.closed for line in w.network.lines] == [True, False]
        assert w.account == {"accepted": 2 * many, "woken": 2 * many}
        again = [entry.t - began for entry in w.requests() if entry.t > began + 1]
        assert len(again) == many
        assert all(gap <= ANSWER + 2.1 for gap in again)
        assert w.lane.answers == {"silent": many}


@virtual
async def test_a_few_unanswered_among_answered_are_cancelled_and_the_connection_stays() -> None:
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(60)
        silent = {token_of(user) for user in users[: FEW - 1]}
        await w.post(users[-1])
        await w.pass_time(1)

        async def reply(talk: Talk, arrival: Arrival) -> None:
            if arrival.token not in silent:
                await talk.answer(arrival.stream)

        peer.reply = reply
        await w.post(*users[:-1])
        for _ in range(4):
            await w.pass_time(ANSWER / 4 - 0.1)
            await w.alarm(users[-1])
        await w.pass_time(0.5)
        assert len(peer.talks[0].cancelled) == FEW - 1
        assert w.lane.answers == {"no_answer": FEW - 1}
        peer.reply = accept
        await w.pass_time(10)
        assert len(peer.talks) == 1
        assert w.account == {"accepted": 64, "woken": 64}
        asked = Counter(arrival.token for arrival in peer.arrivals)
        assert all(asked[token] == 2 for token in silent)


@virtual
async def test_many_unanswered_drop_the_connection_instead() -> None:
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(60)
        silent = {token_of(user) for user in users[: FEW + 1]}
        await w.post(users[-1])
        await w.pass_time(1)

        async def reply(talk: Talk, arrival: Arrival) -> None:
            if arrival.token not in silent or talk.number:
                await talk.answer(arrival.stream)

        peer.reply = reply
        await w.post(*users[:-1])
        for _ in range(4):
            await w.pass_time(ANSWER / 4 - 0.1)
            await w.alarm(users[-1])
        await w.pass_time(10)
        assert peer.talks[0].cancelled == []
        assert len(peer.talks) == 2
        assert w.account == {"accepted": 64, "woken": 64}


@virtual
async def test_a_first_request_that_is_never_answered_does_not_block_the_lane_for_long() -> None:
    async with world() as w:
        await w.register("anna")
        await w.register("bert")
        w.fake.injections.silent.add(token_of("anna"))
        await w.post("anna")
        await w.pass_time(1)
        await w.post("bert")
        await w.pass_time(ANSWER + 5)
        assert len(w.rang("bert")) == 1
        w.fake.injections.silent.clear()
        await w.pass_time(2 * ANSWER)
        assert w.account == {"accepted": 2, "woken": 2}


@virtual
async def test_an_idle_connection_is_pinged_and_stays() -> None:
    """C5, rule 18; the simulator counts PINGs that come too often."""
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(53 * 60)
        assert len(peer.talks) == 1
        assert 3 <= peer.talks[0].pings <= 6
        await w.post("anna")
        await w.pass_time(1)
        assert [arrival.talk for arrival in peer.arrivals] == [0, 0]


@virtual
async def test_an_idle_connection_that_is_dead_is_replaced_before_it_is_needed() -> None:
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(1)
        peer.acknowledges_pings = False
        await w.pass_time(HOUR)
        assert len(peer.talks) >= 2
        assert peer.talks[0].ended is not None
        assert len(peer.open_talks) == 1


@virtual
async def test_an_alarm_on_a_connection_that_died_unnoticed_is_sent_again_soon() -> None:
    """It was quiet for some minutes: the wakeup is accompanied by a PING, and ten seconds of silence are enough."""
    async with world() as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(5 * MINUTE)
        w.network.lines[0].mute()
        await w.alarm("anna")
        began = w.now - w.start
        await w.pass_time(2 * ANSWER)
        assert w.rang("anna")[-1] - began <= 12
        assert w.account == {"accepted": 2, "woken": 2}


@virtual
async def test_steady_traffic_is_not_accompanied_by_pings() -> None:
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        for _ in range(60):
            await w.alarm("anna")
            await w.pass_time(20)
        assert len(peer.arrivals) == 60
        assert peer.talks[0].pings == 0


# --- flow control and writes that hang


@virtual
async def test_a_connection_without_window_and_with_nothing_in_flight_is_replaced() -> None:
    """Rule 17, with traffic going on all the time."""
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(10)
        await w.post(users[0])
        await w.pass_time(60)
        await peer.talks[0].settings(window=10)
        for user in users[1:]:
            await w.post(user)
            await w.pass_time(0.3)
        await w.pass_time(0.1)
        assert [arrival.talk for arrival in peer.arrivals] == [0] + [1] * 9
        assert peer.talks[1].began == pytest.approx(60 + STARVED, abs=0.1)
        assert w.account == {"accepted": 10, "woken": 10}


@virtual
async def test_window_that_comes_in_time_is_used() -> None:
    peer = Peer()
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.register("bert")
        await w.post("anna")
        await w.pass_time(60)
        await peer.talks[0].settings(window=10)
        await w.post("bert")
        await w.pass_time(STARVED / 2)
        assert len(peer.arrivals) == 1
        await peer.talks[0].settings(window=65_535)
        await w.pass_time(5)
        assert [arrival.talk for arrival in peer.arrivals] == [0, 0]


@virtual
async def test_a_connection_whose_credit_is_used_up_is_replaced_and_nothing_is_lost() -> None:
    """S10: the peer never gives window back."""
    waiting: list[int] = []

    async def reply(talk: Talk, arrival: Arrival) -> None:
        waiting.append(arrival.stream)
        if len(waiting) == 50 or talk.number or len(talk.streams) in (1, affordable):
            await talk.answer(*waiting)
            waiting.clear()

    affordable = 65_535 // len(APNS_BODY)
    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(affordable + 10)
        await w.post(*users)
        await w.pass_time(10)
        assert [len(talk.streams) for talk in peer.talks] == [affordable, 10]
        assert w.account == {"accepted": affordable + 10, "woken": affordable + 10}


@virtual
async def test_a_lone_write_that_hangs_is_given_up_after_ten_seconds() -> None:
    async with world() as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(20)
        w.network.lines[0].jam()
        await w.alarm("anna")
        await w.pass_time(GATE_TO_SOCKET + 2)
        assert len(w.network.lines) == 2
        _, second = w.rang("anna")
        assert 20 + GATE_TO_SOCKET <= second <= 20 + GATE_TO_SOCKET + 2


@virtual
async def test_a_write_that_hangs_is_given_up_and_what_waited_behind_it_goes_elsewhere() -> None:
    async with world() as w:
        users = await w.crowd(20)
        await w.post(users[0])
        await w.pass_time(60)
        w.network.lines[0].jam()
        began = w.now
        await w.post(users[1])
        await w.pass_time(1)
        await w.post(*users[2:])
        await w.pass_time(GATE_TO_SOCKET - 1.5)
        assert len(w.network.lines) == 1
        await w.pass_time(3)
        assert len(w.network.lines) == 2
        assert w.account == {"accepted": 20, "woken": 20}
        late = [entry.t - began for entry in w.requests() if entry.t > began]
        assert max(late) <= GATE_TO_SOCKET + 2
        assert len(w.requests()) == 20


@virtual
async def test_a_connection_that_hangs_while_it_may_carry_nothing_is_replaced_in_the_end() -> None:
    """No write of ours is under way that could run into its limit: what hangs is an acknowledgement."""
    async with world() as w:
        await w.register("anna")
        await w.fake.set_streams(0)
        await w.quiet()
        w.network.lines[0].jam()
        await w.fake.set_streams(1000)
        await w.post("anna")
        await w.pass_time(IDLE + 2 * PONG)
        assert len(w.network.lines) == 2
        assert len(w.rang("anna")) == 1
