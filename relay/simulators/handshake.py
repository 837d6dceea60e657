"""How a simulator is told from the real thing, before anything is sent: by what it agrees to in the TLS handshake.

Every simulator offers, after what its clients speak, a protocol of its own by ALPN (RFC 7301). Who wants to know what
listens at an address offers that one alone. Only a simulator selects it; then both sides close. Apple, Google and
everybody else refuse, or agree to nothing, and have seen a handshake and no byte of HTTP. The certificate is not
verified: nothing is sent that could be betrayed, and only somebody who means to be one selects that name.
"""

from __future__ import annotations

import ssl
from typing import Final

import trio

PROTOCOL: Final = "feierabend-simulator"


async def is_question(stream: trio.abc.Stream) -> bool:
    """Whether this client wanted to know only that this is a simulator: close its connection, it has its answer.

    Completes the handshake of TLS; without TLS nobody can ask. Raises trio.BrokenResourceError when there is none.
    """
    if not isinstance(stream, trio.SSLStream):
        return False
    await stream.do_handshake()
    agreed: str | None = stream.selected_alpn_protocol()
    return agreed == PROTOCOL


async def is_simulator(host: str, port: int) -> bool:
    """Whether a simulator listens there. Waits as long as the other side does: the deadline is the caller's."""
    return await doubt(host, port) is None


async def doubt(host: str, port: int) -> str | None:
    """Why what listens there is no simulator, in words; None when it is one. The deadline is the caller's."""
    try:
        plain = await trio.open_tcp_stream(host, port)
    except OSError:
        return "nothing listens there"
    stream = trio.SSLStream(plain, _context(), server_hostname=host, https_compatible=True)
    try:
        await stream.do_handshake()
        agreed = stream.selected_alpn_protocol()
    except trio.BrokenResourceError:  # an alert, or no TLS at all
        return "refuses a TLS handshake for the protocol of simulators"
    finally:
        await trio.aclose_forcefully(stream)
    return None if agreed == PROTOCOL else "speaks TLS, and does not agree to the protocol of simulators"


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([PROTOCOL])
    return context
