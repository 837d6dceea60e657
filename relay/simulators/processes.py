"""A simulator as a process: it says in its first line where it listens, and goes on until a signal ends it.

What can stand beside one: a control port, and addresses that are no good.
"""

from __future__ import annotations

import contextlib
import json
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import trio

from relay.simulators import addresses
from relay.simulators.certificates import Authority
from relay.simulators.control import Control

Serve = Callable[[trio.abc.Stream], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Beside:
    """What a fake can have beside its address: a control port, and addresses with the same port that are no good."""

    port: int | None
    control: Control
    refusing: tuple[str, ...]
    blackhole: tuple[str, ...]

    async def put_up(self, nursery: trio.Nursery, host: str, listening: object) -> dict[str, object]:
        """Returns what there is to be said about it."""
        port = int(str(listening).rpartition(":")[2])
        for address in self.refusing:
            await nursery.start(addresses.refuse, address, port)
        for address in self.blackhole:
            await nursery.start(addresses.swallow, address, port)
        if self.port is None:
            return {}
        listeners = await _listeners(host, self.port)
        await nursery.start(trio.serve_listeners, self.control.serve_stream, listeners)
        return {"control": _address(host, listeners[0])}


@contextlib.asynccontextmanager
async def running(credentials: Path, authority: Authority) -> AsyncIterator[tuple[trio.Nursery, dict[str, object]]]:
    """Start everything in the body and note it in the first line; goes on until a signal ends it."""
    said: dict[str, object] = {}
    await trio.Path(credentials).mkdir(parents=True, exist_ok=True)
    await trio.Path(credentials / "ca.pem").write_bytes(authority.pem)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            yield nursery, said
            say({**said, "ca": str(credentials / "ca.pem")})
            async for _ in signals:
                nursery.cancel_scope.cancel()


async def serving(
    host: str, port: int, serve: Serve, said: dict[str, object], totals: Callable[[], dict[str, object]]
) -> None:
    """Serve without TLS; say in the first line where, and what else is `said`, and in the last one the totals."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            listeners = await _listeners(host, port)
            await nursery.start(trio.serve_listeners, serve, listeners)
            say({"listening": _address(host, listeners[0]), **said})
            async for _ in signals:
                nursery.cancel_scope.cancel()
    say(totals())


async def listen(nursery: trio.Nursery, host: str, port: int, context: ssl.SSLContext, serve: Serve) -> str:
    """Serve in the background; returns the address."""
    beneath = await _listeners(host, port)
    listeners = [trio.SSLListener(each, context, https_compatible=True) for each in beneath]
    await nursery.start(trio.serve_listeners, serve, listeners)
    return _address(host, beneath[0])


async def _listeners(host: str, port: int) -> list[trio.SocketListener]:
    """Raises OSError, which names the address."""
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise OSError(error.errno, error.strerror, _shown(host, port)) from None


def _address(host: str, listener: trio.SocketListener) -> str:
    return _shown(host, listener.socket.getsockname()[1])


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def say(line: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
