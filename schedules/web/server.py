"""HTTP/1.1 for the app: hypercorn's parser and streams under trio, with an end.

hypercorn writes in a scope that is shielded and has no deadline (`trio/tcp_server.py`, `protocol_send`). A client that
asks for a page and then reads nothing keeps its connection for ever, and after SIGTERM the whole process. So writes are
not shielded here: each has `PATIENCE`, and those under way when the grace is over are cancelled with everything else.

What hypercorn would accept besides is not spoken: HTTP/2 without TLS, which a proxy in front would let through unread
(`Upgrade: h2c`), and WebSockets. TLS ends at that proxy. Connections beyond the limit are closed as soon as they come:
whoever waits in line for a page presses again.

Whatever goes wrong with a connection ends that one and no other. hypercorn lets errors of its own out when somebody
speaks nonsense and hangs up in the middle of the answer; operators are told once in a while, and of nobody's bytes.

Rejected: `hypercorn.trio.serve`, which has no place for any of this; to kill the process after the grace, since then
the answers of all others are cut as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import Final, cast

import h11
import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol import ProtocolWrapper
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.trio.task_group import TaskGroup
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ASGIFramework, ConnectionState, LifespanState
from hypercorn.utils import parse_socket_addr

from schedules.web import failures

PATIENCE: Final = 20.0
"""Seconds for a client to take what is written to it; of a page that is at most 64 KiB at a time."""
READ: Final = 30.0
"""Seconds without a byte from a client; likewise between requests, but for `IDLE`."""
IDLE: Final = 15.0
"""Seconds a connection is kept for the next request."""
HEAD: Final = 16 * 1024
"""Bytes of a request's head."""
CONNECTIONS: Final = 1000
TELLING: Final = 60.0
"""Seconds between two events about connections that failed; anybody can make many."""
NO_ADDRESS: Final = "an address to listen on is like 127.0.0.1:8081, or [::1]:8081"


Tell = Callable[[Mapping[str, object]], None]
"""An event for operators."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    @classmethod
    def of(cls, text: str) -> Address:
        """`127.0.0.1:8081`, `[::1]:8081`. Raises ValueError."""
        host, _, port = text.rpartition(":")
        try:
            address = ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            raise ValueError(NO_ADDRESS) from None
        if not port.isdecimal() or int(port) > 65_535:
            raise ValueError(NO_ADDRESS)
        return cls(str(address), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def serve(
    app: ASGIFramework,
    addresses: Sequence[Address],
    stop: trio.Event,
    *,
    grace: float,
    patience: float = PATIENCE,
    tell: Tell = lambda event: None,
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop`, then at most `grace` seconds more. Starts with the addresses it has. Raises OSError."""
    listeners: list[trio.SocketListener] = []
    for address in addresses:
        listeners += await trio.open_tcp_listeners(address.port, host=address.host)
    context = WorkerContext(None)
    door = _Door(app, context, patience, tell)
    async with trio.open_nursery() as connections:
        async with trio.open_nursery() as accepting:
            accepting.start_soon(partial(trio.serve_listeners, door.serve, listeners, handler_nursery=connections))
            task_status.started([_bound(listener) for listener in listeners])
            await stop.wait()
            accepting.cancel_scope.cancel()
        await context.terminated.set()  # connections without a request close
        connections.cancel_scope.deadline = trio.current_time() + grace


def _bound(listener: trio.SocketListener) -> Address:
    host, port = listener.socket.getsockname()[:2]
    return Address(host, port)


class _Door:
    """What all connections share."""

    def __init__(self, app: ASGIFramework, context: WorkerContext, patience: float, tell: Tell) -> None:
        self.tell = tell
        self.failed = 0
        self.told_at = -TELLING
        self.app = ASGIWrapper(app)
        self.context = context
        self.patience = patience
        self.open = 0
        self.config = Config()
        self.config.accesslog = None  # who looks at a page about rest is nobody's business
        self.config.errorlog = None
        self.config.include_server_header = False
        self.config.include_date_header = True
        self.config.keep_alive_timeout = IDLE
        self.config.read_timeout = int(READ)
        self.config.h11_max_incomplete_size = HEAD

    async def serve(self, stream: trio.SocketStream) -> None:
        if self.open >= CONNECTIONS:
            await stream.aclose()
            return
        self.open += 1
        try:
            await _Connection(self, stream).run()
        except* OSError:
            pass  # it is gone
        except* Exception as errors:  # the edge of a connection: the others go on
            self._failed(errors)
        finally:
            self.open -= 1

    def _failed(self, errors: ExceptionGroup[Exception]) -> None:
        """Told now and then, with how many there were since; of the messages nothing, for bytes may stand in them."""
        self.failed += 1
        if trio.current_time() < self.told_at + TELLING:
            return
        event = {"event": "connections_failed", "level": "warning", "number": self.failed}
        self.tell(event | failures.told(errors))
        self.failed, self.told_at = 0, trio.current_time()


class _Http1(H11Protocol):
    """HTTP/1.1 and nothing after it."""

    async def _check_protocol(self, event: h11.Request) -> None:
        """An upgrade is a wish; it is not heard."""

    async def _create_stream(self, request: h11.Request) -> None:
        """Nor here, where one for WebSockets would be."""
        headers = [(name, value) for name, value in request.headers if name != b"upgrade"]
        plain = h11.Request(
            method=request.method, target=request.target, headers=headers, http_version=request.http_version
        )
        await super()._create_stream(plain)


class _Connection(TCPServer):
    """One connection; hypercorn's, but for what is written and which protocols are spoken."""

    def __init__(self, door: _Door, stream: trio.SocketStream) -> None:
        state = LifespanState({})
        # The type says TLS, the code takes either.
        super().__init__(door.app, door.config, door.context, state, cast("trio.SSLStream[trio.SocketStream]", stream))
        self._socket = stream.socket
        self._patience = door.patience

    async def run(self) -> None:
        try:
            client = parse_socket_addr(self._socket.family, self._socket.getpeername())
            server = parse_socket_addr(self._socket.family, self._socket.getsockname())
            async with TaskGroup() as task_group:
                self._task_group = task_group
                state = ConnectionState(self.state)
                given = (self.app, self.config, self.context, task_group, state, False, client, server)
                self.protocol = ProtocolWrapper(*given, self.protocol_send, "http/1.1")
                self.protocol.protocol = _Http1(*given, self.protocol_send)
                await self.idle_task.restart(task_group, self._idle_timeout)
                await self._read_data()
        except OSError:
            pass
        finally:
            await self._close()

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            await super().protocol_send(event)
            return
        async with self.send_lock:
            try:
                with trio.fail_after(self._patience):
                    await self.stream.send_all(event.data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                await self.protocol.handle(Closed())
            except trio.TooSlowError:
                await self.stream.aclose()
                await self.protocol.handle(Closed())
