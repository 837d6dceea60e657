"""A connection to the fake APNs: stream limit, GOAWAY, the form of answers, what is injected, and breaches of conduct.

Everything is said by a client that is not ours, so that the fake stays able to disagree with the relay's wire.
"""

from __future__ import annotations

import json
import uuid
from typing import Final

import pytest
import trio
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import ContinuationFrame, GoAwayFrame, HeadersFrame, PingFrame, PriorityFrame
from trio.testing import MockClock, memory_stream_pair

from relay.simulators.apns import FakeApns, StreamLimit
from relay.simulators.registry import Phone
from tests.relay.simulators.h2_client import PREFACE, Answer, Client, Fields, connected
from tests.relay.simulators.wakeups import BODY, DEVICE, START, TOKEN, TOPIC, fake_apns, wakeup

OBSERVED: Final = {
    SettingCodes.HEADER_TABLE_SIZE: 4096,
    SettingCodes.INITIAL_WINDOW_SIZE: 65_535,
    SettingCodes.MAX_FRAME_SIZE: 16_384,
    SettingCodes.MAX_HEADER_LIST_SIZE: 8_000,
}
"""What was seen at Apple, beside the stream limit."""
LIMIT: Final = SettingCodes.MAX_CONCURRENT_STREAMS
LAST: Final = 2**31 - 1
LONG: Final = 1200.0
"""Seconds after which an answer will not come any more."""


def to(device: str) -> Fields:
    return wakeup(path=f"/3/device/{device}")


def devices(count: int) -> list[str]:
    return [f"{number:064x}" for number in range(count)]


def statuses(client: Client) -> list[int | None]:
    """Of all requests so far; None where nothing came."""
    return [answer.status if answer.ended else None for answer in client.answers.values()]


# SETTINGS and the stream limit


@pytest.mark.parametrize("streams", [1, 100, 500, 1000, 1500])
async def test_as_observed_all_streams_are_announced_at_once(autojump_clock: MockClock, streams: int) -> None:
    async with connected(fake_apns(streams=streams, limit=StreamLimit.OBSERVED)) as client:
        assert (await client.ask(wakeup(), BODY)).status == 200
        await client.pump_for(LONG)
    assert client.settings == [{**OBSERVED, LIMIT: streams}]


@pytest.mark.parametrize("streams", [1, 100, 500, 1000, 1500])
async def test_as_documented_one_stream_is_announced_until_a_token_was_good(
    autojump_clock: MockClock, streams: int
) -> None:
    fake = fake_apns(streams=streams, limit=StreamLimit.DOC)
    async with connected(fake) as client:
        assert (await client.ask(wakeup("garbage"), BODY)).status == 403
        await client.pump_for(LONG)
        assert client.settings == [{**OBSERVED, LIMIT: 1}]
        assert (await client.ask(wakeup(), BODY)).status == 200
        assert (await client.ask(wakeup(), BODY)).status == 200
        await client.pump_for(LONG)
        assert client.settings[1:] == ([{LIMIT: streams}] if streams > 1 else [])
    assert not fake.journal.violations


async def test_a_good_token_lifts_the_limit_though_its_request_is_refused(autojump_clock: MockClock) -> None:
    async with connected(fake_apns(limit=StreamLimit.DOC)) as client:
        assert (await client.ask(wakeup(), b"")).verdict == (400, "PayloadEmpty")
        await client.pump_for(1)
    assert client.settings[1:] == [{LIMIT: 1000}]


async def test_as_many_streams_as_announced_may_be_open_at_once(autojump_clock: MockClock) -> None:
    fake = fake_apns(streams=150)
    fake.injections.latency = lambda: 1.0
    async with connected(fake) as client:
        streams = [client.request(to(device), BODY) for device in devices(150)]
        await client.flush()
        for stream in streams:
            await client.answer(stream)
    assert statuses(client) == [200] * 150
    assert not fake.journal.violations


async def test_a_stream_above_the_limit_is_refused_and_is_a_breach(autojump_clock: MockClock) -> None:
    """It counts as not processed; the others and the connection go on."""
    fake = fake_apns(streams=2)
    fake.injections.latency = lambda: 1.0
    async with connected(fake) as client:
        client.allow_streams(10)
        for device in devices(4):
            client.request(to(device), BODY)
        await client.flush()
        await client.pump_for(LONG)
        assert statuses(client) == [200, 200, None, None]
        assert [answer.reset for answer in client.answers.values()] == [None, None, *[ErrorCodes.REFUSED_STREAM] * 2]
        assert (await client.ask(wakeup(), BODY)).status == 200
    assert fake.journal.violations == {"too_many_streams": 2}
    assert fake.journal.requests == 3
    assert set(fake.registry.phones) == {*devices(2), DEVICE}


async def test_a_finished_stream_makes_room_for_another(autojump_clock: MockClock) -> None:
    fake = fake_apns(streams=1)
    async with connected(fake) as client:
        for device in devices(3):
            await client.ask(to(device), BODY)
        client.h2.reset_stream(client.request(wakeup(), BODY, ended=False))
        client.request(wakeup(), BODY)
        await client.flush()
        await client.pump_for(1)
    assert statuses(client) == [200, 200, 200, None, 200]
    assert not fake.journal.violations


async def test_a_client_is_held_to_a_limit_only_once_it_has_acknowledged_it(autojump_clock: MockClock) -> None:
    """Even if the requests and the acknowledgement arrive together."""
    fake = fake_apns(streams=10)
    fake.injections.latency = lambda: 1.0
    async with connected(fake) as client:
        await client.pump_for(0.1)
        client.is_mute = True
        await fake.set_streams(1)
        for device in devices(3):
            client.request(to(device), BODY)
        early = client.h2.data_to_send()
        await client.pump_for(0.1)
        client.allow_streams(10)
        await client.send(early + client.h2.data_to_send())
        client.is_mute = False
        await client.pump_for(LONG)
        assert statuses(client) == [200] * 3
        assert not fake.journal.violations
        client.allow_streams(10)
        for device in devices(2):
            client.request(to(device), BODY)
        await client.flush()
        await client.pump_for(LONG)
    assert statuses(client)[3:] == [200, None]
    assert fake.journal.violations == {"too_many_streams": 1}


async def test_two_limits_under_way_are_in_force_one_after_the_other(autojump_clock: MockClock) -> None:
    """The acknowledgement of the first SETTINGS says nothing of the second."""
    fake = fake_apns(streams=10)
    fake.injections.silence = True
    here, there = memory_stream_pair()
    client = Client(here)
    client.is_mute = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fake.serve_stream, there)
        await client.start()
        first = client.h2.data_to_send()
        await fake.set_streams(1)
        await client.pump()
        client.allow_streams(10)
        client.request(wakeup(), BODY)
        client.request(wakeup(), BODY)
        second_and_requests = client.h2.data_to_send()
        acknowledgement, requests = second_and_requests[:9], second_and_requests[9:]
        await client.send(first + requests)
        await client.pump_for(1)
        assert not fake.journal.violations
        client.request(wakeup(), BODY)
        await client.send(acknowledgement + client.h2.data_to_send())
        await client.pump_for(1)
        assert fake.journal.violations == {"too_many_streams": 1}
        await here.aclose()


async def test_the_limit_can_be_changed_on_all_connections_while_they_run(autojump_clock: MockClock) -> None:
    fake = fake_apns(streams=10)
    fake.injections.latency = lambda: 1.0
    async with connected(fake) as first, connected(fake) as second:
        running = [first.request(to(device), BODY) for device in devices(3)]
        await first.flush()
        await fake.set_streams(1)
        for stream in running:
            assert (await first.answer(stream)).status == 200
        await second.pump_for(1)
        assert first.settings[1:] == second.settings[1:] == [{LIMIT: 1}]
        await fake.set_streams(7)
        await first.pump_for(1)
        assert first.settings[2:] == [{LIMIT: 7}]
    async with connected(fake) as third:
        assert third.settings[0][LIMIT] == 7
    assert not fake.journal.violations


# The form of answers


async def test_200_has_an_id_and_no_body(autojump_clock: MockClock) -> None:
    async with connected(fake_apns()) as client:
        answer = await client.ask(wakeup(), BODY)
    assert [name for name, _ in answer.headers] == [":status", "apns-id"]
    assert answer.with_headers
    assert answer.body == b""
    made_up = answer.value("apns-id")
    assert made_up == str(uuid.UUID(made_up)).upper()


async def test_ids_that_are_made_up_differ(autojump_clock: MockClock) -> None:
    async with connected(fake_apns()) as client:
        ids = {(await client.ask(wakeup(), BODY)).value("apns-id") for _ in range(10)}
    assert len(ids) == 10


@pytest.mark.parametrize(("body", "status"), [(BODY, 200), (b"", 400)])
async def test_a_given_id_comes_back_as_it_was(autojump_clock: MockClock, body: bytes, status: int) -> None:
    given = str(uuid.UUID(int=0xABCDEF))
    async with connected(fake_apns()) as client:
        answer = await client.ask(wakeup(apns_id=given), body)
    assert (answer.status, answer.value("apns-id")) == (status, given)


async def test_an_error_is_json_with_a_reason(autojump_clock: MockClock) -> None:
    async with connected(fake_apns()) as client:
        answer = await client.ask(wakeup(), b"")
    assert {name for name, _ in answer.headers} == {":status", "apns-id", "content-type"}
    assert answer.value("content-type") == "application/json"
    assert answer.body == b'{"reason":"PayloadEmpty"}'
    assert not answer.with_headers


async def test_410_says_since_when(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    fake.registry.unregistered[DEVICE] = START - 60
    async with connected(fake) as client:
        answer = await client.ask(wakeup(), BODY)
    assert answer.body == b'{"reason":"Unregistered","timestamp":1799999940000}'


@pytest.mark.parametrize("sandbox", [True, False])
async def test_only_the_sandbox_answers_with_a_unique_id(autojump_clock: MockClock, sandbox: bool) -> None:
    fake = fake_apns(sandbox=sandbox)
    fake.injections.answers = [(200, ""), (400, "BadDeviceToken")]
    async with connected(fake) as client:
        for has_one in (sandbox, False):
            answer = await client.ask(wakeup(), BODY)
            assert ("apns-unique-id" in dict(answer.headers)) == has_one


async def test_the_journal_has_each_request_as_it_came(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client, connected(fake) as other:
        await trio.sleep(1.5)
        await client.ask(wakeup(), BODY)
        await other.ask(wakeup(apns_topic=None), BODY)
        await other.ask(wakeup(), BODY)
    first, second, third = fake.journal.entries
    assert first.t == START + 1.5
    assert [entry.connection for entry in fake.journal.entries] == [1, 2, 2]
    assert [entry.stream for entry in fake.journal.entries] == [1, 1, 3]
    assert [(name.decode(), value.decode()) for name, value in first.headers] == [tuple(f) for f in wakeup()]
    assert first.forms == ("indexed", "indexed", "incremental", "never", "never", *["incremental"] * 5)
    assert third.forms == ("indexed", "indexed", "indexed", "never", "never", "incremental", *["indexed"] * 4)
    assert 0 < third.block_bytes < first.block_bytes
    assert (first.token, first.body, first.status, first.reason) == (DEVICE, BODY, 200, "")
    assert (second.status, second.reason) == (400, "MissingTopic")


# What is injected


async def test_answers_come_after_their_latency_and_not_in_order(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    waits = iter([3.0, 0.5, 0.0])
    fake.injections.latency = lambda: next(waits)
    async with connected(fake) as client:
        streams = [client.request(to(device), BODY) for device in devices(3)]
        await client.flush()
        for stream, expected in ((streams[2], 0.0), (streams[1], 0.5), (streams[0], 3.0)):
            assert (await client.answer(stream)).status == 200
            assert trio.current_time() == expected
    assert [entry.t for entry in fake.journal.entries] == [START] * 3


async def test_injected_answers_come_once_each_and_override_every_check(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    fake.injections.answers = [(503, "Shutdown"), (200, ""), (400, "BadDeviceToken")]
    async with connected(fake) as client:
        assert (await client.ask(wakeup(), BODY)).verdict == (503, "Shutdown")
        bad = wakeup("garbage", apns_expiration="x", apns_priority="x", apns_topic=None)
        assert (await client.ask(bad, BODY)).verdict == (200, "")
        assert (await client.ask(wakeup(), BODY)).verdict == (400, "BadDeviceToken")
        assert (await client.ask(wakeup(), BODY)).verdict == (200, "")
    assert [entry.status for entry in fake.journal.entries] == [503, 200, 400, 200]


async def test_a_silent_token_never_gets_an_answer(autojump_clock: MockClock) -> None:
    """Though it was woken, and in whatever case the token is written."""
    fake = fake_apns()
    fake.injections.silent = {DEVICE}
    async with connected(fake) as client:
        client.request(wakeup(), BODY)
        client.request(to(DEVICE.upper()), BODY)
        assert (await client.ask(to("cd" * 32), BODY)).status == 200
        await client.pump_for(LONG)
    assert statuses(client) == [None, None, 200]
    assert fake.journal.requests == 3
    assert len(fake.registry.phones[DEVICE].delivered) == 2


async def test_in_silence_nothing_gets_an_answer(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    fake.injections.silence = True
    async with connected(fake) as client:
        client.request(wakeup(), BODY)
        await client.flush()
        await client.pump_for(LONG)
        fake.injections.silence = False
        assert (await client.ask(wakeup(), BODY)).status == 200
    assert statuses(client) == [None, 200]


async def test_a_connection_is_cut_before_the_answer_of_its_last_request(autojump_clock: MockClock) -> None:
    """Which was processed; what came behind it was not. Earlier answers are out, and it happens once."""
    fake = fake_apns()
    fake.injections.drop_after = 3
    async with connected(fake) as client:
        for device in devices(5):
            client.request(to(device), BODY)
        await client.flush()
        await client.pump_for(LONG)
        assert client.closed
        assert client.goaways == []
    assert statuses(client) == [200, 200, None, None, None]
    assert list(fake.registry.phones) == devices(3)
    async with connected(fake) as client:
        for device in devices(5):
            assert (await client.ask(to(device), BODY)).status == 200


async def test_a_cut_waits_for_the_request_it_is_to_spoil(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    fake.injections.drop_after = 2
    async with connected(fake) as client:
        assert (await client.ask(wakeup(), BODY)).status == 200
        fake.injections.drop_after = 1
        client.h2.ping(b"8 bytes.")
        await client.flush()
        await client.pump_for(1)
        ends = [client.closed]
        client.request(wakeup(), BODY)
        await client.flush()
        await client.pump_for(LONG)
        assert [*ends, client.closed] == [False, True]
    assert statuses(client) == [200, None]


async def test_a_graceful_goaway_comes_twice_and_the_last_stream_with_the_second(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    fake.injections.latency = lambda: 1.0
    async with connected(fake) as client, connected(fake) as idle:
        streams = [client.request(to(device), BODY) for device in devices(3)]
        await client.flush()
        await trio.testing.wait_all_tasks_blocked()
        await fake.goaway()
        await client.pump_for(LONG)
        assert [(goaway.last_stream, goaway.code) for goaway in client.goaways] == [(LAST, 0), (streams[-1], 0)]
        assert all(json.loads(goaway.debug) == {"reason": "Shutdown"} for goaway in client.goaways)
        assert statuses(client) == [200] * 3, "what was begun is answered"
        await idle.pump_for(1)
        assert [goaway.last_stream for goaway in idle.goaways] == [LAST, 0]
        assert not client.closed
    assert not fake.journal.violations


async def test_a_goaway_may_be_abrupt(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client:
        await client.ask(wakeup(), BODY)
        await fake.goaway(graceful=False, reason="BadCertificateEnvironment")
        await client.pump_for(1)
    assert [(goaway.last_stream, goaway.code) for goaway in client.goaways] == [(1, 0)]
    assert json.loads(client.goaways[0].debug) == {"reason": "BadCertificateEnvironment"}


@pytest.mark.parametrize("graceful", [True, False])
async def test_a_stream_after_goaway_is_ignored_and_is_a_breach(autojump_clock: MockClock, graceful: bool) -> None:
    fake = fake_apns()
    async with connected(fake) as client:
        await client.ask(wakeup(), BODY)
        await fake.goaway(graceful=graceful)
        await client.pump_for(1)
        client.request(wakeup(), BODY)
        client.request(wakeup(), BODY)
        await client.flush()
        await client.pump_for(LONG)
    assert statuses(client) == [200, None, None]
    assert fake.journal.requests == 1
    assert fake.journal.violations == {"stream_after_goaway": 2}


async def test_a_stream_that_crosses_a_goaway_is_ignored_and_no_breach(autojump_clock: MockClock) -> None:
    """The client could not know yet."""
    fake = fake_apns()
    async with connected(fake) as client:
        await client.ask(wakeup(), BODY)
        await fake.goaway(graceful=False)
        client.request(wakeup(), BODY)
        await client.flush()
        await client.pump_for(LONG)
    assert statuses(client) == [200, None]
    assert not fake.journal.violations


async def test_a_goaway_does_not_mind_a_client_that_has_just_gone(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    gone, its_server = memory_stream_pair()
    async with trio.open_nursery() as nursery, connected(fake) as there:
        nursery.start_soon(fake.serve_stream, its_server)
        await trio.testing.wait_all_tasks_blocked()
        gone.send_stream.close()
        gone.receive_stream.close()
        assert fake.connections == 2, "nobody has noticed yet"
        await fake.goaway()
        await fake.set_streams(5)
        await there.pump_for(1)
    assert len(there.goaways) == 2


async def test_a_cut_ends_every_connection_without_a_word(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    fake.injections.latency = lambda: 1.0
    async with connected(fake) as first, connected(fake) as second:
        first.request(wakeup(), BODY)
        await first.flush()
        await trio.testing.wait_all_tasks_blocked()
        assert fake.connections == 2
        fake.cut()
        for client in (first, second):
            await client.pump_for(LONG)
            assert client.closed
            assert client.goaways == []
        assert fake.connections == 0
    assert statuses(first) == [None]
    assert fake.journal.requests == 1


async def test_while_nothing_is_accepted_connections_are_closed_at_once(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    fake.accepting = False
    async with connected(fake) as client:
        assert client.closed
        assert client.settings == []
    assert fake.journal.connections == 0


# Conduct on a connection


async def test_a_careful_client_commits_no_breach(autojump_clock: MockClock) -> None:
    fake = fake_apns(limit=StreamLimit.DOC)
    async with connected(fake) as client:
        for _ in range(20):
            assert (await client.ask(wakeup(), BODY)).status == 200
            await trio.sleep(10)
            client.h2.ping(b"8 bytes.")
    assert not fake.journal.violations


@pytest.mark.parametrize(("field", "breach"), [(":path", "path_indexed"), ("authorization", "authorization_indexed")])
async def test_a_secret_that_enters_the_header_table_is_a_breach(
    autojump_clock: MockClock, field: str, breach: str
) -> None:
    """Each time it does; the second of two equal ones is only an index."""
    fake = fake_apns()
    async with connected(fake) as client:
        for device, breaches in ((DEVICE, 1), (DEVICE, 1), ("cd" * 32, 2 if field == ":path" else 1)):
            headers = [(name, value) if name == field else pair for pair in to(device) for name, value in [pair]]
            assert (await client.ask(headers, BODY)).status == 200
            assert fake.journal.violations == {breach: breaches}


async def test_priorities_are_a_breach(autojump_clock: MockClock) -> None:
    """As a frame of their own, or in HEADERS."""
    fake = fake_apns()
    async with connected(fake) as client:
        await client.send(PriorityFrame(1, stream_weight=8).serialize())
        client.answers[1] = Answer()
        client.h2.send_headers(1, wakeup(), priority_weight=8)
        client.h2.send_data(1, BODY, end_stream=True)
        await client.flush()
        assert (await client.answer(1)).status == 200
    assert fake.journal.violations == {"priority_sent": 2}
    assert fake.journal.entries[0].forms[:2] == ("indexed", "indexed")


async def test_announcing_push_is_a_breach(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake, {SettingCodes.ENABLE_PUSH: 1}):
        pass
    assert fake.journal.violations == {"push_enabled": 1}


async def test_a_block_in_several_frames_is_a_breach_and_still_read(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client:
        block = client.h2.encoder.encode(wakeup(authorization=None, path=None))
        first = HeadersFrame(1, block[:7], flags=["END_STREAM"])
        await client.send(first.serialize() + ContinuationFrame(1, block[7:], flags=["END_HEADERS"]).serialize())
        await trio.testing.wait_all_tasks_blocked()
    assert fake.journal.violations == {"continuation_sent": 1}
    [entry] = fake.journal.entries
    assert entry.block_bytes == len(block)
    assert len(entry.forms) == len(entry.headers) == 8


async def test_a_flood_of_continuations_ends_the_connection(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client:
        flood = ContinuationFrame(1, b"").serialize() * 10_000
        await client.send(HeadersFrame(1, b"\x82").serialize() + flood)
        await client.pump_for(1)
        assert client.closed
        assert client.goaways
    assert fake.journal.violations["protocol_error"] == 1
    assert 1 < fake.journal.violations["continuation_sent"] < 100


async def test_more_than_a_ping_in_ten_seconds_is_a_breach(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client:

        async def ping_after(seconds: float) -> int:
            await trio.sleep(seconds)
            await client.send(PingFrame(0, b"8 bytes.").serialize())
            await trio.testing.wait_all_tasks_blocked()
            return fake.journal.violations["pings_too_often"]

        assert [await ping_after(seconds) for seconds in (0, 10, 9.9, 0, 10)] == [0, 0, 1, 2, 2]


async def test_answering_the_pings_of_the_server_is_none(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client:
        for _ in range(5):
            await client.send(PingFrame(0, b"8 bytes.", flags=["ACK"]).serialize())
            await trio.testing.wait_all_tasks_blocked()
    assert not fake.journal.violations


async def test_opening_connections_all_the_time_is_a_breach(autojump_clock: MockClock) -> None:
    """60 in a minute are not, the next one is; those that are turned away count as well."""
    fake = fake_apns()

    async def opened(count: int) -> int:
        for _ in range(count):
            async with connected(fake, started=False):
                pass
        return fake.journal.violations["too_many_connections"]

    assert await opened(40) == 0
    await trio.sleep(30)
    fake.accepting = False
    assert await opened(20) == 0
    assert await opened(2) == 2
    await trio.sleep(30)
    assert await opened(38) == 2
    assert await opened(1) == 3


@pytest.mark.parametrize(
    "sent",
    [b"GET / HTTP/1.1\r\n", b"G", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
    ids=["HTTP/1.1", "a letter", "spoilt preface", "TLS"],
)
async def test_what_does_not_begin_like_http2_is_not_answered(autojump_clock: MockClock, sent: bytes) -> None:
    fake = fake_apns()
    async with connected(fake, started=False) as client:
        await client.send(sent)
        await client.pump_for(LONG)
        assert client.closed
    assert fake.journal.violations == {"protocol_error": 1}


@pytest.mark.parametrize(
    "frame",
    [PingFrame(0, b"8 bytes.").serialize(), b"\x00\x00\x00\x04\x01\x00\x00\x00\x00"],
    ids=["PING", "acknowledgement"],
)
async def test_the_settings_of_a_client_come_first(autojump_clock: MockClock, frame: bytes) -> None:
    fake = fake_apns()
    async with connected(fake, started=False) as client:
        await client.send(PREFACE + frame)
        await client.pump_for(LONG)
        assert client.closed
        assert [goaway.code for goaway in client.goaways] == [ErrorCodes.PROTOCOL_ERROR]
    assert fake.journal.violations == {"settings_not_first": 1}


async def test_fields_beyond_the_announced_size_end_the_connection(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client:
        await client.ask(wakeup(TOKEN, ("x-long", "x" * 7000)), BODY)
        client.request(wakeup(TOKEN, ("x-long", "x" * 8000)), BODY)
        await client.flush()
        await client.pump_for(LONG)
        assert client.closed
    assert statuses(client) == [200, None]
    assert fake.journal.violations == {"protocol_error": 1}


# Clients that are in a hurry, or gone


async def test_a_request_that_is_cancelled_at_once_is_still_processed(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client:
        stream = client.request(wakeup(), BODY)
        client.h2.reset_stream(stream, ErrorCodes.CANCEL)
        await client.flush()
        await client.pump_for(1)
        assert (await client.ask(wakeup(), BODY)).status == 200
    assert fake.journal.requests == 2
    assert not fake.journal.violations


async def test_a_request_that_is_cancelled_while_it_waits_gets_no_answer(autojump_clock: MockClock) -> None:
    fake = fake_apns(streams=1)
    fake.injections.latency = lambda: 1.0
    async with connected(fake) as client:
        stream = client.request(wakeup(), BODY)
        await client.flush()
        await trio.sleep(0.5)
        client.h2.reset_stream(stream, ErrorCodes.CANCEL)
        await client.flush()
        assert (await client.ask(wakeup(), BODY)).status == 200
    assert statuses(client) == [None, 200]
    assert not fake.journal.violations


async def test_a_request_and_a_goodbye_in_one_write_are_answered_before_the_end(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client:
        client.request(wakeup(), BODY)
        await client.send(client.h2.data_to_send() + GoAwayFrame(0).serialize())
        await client.pump_for(LONG)
        assert client.closed
    assert statuses(client) == [200]
    assert not fake.journal.violations


@pytest.mark.parametrize("latency", [0.0, 1.0])
async def test_a_client_that_is_gone_before_its_answer_troubles_nobody(
    autojump_clock: MockClock, latency: float
) -> None:
    fake = fake_apns()
    fake.injections.latency = lambda: latency
    async with connected(fake) as client:
        client.request(wakeup(), BODY)
        await client.flush()
        await trio.aclose_forcefully(client.stream)
        await trio.sleep(2)
    assert fake.connections == 0


async def test_a_long_answer_waits_for_window(autojump_clock: MockClock) -> None:
    """The head of an error comes at once, its body when the client has room; others are not held up."""
    fake = fake_apns()
    async with connected(fake, {SettingCodes.INITIAL_WINDOW_SIZE: 10}) as client:
        stream = client.request(wakeup(), b"")
        await client.flush()
        await client.pump_for(1)
        answer = client.answers[stream]
        assert (answer.status, answer.body, answer.ended) == (400, b"", False)
        assert (await client.ask(wakeup(), BODY)).status == 200
        client.h2.increment_flow_control_window(100, stream)
        await client.flush()
        assert (await client.answer(stream)).verdict == (400, "PayloadEmpty")
        later = client.request(wakeup(), b"")
        await client.flush()
        await client.pump_for(1)
        client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65_535})
        await client.flush()
        assert (await client.answer(later)).verdict == (400, "PayloadEmpty")


async def test_the_window_for_bodies_is_given_back(autojump_clock: MockClock) -> None:
    """65,535 bytes are 16 of the largest requests; also for streams that are refused."""
    fake = fake_apns(streams=1)
    large = b'{"aps":{"alert":"' + b"x" * 4000 + b'"}}'
    async with connected(fake) as client:
        for _ in range(40):
            assert (await client.ask(wakeup(), large)).status == 200
        fake.injections.latency = lambda: 1.0
        client.allow_streams(2)
        for _ in range(20):
            stream = client.request(wakeup(), large)
            client.request(wakeup(), large)
            await client.flush()
            assert (await client.answer(stream)).status == 200
    assert fake.journal.violations == {"too_many_streams": 20}


async def test_an_offline_phone_is_not_woken_by_an_accepted_request(autojump_clock: MockClock) -> None:
    fake: FakeApns = fake_apns()
    fake.registry.phones[DEVICE] = Phone(online=False)
    async with connected(fake) as client:
        assert (await client.ask(wakeup(apns_topic=TOPIC), BODY)).status == 200
    assert fake.registry.phones[DEVICE].delivered == []
    assert fake.journal.by_token == {DEVICE: 1}


def test_ids_of_its_own_making_follow_from_the_seed() -> None:
    """So that a whole run can be repeated byte by byte."""
    first, again, other = (FakeApns({}, set(), lambda: 0.0, seed=seed) for seed in (1, 1, 2))
    ids = [first.new_id() for _ in range(3)]
    assert ids == [again.new_id() for _ in range(3)]
    assert len({*ids, other.new_id()}) == 4
