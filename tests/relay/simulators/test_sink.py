"""The fast sink: how it answers, wherever the bytes are split, as another implementation of HTTP/2 reads it."""

from __future__ import annotations

from collections.abc import Sequence

import h2.config
import h2.connection
import h2.events
import pytest
import trio
from h2.settings import SettingCodes, Settings
from hpack import Decoder
from hyperframe.frame import HeadersFrame, PingFrame, SettingsFrame
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from relay.simulators.sink import Sink, SinkConnection
from tests.relay.simulators.h2_client import PREFACE, Answer, Fields, connected
from tests.relay.simulators.test_frames import CUTS, chunks
from tests.relay.simulators.wakeups import BODY, START, wakeup

UUID = "123e4567-e89b-12d3-a456-4266554400a0"


def client_of(settings: dict[SettingCodes, int]) -> h2.connection.H2Connection:
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.local_settings = Settings(client=True, initial_values={SettingCodes.ENABLE_PUSH: 0, **settings})
    client.initiate_connection()
    return client


def answers(events: Sequence[h2.events.Event]) -> dict[int, Answer]:
    """By stream. Fails for a stream that is answered twice."""
    found: dict[int, Answer] = {}
    for event in events:
        match event:
            case h2.events.ResponseReceived():
                assert event.stream_id not in found
                found[event.stream_id] = Answer([(str(name), str(value)) for name, value in event.headers])
            case h2.events.DataReceived():
                found[event.stream_id].body += event.data
            case h2.events.StreamEnded():
                assert not found[event.stream_id].ended
                found[event.stream_id].ended = True
            case _:
                pass
    return found


@settings(max_examples=60)
@given(
    bodies=st.lists(st.none() | st.binary(max_size=60), max_size=25),
    dead_every=st.integers(0, 5),
    table_size=st.sampled_from([0, 4096]),
    cuts=CUTS,
)
def test_every_request_is_answered_once_wherever_its_bytes_are_split(
    bodies: list[bytes | None], dead_every: int, table_size: int, cuts: list[int]
) -> None:
    """With a body or without, and every n-th with 410, whether the client has a header table or not."""
    client = client_of({SettingCodes.HEADER_TABLE_SIZE: table_size})
    for number, body in enumerate(bodies):
        stream = 2 * number + 1
        client.send_headers(stream, wakeup(), end_stream=body is None)
        if body is not None:
            client.send_data(stream, body, pad_length=len(body) if len(body) % 2 else None)
            client.end_stream(stream)
    sink = Sink(lambda: START + 0.5, dead_every=dead_every)
    connection = SinkConnection(sink)
    out = connection.greeting(1000)
    for chunk in chunks(client.data_to_send(), cuts):
        out += connection.receive(chunk)
    found = answers(client.receive_data(out))
    assert list(found) == [2 * number + 1 for number in range(len(bodies))]
    for count, answer in enumerate(found.values(), start=1):
        assert answer.ended
        if dead_every and count % dead_every == 0:
            assert answer.status == 410
            assert answer.content == {"reason": "Unregistered", "timestamp": int((START + 0.5) * 1000)}
        else:
            assert (answer.status, answer.body) == (200, b"")
    dead = len(bodies) // dead_every if dead_every else 0
    assert (sink.totals.requests, sink.totals.dead) == (len(bodies), dead)


def header_blocks(out: bytes) -> list[bytes]:
    blocks = []
    while out:
        end = 9 + int.from_bytes(out[:3], "big")
        if out[3] == 1:
            blocks.append(out[9:end])
        out = out[end:]
    return blocks


REQUEST = HeadersFrame(1, b"\x83\x84\x87", flags=["END_HEADERS", "END_STREAM"]).serialize()


@pytest.mark.parametrize("dead_every", [0, 1])
def test_the_first_answer_says_that_the_table_has_size_zero_and_no_other_does(dead_every: int) -> None:
    connection = SinkConnection(Sink(lambda: START, dead_every=dead_every))
    out = connection.receive(PREFACE + REQUEST) + connection.receive(REQUEST * 2)
    status = b"\x08\x03410" if dead_every else b"\x88"
    assert header_blocks(out) == [b"\x20" + status, status, status]
    decoder = Decoder()
    for block in header_blocks(out):
        [field] = decoder.decode(block, raw=True)
        assert tuple(field) == (b":status", b"410" if dead_every else b"200")
    assert decoder.header_table_size == 0


def test_the_dead_are_counted_over_all_connections() -> None:
    sink = Sink(lambda: START, dead_every=3)
    blocks = [header_blocks(SinkConnection(sink).receive(PREFACE + REQUEST))[0] for _ in range(6)]
    assert [block.endswith(b"410") for block in blocks] == [False, False, True] * 2
    assert sink.totals.dead == 2


def test_settings_and_pings_are_acknowledged_once() -> None:
    connection = SinkConnection(Sink(lambda: START))
    acknowledgement = SettingsFrame(0, flags=["ACK"]).serialize()
    assert connection.receive(PREFACE + SettingsFrame(0, {3: 5}).serialize()) == acknowledgement
    assert connection.receive(acknowledgement) == b""
    answer = PingFrame(0, b"8 bytes.", flags=["ACK"]).serialize()
    assert connection.receive(PingFrame(0, b"8 bytes.").serialize()) == answer
    assert connection.receive(answer) == b""


async def test_the_window_of_the_connection_is_refilled(autojump_clock: MockClock) -> None:
    """65,535 bytes at first, then what the sink grants; a sender of 2 GB must never be stuck."""
    sink = Sink(lambda: START)
    async with connected(sink) as client:
        await client.pump_for(1)
        large = bytes(16_000)
        for _ in range(300):
            stream = client.request(wakeup(), ended=False)
            client.h2.send_data(stream, large, pad_length=200, end_stream=True)
            await client.flush()
            assert (await client.answer(stream)).status == 200
        await client.pump_for(1)
        assert client.h2.outbound_flow_control_window > 2**30 - 2**22
    assert sink.totals.requests == 300


@pytest.mark.parametrize("streams", [1, 1000])
async def test_the_stream_limit_is_announced(autojump_clock: MockClock, streams: int) -> None:
    async with connected(Sink(lambda: START, streams=streams)) as client:
        assert client.settings[0][SettingCodes.MAX_CONCURRENT_STREAMS] == streams


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b"PRI * HTTP/1"])
async def test_what_is_not_http2_is_refused_at_once(autojump_clock: MockClock, sent: bytes) -> None:
    with pytest.raises(ValueError, match="preface"):
        SinkConnection(Sink(lambda: START)).receive(sent)
    async with connected(Sink(lambda: START), started=False) as client:
        await client.send(sent)
        await client.pump_for(60)
        assert client.closed


async def test_clients_come_and_go_as_they_like(autojump_clock: MockClock) -> None:
    sink = Sink(lambda: START)
    for _ in range(3):
        async with connected(sink) as client:
            client.request(wakeup(), BODY)
            await client.flush()
            await trio.aclose_forcefully(client.stream)
    assert sink.totals.connections == 3


def echoed(fields: Fields, *, dead_every: int = 0, echo_ids: bool = True) -> list[str | None]:
    """The ids of two answers to this."""
    client = client_of({})
    connection = SinkConnection(Sink(lambda: START, dead_every=dead_every, echo_ids=echo_ids))
    for stream in (1, 3):
        client.send_headers(stream, fields)
        client.send_data(stream, BODY, end_stream=True)
    out = connection.greeting(10) + connection.receive(client.data_to_send())
    return [dict(answer.headers).get("apns-id") for answer in answers(client.receive_data(out)).values()]


@pytest.mark.parametrize("dead_every", [0, 1])
def test_ids_are_repeated_when_wanted(dead_every: int) -> None:
    assert echoed(wakeup(apns_id=UUID), dead_every=dead_every) == [UUID, UUID]
    assert echoed(wakeup(), dead_every=dead_every) == [None, None]
    assert echoed(wakeup(apns_id=UUID), dead_every=dead_every, echo_ids=False) == [None, None]


async def test_a_block_that_cannot_be_read_ends_its_connection(autojump_clock: MockClock) -> None:
    async with connected(Sink(lambda: START, echo_ids=True)) as client:
        await client.send(HeadersFrame(1, b"\xff\xff\xff", flags=["END_HEADERS"]).serialize())
        await client.pump_for(60)
        assert client.closed


@settings(max_examples=30)
@given(data=st.binary(max_size=200), cuts=CUTS)
def test_whatever_a_client_says_after_the_preface_the_sink_goes_on(data: bytes, cuts: list[int]) -> None:
    connection = SinkConnection(Sink(lambda: START, dead_every=2))
    out = b"".join(connection.receive(chunk) for chunk in [PREFACE, *chunks(data, cuts)])
    while out:
        assert len(out) >= 9 + int.from_bytes(out[:3], "big"), "whole frames only"
        out = out[9 + int.from_bytes(out[:3], "big") :]


async def test_with_a_latency_every_answer_comes_so_much_later_and_in_order(autojump_clock: MockClock) -> None:
    async with connected(Sink(lambda: START, latency=0.4)) as client:
        await client.pump_for(1)
        began, streams = trio.current_time(), []
        for _ in range(3):
            streams.append(client.request(wakeup(), BODY))
            await client.flush()
            await client.pump_for(0.1)
        for number, stream in enumerate(streams):
            assert (await client.answer(stream)).status == 200
            assert trio.current_time() - began == pytest.approx(0.4 + 0.1 * number)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b""])
async def test_with_a_latency_too_clients_may_leave_and_speak_something_else(
    autojump_clock: MockClock, sent: bytes
) -> None:
    sink = Sink(lambda: START, latency=0.4)
    async with connected(sink, started=not sent) as client:
        if sent:
            await client.send(sent)
            await client.pump_for(60)
            assert client.closed
        else:
            client.request(wakeup(), BODY)
            await client.flush()
            await trio.aclose_forcefully(client.stream)
            await trio.sleep(1)
    assert sink.totals.connections == 1
