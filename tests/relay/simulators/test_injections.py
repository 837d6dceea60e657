"""What can be made to go wrong at a fake, each in virtual time: seen by a client that shares nothing with the relay.

Which answers there are is tried through APNs and FCM; what is about connections through one of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

import h2.events
import pytest
import trio
from h2.settings import SettingCodes
from trio.testing import MockClock

from relay.simulators import apns_faults, fcm_faults
from relay.simulators.apns import FakeApns
from relay.simulators.fcm import FakeFcm
from relay.simulators.injections import Burst, DropAt, DropHow, Injections, Oddity, Per, constant, log_normal
from relay.simulators.knobs import apns_panel, fcm_panel
from relay.simulators.oauth import FakeOauth
from tests.relay.simulators import messages
from tests.relay.simulators.h2_client import Answer, Client, connected
from tests.relay.simulators.h2_client import Goaway as Goaway
from tests.relay.simulators.wakeups import BODY, DEVICE, START, fake_apns, wakeup

LIMIT, WINDOW, TABLE = (
    SettingCodes.MAX_CONCURRENT_STREAMS, SettingCodes.INITIAL_WINDOW_SIZE, SettingCodes.HEADER_TABLE_SIZE,
)  # fmt: skip


def fake_with(**knobs: object) -> FakeApns:
    fake = fake_apns()
    apns_panel(fake).set({name.replace("_", "-"): value for name, value in knobs.items()})
    return fake


async def several(client: Client, count: int) -> list[int]:
    streams = [client.request(wakeup(), BODY) for _ in range(count)]
    await client.flush()
    await client.pump_for(60)
    return streams


# Answers


@pytest.mark.parametrize("name", apns_faults.ANSWERS)
async def test_every_answer_of_apns(autojump_clock: MockClock, name: str) -> None:
    fake = fake_with(shares={name: 1.0})
    async with connected(fake) as client:
        answer = await client.ask(wakeup(), BODY)
        await client.pump_for(1)
    expected = apns_faults.ANSWERS[name](START)
    assert (answer.status, answer.body) == (expected.status, expected.body)
    assert fake.journal.refused[DEVICE] == (expected.status, expected.reason)
    assert bool(client.goaways) == (name == apns_faults.GOING)


@pytest.mark.parametrize("name", fcm_faults.ANSWERS)
async def test_every_answer_of_fcm(autojump_clock: MockClock, name: str) -> None:
    fake = messages.fake_fcm()
    fcm_panel(fake, FakeOauth([], fake.now)).set({"shares": {name: 1.0}})
    async with connected(fake) as client:
        answer = await client.ask(messages.send(), messages.message())
    expected = fcm_faults.ANSWERS[name](START)
    assert (answer.status, answer.body) == (expected.status, expected.body)
    assert dict(answer.headers).get("retry-after") == dict(expected.fields).get("retry-after")
    assert (messages.DEVICE in fake.registry.phones) == (expected.status == 200), "what is accepted arrives"


async def test_what_is_wrong_by_itself_is_refused_as_ever(autojump_clock: MockClock) -> None:
    fake = fake_with(shares={"InternalServerError": 1.0})
    async with connected(fake) as client:
        assert (await client.ask(wakeup(apns_priority="7"), BODY)).verdict == (400, "BadPriority")


async def test_shares_are_drawn_from_the_seed(autojump_clock: MockClock) -> None:
    def drawn(seed: int) -> list[str | None]:
        faults: Injections[None] = Injections(Random(seed), shares={"a": 0.25, "b": 0.25})
        return [faults.drawn(0.0) for _ in range(400)]

    assert drawn(1) == drawn(1) != drawn(2)
    counts = [drawn(1).count(name) for name in ("a", "b", None)]
    assert all(abs(count - expected) < 40 for count, expected in zip(counts, (100, 100, 200), strict=True))


def test_what_is_off_draws_nothing() -> None:
    """So that switching one fault on does not change what the others do."""
    faults: Injections[None] = Injections(Random(5))
    state = faults.rng.getstate()
    assert faults.drawn(0.0) is None
    assert {faults.is_silent("x"), faults.drops(DropAt.ANSWER), bool(faults.oddities()), faults.is_gone("x")} == {False}
    assert faults.rng.getstate() == state


@pytest.mark.parametrize(("second", "expected"), [(0.0, "x"), (4.9, "x"), (5.0, None), (59.0, None), (60.0, "x")])
def test_a_burst_comes_again(second: float, expected: str | None) -> None:
    faults: Injections[None] = Injections(burst=Burst("x", 60.0, 5.0, 1.0))
    assert faults.drawn(1_200_000.0 + second) == expected


async def test_tokens_that_are_gone_stay_gone(autojump_clock: MockClock) -> None:
    fake = fake_with(gone=0.5)
    paths = [f"/3/device/{number:064x}" for number in range(40)]
    async with connected(fake) as client:
        first, second = [[(await client.ask(wakeup(path=p), BODY)).status for p in paths] for _ in range(2)]
    assert first == second
    assert 10 < first.count(410) < 30


async def test_a_token_that_is_written_to_too_often(autojump_clock: MockClock) -> None:
    fake = fake_with(token_rate=2, token_rate_seconds=5)
    async with connected(fake) as client:
        assert [(await client.ask(wakeup(), BODY)).status for _ in range(3)] == [200, 200, 429]
        await trio.sleep(5)
        assert (await client.ask(wakeup(), BODY)).status == 200


@pytest.mark.parametrize("per", Per)
def test_how_often_a_latency_is_drawn(per: Per) -> None:
    faults: Injections[None] = Injections(latency=log_normal(Random(1), 0.04, 0.4), latency_per=per)
    waits = {(c, t): {faults.wait(c, t) for _ in range(3)} for c in (1, 2) for t in ("a", "b")}
    distinct = len({wait for some in waits.values() for wait in some})
    assert distinct == {Per.ANSWER: 12, Per.CONNECTION: 2, Per.TOKEN: 2}[per]
    faults.latency = constant(1.0)
    assert faults.wait(1, "a") == 1.0, "what was drawn from another distribution is forgotten"


@pytest.mark.parametrize("late", [False, True])
async def test_some_are_processed_and_never_answered(autojump_clock: MockClock, late: bool) -> None:
    fake = fake_with(unanswered=1.0, late=late)
    async with connected(fake) as client:
        stream = client.request(wakeup(), BODY)
        await client.flush()
        await client.pump_for(1000)
        assert client.answers[stream].headers == []
        await client.send(b"\x00\x00\x04\x03\x00\x00\x00\x00\x01\x00\x00\x00\x08")
        await client.pump_for(10)
        assert fake.journal.unanswered == 1
        fake.injections.unanswered = 0.0
        assert (client.answers[stream].headers != []) == late
        assert (await client.ask(wakeup(), BODY)).status == 200, "and the tables of both sides are still the same"


def _is_split(answer: Answer) -> bool:
    return answer.verdict == (429, "TooManyRequests")


ODD: dict[Oddity, Callable[[Answer], bool]] = {
    Oddity.NO_ID: lambda answer: "apns-id" not in dict(answer.headers),
    Oddity.SPLIT_BODY: _is_split,
    Oddity.INTERIM: _is_split,
    Oddity.TRAILERS: _is_split,
    Oddity.PING: _is_split,
}


@pytest.mark.parametrize("odd", Oddity)
async def test_odd_answers_can_be_read(autojump_clock: MockClock, odd: Oddity) -> None:
    """By `h2`, which is the judge of what is allowed."""
    fake = fake_with(odd={odd.value: 1.0}, shares={"TooManyRequests": 1.0})
    async with connected(fake) as client:
        seen = watched(client)
        answer = await client.ask(wakeup(), BODY)
        await client.pump_for(1)
    assert answer.ended
    assert ODD[odd](answer)
    kinds = frame_kinds(bytes(seen))
    assert kinds.count(0) == (len(answer.body) if odd is Oddity.SPLIT_BODY else 1)
    assert kinds.count(1) == (2 if odd in (Oddity.INTERIM, Oddity.TRAILERS) else 1)
    assert kinds.count(6) == (1 if odd is Oddity.PING else 0)


def watched(client: Client) -> bytearray:
    """What comes from now on, whole frames."""
    seen = bytearray()
    receive = client._receive

    def watching(data: bytes) -> list[h2.events.Event]:
        seen.extend(data)
        return receive(data)

    client._receive = watching  # type: ignore[method-assign]
    return seen


def frame_kinds(data: bytes) -> list[int]:
    kinds = []
    while data:
        kinds.append(data[3])
        data = data[9 + int.from_bytes(data[:3], "big") :]
    return kinds


# Ends of connections


@pytest.mark.parametrize("how", DropHow)
@pytest.mark.parametrize("at", DropAt)
async def test_where_a_connection_is_dropped(autojump_clock: MockClock, at: DropAt, how: DropHow) -> None:
    shares = {"TooManyRequests": 1.0} if at is DropAt.BODY else {}
    fake = fake_with(drop_share=1.0, drop_at=at.value, drop_how=how.value, shares=shares)
    async with connected(fake) as client:
        assert client.closed == (at is DropAt.SETTINGS)
        answer = Answer() if client.closed else await client.ask(wakeup(), BODY)
    assert client.closed
    assert not answer.ended
    assert bool(answer.headers) == (at is DropAt.BODY)
    assert fake.journal.unanswered == (1 if at in (DropAt.ANSWER, DropAt.HEAD) else 0)


async def test_answers_of_the_last_second_may_be_lost_in_an_abrupt_end(autojump_clock: MockClock) -> None:
    fake = fake_with()
    async with connected(fake) as client:
        await several(client, 3)
        await client.ask(wakeup(), BODY)
        fake.cut()
        await client.pump_for(1)
    assert client.closed
    assert fake.journal.unanswered == 1
    async with connected(fake) as client:
        await client.ask(wakeup(), BODY)
    assert fake.journal.unanswered == 1, "who closes has read all"


async def test_goaway_on_each_connection(autojump_clock: MockClock) -> None:
    fake = fake_with(goaway_every=2, goaway_farewell=[7, "Maximum active streams violated for this endpoint."])
    for _ in range(2):
        async with connected(fake) as client:
            await several(client, 4)
        assert [(g.last_stream, g.code, g.debug[:14]) for g in client.goaways] == [(3, 7, b"Maximum active")]


async def test_goaway_is_announced_first(autojump_clock: MockClock) -> None:
    async with connected(fake_with(goaway_every=2, goaway_graceful=True)) as client:
        streams = await several(client, 4)
    assert [goaway.last_stream for goaway in client.goaways] == [2**31 - 1, 7]
    assert [client.answers[stream].status for stream in streams] == [200] * 4


async def test_goaway_excludes_what_came_behind_and_answers_what_came_before(autojump_clock: MockClock) -> None:
    fake = fake_with(goaway_every=2, goaway_unprocessed=2, latency=1)
    async with connected(fake) as client:
        streams = await several(client, 4)
    assert [goaway.last_stream for goaway in client.goaways] == [3]
    assert [bool(client.answers[stream].headers) for stream in streams] == [True, True, False, False]
    assert (fake.journal.requests, fake.journal.unanswered) == (2, 0)
    assert fake.journal.violations == {}


async def test_goaway_that_denies_everything(autojump_clock: MockClock) -> None:
    fake = fake_with(goaway_after=2, goaway_last_stream=0, goaway_farewell=[0, "BadCertificateEnvironment"])
    async with connected(fake) as client:
        await several(client, 2)
    assert client.goaways == [Goaway(0, 0, b"BadCertificateEnvironment")]
    assert fake.journal.unanswered > 0


async def test_goaway_after_a_lifetime_and_then_silence(autojump_clock: MockClock) -> None:
    fake = fake_with(goaway_lifetime=30, goaway_silence=True)
    async with connected(fake) as client:
        assert (await client.ask(wakeup(), BODY)).status == 200
        await client.pump_for(31)
        assert [goaway.last_stream for goaway in client.goaways] == [1]
        client.h2.ping(b"anybody?")
        await client.flush()
        await client.pump_for(1000)
        assert not client.closed


async def test_a_budget_of_errors(autojump_clock: MockClock) -> None:
    """BadDeviceToken weighs three, 410 nothing; what is long ago does not count."""
    fake = fake_with(error_budget=[5, 10])
    async with connected(fake) as client:
        fake.injections.answers = [(410, "Unregistered")] * 9 + [(400, "BadDeviceToken"), (429, "TooManyRequests")]
        for _ in range(11):
            await client.ask(wakeup(), BODY)
        await trio.sleep(10)
        fake.injections.answers = [(400, "BadDeviceToken")] * 2
        assert (await client.ask(wakeup(), BODY)).status == 400
        assert not client.closed
        await client.ask(wakeup(), BODY)
        await client.pump_for(1)
        assert client.closed


@pytest.mark.parametrize("says_so", [True, False])
async def test_idle_connections_end(autojump_clock: MockClock, says_so: bool) -> None:
    async with connected(fake_with(idle=60, idle_goaway=says_so)) as client:
        await client.ask(wakeup(), BODY)
        ended = []
        for seconds in (59, 2):
            await client.pump_for(seconds)
            ended.append(client.closed)
    assert ended == [False, True]
    assert [goaway.debug for goaway in client.goaways] == [b'{"reason":"IdleTimeout"}'] * says_so


# Transport


async def test_a_stalled_connection_says_nothing_at_all(autojump_clock: MockClock) -> None:
    async with connected(fake_with(stall=1.0), started=False) as client:
        client.h2.initiate_connection()
        await client.flush()
        await client.pump_for(1000)
        assert (client.closed, client.settings) == (False, [])


@pytest.mark.parametrize("answered", [0, 2])
async def test_a_half_open_connection_takes_everything(autojump_clock: MockClock, answered: int) -> None:
    fake = fake_with(half_open=1.0, half_open_after=answered)
    async with connected(fake) as client:
        for _ in range(answered):
            assert (await client.ask(wakeup(), BODY)).status == 200
        client.h2.ping(b"anybody?")
        stream = client.request(wakeup(), BODY)
        await client.flush()
        await client.pump_for(1000)
        assert (client.closed, client.answers[stream].headers) == (False, [])
    assert fake.journal.requests == answered


async def test_a_slow_reader(autojump_clock: MockClock) -> None:
    async with connected(fake_with(read_pace=100)) as client:
        began = trio.current_time()
        await client.ask(wakeup(), BODY)
        assert 3 < trio.current_time() - began < 30


# HTTP/2


async def test_the_stream_limit_dances(autojump_clock: MockClock) -> None:
    """4xx: one stream from now on, and two resets to each that comes before the client knows; 200: all again."""
    fake = fake_with(dance=True)
    fake.injections.answers = [(400, "BadTopic")]
    async with connected(fake) as client:
        await client.pump_for(1)
        first = client.request(wakeup(), BODY)
        await client.flush()
        await trio.sleep(1)  # the answer is there, and not read
        fake.injections.latency = constant(10.0)
        seen = watched(client)
        streams = await several(client, 3)
    assert client.answers[first].status == 400
    assert [settings[LIMIT] for settings in client.settings] == [1000, 1, 1000]
    assert client.answers[streams[0]].status == 200
    assert frame_kinds(bytes(seen)).count(3) == 4
    assert [client.answers[stream].reset for stream in streams] == [None, 7, 7], "h2 does not look at a second reset"
    assert fake.journal.violations == {}, "it could not know"


async def test_a_window_that_opens_late(autojump_clock: MockClock) -> None:
    fake = fake_with(initial_window=0, window_raised_after=3)
    async with connected(fake) as client:
        stream = client.request(wakeup(), ended=False)
        await client.flush()
        assert client.h2.local_flow_control_window(stream) == 0
        await client.pump_for(2)
        assert client.h2.local_flow_control_window(stream) == 0
        await client.pump_for(2)
        client.h2.send_data(stream, BODY, end_stream=True)
        await client.flush()
        assert (await client.answer(stream)).status == 200
    assert fake.journal.violations == {}


async def test_a_window_that_is_exceeded(autojump_clock: MockClock) -> None:
    fake = fake_with(initial_window=10)
    async with connected(fake) as client:
        await client.pump_for(1)
        client.h2.remote_settings.initial_window_size = 65_535
        client.h2.remote_settings.acknowledge()
        client.h2.send_headers(1, wakeup())
        client.h2.streams[1].outbound_flow_control_window = 65_535
        client.answers[1] = Answer()
        client.h2.send_data(1, BODY, end_stream=True)
        await client.flush()
        await client.answer(1)
    assert fake.journal.violations == {"window_exceeded": 1}


async def test_windows_change_under_way_and_become_negative(autojump_clock: MockClock) -> None:
    fake = fake_with()
    async with connected(fake) as client:
        stream = client.request(wakeup(), ended=False)
        client.h2.send_data(stream, BODY[:20])
        await client.flush()
        await fake.server.announce_settings({4: 5})
        await client.pump_for(1)
        assert client.h2.streams[stream].outbound_flow_control_window == 5 - 20
        await fake.server.refresh()
        await client.pump_for(1)
        client.h2.send_data(stream, BODY[20:], end_stream=True)
        await client.flush()
        assert (await client.answer(stream)).status == 200
    assert fake.journal.violations == {}


async def test_no_window_comes_back_until_it_is_given(autojump_clock: MockClock) -> None:
    fake = fake_with(withhold_window=True)
    async with connected(fake) as client:
        await client.pump_for(1)
        for _ in range(1200):
            await client.ask(wakeup(), BODY)
        left = client.h2.outbound_flow_control_window
        assert left == 65_535 - 1200 * len(BODY)
        apns_panel(fake).set({"withhold-window": False})
        await fake.server.refresh()
        await client.pump_for(1)
        assert client.h2.outbound_flow_control_window > left


async def test_a_smaller_table_must_be_obeyed(autojump_clock: MockClock) -> None:
    fake = fake_with()
    async with connected(fake) as client:
        await client.ask(wakeup(), BODY)
        fake.injections.table_size = 0
        await fake.server.refresh()
        await client.pump_for(1)
        assert client.settings[-1] == {TABLE: 0}
        assert (await client.ask(wakeup(), BODY)).status == 200, "h2 says so with its next block"
        assert fake.journal.violations == {}
        client.h2.encoder.header_table_size = 4096
        client.h2.encoder.table_size_changes.clear()
        await client.send(b"\x00\x00\x03\x01\x05\x00\x00\x00\x07\x3f\xe1\x1f")  # a table of 4096 bytes
        await client.pump_for(1)
    assert fake.journal.violations == {"protocol_error": 1}


async def test_settings_change_at_random(autojump_clock: MockClock) -> None:
    fake = fake_with(settings_every=5.0)
    async with connected(fake) as client:
        with trio.move_on_after(600):
            while True:
                await client.pump()
        changed = client.settings[1:]
        assert {LIMIT, WINDOW, TABLE} <= {key for settings in changed for key in settings}
        assert 0 in {settings.get(LIMIT) for settings in changed}
        fake.injections.settings_every = None
        await fake.server.refresh()
        await client.pump_for(60)
        usual = {key: value for settings in client.settings for key, value in settings.items()}
        assert (usual[LIMIT], usual[WINDOW], usual[TABLE]) == (1000, 65_535, 4096), "nothing of it stays"


async def test_the_same_seed_the_same_settings(autojump_clock: MockClock) -> None:
    async def seen(seed: int) -> list[dict[int, int]]:
        fake: FakeApns = fake_with(settings_every=1.0)
        fake.injections.rng.seed(seed)
        async with connected(fake) as client:
            with trio.move_on_after(60):
                while True:
                    await client.pump()
        return client.settings

    assert await seen(3) == await seen(3) != await seen(4)


# OAuth


@pytest.mark.parametrize(("name", "status"), [("500", 500), ("503", 503), ("invalid_grant", 400)])
async def test_the_token_endpoint_in_trouble(name: str, status: int) -> None:
    fake, tokens = messages.fake_fcm(), FakeOauth([], lambda: START)
    fcm_panel(fake, tokens).set({"oauth-shares": {name: 1.0}})
    assert tokens.exchange(b"", "")[0] == status


def test_a_fake_of_fcm_has_one_source_of_chance() -> None:
    fake = FakeFcm("p", lambda _, __: True, lambda: START, seed=9)
    assert fake.injections.rng.random() == Random(9).random()
    assert json.dumps(fcm_panel(fake, FakeOauth([], lambda: START)).values())
