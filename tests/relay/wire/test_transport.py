"""The trio side: who may write when, what is said at the end, and what a stuck or vanished peer costs.

Streams in memory on a virtual clock; a peer that does not read is a lockstep stream nobody receives from. Sockets and
TLS are for `connect` only.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from functools import partial

import pytest
import trio
import trustme
from trio.testing import (
    MockClock,
    lockstep_stream_pair,
    memory_stream_one_way_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from relay.wire import Connection, ConnectionLost, Received, Request, Transport, connect, resolve
from relay.wire.transport import GOODBYE, RECORDS, Beneath
from tests.relay.wire import by_hand
from tests.relay.wire.by_hand import OK, STREAMS
from tests.relay.wire.h2_server import Server
from tests.relay.wire.scenes import TEMPLATE, greeted, opened, proven, request, requests

AnyStream = trio.abc.Stream


async def until_lost(transport: Transport, news: list[Received], ends: list[str]) -> None:
    """Run, and note why it ended."""
    try:
        await transport.run(news.append)
    except ConnectionLost as error:
        ends.append(error.reason)


async def read_all(stream: AnyStream) -> bytes:
    """What has been sent and not read yet, without waiting for more."""
    found = b""
    await wait_all_tasks_blocked()
    with trio.move_on_after(0.001):
        while some := await stream.receive_some(100_000):
            found += bytes(some)
    return found


async def next_frames(stream: AnyStream) -> list[by_hand.Frame]:
    """The frames of the next write; a peer that reads lets a stuck writer go on."""
    with trio.fail_after(60):
        return by_hand.split(bytes(await stream.receive_some(100_000)).removeprefix(by_hand.PREFACE))


async def push(stream: AnyStream, data: bytes) -> None:
    """Send, which on a lockstep stream is done when it has been read."""
    with trio.fail_after(60):
        await stream.send_all(data)


def composing(wanted: Sequence[Request], calls: list[str] | None = None) -> Callable[[], Sequence[Request]]:
    def compose() -> Sequence[Request]:
        if calls is not None:
            calls.append("composed")
        return wanted

    return compose


def nothing_arrives(news: Received) -> None:
    raise AssertionError(f"{news} arrived")


def nobody_leaves(count: int) -> None:
    raise AssertionError(f"{count} left")


# --- reading


async def test_the_first_flight_leaves_before_anything_is_read(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    ours, theirs = memory_stream_pair()
    await nursery.start(Transport(ours, Connection(TEMPLATE)).run, lambda _: None)
    sent = await read_all(theirs)
    assert sent == Connection(TEMPLATE).initiate()


async def test_news_are_told_and_what_they_ask_for_is_answered(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    ours, theirs = memory_stream_pair()
    news: list[Received] = []
    connection = Connection(TEMPLATE)
    nursery.start_soon(until_lost, Transport(ours, connection), news, [])
    await read_all(theirs)
    await push(theirs, by_hand.settings({STREAMS: 5}) + by_hand.ping(b"hello..."))
    assert by_hand.split(await read_all(theirs)) == [
        (by_hand.SETTINGS, by_hand.ACK, 0, b""),
        (by_hand.PING, by_hand.ACK, 0, b"hello..."),
    ]
    connection.take([request(1)])
    await push(theirs, by_hand.headers(1, OK))
    await wait_all_tasks_blocked()
    assert news[-1].accepted == ["wakeup 1"]


async def test_the_peers_end_is_a_lost_connection(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.send_eof()
    with pytest.raises(ConnectionLost) as error:
        await Transport(ours, Connection(TEMPLATE)).run(lambda _: None)
    assert error.value.reason == "connection_closed"


@pytest.mark.parametrize(
    "trouble", [trio.BrokenResourceError, trio.ClosedResourceError, ConnectionResetError, ssl.SSLError]
)
async def test_a_reset_is_a_lost_connection_on_which_nothing_more_is_sent(
    autojump_clock: MockClock, trouble: type[Exception]
) -> None:
    ours, theirs = memory_stream_pair()
    transport = Transport(ours, proven())

    async def fail() -> None:
        raise trouble

    ours.receive_stream.receive_some_hook = fail
    with pytest.raises(ConnectionLost) as error:
        await transport.run(lambda _: None)
    assert error.value.reason == "connection_reset"
    await read_all(theirs)
    with pytest.raises(ConnectionLost):
        await transport.write(composing(requests(1)), nobody_leaves)
    await transport.aclose()
    assert await read_all(theirs) == b""


async def test_a_peer_that_is_gone_fails_the_write(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    await theirs.aclose()
    transport = Transport(ours, proven())
    with pytest.raises(ConnectionLost) as error:
        await transport.write(composing(requests(1)), lambda _: None)
    assert error.value.reason == "connection_reset"


async def test_a_breach_is_answered_by_a_goaway_with_its_code_and_earlier_answers_are_told(
    autojump_clock: MockClock,
) -> None:
    ours, theirs = memory_stream_pair()
    connection, tags = opened(3)
    transport, news = Transport(ours, connection), list[Received]()
    await push(theirs, by_hand.headers(3, OK) + by_hand.headers(5, by_hand.status(410)) + by_hand.headers(7, b"\xbe"))
    with pytest.raises(ConnectionLost) as error:
        await transport.run(news.append)
    assert error.value.reason == "wire_compression_error"
    assert [tag for received in news for tag in received.accepted] == [tags[3]]
    assert [answer.tag for received in news for answer in received.answers] == [tags[5]]
    assert connection.lost() == [tags[7]]
    await transport.aclose()
    last = by_hand.split((await read_all(theirs))[len(by_hand.PREFACE) :])[-1]
    assert last == (by_hand.GOAWAY, 0, 0, bytes(4) + (9).to_bytes(4, "big"))


async def test_the_goodbye_of_a_breach_does_not_wait_for_a_peer_that_does_not_read(autojump_clock: MockClock) -> None:
    ours, theirs = lockstep_stream_pair()
    transport, ends = Transport(ours, greeted()), list[str]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(until_lost, transport, [], ends)
        await next_frames(theirs)
        started = trio.current_time()
        await push(theirs, by_hand.ping(flags=1) + by_hand.headers(4, OK))
    assert ends == ["wire_protocol_error"]
    assert trio.current_time() - started == GOODBYE


# --- writing


async def test_leaving_is_told_just_before_the_first_byte_with_the_right_number(autojump_clock: MockClock) -> None:
    ours, _theirs = memory_stream_one_way_pair()
    ours.send_all_hook = None
    stream = trio.StapledStream(ours, memory_stream_one_way_pair()[1])
    transport = Transport(stream, proven({STREAMS: 7}))
    told: list[int] = []

    def leaving(count: int) -> None:
        with pytest.raises(trio.WouldBlock):
            ours.get_data_nowait()
        told.append(count)

    assert await transport.write(composing(requests(10)), leaving) == 7
    assert told == [7]
    assert len(by_hand.split(bytes(ours.get_data_nowait()))) == 2 * 7


async def test_nothing_is_told_when_nothing_may_leave(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    transport = Transport(ours, greeted({STREAMS: 0}))
    assert await transport.write(composing(requests(3)), nobody_leaves) == 0
    assert await transport.write(composing([]), nobody_leaves) == 0
    assert await read_all(theirs) == b""


async def test_what_may_not_leave_any_more_drops_the_connection(autojump_clock: MockClock) -> None:
    """It is told that it leaves, for it cannot be taken back out of what the peer expects."""
    ours, theirs = memory_stream_pair()
    transport = Transport(ours, proven())
    told: list[int] = []
    with pytest.raises(ConnectionLost, match="too_late"):
        await transport.write(composing(requests(2)), told.append, lambda: False)
    assert told == [2]
    with pytest.raises(ConnectionLost, match="connection_reset"):
        await transport.write(composing(requests(1)), nobody_leaves)
    assert await read_all(theirs) == b""


async def test_a_write_composes_only_when_the_stream_is_free(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    """What lies between the last look at the gate and the first byte would be time in which a rest may begin."""
    ours, theirs = lockstep_stream_pair()
    transport, calls = Transport(ours, proven({STREAMS: 50})), list[str]()
    nursery.start_soon(transport.write, composing(requests(5)), lambda _: None)
    await wait_all_tasks_blocked()
    nursery.start_soon(transport.write, composing(requests(5, first=5), calls), lambda _: None)
    await trio.sleep(100)
    assert calls == []
    first = await next_frames(theirs)
    await wait_all_tasks_blocked()
    assert calls == ["composed"]
    second = await next_frames(theirs)
    assert (len(first), len(second)) == (10, 10)


async def test_a_write_that_waits_for_a_stuck_acknowledgement_composes_when_that_has_gone(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """Whether the acknowledgement is being sent already, or becomes due with the write."""
    ours, theirs = lockstep_stream_pair()
    connection, calls = proven(), list[str]()
    transport = Transport(ours, connection)
    connection.receive(by_hand.ping())
    nursery.start_soon(transport.write, composing(requests(5), calls), lambda _: None)
    await trio.sleep(100)
    assert calls == []
    assert (await next_frames(theirs))[0].kind == by_hand.PING
    await wait_all_tasks_blocked()
    assert calls == ["composed"]
    await next_frames(theirs)
    connection.receive(by_hand.settings({}))
    nursery.start_soon(transport.flush)
    await wait_all_tasks_blocked()
    nursery.start_soon(transport.write, composing(requests(5, first=5), calls), lambda _: None)
    await trio.sleep(100)
    assert calls == ["composed"]
    await next_frames(theirs)
    await wait_all_tasks_blocked()
    assert calls == ["composed", "composed"]


async def test_a_cancelled_stream_is_closed_for_the_peer_before_another_takes_its_place(
    autojump_clock: MockClock,
) -> None:
    """Rule 8: not even for a moment above the limit. `h2` would end the connection."""
    ours, theirs = memory_stream_pair()
    server, connection = Server({STREAMS: 3}), Connection(TEMPLATE)
    server.receive(connection.initiate())
    connection.receive(server.send())
    _, sent = connection.take(requests(1))
    server.receive(sent)
    server.h2.send_headers(1, [(b":status", b"200")], end_stream=True)
    connection.receive(server.send())
    wanted = requests(3, first=1)
    transport = Transport(ours, connection)
    await transport.write(composing(wanted), lambda _: None)
    connection.cancel([wanted[0].tag, wanted[1].tag])
    assert await transport.write(composing(requests(9, first=4)), lambda _: None) == 2
    server.receive(await read_all(theirs))
    assert server.cancelled == {3, 5}
    assert set(server.bodies) == {1, 3, 5, 7, 9, 11}


@pytest.mark.parametrize("waiting", [0, 1])
async def test_acknowledgements_go_out_behind_a_writer_that_was_stuck_and_before_the_next(
    autojump_clock: MockClock, nursery: trio.Nursery, waiting: int
) -> None:
    """The reader does not wait for the lock: who holds it sends what has become due before letting go."""
    ours, theirs = lockstep_stream_pair()
    transport, news = Transport(ours, proven({STREAMS: 50})), list[Received]()
    nursery.start_soon(until_lost, transport, news, [])
    await next_frames(theirs)
    for first in range(1 + waiting):
        nursery.start_soon(transport.write, composing(requests(2, first=2 * first)), lambda _: None)
        await wait_all_tasks_blocked()
    await push(theirs, by_hand.ping(b"hurry up"))
    await push(theirs, by_hand.headers(1, OK))
    await wait_all_tasks_blocked()
    assert len(news) == 2
    kinds = []
    for _ in range(2 + waiting):
        kinds.append([frame.kind for frame in await next_frames(theirs)])
        await wait_all_tasks_blocked()
    two = [by_hand.HEADERS, by_hand.DATA] * 2
    assert kinds == [two, [by_hand.PING], two][: 2 + waiting]


async def test_a_write_cancelled_in_the_middle_drops_the_connection(autojump_clock: MockClock) -> None:
    """TLS may have sent half a record: nothing may follow, not even a goodbye."""
    ours, theirs = lockstep_stream_pair()
    connection = proven()
    transport, left = Transport(ours, connection), list[int]()
    wanted = requests(3)
    with trio.move_on_after(10) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(transport.write, composing(wanted), left.append)
            await theirs.receive_some(10)
    assert scope.cancelled_caught
    assert left == [3]
    for attempt in (transport.flush, partial(transport.write, composing(requests(1, first=9)), nobody_leaves)):
        connection.receive(by_hand.ping())
        with pytest.raises(ConnectionLost) as error:
            await attempt()
        assert error.value.reason == "connection_reset"
    assert connection.lost() == [request.tag for request in wanted]
    started = trio.current_time()
    await transport.aclose()
    assert trio.current_time() == started


async def test_a_broken_connection_does_not_even_compose(autojump_clock: MockClock) -> None:
    """Requests that are composed are taken as gone; here none of their bytes can go."""
    ours, theirs = lockstep_stream_pair()
    connection, calls = proven(), list[str]()
    transport = Transport(ours, connection)
    with trio.move_on_after(1):
        await transport.write(composing(requests(1)), lambda _: None)
    with pytest.raises(ConnectionLost):
        await transport.write(composing(requests(1, first=1), calls), nobody_leaves)
    assert calls == []
    assert connection.open_streams == 1
    await theirs.aclose()


async def test_a_write_cancelled_while_it_waits_for_another_harms_nobody(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    ours, theirs = lockstep_stream_pair()
    transport, calls = Transport(ours, proven()), list[str]()
    nursery.start_soon(transport.write, composing(requests(1)), lambda _: None)
    await wait_all_tasks_blocked()
    with trio.move_on_after(10) as scope:
        await transport.write(composing(requests(1, first=1), calls), nobody_leaves)
    assert scope.cancelled_caught
    assert calls == []
    await next_frames(theirs)
    await wait_all_tasks_blocked()
    async with trio.open_nursery() as both:
        both.start_soon(transport.write, composing(requests(1, first=2)), lambda _: None)
        assert len(await next_frames(theirs)) == 2


async def test_what_compose_raises_leaves_the_connection_usable(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    transport = Transport(ours, proven())

    def fail() -> Sequence[Request]:
        raise LookupError("no token")

    with pytest.raises(LookupError):
        await transport.write(fail, nobody_leaves)
    assert await transport.write(composing(requests(2)), lambda _: None) == 2
    assert len(by_hand.split(await read_all(theirs))) == 4


async def test_a_conversation_with_h2_from_the_first_byte_to_the_last(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    ours, theirs = memory_stream_pair()
    server, connection, news, ends = Server({STREAMS: 20}), Connection(TEMPLATE), list[Received](), list[str]()
    transport = Transport(ours, connection)

    async def serve() -> None:
        answered: set[int] = set()
        while data := await theirs.receive_some(1000):
            server.receive(bytes(data))
            for stream in server.bodies.keys() - answered:
                answered.add(stream)
                server.h2.send_headers(stream, [(b":status", b"200" if stream % 7 else b"410")], end_stream=True)
            await push(theirs, server.send())
        await theirs.aclose()

    nursery.start_soon(serve)
    nursery.start_soon(until_lost, transport, news, ends)
    wanted = requests(200)
    while wanted:
        wanted = wanted[await transport.write(partial(list, wanted), lambda _: None) :]
        await wait_all_tasks_blocked()
    await transport.aclose()
    accepted = [tag for received in news for tag in received.accepted]
    dead = [answer.tag for received in news for answer in received.answers]
    assert sorted(map(str, accepted + dead)) == sorted(f"wakeup {number}" for number in range(200))
    assert len(dead) == len([stream for stream in range(1, 400, 2) if stream % 7 == 0])
    assert len(server.headers) == 200


# --- the end


async def test_closing_says_goodbye_and_closes(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    transport = Transport(ours, proven())
    await transport.aclose()
    assert by_hand.split(await read_all(theirs)) == [(by_hand.GOAWAY, 0, 0, bytes(8))]
    assert await theirs.receive_some(1) == b""
    assert await transport.write(composing(requests(1)), nobody_leaves) == 0


async def test_closing_says_goodbye_also_when_what_was_open_has_been_given_up(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    connection, _ = opened(2)
    connection.lost()
    await Transport(ours, connection).aclose()
    assert [frame.kind for frame in by_hand.split(await read_all(theirs))] == [by_hand.GOAWAY]


async def test_nobody_says_goodbye_before_anything_was_said(autojump_clock: MockClock) -> None:
    """A relay that is stopped while a connection has just been made: GOAWAY is no preface."""
    ours, theirs = memory_stream_pair()
    await Transport(ours, Connection(TEMPLATE)).aclose()
    assert await read_all(theirs) == b""


async def test_nor_by_one_that_was_stopped_at_its_first_word(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    transport = Transport(ours, Connection(TEMPLATE))
    with trio.CancelScope() as scope:
        scope.cancel()
        await transport.run(lambda news: None)
    await transport.aclose()
    assert await read_all(theirs) == b""


async def test_nobody_says_goodbye_to_a_peer_that_has_left(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    transport, ends = Transport(ours, Connection(TEMPLATE)), list[str]()
    await theirs.send_eof()
    await until_lost(transport, [], ends)
    await read_all(theirs)
    await transport.aclose()
    assert await read_all(theirs) == b""


@pytest.mark.parametrize("is_cancelled", [False, True])
async def test_closing_waits_a_second_for_a_peer_that_does_not_read_and_no_longer(
    autojump_clock: MockClock, is_cancelled: bool
) -> None:
    """Also while everything around it is being cancelled: the goodbye is shielded, and the shield has a deadline."""
    ours, theirs = lockstep_stream_pair()
    transport = Transport(ours, proven())
    started = trio.current_time()
    with trio.CancelScope() as scope:
        if is_cancelled:
            scope.cancel()
        await transport.aclose()
    assert trio.current_time() - started == GOODBYE
    with pytest.raises(trio.BrokenResourceError):
        await push(theirs, b"x")


async def test_closing_does_not_wait_behind_a_writer_that_is_stuck(autojump_clock: MockClock) -> None:
    ours, theirs = lockstep_stream_pair()
    connection = proven()
    transport, losses = Transport(ours, connection), list[str]()

    async def write() -> None:
        try:
            await transport.write(composing(requests(1)), lambda _: None)
        except ConnectionLost as error:
            losses.append(error.reason)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await wait_all_tasks_blocked()
        await transport.aclose()
    assert trio.current_time() <= GOODBYE
    assert losses == ["connection_reset"]
    await theirs.aclose()


# --- connecting


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, protocols: list[str]) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def client_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2"])
    return context


async def echo_once(context: ssl.SSLContext | None, stream: trio.SocketStream) -> None:
    """Shake hands (without a context: hang up), send back one message."""
    if context is None:
        await stream.aclose()
        return
    server = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
    try:
        await server.do_handshake()
        await server.send_all(await server.receive_some(100))
    except (trio.BrokenResourceError, ssl.SSLError):
        pass
    await trio.aclose_forcefully(server)


@pytest.mark.sockets
@pytest.mark.parametrize(
    ("protocols", "is_known", "outcome"),
    [
        (["h2"], True, "hello"),
        (["http/1.1", "h2"], True, "hello"),
        (["h2"], False, "tls_failed"),
        (["http/1.1"], True, "no_http2"),
        ([], True, "no_http2"),
        (None, True, "tls_failed"),
    ],
    ids=["h2", "h2 among others", "unknown authority", "http/1.1 only", "no ALPN", "hangs up"],
)
async def test_a_connection_is_tls_of_a_known_authority_with_http2_agreed(
    authority: trustme.CA, protocols: list[str] | None, is_known: bool, outcome: str
) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    context = None if protocols is None else server_context(authority, protocols)
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, partial(echo_once, context), listeners)
        try:
            stream = await connect("127.0.0.1", port, client_context(authority if is_known else trustme.CA()))
            await stream.send_all(b"hello")
            found = bytes(await stream.receive_some(100)).decode()
            await trio.aclose_forcefully(stream)
        except ConnectionLost as error:
            found = error.reason
        nursery.cancel_scope.cancel()
    assert found == outcome


@pytest.mark.sockets
@pytest.mark.parametrize("size", [1, 200], ids=["one record", "several records"])
@pytest.mark.parametrize(("answers", "reason"), [([True, False, False], "too_late"), ([True, True], "")])
async def test_it_is_asked_beneath_tls_too(authority: trustme.CA, answers: list[bool], reason: str, size: int) -> None:
    """Where others may have run since the write was composed."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    left, received, over = answers[::-1], bytearray(), trio.Event()

    async def read(tcp: trio.SocketStream) -> None:
        server = trio.SSLStream(tcp, server_context(authority, ["h2"]), server_side=True, https_compatible=True)
        try:
            received.extend(await server.receive_some(100))
        except trio.BrokenResourceError:
            pass
        await trio.aclose_forcefully(server)
        over.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, read, listeners)
        stream = await connect("127.0.0.1", listeners[0].socket.getsockname()[1], client_context(authority))
        found = ""
        try:
            await Transport(stream, proven()).write(composing(requests(size)), lambda _: None, left.pop)
        except ConnectionLost as error:
            found = error.reason
            await trio.aclose_forcefully(stream)
        with trio.fail_after(60):
            await over.wait()
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()
    assert (found, left, bool(received)) == (reason, [], not reason)


async def test_a_write_is_four_records_of_whole_requests_in_one_piece(
    authority: trustme.CA, autojump_clock: MockClock
) -> None:
    """One system call where it is TCP; each record holds whole requests, 16,384 bytes at most (rule 14)."""
    ours, theirs = memory_stream_pair()
    pieces = _Pieces(ours)
    client = trio.SSLStream(Beneath(pieces), client_context(authority), server_hostname="127.0.0.1")
    server = trio.SSLStream(theirs, server_context(authority, ["h2"]), server_side=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        await client.do_handshake()
    pieces.sizes.clear()
    count = await Transport(client, proven({STREAMS: 1000})).write(composing(requests(900)), lambda _: None)
    with trio.fail_after(60):
        records = [bytes(await server.receive_some(100_000)) for _ in range(RECORDS)]
    assert len(pieces.sizes) == 1
    assert 15_000 < min(map(len, records)) <= max(map(len, records)) <= 16_384
    assert sum(len(by_hand.split(record)) for record in records) == 2 * count
    with trio.move_on_after(1) as scope:
        await server.receive_some(1)
    assert scope.cancelled_caught


async def test_what_tls_has_to_say_meanwhile_follows_the_records(autojump_clock: MockClock) -> None:
    """The reader may answer its peer's TLS while a write is stuck half way, and TCP takes one sender at a time."""
    ours, theirs = lockstep_stream_pair()
    beneath = Beneath(ours)
    async with trio.open_nursery() as nursery:

        async def write() -> None:
            with beneath.together():
                await beneath.send_all(b"one ")
                await beneath.send_all(b"two ")
                await beneath.release()
            await beneath.send_all(b"four")

        nursery.start_soon(write)
        await wait_all_tasks_blocked()
        await beneath.send_all(b"three ")
        found = b""
        with trio.fail_after(60):
            while not found.endswith(b"four"):
                found += await theirs.receive_some(1000)
    assert found == b"one two three four"


async def test_a_write_that_failed_keeps_nothing_back_from_whoever_comes_next(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    beneath = Beneath(ours)
    beneath.may_leave = lambda: False
    with beneath.together():
        await beneath.send_all(b"one")
        with pytest.raises(trio.BrokenResourceError):
            await beneath.release()
    with pytest.raises(trio.BrokenResourceError):
        await beneath.send_all(b"two")
    assert await read_all(theirs) == b""


class _Pieces(trio.abc.Stream):
    """Notes the size of each piece that is sent."""

    def __init__(self, inner: AnyStream) -> None:
        self._inner = inner
        self.sizes: list[int] = []

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.sizes.append(len(data))
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._inner.aclose()


@pytest.mark.sockets
@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="needs Linux")
async def test_the_kernel_keeps_little_and_not_for_long(authority: trustme.CA) -> None:
    """What lies in its buffers has passed the gate and can be called back by nobody."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        context = server_context(authority, ["h2"])
        await nursery.start(trio.serve_listeners, partial(echo_once, context), listeners)
        stream = await connect("127.0.0.1", port, client_context(authority))
        assert isinstance(stream, trio.SSLStream)
        beneath = stream.transport_stream
        assert isinstance(beneath, Beneath)
        assert isinstance(beneath.transport_stream, trio.SocketStream)
        tcp = beneath.transport_stream.socket
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 65_536
        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()


@pytest.mark.sockets
async def test_nobody_listening_is_an_os_error(authority: trustme.CA) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(OSError, match=r"attempt|refused|connect"):
        await connect("127.0.0.1", port, client_context(authority))


@pytest.mark.sockets
async def test_an_address_is_connected_to_without_a_lookup_and_must_be_the_hosts(authority: trustme.CA) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("push.invalid").configure_cert(context)
    context.set_alpn_protocols(["h2"])
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, partial(echo_once, context), listeners)
        stream = await connect("push.invalid", port, client_context(authority), "127.0.0.1")
        await trio.aclose_forcefully(stream)
        with pytest.raises(ConnectionLost) as lost:
            await connect("other.invalid", port, client_context(authority), "127.0.0.1")
        nursery.cancel_scope.cancel()
    assert lost.value.reason == "tls_failed"


@pytest.mark.sockets
async def test_a_name_is_looked_up_for_all_its_addresses() -> None:
    assert await resolve("127.0.0.1", 443) == ["127.0.0.1"]
    assert {"127.0.0.1", "::1"} & set(await resolve("localhost", 443))
    with pytest.raises(OSError, match=r"."):
        await resolve("nobody.invalid", 443)
