"""The blocking client against the real door on real sockets, in threads of its own."""

from __future__ import annotations

import socket
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import trio
import trio.lowlevel

from relay import unix
from relay.client_stream import Acknowledged, Stream, StreamRefused
from tests.relay.doors.house import House, open_house, secret_of
from tests.relay.doors.streams import Streams, streaming
from tests.relay.world import Gate

pytestmark = pytest.mark.sockets

T = TypeVar("T")
KEY, CONTROL = (f"{name}.{secret_of(name).decode()}" for name in ("backend", "control"))
ALARM = {"user": "anna", "class": "alarm", "role": "dispatch", "reason": "incident"}


async def in_thread(work: Callable[[], T]) -> T:
    with trio.fail_after(30):
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True)


@asynccontextmanager
async def listening(gate: Gate | None = None) -> AsyncIterator[tuple[House, Streams, str]]:
    """A door, and the address of its port."""
    async with open_house(executor=gate or Gate()) as house, streaming(house) as streams:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            await nursery.start(streams.door.run, listeners)
            await streams.people("anna", "bert")
            yield house, streams, "127.0.0.1:{1}".format(*listeners[0].socket.getsockname())
            nursery.cancel_scope.cancel()


async def test_what_is_sent_is_acknowledged_and_told() -> None:
    def send(address: str) -> Acknowledged:
        with Stream(address, CONTROL) as relay:
            relay.send(["anna", "anna", "nobody"])
            relay.send([{"users": ["anna", "bert"], "class": "roster"}])
            relay.send(["anna", ""])
            relay.send([ALARM], idempotency_key="a17")
            return relay.flush()

    async with listening() as (house, _, address):
        told = await in_thread(partial(send, address))
        assert (told.accepted, told.unknown, list(told.receipts), list(told.refused)) == (5, 1, [4], [3])
        assert told.refused[3]["errors"][0]["path"] == "events[1]"
        assert [house.pending("anna", name) for name in ("message", "roster", "alarm")] == [2, 1, 1]


async def test_more_than_fits_anywhere_is_sent_and_acknowledged() -> None:
    """Beyond what the relay reads ahead, and what the kernel keeps: the client hears while it sends."""
    batch = [f"user-with-a-long-name-{number:06}" for number in range(5_000)]

    def send(address: str) -> Acknowledged:
        with Stream(address, KEY) as relay:
            for _ in range(50):
                relay.send(batch)
            return relay.flush()

    async with listening() as (_, _, address):
        assert (await in_thread(partial(send, address))).unknown == 250_000


async def test_a_wrong_key_and_a_wrong_message_are_told_and_nothing_is_tried_again() -> None:
    async with listening() as (_, _, address):
        with pytest.raises(StreamRefused, match="401") as caught:
            await in_thread(partial(Stream, address, "backend.wrong"))
        assert caught.value.status == 401

        def send() -> None:
            with Stream(address, KEY) as relay:
                relay.send(["a"])
                relay.send(["a" * 5_000_000])
                relay.flush()

        with pytest.raises(StreamRefused, match="413"):
            await in_thread(send)


async def test_nobody_there_is_told_in_the_end() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectionRefusedError):
            await in_thread(partial(Stream, "127.0.0.1:{1}".format(*unused.getsockname()), KEY, pauses=(0, 0)))


async def test_a_broken_connection_is_made_anew_and_what_was_not_acknowledged_is_sent_again() -> None:
    gate = Gate()
    async with listening(gate) as (house, streams, address):
        sent, broken = trio.Event(), trio.Event()

        def send() -> Acknowledged:
            with Stream(address, KEY, pauses=(0, 0.01)) as relay:
                relay.send(["anna"])
                relay.flush()
                trio.from_thread.run_sync(gate.shut)
                relay.send(["anna"] * 10)
                relay.send(["bert"])
                trio.from_thread.run_sync(sent.set)
                trio.from_thread.run(broken.wait)
                return relay.flush()

        async with trio.open_nursery() as nursery:

            async def cut() -> None:
                await sent.wait()
                for stream in list(streams.door._open):
                    stream._line._transport.socket.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
                while streams.door.connections:
                    await trio.lowlevel.checkpoint()
                broken.set()
                gate.open()

            nursery.start_soon(cut)
            told = await in_thread(send)
        assert (told.accepted, told.unknown) == (11, 0)
        assert 11 <= house.pending("anna") <= 21, "at least once"
        assert 1 <= house.pending("bert") <= 2


async def test_a_unix_socket_is_for_user_and_group_and_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / ("deep" * 30) / "events.sock"
    path.parent.mkdir()
    async with open_house() as house, streaming(house) as streams:
        await streams.people("anna")
        async with trio.open_nursery() as nursery:
            await nursery.start(unix.serve, streams.door, path, 8, unix.FOR_THE_GROUP)
            assert stat.S_IMODE(path.stat().st_mode) == 0o660

            def send() -> Acknowledged:
                with unix.short(path) as name, Stream(f"unix:{name}", KEY) as relay:
                    relay.send(["anna"])
                    return relay.flush()

            assert (await in_thread(send)).accepted == 1
            streams.door.drain()
        assert not path.exists()
