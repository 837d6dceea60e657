"""Peers that break the protocol, flood, or send noise: the right error code, bounded memory, and nobody forgotten."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.fuzz import kept
from relay.wire import Connection, ErrorCode, Received, WireError
from tests.relay.wire import by_hand
from tests.relay.wire.by_hand import END_HEADERS, OK, OK_OBEDIENT, STREAMS, WHOLE, frame, status
from tests.relay.wire.scenes import TEMPLATE, opened, outcomes, proven, requests

PROTOCOL = ErrorCode.PROTOCOL_ERROR
SIZE = ErrorCode.FRAME_SIZE_ERROR
FLOW = ErrorCode.FLOW_CONTROL_ERROR
COMPRESSION = ErrorCode.COMPRESSION_ERROR
CALM = ErrorCode.ENHANCE_YOUR_CALM

IDLE = 17
"""The next stream, with seven open: not opened yet."""


BREACHES: dict[str, tuple[bytes, ErrorCode]] = {
    "a frame larger than 16,384 bytes": (frame(by_hand.DATA, 0, 3, length=16_385), SIZE),
    "an unknown frame larger than that": (frame(0xFE, 0, 0, length=2**24 - 1), SIZE),
    "HEADERS on stream 0": (by_hand.headers(0, OK), PROTOCOL),
    "HEADERS on an even stream": (by_hand.headers(4, OK), PROTOCOL),
    "HEADERS on a stream never opened": (by_hand.headers(IDLE, OK), PROTOCOL),
    "HEADERS shorter than their padding": (by_hand.headers(3, b"\x05abcd", WHOLE | by_hand.PADDED), PROTOCOL),
    "HEADERS without their padding's length": (by_hand.headers(3, b"", WHOLE | by_hand.PADDED), PROTOCOL),
    "HEADERS shorter than their priority": (by_hand.headers(3, b"\x00\x00\x00\x00", WHOLE | by_hand.PRIORITIZED), SIZE),
    "an empty header block": (by_hand.headers(3, b""), PROTOCOL),
    "an answer without a status": (by_hand.headers(3, b"\x00\x01a\x01b"), PROTOCOL),
    "a status of two digits": (by_hand.headers(3, b"\x08\x0241"), PROTOCOL),
    "a status below 100": (by_hand.headers(3, b"\x08\x03099"), PROTOCOL),
    "a status of letters": (by_hand.headers(3, b"\x08\x03abc"), PROTOCOL),
    "an interim answer with the end": (by_hand.headers(3, b"\x08\x03103"), PROTOCOL),
    "trailers without the end": (by_hand.headers(3, OK, END_HEADERS) * 2, PROTOCOL),
    "a header block that does not decode": (by_hand.headers(3, b"\xbe"), COMPRESSION),
    "trailers that do not decode": (by_hand.headers(3, OK, END_HEADERS) + by_hand.headers(3, b"\xbe"), COMPRESSION),
    "a late block that does not decode": (by_hand.headers(1, b"\xbe"), COMPRESSION),
    "an unpacked header list too large": (by_hand.headers(3, b"\x8d" * 500), COMPRESSION),
    "CONTINUATION on its own": (by_hand.continuation(3, OK), PROTOCOL),
    "CONTINUATION behind a whole block": (by_hand.headers(3, OK) + by_hand.continuation(3, b""), PROTOCOL),
    "CONTINUATION of another stream": (by_hand.headers(3, OK, 0) + by_hand.continuation(5, b""), PROTOCOL),
    "CONTINUATION of stream 0": (by_hand.headers(3, OK, 0) + by_hand.continuation(0, b""), PROTOCOL),
    "DATA inside a block": (by_hand.headers(3, OK, 0) + by_hand.data(3, b""), PROTOCOL),
    "PING inside a block": (by_hand.headers(3, OK, 0) + by_hand.ping(), PROTOCOL),
    "SETTINGS inside a block": (by_hand.headers(3, OK, 0) + by_hand.settings({}), PROTOCOL),
    "an unknown frame inside a block": (by_hand.headers(3, OK, 0) + frame(0xFE), PROTOCOL),
    "HEADERS inside a block": (by_hand.headers(3, status(410), 0) + by_hand.headers(5, OK), PROTOCOL),
    "a block of 64 KiB without end": (
        by_hand.headers(3, b"\x00" * 16_384, 0) + by_hand.continuation(3, b"\x00" * 16_384, 0) * 4,
        CALM,
    ),
    "DATA on stream 0": (by_hand.data(0, b"x"), PROTOCOL),
    "DATA on an even stream": (by_hand.data(2, b"x"), PROTOCOL),
    "DATA on a stream never opened": (by_hand.data(IDLE, b"x"), PROTOCOL),
    "DATA before HEADERS": (by_hand.data(3, b"x"), PROTOCOL),
    "DATA after an interim answer": (by_hand.headers(3, status(103), END_HEADERS) + by_hand.data(3, b"x"), PROTOCOL),
    "DATA shorter than its padding": (
        by_hand.headers(3, OK, END_HEADERS) + by_hand.data(3, b"\x03ab", by_hand.PADDED),
        PROTOCOL,
    ),
    "DATA without its padding's length": (
        by_hand.headers(3, OK, END_HEADERS) + by_hand.data(3, b"", by_hand.PADDED),
        PROTOCOL,
    ),
    "RST_STREAM on stream 0": (by_hand.rst(0, 8), PROTOCOL),
    "RST_STREAM on an even stream": (by_hand.rst(2, 8), PROTOCOL),
    "RST_STREAM on a stream never opened": (by_hand.rst(IDLE, 8), PROTOCOL),
    "RST_STREAM of three bytes": (frame(by_hand.RST_STREAM, 0, 3, b"\x00\x00\x00"), SIZE),
    "RST_STREAM of five bytes": (frame(by_hand.RST_STREAM, 0, 3, bytes(5)), SIZE),
    "RST_STREAM of nothing": (frame(by_hand.RST_STREAM, 0, 3), SIZE),
    "SETTINGS on a stream": (frame(by_hand.SETTINGS, 0, 3), PROTOCOL),
    "SETTINGS of five bytes": (frame(by_hand.SETTINGS, 0, 0, bytes(5)), SIZE),
    "SETTINGS of seven bytes": (frame(by_hand.SETTINGS, 0, 0, bytes(7)), SIZE),
    "SETTINGS acknowledged with content": (frame(by_hand.SETTINGS, by_hand.ACK, 0, bytes(6)), SIZE),
    "SETTINGS acknowledged on a stream": (frame(by_hand.SETTINGS, by_hand.ACK, 3), PROTOCOL),
    "ENABLE_PUSH from a server": (by_hand.settings({by_hand.PUSH: 1}), PROTOCOL),
    "ENABLE_PUSH of two": (by_hand.settings({by_hand.PUSH: 2}), PROTOCOL),
    "a window setting beyond its limit": (by_hand.settings({by_hand.WINDOW: 2**31}), FLOW),
    "a window setting beyond its limit, taken back": (by_hand.settings_in_order((4, 2**31), (4, 65_535)), FLOW),
    "a frame size below its limit, taken back": (by_hand.settings_in_order((5, 1), (5, 16_384)), PROTOCOL),
    "a frame size below its limit": (by_hand.settings({by_hand.FRAME_SIZE: 16_383}), PROTOCOL),
    "a frame size beyond its limit": (by_hand.settings({by_hand.FRAME_SIZE: 2**24}), PROTOCOL),
    "PUSH_PROMISE": (frame(by_hand.PUSH_PROMISE, END_HEADERS, 3, b"\x00\x00\x00\x02" + OK), PROTOCOL),
    "PING on a stream": (frame(by_hand.PING, 0, 3, bytes(8)), PROTOCOL),
    "PING of seven bytes": (frame(by_hand.PING, 0, 0, bytes(7)), SIZE),
    "PING of nine bytes": (frame(by_hand.PING, 0, 0, bytes(9)), SIZE),
    "an acknowledged PING of nothing": (frame(by_hand.PING, by_hand.ACK), SIZE),
    "GOAWAY on a stream": (frame(by_hand.GOAWAY, 0, 3, bytes(8)), PROTOCOL),
    "GOAWAY of seven bytes": (frame(by_hand.GOAWAY, 0, 0, bytes(7)), SIZE),
    "WINDOW_UPDATE of three bytes": (frame(by_hand.WINDOW_UPDATE, 0, 0, bytes(3)), SIZE),
    "WINDOW_UPDATE of five bytes": (frame(by_hand.WINDOW_UPDATE, 0, 3, bytes(5)), SIZE),
    "WINDOW_UPDATE of nothing": (by_hand.window_update(0, 0), PROTOCOL),
    "WINDOW_UPDATE of nothing on a stream": (by_hand.window_update(3, 0), PROTOCOL),
    "WINDOW_UPDATE of only the reserved bit": (by_hand.window_update(0, 2**31), PROTOCOL),
    "WINDOW_UPDATE on a stream never opened": (by_hand.window_update(IDLE, 1), PROTOCOL),
    "WINDOW_UPDATE on an even stream": (by_hand.window_update(2, 1), PROTOCOL),
    "WINDOW_UPDATE beyond its limit": (by_hand.window_update(0, 2**31 - 1), FLOW),
}

GOOD = by_hand.headers(9, OK) + by_hand.headers(11, status(410)) + by_hand.rst(13, 7) + by_hand.rst(15, 2)
GOOD_OUTCOMES = ["accepted", "answered 410", "unprocessed", "unknown reset_2"]


@pytest.mark.parametrize("first_block", [OK, OK_OBEDIENT], ids=["full", "trust"])
@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_has_its_error_code_and_forgets_nobody(first_block: bytes, breach: str) -> None:
    """What came before the bad frame in the same bytes is told with the error; everybody else is lost, once."""
    sent, code = BREACHES[breach]
    connection, tags = opened(7, first_block=first_block)
    with pytest.raises(WireError) as error:
        connection.receive(GOOD + sent)
    assert error.value.code is code
    found = outcomes([error.value.received], connection.lost())
    assert set(found) == set(tags.values())
    assert [found[tags[stream]] for stream in (9, 11, 13, 15)] == GOOD_OUTCOMES
    (goodbye,) = by_hand.split(connection.close(error.value.code))
    assert int.from_bytes(goodbye.payload[4:], "big") == code


@pytest.mark.parametrize(
    "sent",
    [
        by_hand.headers(1, OK),
        by_hand.data(1, b""),
        by_hand.ping(),
        by_hand.goaway(0),
        by_hand.window_update(0, 1),
        by_hand.rst(1, 7),
        frame(0xFE),
        frame(by_hand.PRIORITY, 0, 1, bytes(5)),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
    ids=["HEADERS", "DATA", "PING", "GOAWAY", "WINDOW_UPDATE", "RST_STREAM", "unknown", "PRIORITY", "HTTP/1.1"],
)
def test_a_peer_that_does_not_begin_with_settings_is_no_http2_server(sent: bytes) -> None:
    connection = Connection(TEMPLATE)
    connection.initiate()
    with pytest.raises(WireError) as error:
        connection.receive(sent)
    assert error.value.code in (PROTOCOL, SIZE)
    assert not connection.is_ready


@pytest.mark.parametrize(
    "values",
    [
        {by_hand.PUSH: 0},
        {by_hand.WINDOW: 2**31 - 1},
        {by_hand.FRAME_SIZE: 16_384},
        {by_hand.FRAME_SIZE: 2**24 - 1},
        {6: 8_000, 8: 1, 9: 1, 0xFE03: 1, 0: 7},
        {by_hand.TABLE: 2**32 - 1, STREAMS: 2**32 - 1},
    ],
)
def test_settings_at_their_limits_and_unknown_ones_are_accepted(values: dict[int, int]) -> None:
    connection, tags = opened(1)
    connection.receive(by_hand.settings(values))
    assert by_hand.split(connection.control()) == [(by_hand.SETTINGS, by_hand.ACK, 0, b"")]
    assert connection.receive(by_hand.headers(3, OK)).accepted == [tags[3]]


def test_settings_that_are_refused_change_nothing() -> None:
    connection = proven({STREAMS: 7})
    with pytest.raises(WireError):
        connection.receive(by_hand.settings({STREAMS: 1000, by_hand.FRAME_SIZE: 1}))
    assert connection.room() == 7


FLOODS: dict[str, list[bytes]] = {
    "SETTINGS": [by_hand.settings({STREAMS: 5}), by_hand.settings({})],
    "SETTINGS acknowledged": [frame(by_hand.SETTINGS, by_hand.ACK)],
    "PING": [by_hand.ping()],
    "PING acknowledged": [by_hand.ping(flags=by_hand.ACK)],
    "RST_STREAM": [by_hand.rst(1, 8)],
    "WINDOW_UPDATE": [by_hand.window_update(0, 1)],
    "WINDOW_UPDATE of streams": [by_hand.window_update(3, 2**31 - 1)],
    "empty DATA": [by_hand.data(5, b"", 0)],
    "DATA of one byte": [by_hand.data(5, b"x", 0)],
    "DATA of padding": [by_hand.data(5, b"\xff" + bytes(255), by_hand.PADDED)],
    "late DATA": [by_hand.data(1, b"x")],
    "late HEADERS": [by_hand.headers(1, OK)],
    "interim answers": [by_hand.headers(3, status(103), END_HEADERS)],
    "interim answers in pieces": [by_hand.headers(3, b"\x08\x03", 0), by_hand.continuation(3, b"103")],
    "PRIORITY": [frame(by_hand.PRIORITY, 0, 3, bytes(5))],
    "unknown frames": [frame(0xFE, 0xFF, 7, b"what")],
    "GOAWAY": [by_hand.goaway(by_hand.GRACEFUL, 0, b"x" * 100)],
}
"""Frames repeated for ever; stream 1 is finished, 3 is silent, 5 has sent the headers of an error."""


def code_of_flood(connection: Connection, chunk: bytes | Callable[[], bytes]) -> ErrorCode | None:
    """The error that ends a flood of 110 chunks, if any."""
    for _ in range(110):
        try:
            connection.receive(chunk if isinstance(chunk, bytes) else chunk())
        except WireError as error:
            return error.code
    return None


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_without_an_answer_ends_the_connection_before_it_costs_much(flood: str) -> None:
    """Nothing we owe is sent meanwhile: such a peer does not read either."""
    connection, tags = opened(2)
    connection.receive(by_hand.headers(5, status(400), END_HEADERS))
    assert code_of_flood(connection, b"".join(FLOODS[flood] * 100)) is CALM
    assert kept(connection) < 250_000
    assert set(connection.lost()) == set(tags.values())


def test_a_header_block_of_empty_continuations_ends_the_connection() -> None:
    connection, _ = opened(1)
    connection.receive(by_hand.headers(3, OK, 0))
    assert code_of_flood(connection, by_hand.continuation(3, b"", 0) * 100) is CALM


def test_answers_in_between_do_not_excuse_a_peer_that_lets_us_owe_more_and_more() -> None:
    """A writer that is stuck cannot send acknowledgements; they must not pile up for as long as answers trickle in."""
    connection, tags = opened(100)
    streams = iter(tags)
    assert code_of_flood(connection, lambda: by_hand.ping() * 1000 + by_hand.headers(next(streams), OK)) is CALM
    assert kept(connection) < 250_000


def test_a_talkative_peer_that_answers_and_reads_is_no_flood() -> None:
    """Over the months of a connection there are more than ten thousand PINGs."""
    connection, tags = opened(100)
    for stream in tags:
        assert connection.receive(by_hand.ping() * 1000 + by_hand.headers(stream, OK)).accepted == [tags[stream]]
        connection.control()


def test_of_a_large_body_only_the_beginning_is_kept() -> None:
    connection, _ = opened(50)
    for stream in range(3, 103, 2):
        connection.receive(by_hand.headers(stream, status(500), END_HEADERS))
        connection.receive(by_hand.data(stream, bytes(16_384), 0) * 20)
    assert kept(connection) < 50 * 4_200


def test_a_frame_is_kept_until_it_is_whole_and_no_longer() -> None:
    connection, _ = opened(1)
    connection.receive(by_hand.headers(3, OK, END_HEADERS))
    sent = by_hand.data(3, bytes(16_384), 0)
    for start in range(0, len(sent), 1000):
        connection.receive(sent[start : start + 1000])
        assert kept(connection) <= len(sent)
    assert kept(connection) == 0


def fed(connection: Connection, sent: bytes, cuts: list[int]) -> list[Received]:
    """What is learned from `sent`, cut at `cuts`, up to an error; whatever comes, memory stays bounded."""
    news = []
    for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True):
        try:
            news.append(connection.receive(sent[start:end]))
        except WireError as error:
            news.append(error.received)
            break
        connection.control()
        assert kept(connection) <= 16_384 + 9 + 65_536 + 16_384 + 7 * (4_096 + 16_384)
    return news


def cuts_of(draw: Callable[[st.SearchStrategy[list[int]]], list[int]], sent: bytes) -> list[int]:
    return sorted(draw(st.lists(st.integers(0, len(sent)), max_size=4)))


noise = st.builds(
    frame,
    kind=st.integers(0, 11),
    flags=st.one_of(st.sampled_from([0, 1, 4, 5, 8, 13, 32]), st.integers(0, 255)),
    stream=st.one_of(st.integers(0, 17), st.sampled_from([IDLE, 2**31 - 1, 2**32 - 1])),
    payload=st.one_of(
        st.binary(max_size=20), st.sampled_from([OK, OK_OBEDIENT, status(410), status(103), b"", bytes(4), bytes(8)])
    ),
)
SCRIPT = [
    by_hand.settings({STREAMS: 3, by_hand.TABLE: 0}),
    by_hand.headers(3, OK),
    by_hand.ping(),
    by_hand.headers(5, status(410), 0),
    by_hand.continuation(5, b"\x00\x01a\x01b"),
    by_hand.data(5, b'{"reason":"Unregistered"}'),
    by_hand.headers(7, status(103), END_HEADERS),
    by_hand.headers(7, OK, END_HEADERS),
    by_hand.data(7, b"\x02{}xx", by_hand.PADDED),
    by_hand.headers(7, b"\x00\x01t\x01x"),
    by_hand.rst(9, 7),
    by_hand.rst(11, 8),
    by_hand.window_update(0, 1000),
    by_hand.goaway(13),
]


@settings(max_examples=80)
@given(data=st.data(), first_block=st.sampled_from([OK, OK_OBEDIENT]))
def test_whatever_frames_come_every_request_has_one_outcome(data: st.DataObject, first_block: bytes) -> None:
    sent = b"".join(data.draw(st.lists(noise, max_size=15)))
    connection, tags = opened(7, first_block=first_block)
    news = fed(connection, sent, cuts_of(data.draw, sent))
    assert set(outcomes(news, connection.lost())) == set(tags.values())


@settings(max_examples=80)
@given(data=st.data(), first_block=st.sampled_from([OK, OK_OBEDIENT]))
def test_a_damaged_conversation_leaves_every_request_with_one_outcome(data: st.DataObject, first_block: bytes) -> None:
    """Bytes changed, lost, doubled; frames in another order."""
    sent = bytearray(b"".join(data.draw(st.permutations(SCRIPT)) if data.draw(st.booleans()) else SCRIPT))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(sent) - 1))
        kind = data.draw(st.sampled_from(["change", "lose", "double", "insert"]))
        if kind == "change":
            sent[place] = data.draw(st.integers(0, 255))
        elif kind == "lose":
            del sent[place : place + data.draw(st.integers(1, 9))]
        elif kind == "double":
            sent[place:place] = sent[place : place + 20]
        else:
            sent[place:place] = data.draw(st.binary(max_size=9))
    connection, tags = opened(7, first_block=first_block)
    news = fed(connection, bytes(sent), cuts_of(data.draw, bytes(sent)))
    assert set(outcomes(news, connection.lost())) == set(tags.values())


@settings(max_examples=60)
@given(sent=st.binary(max_size=400), is_greeted=st.booleans())
def test_noise_is_a_wire_error_or_not_yet_a_frame(sent: bytes, is_greeted: bool) -> None:
    connection = proven() if is_greeted else Connection(TEMPLATE)
    connection.take(requests(3))
    waiting = connection.waiting()
    assert set(outcomes(fed(connection, sent, []), connection.lost())) == set(waiting)
