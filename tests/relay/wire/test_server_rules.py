"""HTTP/2 as real servers speak it: each rule that one of them forced upon us, by its number.

Rules 13, 18, 19 and the replacing part of 12, 16 and 17 are the lanes': tests/relay/lanes/test_server_rules.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import hpack
import pytest

from relay.wire import Connection, ErrorCode, OriginTrust, Received, WireError
from tests.relay.wire import by_hand
from tests.relay.wire.by_hand import END_HEADERS, OK, OK_OBEDIENT, STREAMS, TABLE, WINDOW, status
from tests.relay.wire.scenes import (
    TEMPLATE,
    greeted,
    only_answer,
    opened,
    outcomes,
    proven,
    request,
    requests,
)

REFILL = 2**24
HUFFMAN_410 = hpack.Encoder().huffman_coder.encode(b"410")
MODES = pytest.mark.parametrize("first_block", [OK, OK_OBEDIENT], ids=["full", "trust"])


def test_rule_01_the_first_flight_opens_all_windows_and_takes_the_table_away() -> None:
    sent = Connection(TEMPLATE).initiate()
    assert sent.startswith(by_hand.PREFACE)
    assert sent[len(by_hand.PREFACE) :] == (
        by_hand.settings({TABLE: 0, by_hand.PUSH: 0, WINDOW: 2**31 - 1}) + by_hand.window_update(0, 2**31 - 1 - 65_535)
    )


def test_rule_01_later_window_updates_are_rare_and_give_back_every_byte() -> None:
    """Tomcat, ATS and Envoy punish many small ones. Padding counts, and so does DATA nobody waits for any more."""
    connection, tags = opened(2)
    connection.receive(by_hand.headers(3, OK, END_HEADERS))
    connection.cancel([tags[5]])
    connection.control()
    sent = 0
    chunks = [
        by_hand.data(3, bytes(16_384), 0),
        by_hand.data(3, b"\xff" + bytes(16_000), by_hand.PADDED),
        by_hand.data(5, bytes(16_383), 0),
    ]
    given = 0
    for number in range(2100):
        chunk = chunks[number % 3]
        connection.receive(chunk)
        sent += len(chunk) - 9
        control = connection.control()
        if control:
            (update,) = by_hand.split(control)
            assert (update.kind, update.stream) == (by_hand.WINDOW_UPDATE, 0)
            assert int.from_bytes(update.payload, "big") == sent - given >= REFILL
            given = sent
        assert sent - given < REFILL
    assert given >= REFILL


@MODES
@pytest.mark.parametrize("updates", [b"\x20", b"\x20\x20", b"\x20\x20\x20"])
def test_rule_02_size_updates_come_on_any_block_and_several_of_them(first_block: bytes, updates: bytes) -> None:
    """Tomcat sends one on every block."""
    connection, tags = opened(3, first_block=first_block)
    news = connection.receive(
        by_hand.headers(3, updates + OK)
        + by_hand.headers(5, updates + status(410))
        + by_hand.headers(7, updates + b"\x88\x0f\x10\x01j")
    )
    assert news.accepted == [tags[3], tags[7]]
    assert only_answer(news).status == 410


@pytest.mark.parametrize("update", ["21", "3e", "3f00", "3fe11f", "203fe11f"])
def test_rule_02_an_update_above_zero_breaks_the_trust(update: str) -> None:
    connection, _ = opened(1)
    with pytest.raises(WireError) as error:
        connection.receive(by_hand.headers(3, bytes.fromhex(update) + OK))
    assert error.value.code is ErrorCode.COMPRESSION_ERROR


def test_rule_02_an_update_of_several_bytes_is_read_from_a_peer_that_has_no_trust() -> None:
    """Jetty: `3f e1 1f`, 4,096."""
    connection, tags = opened(1, first_block=b"\x3f\xe1\x1f" + OK)
    assert connection.receive(by_hand.headers(3, b"\x20\x3f\xe1\x1f" + OK)).accepted == [tags[3]]


@MODES
@pytest.mark.parametrize(
    ("block", "code"),
    [
        (OK, 200),
        (bytes.fromhex("00 85 b8848d36a3 82 1001"), 200),
        (b"\x08\x03200", 200),
        (b"\x8d", 404),
        (b"\x8e", 500),
        (b"\x0e\x82" + HUFFMAN_410, 410),
        (b"\x08\x82" + HUFFMAN_410, 410),
        (b"\x08\x03410", 410),
        (b"\x18\x03410", 410),
        (b"\x48\x03410", 410),
        (b"\x48\x82" + HUFFMAN_410, 410),
        (b"\x4e\x03410", 410),
        (b"\x00\x07:status\x03429", 429),
        (b"\x40\x07:status\x03503", 503),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else str(value),
)
def test_rule_03_a_status_has_many_forms(first_block: bytes, block: bytes, code: int) -> None:
    connection, tags = opened(1, first_block=first_block)
    news = connection.receive(by_hand.headers(3, block))
    assert outcomes([news]) == {tags[3]: "accepted" if code == 200 else f"answered {code}"}
    assert connection.open_streams == 0


def test_rule_04_a_trusted_200_is_not_read_beyond_its_first_byte() -> None:
    """What follows could not be decoded, and is not."""
    connection, tags = opened(2)
    news = connection.receive(by_hand.headers(3, OK + b"\xff" * 20) + by_hand.headers(5, OK + b"\xbe", END_HEADERS))
    assert news.accepted == list(tags.values())
    assert connection.open_streams == 1


def test_rule_04_without_trust_every_200_is_decoded() -> None:
    connection, _ = opened(1, first_block=OK)
    with pytest.raises(WireError) as error:
        connection.receive(by_hand.headers(3, OK + b"\xff" * 20))
    assert error.value.code is ErrorCode.COMPRESSION_ERROR


def test_rule_04_a_peer_that_uses_the_table_we_refused_is_read_right() -> None:
    """h2o and Bun ignore the table size from the second block on."""
    connection, tags = opened(4, first_block=OK + b"\x40\x07apns-id\x01a")
    news = connection.receive(
        by_hand.headers(3, OK + b"\xbe")
        + by_hand.headers(5, b"\x48\x03410\x7f\x00\x01b")
        + by_hand.headers(7, b"\xbf\xbe")
        + by_hand.headers(9, b"\x88\xc0")
    )
    assert news.accepted == [tags[3], tags[9]]
    assert [answer.status for answer in news.answers] == [410, 410]
    assert news.answers[1].headers == ((b":status", b"410"), (b"apns-id", b"b"))


def test_rule_04_a_breach_of_trust_ends_the_connection_and_the_origins_next_ones_decode_everything() -> None:
    origin = OriginTrust()
    connection = proven(trust=origin)
    connection.take(requests(2))
    with pytest.raises(WireError) as error:
        connection.receive(by_hand.headers(3, status(410) + b"\xbe"))
    assert error.value.code is ErrorCode.COMPRESSION_ERROR
    following = proven(trust=origin)
    following.take(requests(2))
    with pytest.raises(WireError):
        following.receive(by_hand.headers(3, OK + b"\xff" * 20))
    assert proven(trust=OriginTrust()).room()


@MODES
def test_rule_05_interim_answers_are_not_the_answer(first_block: bytes) -> None:
    connection, tags = opened(2, first_block=first_block)
    interim = b"".join(
        by_hand.headers(stream, status(code), END_HEADERS) for stream in (3, 5) for code in (100, 103, 199)
    )
    assert connection.receive(interim) == Received()
    assert connection.open_streams == 2
    news = connection.receive(by_hand.headers(3, OK) + by_hand.headers(5, status(410)))
    assert outcomes([news]) == {tags[3]: "accepted", tags[5]: "answered 410"}


@MODES
def test_rule_05_trailers_end_an_answer_and_are_not_another_one(first_block: bytes) -> None:
    """gRPC: 200, then a second block. It may even look like a 200."""
    connection, tags = opened(3, first_block=first_block)
    news = connection.receive(
        by_hand.headers(3, OK, END_HEADERS)
        + by_hand.headers(3, b"\x00\x0bgrpc-status\x010")
        + by_hand.headers(5, OK, END_HEADERS)
        + by_hand.headers(5, OK)
        + by_hand.headers(7, status(429), END_HEADERS)
        + by_hand.data(7, b"slow", 0)
        + by_hand.headers(7, b"\x00\x01t\x01x")
    )
    assert news.accepted == [tags[3], tags[5]]
    assert only_answer(news) == (tags[7], 429, b"slow", ((b":status", b"429"),))
    assert connection.open_streams == 0


@MODES
@pytest.mark.parametrize("cuts", [(1,), (0,), (0, 0, 1, 2), (3,)])
@pytest.mark.parametrize("code", [200, 410])
def test_rule_05_continuations_are_joined(first_block: bytes, cuts: tuple[int, ...], code: int) -> None:
    """Every server splits a long block; a cut may fall anywhere, even before the first byte."""
    connection, tags = opened(1, first_block=first_block)
    block = (OK if code == 200 else status(code)) + b"\x00\x01a\x05value"
    pieces = [block[start:end] for start, end in zip((0, *cuts), (*cuts, len(block)), strict=True)]
    sent = by_hand.headers(3, pieces[0], by_hand.END_STREAM)
    sent += b"".join(by_hand.continuation(3, piece, 0) for piece in pieces[1:-1])
    news = connection.receive(sent + by_hand.continuation(3, pieces[-1]))
    assert outcomes([news]) == {tags[3]: "accepted" if code == 200 else f"answered {code}"}
    assert connection.open_streams == 0


ENDS = {
    "END_STREAM on HEADERS": lambda block: by_hand.headers(3, block),
    "END_STREAM on DATA": lambda block: by_hand.headers(3, block, END_HEADERS) + by_hand.data(3, b"body"),
    "END_STREAM on empty DATA": lambda block: by_hand.headers(3, block, END_HEADERS) + by_hand.data(3, b""),
    "trailers": lambda block: by_hand.headers(3, block, END_HEADERS) + by_hand.headers(3, b"\x00\x01t\x01x"),
    "RST NO_ERROR": lambda block: by_hand.headers(3, block, END_HEADERS) + by_hand.rst(3, 0),
    "RST INTERNAL_ERROR": lambda block: by_hand.headers(3, block, END_HEADERS) + by_hand.rst(3, 2),
    "RST REFUSED_STREAM": lambda block: by_hand.headers(3, block, END_HEADERS) + by_hand.rst(3, 7),
}


@MODES
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("code", [200, 410])
def test_rule_06_a_stream_ends_in_many_ways_and_the_verdict_is_in_its_headers(
    first_block: bytes, end: str, code: int
) -> None:
    """Envoy resets a 200 whose body does not fit into our window: accepted all the same."""
    connection, tags = opened(1, first_block=first_block)
    news = connection.receive(ENDS[end](OK if code == 200 else status(code)))
    assert outcomes([news], connection.lost()) == {tags[3]: "accepted" if code == 200 else f"answered {code}"}
    assert connection.open_streams == 0


@MODES
@pytest.mark.parametrize("code", [0, 1, 2, 5, 7, 8, 11, 2**32 - 1])
def test_rule_07_a_reset_of_a_finished_stream_is_ignored_even_twice(first_block: bytes, code: int) -> None:
    """nginx, Go, HAProxy and Tomcat send NO_ERROR, STREAM_CLOSED or FLOW_CONTROL_ERROR behind a complete answer."""
    connection, tags = opened(3, first_block=first_block)
    connection.receive(by_hand.headers(3, OK) + by_hand.headers(5, status(400)))
    assert connection.receive(by_hand.rst(3, code) * 2 + by_hand.rst(5, code) * 2 + by_hand.rst(1, code)) == Received()
    assert connection.receive(by_hand.headers(7, OK)).accepted == [tags[7]]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        (7, "unprocessed"),
        (0, "unknown reset_0"),
        (8, "unknown reset_8"),
        (2, "unknown reset_2"),
        (1, "unknown reset_1"),
        (13, "unknown reset_13"),
        (14, "unknown reset_other"),
        (2**32 - 1, "unknown reset_other"),
    ],
)
def test_rule_07_a_reset_before_any_answer_is_unknown_unless_it_refuses(code: int, outcome: str) -> None:
    """Apple, after a rejected request: REFUSED_STREAM, then STREAM_CLOSED for the same stream.

    The reason becomes a label of metrics, so there are few of them whatever a peer invents.
    """
    connection, tags = opened(2)
    news = connection.receive(by_hand.rst(3, code) + by_hand.rst(3, 5))
    assert outcomes([news]) == {tags[3]: outcome}
    assert connection.waiting() == [tags[5]]


def test_rule_07_an_interim_answer_is_none() -> None:
    connection, tags = opened(1)
    news = connection.receive(by_hand.headers(3, status(103), END_HEADERS) + by_hand.rst(3, 7))
    assert news.unprocessed == [tags[3]]


@pytest.mark.parametrize("settings", [{STREAMS: 1}, {STREAMS: 8}, {}])
def test_rule_08_nothing_is_opened_before_the_settings_and_one_stream_before_the_first_answer(
    settings: dict[int, int],
) -> None:
    connection = Connection(TEMPLATE)
    connection.initiate()
    assert (connection.is_ready, connection.room(), connection.take(requests(5))) == (False, 0, (0, b""))
    connection.receive(by_hand.settings(settings))
    assert (connection.is_ready, connection.room()) == (True, 1)
    assert connection.take(requests(5))[0] == 1


@pytest.mark.parametrize(("table", "zeroed"), [(0, True), (4095, True), (4096, False), (None, False), (65_536, False)])
def test_rule_09_the_first_block_heeds_the_table_of_the_peers_first_settings(table: int | None, zeroed: bool) -> None:
    """Go enforces its table size before our acknowledgement."""
    connection = greeted({} if table is None else {TABLE: table})
    _, sent = connection.take([request(1)])
    block = by_hand.split(sent)[0].payload
    assert (block[0] == 0x20) is zeroed


def test_rule_09_a_table_lowered_later_is_heeded_by_the_next_block() -> None:
    connection = proven()
    connection.take([request(0)])
    connection.receive(by_hand.settings({TABLE: 0}))
    _, sent = connection.take(requests(2, first=1))
    first, second = (frame.payload[0] for frame in by_hand.split(sent)[::2])
    assert (first, second) == (0x20, 0x83)


def test_rule_09_a_table_that_was_smaller_for_a_moment_has_lost_its_entries() -> None:
    """RFC 7541, 4.2: of several changes the smallest is told first. A reference would name what is gone."""
    connection = proven()
    connection.take([request(0)])
    connection.receive(by_hand.settings_in_order((TABLE, 0), (TABLE, 4096)))
    decoder = hpack.Decoder()
    _, sent = connection.take(requests(2, first=1))
    first, second = (frame.payload for frame in by_hand.split(sent)[::2])
    assert first[0] == 0x20
    for block in (first, second):
        assert (b"content-length", b"12") in list(decoder.decode(block, raw=True))
    assert not decoder.header_table.dynamic_entries
    new = greeted({})
    new.receive(by_hand.settings_in_order((TABLE, 100), (TABLE, 65_536)))
    assert by_hand.split(new.take([request(1)])[1])[0].payload[0] == 0x20


def test_rule_10_settings_and_pings_are_acknowledged_at_once_and_in_order() -> None:
    """nghttpd closes after ten seconds; hyper's second GOAWAY waits for our answer to its PING."""
    connection = proven()
    connection.receive(
        by_hand.settings({}) + by_hand.ping(b"01234567") + by_hand.settings({STREAMS: 5}) + by_hand.ping(b"abcdefgh")
    )
    acknowledged = by_hand.frame(by_hand.SETTINGS, by_hand.ACK)
    assert connection.control() == (
        acknowledged + by_hand.ping(b"01234567", by_hand.ACK) + acknowledged + by_hand.ping(b"abcdefgh", by_hand.ACK)
    )
    assert connection.control() == b""


def test_rule_10_acknowledgements_of_ours_are_not_acknowledged() -> None:
    connection = proven()
    news = connection.receive(by_hand.frame(by_hand.SETTINGS, by_hand.ACK))
    assert not news.ping_acknowledged
    assert connection.receive(by_hand.ping(flags=by_hand.ACK)).ping_acknowledged
    assert connection.control() == b""


def test_rule_10_a_ping_of_ours_is_sent_with_the_control_frames() -> None:
    connection = proven()
    connection.ping(b"still on")
    assert by_hand.split(connection.control()) == [(by_hand.PING, 0, 0, b"still on")]


@pytest.mark.parametrize("last", [2**31 - 1, 100, 3], ids=["graceful", "named", "low"])
def test_rule_11_after_the_first_goaway_nothing_is_opened_and_answers_still_come(last: int) -> None:
    """Apache and Tomcat kill what is pending when a stream is opened after GOAWAY 2^31-1."""
    connection, tags = opened(1)
    news = connection.receive(by_hand.goaway(last, 0, b'{"reason":"Shutdown"}'))
    assert news.goaway == (0, last, b'{"reason":"Shutdown"}')
    assert connection.going_away
    connection.receive(by_hand.settings({STREAMS: 1000}) + by_hand.window_update(0, 1000))
    assert connection.take(requests(1, first=9)) == (0, b"")
    assert connection.receive(by_hand.headers(3, OK)).accepted == [tags[3]]


def test_rule_11_a_graceful_end_names_the_last_stream_in_its_second_goaway() -> None:
    connection, tags = opened(4)
    assert connection.receive(by_hand.goaway(by_hand.GRACEFUL)).unprocessed == []
    assert connection.receive(by_hand.goaway(5)).unprocessed == [tags[7], tags[9]]
    assert connection.receive(by_hand.goaway(3)).unprocessed == [tags[5]]
    news = connection.receive(by_hand.goaway(9))
    assert news.unprocessed == []
    assert news.goaway is not None
    assert news.goaway.last_stream == 3
    assert connection.waiting() == [tags[3]]


def test_rule_11_unknown_error_codes_and_long_texts_are_ordinary() -> None:
    """Apache: 0xfffffc7a. Of the text a kilobyte is kept."""
    connection, _ = opened(1)
    news = connection.receive(by_hand.goaway(0, 0xFFFFFC7A, b"x" * 5000))
    assert news.goaway == (0xFFFFFC7A, 0, b"x" * 1024)


def test_rule_11_the_reserved_bit_of_the_last_stream_is_ignored() -> None:
    connection, tags = opened(2)
    assert connection.receive(by_hand.goaway(3 | 2**31)).unprocessed == [tags[5]]


def test_rule_12_above_the_last_stream_is_not_processed_and_below_unanswered_is_unknown() -> None:
    """Re-sent at once, or as something that may have been delivered. An error whose body is cut is unknown too."""
    connection, tags = opened(5)
    news = [
        connection.receive(by_hand.headers(3, OK, END_HEADERS) + by_hand.headers(5, status(500), END_HEADERS)),
        connection.receive(by_hand.goaway(7)),
    ]
    assert outcomes(news, connection.lost()) == {
        tags[3]: "accepted",
        tags[5]: "lost",
        tags[7]: "lost",
        tags[9]: "unprocessed",
        tags[11]: "unprocessed",
    }


def test_rule_14_a_write_of_ordinary_wakeups_holds_as_many_as_fit_and_never_half_a_one() -> None:
    connection = proven({STREAMS: 1000})
    connection.take([request(0)])
    one = len(connection.take([request(1)])[1])
    count, sent = connection.take(requests(500, first=2))
    assert (count, len(sent)) == (16_384 // one, 16_384 // one * one)


def test_rule_15_a_constant_content_length_costs_one_byte_once_it_is_indexed() -> None:
    """lighttpd answers 411 without it. The field was the last constant to enter the table, before the expiration."""
    connection = proven()
    _, sent = connection.take([request(1)])
    decoder = hpack.Decoder()
    _, first = greeted().take([request(0)])
    decoder.decode(by_hand.split(first)[0].payload)
    block = by_hand.split(sent)[0].payload
    assert (b"content-length", b"12") in list(decoder.decode(block, raw=True))
    assert decoder.header_table.get_by_index(63) == (b"content-length", b"12")
    assert block.count(bytes((0x80 | 63,))) == 1


def test_rule_16_a_connection_that_must_cancel_much_is_to_be_dropped() -> None:
    """Deno dies at the 41st, Netty at 200 in 30 s. The hundred-and-first is not sent, and its request still waits."""
    connection, tags = opened(150, settings={STREAMS: 1000})
    first = list(tags.values())
    for number in range(0, 100, 10):
        assert connection.cancel(first[number : number + 10]) is not None
    assert len(by_hand.split(connection.control())) == 100
    assert connection.cancel(first[100:101]) is None
    assert connection.control() == b""
    assert connection.lost() == first[100:]


def test_rule_16_more_than_a_hundred_at_once_cancel_nobody() -> None:
    connection, tags = opened(101, settings={STREAMS: 1000})
    assert connection.cancel(tags.values()) is None
    assert connection.control() == b""
    assert connection.waiting() == list(tags.values())


def test_rule_17_a_peer_that_never_gives_credit_back_leaves_the_connection_starved_with_nothing_open() -> None:
    """Tomcat, after 1,400 early answers."""
    connection = proven({STREAMS: 1000})
    sent = 0
    while not connection.is_starved:
        count, _ = connection.take(requests(100))
        connection.receive(b"".join(by_hand.headers(3 + 2 * (sent + n), OK) for n in range(count)))
        sent += count
    assert sent == 65_535 // 12
    assert (connection.open_streams, connection.room()) == (0, 0)


def test_rule_17_what_is_full_or_waiting_for_its_first_answer_is_not_starved() -> None:
    waiting = greeted()
    waiting.take(requests(5))
    assert waiting.take(requests(5)) == (0, b"")
    full, _ = opened(4, settings={STREAMS: 4})
    assert full.take(requests(5)) == (0, b"")
    assert not waiting.is_starved
    assert not full.is_starved


def test_every_rule_has_a_test() -> None:
    """Those of relay/README.md, by the number in the name of a test here or at the lanes."""
    tests = Path(__file__).parents[1]
    text = "".join((tests / folder / "test_server_rules.py").read_text() for folder in ("wire", "lanes"))
    stated = re.findall(r"^(\d+)\. ", (tests.parents[1] / "relay/README.md").read_text(), re.MULTILINE)
    assert [int(number) for number in stated] == [*range(1, 20)]
    assert {int(number) for number in re.findall(r"def test_rule_(\d\d)_", text)} == {*range(1, 20)}
