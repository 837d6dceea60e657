"""The way out through an HTTP proxy: `CONNECT host:port`, and after a 2xx it hands on bytes (RFC 9110, 9.3.6).

    TCP to the proxy ─▶ CONNECT, Host, Proxy-Authorization ─▶ 2xx ─▶ our TLS with the provider, as if there were none

To a dialer it is another pair of lookup and connect: what is looked up and raced are the addresses of the proxy, and
the provider's name is the proxy's to resolve. It sees which host is called, when and how much, and no byte of HTTP/2.
What goes wrong before the tunnel is there is named as the proxy's (`proxy_…`), for others must mend it than what Apple
or Google say; the lane's back-off is the same.

The head of its answer is bounded in size and time, and read strictly: a gate that answers CONNECT with something else
would be handed our ClientHello. What follows the head belongs to TLS, which refuses what is none of the provider's.
What the proxy has taken the kernel takes for delivered: what a proxy holds back may arrive later than the gate allowed.

Credentials are Basic (RFC 7617), in clear to the proxy; TLS to the proxy itself, Digest and Negotiate are not spoken.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio

from relay.lanes.dialer import Connect, Resolve
from relay.wire import Beneath, ConnectionLost

ANSWER: Final = 10.0
"""Seconds for TCP to the proxy and its answer; less than a link gives a connect, so that silence has a name."""
HEAD: Final = 8_192
"""Bytes of its answer's head at most, interim answers included."""
READ: Final = 4_096
_STATUS: Final = re.compile(rb"HTTP/1\.[01] ([1-9][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_BEGINS: Final = b"HTTP/1."

Open = Callable[[str, int], Awaitable[Beneath]]
"""(address, port) → TCP. Raises OSError."""
Secure = Callable[[Beneath], Awaitable[trio.abc.Stream]]
"""TLS over it. Raises OSError, ConnectionLost."""


class ConnectAnswer:
    """The answer to a CONNECT, from bytes as they come. `status`, and `surplus`: what followed the head."""

    def __init__(self) -> None:
        self.status: int | None = None
        """None until the head of the final answer is complete."""
        self.surplus = b""
        self._read = bytearray()
        self._interim = 0
        """Bytes of interim answers."""

    def receive(self, data: bytes) -> bool:
        """Whether the answer is complete; nothing may be given after that. Raises ConnectionLost."""
        self._read += data
        while self.status is None:
            if not self._read.startswith(_BEGINS[: len(self._read)]):
                raise ConnectionLost("proxy_speaks_no_http")
            end = self._read.find(b"\r\n\r\n")
            if self._interim + (len(self._read) if end < 0 else end + 4) > HEAD:
                raise ConnectionLost("proxy_head_too_large")
            if end < 0:
                if _BARE_LF.search(self._read):
                    raise ConnectionLost("proxy_speaks_no_http")
                return False
            self._head(bytes(self._read[:end]))
            self._interim += end + 4
            del self._read[: end + 4]
        self.surplus = bytes(self._read)
        return True

    def _head(self, head: bytes) -> None:
        """Interim answers are passed over (RFC 9110, 15.2), but for 101: nobody has asked for another protocol."""
        line, *fields = head.split(b"\r\n")
        found = _STATUS.fullmatch(line)
        if found is None or found[1] == b"101" or not all(_FIELD.fullmatch(field) for field in fields):
            raise ConnectionLost("proxy_speaks_no_http")
        if not found[1].startswith(b"1"):
            self.status = int(found[1])


def verdict(status: int, *, had_credentials: bool) -> str | None:
    """Why there is no tunnel, as a word for log and metrics; None when there is one."""
    if 200 <= status < 300:
        return None
    if status == 407:
        return "proxy_refuses_credentials" if had_credentials else "proxy_wants_credentials"
    return f"proxy_status_{status}"


def request(host: str, port: int, authorization: bytes) -> bytes:
    """The bytes of a CONNECT. `authorization`: the field's value; empty for none."""
    target = authority(host, port)
    field = b"Proxy-Authorization: " + authorization + b"\r\n" if authorization else b""
    return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (target.encode("ascii"), target.encode("ascii"), field)


def authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


async def tunnel(stream: trio.abc.Stream, host: str, port: int, authorization: bytes) -> bytes:
    """Ask a proxy for a way to host:port; returns what came behind its answer. Raises ConnectionLost."""
    answer = ConnectAnswer()
    try:
        await stream.send_all(request(host, port, authorization))
        is_complete = False
        while not is_complete:
            data = await stream.receive_some(READ)
            if not data:
                raise ConnectionLost("proxy_closed")
            is_complete = answer.receive(bytes(data))
    except (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
        raise ConnectionLost("proxy_closed") from None
    assert answer.status is not None
    reason = verdict(answer.status, had_credentials=bool(authorization))
    if reason is not None:
        raise ConnectionLost(reason)
    return answer.surplus


class Proxy:
    """One proxy, shared by all who go through it. `credentials`: `user:password`, or None."""

    def __init__(self, host: str, port: int, credentials: str | None = None) -> None:
        self.host = host
        self.port = port
        self._credentials = credentials

    def __repr__(self) -> str:
        return "<Proxy>"

    @property
    def authority(self) -> str:
        """`host:port`."""
        return authority(self.host, self.port)

    @property
    def login(self) -> tuple[str, str] | None:
        """(user, password) as of now. A user holds no colon (RFC 7617)."""
        if self._credentials is None:
            return None
        user, _, password = self._credentials.partition(":")
        return user, password

    @property
    def authorization(self) -> bytes:
        """The field's value; empty without credentials."""
        return b"" if self._credentials is None else b"Basic " + base64.b64encode(self._credentials.encode())

    def renew(self, credentials: str) -> None:
        """For tunnels from now on; those that are open stay."""
        self._credentials = credentials

    def resolving(self, look_up: Resolve) -> Resolve:
        """Looks up the proxy, whatever host is asked for."""

        async def resolve(_host: str, _port: int) -> Sequence[str]:
            with trio.move_on_after(ANSWER):
                try:
                    return await look_up(self.host, self.port)
                except OSError:
                    pass
            raise ConnectionLost("proxy_not_found")

        return resolve

    async def open(self, connect: Open, address: str, host: str, port: int) -> Beneath:
        """What leads to host:port through the proxy at this address. Raises ConnectionLost."""
        reason = "proxy_unreachable"
        with trio.move_on_after(ANSWER):
            try:
                tcp = await connect(address, self.port)
            except OSError:
                raise ConnectionLost(reason) from None
            reason = "proxy_silent"
            try:
                tcp.unread(await tunnel(tcp, host, port, self.authorization))
            except BaseException:
                await trio.aclose_forcefully(tcp)
                raise
            return tcp
        raise ConnectionLost(reason)

    def connecting(
        self, connect: Open, host: str, port: int, then: Callable[[Beneath], Awaitable[trio.abc.Stream]]
    ) -> Connect:
        """Reaches host:port through the proxy; `then` makes of the tunnel what the session wants (TLS)."""

        async def through(address: str, _port: int) -> trio.abc.Stream:
            return await then(await self.open(connect, address, host, port))

        return through
