"""Real sockets on loopback, for simulators that serve a stream."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Final

import trio

LOOPBACK: Final = "127.0.0.1"


async def listen(
    nursery: trio.Nursery, serve: Callable[[trio.abc.Stream], Awaitable[None]], context: ssl.SSLContext | None = None
) -> int:
    """Serve in the background, over TLS where there is a context; returns the port."""
    (listener,) = await trio.open_tcp_listeners(0, host=LOOPBACK)
    wrapped = listener if context is None else trio.SSLListener(listener, context, https_compatible=True)
    await nursery.start(trio.serve_listeners, serve, [wrapped])
    port: int = listener.socket.getsockname()[1]
    return port
