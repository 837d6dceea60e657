"""A caller's socket: what it gives and takes, when it lets others run, and how it ends."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
import trio
import trio.testing

from relay.doors.http1 import Limits, Request, Response, Server
from relay.doors.listening import CrowdListener
from relay.doors.problems import refusal
from relay.doors.sockets import CallersSocket
from relay.doors.stream import _Line

pytestmark = pytest.mark.sockets

LARGE = bytes(range(256)) * 40_000
"""More than the kernel keeps for a caller who does not read."""


@pytest.fixture
def pair() -> Iterator[tuple[CallersSocket, socket.socket]]:
    """(ours, the caller's)."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as caller:
        accepted, _ = listener.accept()
        with accepted:
            yield CallersSocket(accepted), caller


async def test_what_is_said_arrives_both_ways(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, caller = pair
    caller.sendall(b"question")
    assert await ours.receive_some() == b"question"
    await ours.send_all(b"answer")
    assert caller.recv(100) == b"answer"
    assert ours.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_little_is_kept_for_who_reads_nothing(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, caller = pair
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    taken = 0
    with trio.move_on_after(0.05):
        while True:
            await ours.send_all(bytes(4096))
            taken += 4096
    assert taken < 1_000_000


async def test_no_more_is_read_than_asked_for(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, caller = pair
    caller.sendall(b"question")
    assert [await ours.receive_some(5), await ours.receive_some(5)] == [b"quest", b"ion"]


async def test_others_run_while_it_reads_and_not_while_it_writes_what_is_taken(
    pair: tuple[CallersSocket, socket.socket],
) -> None:
    ours, caller = pair
    caller.sendall(b"question")
    with trio.testing.assert_checkpoints():
        await ours.receive_some()
    with trio.testing.assert_no_checkpoints():
        await ours.send_all(b"answer")


async def test_a_caller_who_reads_slowly_gets_all_of_it(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, caller = pair
    received = bytearray()

    def read() -> None:
        while data := caller.recv(100_000):
            received.extend(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.to_thread.run_sync, read)
        await ours.send_all(LARGE)
        await ours.wait_send_all_might_not_block()
        await ours.send_eof()
    assert received == LARGE


async def test_who_reads_nothing_can_be_given_up(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, _ = pair
    with trio.move_on_after(0.05) as scope:
        await ours.send_all(LARGE)
    assert scope.cancelled_caught


async def test_who_says_nothing_can_be_given_up(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, _ = pair
    with trio.move_on_after(0.01) as scope:
        await ours.receive_some()
    assert scope.cancelled_caught


async def test_a_caller_who_leaves_has_said_the_last(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, caller = pair
    caller.sendall(b"bye")
    caller.close()
    assert [await ours.receive_some(), await ours.receive_some()] == [b"bye", b""]


async def test_half_closed_it_still_reads(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, caller = pair
    await ours.send_eof()
    assert caller.recv(1) == b""
    caller.sendall(b"late")
    assert await ours.receive_some() == b"late"


async def test_a_broken_connection_says_so(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, caller = pair
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    caller.close()  # a reset
    with pytest.raises(trio.BrokenResourceError):
        await ours.receive_some()
    with pytest.raises(trio.BrokenResourceError):
        await ours.send_all(b"anybody there?")
    with pytest.raises(trio.BrokenResourceError):
        await ours.send_eof()


async def test_a_reset_ends_a_write_that_waits(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, caller = pair
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    async with trio.open_nursery() as nursery:

        async def write() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await ours.send_all(LARGE)

        nursery.start_soon(write)
        await trio.testing.wait_all_tasks_blocked()
        caller.close()


async def test_closed_it_is_closed_for_who_waits_and_who_comes(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, caller = pair
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await ours.receive_some()

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        await ours.aclose()
    await ours.aclose()
    assert caller.recv(1) == b""
    for act in (ours.receive_some, lambda: ours.send_all(b"x"), ours.send_eof, ours.wait_send_all_might_not_block):
        with pytest.raises(trio.ClosedResourceError):
            await act()


async def test_it_is_closed_although_nobody_waits_for_that(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, caller = pair
    await trio.aclose_forcefully(ours)
    assert caller.recv(1) == b""


async def test_over_a_unix_socket_it_is_the_same() -> None:
    one, other = socket.socketpair()
    with other:
        ours = CallersSocket(one)
        other.sendall(b"question")
        assert await ours.receive_some() == b"question"
        await ours.aclose()


async def test_between_the_answers_to_pipelined_requests_others_run() -> None:
    """Neither a handler that waits for nothing nor the write lets them."""
    turns = 0
    seen: list[int] = []

    async def handler(_: Request) -> Response:
        seen.append(turns)
        return Response(204)

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        server = Server(handler, refusal, Limits())
        await nursery.start(server.run, [CrowdListener(listener)])
        async with await trio.open_tcp_stream(*listener.socket.getsockname()) as client:
            await client.send_all(b"GET / HTTP/1.1\r\nhost: relay\r\n\r\n" * 20)
            while len(seen) < 20:
                turns += 1
                await trio.lowlevel.checkpoint()
        server.drain()
    assert all(before < after for before, after in zip(seen, seen[2:], strict=False)), (
        "a pass has its tasks in any order"
    )


async def test_a_backend_that_vanished_is_asked_for_on_its_stream(pair: tuple[CallersSocket, socket.socket]) -> None:
    ours, _ = pair
    _Line(ours)
    assert ours.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert ours.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60
