"""A crowd at the door is let in at once, and nobody is left standing there when it closes."""

from __future__ import annotations

import socket

import pytest
import trio
import trio.testing

from relay.doors.listening import AT_ONCE, CrowdListener

pytestmark = pytest.mark.sockets


async def listening() -> tuple[CrowdListener, tuple[str, int]]:
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    host, port = listener.socket.getsockname()
    return CrowdListener(listener), (host, port)


async def test_all_who_have_knocked_are_accepted_in_one_pass() -> None:
    crowd, address = await listening()
    clients = [socket.create_connection(address) for _ in range(AT_ONCE + 1)]
    accepted = [await crowd.accept()]
    with trio.testing.assert_no_checkpoints():
        accepted += [await crowd.accept() for _ in range(AT_ONCE - 1)]
    with trio.testing.assert_checkpoints():
        accepted.append(await crowd.accept())
    peers = {stream.socket.getpeername() for stream in accepted}
    assert peers == {client.getsockname() for client in clients}
    for stream, client in zip(accepted, clients, strict=True):
        client.sendall(b"x")
        await trio.aclose_forcefully(stream)
        client.close()
    await crowd.aclose()


async def test_one_who_is_not_there_is_waited_for() -> None:
    crowd, address = await listening()
    with trio.move_on_after(0.01) as waited:
        await crowd.accept()
    assert waited.cancelled_caught
    with socket.create_connection(address) as client:
        stream = await crowd.accept()
        client.sendall(b"x")
        assert await stream.receive_some() == b"x"
        await stream.aclose()
    await crowd.aclose()


async def test_who_has_left_before_he_was_let_in_ends_nothing() -> None:
    crowd, address = await listening()
    for _ in range(2):
        gone = socket.create_connection(address)
        gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.close()  # a reset
    for _ in range(2):
        stream = await crowd.accept()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await stream.aclose()
    await crowd.aclose()


async def test_closed_it_listens_no_more_and_hangs_up_on_who_waits() -> None:
    crowd, address = await listening()
    clients = [socket.create_connection(address) for _ in range(3)]
    stream = await crowd.accept()
    await crowd.aclose()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(address)
    await stream.aclose()
    for client in clients:
        with client:
            assert client.recv(1) == b""
    with pytest.raises(trio.ClosedResourceError):
        await crowd.accept()


async def test_who_was_accepted_is_served_before_it_is_told_that_the_next_cannot_be() -> None:
    crowd, address = await listening()
    crowd._socket.close()  # as if there were no descriptor for another one
    with socket.create_connection(address) as client:
        stream = await crowd.accept()
        client.sendall(b"x")
        assert await stream.receive_some() == b"x"
        await stream.aclose()
    await crowd.aclose()
