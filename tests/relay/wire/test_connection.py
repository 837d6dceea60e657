"""A connection's two sides: what it may send, and what it makes of a server's frames."""

from __future__ import annotations

from itertools import pairwise

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.wire import Connection, ErrorCode, Received, Request, WireError
from tests.relay.wire import by_hand
from tests.relay.wire.by_hand import END_HEADERS, OK, OK_OBEDIENT, STREAMS, WHOLE, WINDOW, status
from tests.relay.wire.scenes import (
    BODY,
    FIRST_WINDOW,
    TEMPLATE,
    at_stream,
    greeted,
    only_answer,
    opened,
    outcomes,
    proven,
    request,
    requests,
)

WRITE = 16_384


def take_all(connection: Connection, count: int, body: bytes = BODY) -> int:
    """Offer `count` requests until nothing more is taken; the number taken."""
    taken = 0
    while taken < count:
        some, _ = connection.take(requests(count - taken, first=taken, body=body))
        if not some:
            break
        taken += some
    return taken


# --- what may be sent


def test_a_request_is_headers_and_data_with_the_end_and_nothing_else() -> None:
    connection = greeted()
    count, sent = connection.take([request(1)])
    headers, body = by_hand.split(sent)
    assert count == 1
    assert (headers.kind, headers.flags, headers.stream) == (by_hand.HEADERS, END_HEADERS, 1)
    assert body == (by_hand.DATA, by_hand.END_STREAM, 1, BODY)


def test_streams_are_odd_ascending_and_in_the_order_of_the_requests() -> None:
    connection = proven()
    count, sent = connection.take(requests(5))
    assert count == 5
    assert [frame.stream for frame in by_hand.split(sent)] == [3, 3, 5, 5, 7, 7, 9, 9, 11, 11]
    blocks = [frame.payload for frame in by_hand.split(sent) if frame.kind == by_hand.HEADERS]
    assert [b"%064x" % number in block for number, block in enumerate(blocks)] == [True] * 5


def test_nothing_to_send_is_nothing_sent() -> None:
    assert proven().take([]) == (0, b"")


@pytest.mark.parametrize(
    "news",
    [
        by_hand.headers(1, OK),
        by_hand.headers(1, status(403)),
        by_hand.headers(1, status(403), END_HEADERS) + by_hand.data(1, b"no"),
    ],
    ids=["200", "403", "403 with a body"],
)
def test_one_stream_only_until_the_first_answer_although_the_settings_allow_a_thousand(news: bytes) -> None:
    """Apple, token authentication: "only one stream until you post a request with a valid authentication token"."""
    connection = greeted({STREAMS: 1000})
    assert connection.room() == 1
    assert connection.take(requests(10))[0] == 1
    assert connection.room() == 0
    assert connection.take(requests(9, first=1)) == (0, b"")
    connection.receive(news)
    assert connection.room() == 1000


@pytest.mark.parametrize(
    "news",
    [
        by_hand.rst(1, 8),
        by_hand.rst(1, 7),
        by_hand.headers(1, b"\x08\x03103", END_HEADERS),
        by_hand.settings({STREAMS: 500}),
        by_hand.ping(),
        by_hand.window_update(0, 1000),
    ],
    ids=["cancelled", "refused", "interim", "settings", "ping", "window"],
)
def test_what_is_not_an_answer_does_not_open_a_second_stream(news: bytes) -> None:
    connection = greeted({STREAMS: 1000})
    connection.take(requests(1))
    connection.receive(news)
    assert connection.room() + connection.open_streams == 1


@pytest.mark.parametrize(
    ("announced", "own", "limit"),
    [
        ({}, 1000, 1000),
        ({STREAMS: 2**32 - 1}, 1000, 1000),
        ({STREAMS: 100}, 1000, 100),
        ({STREAMS: 1000}, 7, 7),
        ({}, 7, 7),
    ],
)
def test_the_limit_is_the_smaller_of_the_peers_and_ours(announced: dict[int, int], own: int, limit: int) -> None:
    connection = Connection(TEMPLATE, streams=own)
    connection.receive(by_hand.settings(announced))
    connection.take([request(-1)])
    connection.receive(by_hand.headers(1, OK_OBEDIENT))
    assert connection.room() == limit
    assert take_all(connection, 1100) == limit
    assert connection.open_streams == limit


def test_a_limit_lowered_below_what_is_open_stops_new_streams_until_it_is_met() -> None:
    connection, streams = opened(10, settings={STREAMS: 10})
    connection.receive(by_hand.settings({STREAMS: 3}))
    for answered, stream in enumerate(streams, start=1):
        assert connection.room() == max(0, 3 - (10 - answered + 1))
        connection.receive(by_hand.headers(stream, OK))
    assert connection.room() == 3


def test_a_limit_of_zero_stops_everything_and_a_raised_one_starts_it_again() -> None:
    connection = proven()
    connection.receive(by_hand.settings({STREAMS: 0}))
    assert connection.take(requests(3)) == (0, b"")
    connection.receive(by_hand.settings({WINDOW: 70_000}))
    assert connection.room() == 0
    connection.receive(by_hand.settings({STREAMS: 2}))
    assert connection.take(requests(3))[0] == 2


def test_a_limit_of_zero_holds_for_the_first_request_too() -> None:
    assert greeted({STREAMS: 0}).room() == 0


def test_the_first_answer_keeps_its_stream_until_its_end() -> None:
    """The limit counts streams, not answers: one whose body is under way is open."""
    connection = greeted({STREAMS: 1})
    connection.take(requests(1))
    connection.receive(by_hand.headers(1, OK, END_HEADERS))
    assert (connection.room(), connection.open_streams) == (0, 1)
    connection.receive(by_hand.data(1, b"", 0))
    assert connection.room() == 0
    connection.receive(by_hand.data(1, b""))
    assert (connection.room(), connection.open_streams) == (1, 0)


lengths = st.one_of(st.integers(0, 60), st.integers(1000, 5000))


@settings(max_examples=60)
@given(
    sizes=st.lists(st.tuples(lengths, st.integers(1, 3000)), min_size=1, max_size=60),
    table=st.sampled_from([0, 4096]),
    later=st.sampled_from([None, 0]),
)
def test_a_write_is_as_many_whole_requests_as_fit_into_16384_bytes(
    sizes: list[tuple[int, int]], table: int, later: int | None
) -> None:
    """Rule 14, for bodies and tokens of any length; what does not fit any more is encoded anew in the next write."""
    connection = proven({STREAMS: 1000, by_hand.TABLE: table, WINDOW: 2**31 - 1})
    connection.receive(by_hand.window_update(0, 2**30))
    if later is not None:
        connection.receive(by_hand.settings({by_hand.TABLE: later}))
    wanted = [
        Request(number, b"/3/device/%d" % number, (b"t" * token, b"17"), b"b" * body)
        for number, (body, token) in enumerate(sizes)
    ]
    written: list[tuple[int, list[by_hand.Frame], int]] = []
    position = 0
    while position < len(wanted):
        count, sent = connection.take(wanted[position:])
        assert count > 0
        assert len(sent) <= WRITE
        found = by_hand.split(sent)
        assert [frame.kind for frame in found] == [by_hand.HEADERS, by_hand.DATA] * count
        assert [len(frame.payload) for frame in found[1::2]] == [body for body, _ in sizes[position : position + count]]
        written.append((count, found, len(sent)))
        position += count
    for (_, _, size), (_, following, _) in pairwise(written):
        assert size + sum(9 + len(frame.payload) for frame in following[:2]) > WRITE


@settings(max_examples=40)
@given(
    tokens=st.lists(st.integers(1, 3000), min_size=2, max_size=40),
    changes=st.lists(st.sampled_from([None, 0, 100, 4096]), min_size=1, max_size=5),
)
def test_what_is_thrown_away_at_the_end_of_a_write_leaves_no_trace_in_the_compression(
    tokens: list[int], changes: list[int | None]
) -> None:
    connection = greeted({STREAMS: 1000})
    decoder = hpack.Decoder()
    seen: list[bytes] = []
    wanted = [Request(n, b"/%d" % n, (b"t" * size, b"17"), b"") for n, size in enumerate(tokens)]
    position = 0
    while position < len(wanted):
        count, sent = connection.take(wanted[position:])
        seen += [dict(decoder.decode(frame.payload, raw=True))[b":path"] for frame in by_hand.split(sent)[::2]]
        if position == 0:
            connection.receive(by_hand.headers(1, OK_OBEDIENT))
        position += count
        change = changes.pop() if changes else None
        if change is not None:
            connection.receive(by_hand.settings({by_hand.TABLE: change}))
            decoder.max_allowed_table_size = change
    assert seen == [b"/%d" % n for n in range(len(tokens))]


def test_a_request_that_no_write_can_hold_is_a_mistake_of_the_caller() -> None:
    """It would otherwise be offered for ever."""
    connection = proven({WINDOW: 2**20})
    fits = WRITE - len(connection.take([request(0, body=b"")])[1])
    assert connection.take([request(1, body=b"x" * fits)])[0] == 1
    with pytest.raises(ValueError, match="larger than one write"):
        connection.take([request(2, body=b"x" * (fits + 1))])


def test_the_connection_window_is_spent_to_the_byte() -> None:
    """65,535 bytes at the start; headers cost nothing."""
    connection = proven({STREAMS: 1000})
    assert take_all(connection, 600, b"x" * 1000) == 65
    assert connection.is_starved
    connection.receive(by_hand.window_update(0, 1000 - 535 - 1))
    assert connection.take([request(900, body=b"x" * 1000)]) == (0, b"")
    connection.receive(by_hand.window_update(0, 1))
    assert connection.take([request(900, body=b"x" * 1000)])[0] == 1
    assert connection.take([request(901, body=b"")])[0] == 1
    connection.receive(by_hand.window_update(0, 5))
    assert connection.take([request(902, body=b"12345"), request(903, body=b"6")])[0] == 1


def test_a_body_never_exceeds_the_peers_stream_window() -> None:
    connection = proven({WINDOW: 5})
    assert connection.take([request(1, body=b"123456")]) == (0, b"")
    connection.receive(by_hand.settings({WINDOW: 6}))
    assert connection.take([request(1, body=b"123456")])[0] == 1


def test_a_stream_window_lowered_in_mid_flight_is_no_concern_of_requests_already_written() -> None:
    """Their windows become negative (RFC 9113, 6.9.2); they are never written to again."""
    connection, streams = opened(5)
    connection.receive(by_hand.settings({WINDOW: 0}))
    news = connection.receive(b"".join(by_hand.headers(stream, OK) for stream in streams))
    assert news.accepted == list(streams.values())
    assert connection.take(requests(1, first=10)) == (0, b"")
    assert connection.is_starved


@pytest.mark.parametrize("relief", [by_hand.window_update(0, 100), by_hand.settings({WINDOW: 65_535})])
def test_starving_ends_when_the_peer_enlarges_a_window(relief: bytes) -> None:
    connection = proven({STREAMS: 100, WINDOW: 0})
    assert connection.room() == 100
    connection.take(requests(1))
    assert (connection.is_starved, connection.room()) == (True, 0)
    connection.receive(relief)
    assert (connection.is_starved, connection.room()) == (False, 100)


def test_a_connection_that_sent_something_is_not_starved_yet() -> None:
    """Starved is only who could send nothing at all; a stream limit is another matter."""
    connection = proven({STREAMS: 1000})
    assert connection.take([request(1), request(2, body=b"x" * (FIRST_WINDOW - 11))])[0] == 1
    assert not connection.is_starved
    busy, _ = opened(3, settings={STREAMS: 3})
    assert busy.take(requests(1)) == (0, b"")
    assert not busy.is_starved


def test_a_peers_window_may_reach_its_largest_value_and_no_more() -> None:
    connection = greeted()
    connection.receive(by_hand.window_update(0, 2**31 - 1 - FIRST_WINDOW))
    with pytest.raises(WireError) as error:
        connection.receive(by_hand.window_update(0, 1))
    assert error.value.code is ErrorCode.FLOW_CONTROL_ERROR


def test_blocks_and_bodies_fit_into_the_smallest_frame_a_peer_may_insist_on() -> None:
    """16,384 bytes is both what a write holds and the least MAX_FRAME_SIZE there is."""
    connection = proven({by_hand.FRAME_SIZE: 16_384, WINDOW: 2**20})
    spare = WRITE - len(connection.take([request(0, body=b"")])[1])
    for wanted in (request(1, body=b"x" * spare), request(2, varying=(b"t" * (spare - 1000), b"17"))):
        count, sent = connection.take([wanted])
        assert count == 1
        assert max(len(frame.payload) for frame in by_hand.split(sent)) <= 16_384


def test_of_a_setting_that_comes_twice_the_last_counts() -> None:
    """RFC 9113, 6.5.3: they are processed in their order, and acknowledged once."""
    connection = proven()
    connection.receive(by_hand.settings_in_order((STREAMS, 0), (WINDOW, 0), (STREAMS, 7), (WINDOW, 20)))
    assert connection.room() == 7
    assert connection.take([request(1, body=b"x" * 21)]) == (0, b"")
    connection.receive(by_hand.settings_in_order((STREAMS, 7), (STREAMS, 3)))
    assert connection.room() == 3
    assert len(by_hand.split(connection.control())) == 2


def test_an_update_of_a_streams_window_is_no_credit_for_the_connection() -> None:
    connection, _ = opened(1, settings={STREAMS: 1000})
    connection.receive(by_hand.window_update(3, 2**31 - 1))
    connection.receive(by_hand.window_update(3, 2**31 - 1))
    assert take_all(connection, 600, b"x" * 1000) == (FIRST_WINDOW - len(BODY)) // 1000


def test_the_last_stream_of_a_connection_is_two_to_the_31_less_one() -> None:
    """A higher one does not exist: the bit above is reserved, and a peer would read stream 1."""
    connection = at_stream(proven({STREAMS: 1000}), 2**31 - 5)
    assert connection.room() == 3
    count, sent = connection.take(requests(10))
    assert count == 3
    assert [frame.stream for frame in by_hand.split(sent)[::2]] == [2**31 - 5, 2**31 - 3, 2**31 - 1]
    assert connection.room() == 0
    assert connection.take(requests(1)) == (0, b"")
    news = connection.receive(by_hand.headers(2**31 - 1, OK))
    assert news.accepted == ["wakeup 2"]


def test_a_connection_without_stream_numbers_is_starved_for_good() -> None:
    """Who holds it replaces it, as one without window; else it would wait for ever on a connection that is sound."""
    connection = at_stream(proven(), 2**31 - 1)
    assert not connection.is_starved
    assert connection.take(requests(2))[0] == 1
    connection.receive(by_hand.window_update(0, 1000) + by_hand.settings({STREAMS: 1000}))
    assert connection.is_starved


def test_after_our_goodbye_nothing_is_opened_and_answers_still_count() -> None:
    connection, streams = opened(2)
    (frame,) = by_hand.split(connection.close())
    assert frame == (by_hand.GOAWAY, 0, 0, bytes(8))
    assert connection.take(requests(1, first=9)) == (0, b"")
    assert connection.receive(by_hand.headers(3, OK)).accepted == [streams[3]]


def test_a_goodbye_for_a_reason_names_it() -> None:
    (frame,) = by_hand.split(greeted().close(ErrorCode.COMPRESSION_ERROR))
    assert frame.payload == bytes(4) + (9).to_bytes(4, "big")


# --- what is made of answers


def test_answers_come_in_any_order_and_are_told_by_tag() -> None:
    connection, streams = opened(4)
    news = connection.receive(
        by_hand.headers(9, OK)
        + by_hand.headers(3, status(410), END_HEADERS)
        + by_hand.headers(5, OK)
        + by_hand.data(3, b"gone")
    )
    assert news.accepted == [streams[9], streams[5]]
    assert only_answer(news) == (streams[3], 410, b"gone", ((b":status", b"410"),))
    assert connection.waiting() == [streams[7]]


def test_an_error_body_is_put_together_from_its_frames() -> None:
    connection, streams = opened(1)
    connection.receive(by_hand.headers(3, status(400) + b"\x0f\x10\x01j", END_HEADERS))
    for part in (b'{"rea', b"", b'son":"', b'Bad"}'):
        assert connection.receive(by_hand.data(3, part, 0)) == Received()
    answer = only_answer(connection.receive(by_hand.data(3, b"")))
    assert answer == (streams[3], 400, b'{"reason":"Bad"}', ((b":status", b"400"), (b"content-type", b"j")))


@pytest.mark.parametrize(
    "sizes", [[4095], [4096], [4097], [16_384], [4000, 96], [4000, 97], [4096, 1], [3000, 3000, 3000]]
)
def test_of_an_error_body_four_kibibytes_are_kept(sizes: list[int]) -> None:
    connection, _ = opened(1)
    connection.receive(by_hand.headers(3, status(400), END_HEADERS))
    body = bytes(range(256)) * 64
    start = 0
    for size in sizes:
        connection.receive(by_hand.data(3, body[start : start + size], 0))
        start += size
    answer = only_answer(connection.receive(by_hand.data(3, b"")))
    assert answer.body == body[:start][:4096]


def test_the_body_of_a_200_is_skipped_unread() -> None:
    connection, streams = opened(2)
    news = connection.receive(by_hand.headers(3, OK, END_HEADERS) + by_hand.data(3, b'{"name":"x"}'))
    assert news == Received(accepted=[streams[3]])
    assert connection.open_streams == 1


@pytest.mark.parametrize("first_block", [OK, OK_OBEDIENT], ids=["full", "trust"])
@pytest.mark.parametrize("padding", [0, 1, 0x88, 255])
def test_padding_is_no_part_of_anything(first_block: bytes, padding: int) -> None:
    """Its length may look like a status, 0x88."""
    connection, streams = opened(2, first_block=first_block)
    pad = bytes((padding,))
    flags = END_HEADERS | by_hand.PADDED
    news = connection.receive(
        by_hand.headers(3, pad + status(400) + bytes(padding), flags)
        + by_hand.data(3, pad + b"no" + bytes(padding), by_hand.PADDED)
        + by_hand.data(3, pad + bytes(padding), by_hand.PADDED | by_hand.END_STREAM)
        + by_hand.headers(5, pad + OK + bytes(padding), flags | by_hand.END_STREAM)
    )
    assert news.accepted == [streams[5]]
    assert only_answer(news).body == b"no"


@pytest.mark.parametrize("first_block", [OK, OK_OBEDIENT], ids=["full", "trust"])
@pytest.mark.parametrize("pad", [b"", b"\x03"], ids=["bare", "padded"])
def test_priority_fields_of_an_answer_are_ignored(first_block: bytes, pad: bytes) -> None:
    """Also where they begin with what looks like a status, 0x88."""
    connection, streams = opened(1, first_block=first_block)
    flags = WHOLE | by_hand.PRIORITIZED | (by_hand.PADDED if pad else 0)
    priority = b"\x88\x00\x00\x01\xff"
    news = connection.receive(by_hand.headers(3, pad + priority + status(410) + bytes(3 if pad else 0), flags))
    assert outcomes([news]) == {streams[3]: "answered 410"}


def test_the_reserved_bit_of_a_stream_number_is_ignored() -> None:
    """RFC 9113, 4.1."""
    connection, streams = opened(2)
    news = connection.receive(by_hand.headers(3 | 2**31, OK) + by_hand.headers(5 | 2**31, status(410)))
    assert news.accepted == [streams[3]]
    assert only_answer(news).tag == streams[5]


def test_frames_of_unknown_types_are_ignored() -> None:
    """RFC 9113, 4.1; also ALTSVC (10), ORIGIN (12) and the PRIORITY frame nobody heeds any more."""
    connection, streams = opened(1)
    unknown = b"".join(by_hand.frame(kind, 0xFF, stream, b"what") for kind in (2, 10, 12, 0xFE) for stream in (0, 2, 3))
    news = connection.receive(unknown + by_hand.headers(3, OK) + unknown)
    assert news == Received(accepted=[streams[3]])
    assert connection.control() == b""


def test_any_tag_is_handed_back_even_none() -> None:
    connection = proven()
    connection.take([request(1)._replace(tag=None), request(2)._replace(tag=0)])
    assert connection.receive(by_hand.headers(3, OK) + by_hand.headers(5, OK)).accepted == [None, 0]


@settings(max_examples=60)
@given(data=st.data())
def test_bytes_may_be_split_anywhere(data: st.DataObject) -> None:
    sent = (
        by_hand.settings({STREAMS: 50})
        + by_hand.ping()
        + by_hand.headers(3, OK)
        + by_hand.headers(5, b"\x20\x08", 0)
        + by_hand.continuation(5, b"\x03410")
        + by_hand.data(5, b'{"reason":"Unregistered"}')
        + by_hand.headers(7, OK, END_HEADERS)
        + by_hand.data(7, b"")
        + by_hand.rst(9, 7)
        + by_hand.rst(11, 2)
        + by_hand.goaway(13, 0, b"bye")
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, len(sent) - 1), max_size=12)))
    if data.draw(st.booleans()):
        cuts = list(range(1, len(sent)))
    connection, _ = opened(7)
    news = [connection.receive(sent[start:end]) for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]
    assert outcomes(news, connection.lost()) == {
        "wakeup 0": "accepted",
        "wakeup 1": "answered 410",
        "wakeup 2": "accepted",
        "wakeup 3": "unprocessed",
        "wakeup 4": "unknown reset_2",
        "wakeup 5": "lost",
        "wakeup 6": "unprocessed",
    }
    assert [received.goaway for received in news if received.goaway] == [(0, 13, b"bye")]


# --- giving up


def test_waiting_lists_everybody_without_a_complete_answer() -> None:
    connection, streams = opened(4)
    connection.receive(by_hand.headers(3, OK) + by_hand.headers(7, status(400), END_HEADERS))
    assert set(connection.waiting()) == {streams[5], streams[7], streams[9]}
    assert connection.oldest() == [streams[5], streams[7]]


def test_nobody_waits_on_an_idle_connection() -> None:
    connection = proven()
    assert (connection.oldest(), connection.waiting(), connection.lost()) == ([], [], [])


def test_the_oldest_is_the_one_sent_first_not_the_one_with_the_lowest_tag() -> None:
    connection = proven()
    connection.take([request(9), request(1), request(5)])
    assert connection.oldest() == ["wakeup 9"]
    connection.receive(by_hand.headers(3, OK))
    assert connection.oldest() == ["wakeup 1"]


def test_what_is_cancelled_is_reset_unknown_and_its_stream_free() -> None:
    connection, streams = opened(3, settings={STREAMS: 3})
    news = connection.cancel([streams[5]])
    assert news == Received(unknown=[(streams[5], "no_answer")])
    assert by_hand.split(connection.control()) == [(by_hand.RST_STREAM, 0, 5, (8).to_bytes(4, "big"))]
    assert connection.room() == 1
    assert connection.waiting() == [streams[3], streams[7]]


def test_headers_that_have_come_are_the_answer_of_what_is_cancelled() -> None:
    """Rule 6: the verdict stands with the headers, a body that does not end changes nothing."""
    connection, streams = opened(2)
    connection.receive(by_hand.headers(3, status(410), END_HEADERS) + by_hand.data(3, b'{"rea', 0))
    connection.receive(by_hand.headers(5, OK, END_HEADERS))
    news = connection.cancel(streams.values())
    assert news is not None
    assert outcomes([news]) == {streams[3]: "answered 410"}
    assert only_answer(news).body == b'{"rea'
    assert {frame.stream for frame in by_hand.split(connection.control())} == {3, 5}
    assert connection.open_streams == 0


def test_what_comes_for_a_cancelled_stream_is_ignored_and_paid_for() -> None:
    """It was under way; its headers still count for the compression, its bytes for the window."""
    connection, streams = opened(3, first_block=OK)
    connection.cancel([streams[3], streams[5]])
    entry = b"\x40\x01a\x01b"
    assert connection.receive(by_hand.headers(3, OK + entry, END_HEADERS) + by_hand.data(3, b"late")) == Received()
    assert connection.receive(by_hand.rst(5, 7) + by_hand.rst(5, 5)) == Received()
    connection.receive(by_hand.headers(7, status(410) + b"\xbe", END_HEADERS))
    assert only_answer(connection.receive(by_hand.data(7, b""))).headers == ((b":status", b"410"), (b"a", b"b"))


def test_cancelling_who_is_not_waiting_sends_nothing() -> None:
    """An RST on a finished stream costs some servers the connection."""
    connection, streams = opened(1)
    connection.receive(by_hand.headers(3, OK))
    assert connection.cancel([streams[3], "nobody"]) == Received()
    assert connection.control() == b""


def test_only_the_very_same_tag_is_cancelled() -> None:
    """Tags are compared by identity: two flights of one device may be equal."""
    connection = proven()
    first, second = [1], [1]
    connection.take([request(1)._replace(tag=first), request(2)._replace(tag=second)])
    connection.cancel([second])
    (left,) = connection.waiting()
    assert left is first


def test_lost_names_everybody_whose_outcome_is_unknown_once() -> None:
    """Rule 12. An accepted 200 whose body never ended is not among them."""
    connection, streams = opened(4)
    news = connection.receive(
        by_hand.headers(3, OK, END_HEADERS) + by_hand.headers(5, status(500), END_HEADERS) + by_hand.headers(7, OK)
    )
    assert set(connection.lost()) == {streams[5], streams[9]}
    assert news.accepted == [streams[3], streams[7]]
    assert connection.lost() == []
    assert connection.room() == 0
