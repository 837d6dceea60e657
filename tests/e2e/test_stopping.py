"""SIGTERM: the relay drains and exits 0 within its grace, whoever hangs; and nothing acknowledged is lost by that."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.client import Client
from tests.e2e.installation import Installation, install, post, register, set_rest
from tests.e2e.phones import POLL, Sightings, fake_apns, token
from tests.e2e.processes import PATIENCE, Child

pytestmark = pytest.mark.processes

GRACE = 3
SLACK = 5
"""Seconds beyond the grace at which a test gives up; a supervisor would have killed the relay."""
OFFICERS = 5
LONG_REST = {"kind": "once", "start": "2020-01-01T00:00", "end": "2020-01-02T00:00", "label": "x" * 200}


async def ends_within_its_grace(relay: Child) -> None:
    with trio.fail_after(GRACE + SLACK):
        relay.terminate()
        assert await relay.ended() == 0
    assert any("relay_stopped" in line for line in relay.lines)


async def everybody_has_news(backend: Client) -> None:
    for number in range(OFFICERS):
        await register(backend, f"officer{number}", token(number))
    for number in range(OFFICERS):
        await post(backend, f"officer{number}")


async def test_hanging_clients_and_a_mute_provider_do_not_hold_up_the_exit(tmp_path: Path) -> None:
    """What was acknowledged is sent in the next life: a wakeup without an answer again, the others had not left."""
    installation = install(tmp_path)
    async with fake_apns(tmp_path / "mute", "--latency-ms", "600000") as apple:
        installation.configure(apple.port, apple.credentials, grace=GRACE)
        async with installation.serving() as relay, installation.backend_client() as backend:
            await everybody_has_news(backend)
            sightings = Sightings(apple.journal)
            await sightings.until(lambda: bool(sightings.all))
            async with clients_that_hang(installation):
                await ends_within_its_grace(relay)
    assert len(sightings.all) < OFFICERS
    async with fake_apns(tmp_path / "well") as apple:
        installation.configure(apple.port, apple.credentials, grace=GRACE)
        async with installation.serving() as relay:
            sightings = Sightings(apple.journal)
            await sightings.until(lambda: sightings.by_token.keys() == {token(n) for n in range(OFFICERS)})
            await ends_within_its_grace(relay)


@asynccontextmanager
async def clients_that_hang(installation: Installation) -> AsyncIterator[None]:
    """One has sent half a request, one does not read its answers, one is connected and silent."""
    async with installation.settings_client() as settings:
        await set_rest(settings, "deaf", *[LONG_REST] * 30)
    async with AsyncExitStack() as streams:
        half, deaf, _silent = [
            await streams.enter_async_context(await impatient_connection(installation.door)) for _ in range(3)
        ]
        await half.send_all(b"POST /v1/events HTTP/1.1\r\nhost: relay\r\ncontent-length: 1000\r\n\r\n{")
        await stop_reading(installation, deaf)
        yield


async def impatient_connection(port: int) -> trio.SocketStream:
    """A connection that takes little into its buffer."""
    sock = trio.socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    await sock.connect(("127.0.0.1", port))
    return trio.SocketStream(sock)


async def stop_reading(installation: Installation, stream: trio.SocketStream) -> None:
    """Ask for long answers, and read none, until the relay cannot get rid of the next one."""
    request = (
        f"GET /v1/users/deaf/rest HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {installation.settings}\r\n\r\n"
    )
    asked = before = 0
    with trio.fail_after(PATIENCE):
        while True:
            answered = int((await installation.metrics()).get(("feierabend_door_answers_total", "200"), 0))
            if asked and answered == before and answered < asked:
                return
            if answered + 10 > asked:
                await stream.send_all(request.encode() * 50)
                asked += 50
            before = answered
            await trio.sleep(POLL)


async def test_a_provider_that_takes_connections_and_is_silent_does_not_hold_up_the_exit(tmp_path: Path) -> None:
    """Not even TLS begins."""
    installation = install(tmp_path)
    async with fake_apns(tmp_path / "for_its_credentials") as apple, black_hole() as (port, connected):
        installation.configure(port, apple.credentials, grace=GRACE)
        async with installation.serving() as relay, installation.backend_client() as backend:
            await everybody_has_news(backend)
            with trio.fail_after(PATIENCE):
                await connected.wait()
            await ends_within_its_grace(relay)


@asynccontextmanager
async def black_hole() -> AsyncIterator[tuple[int, trio.Event]]:
    """A port that accepts connections and does nothing; and whether one has come."""
    connected = trio.Event()

    async def swallow(stream: trio.SocketStream) -> None:
        connected.set()
        async for _ in stream:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, swallow, 0)
        yield listeners[0].socket.getsockname()[1], connected
        nursery.cancel_scope.cancel()


async def test_a_second_sigterm_ends_the_relay_at_once(tmp_path: Path) -> None:
    """An operator who insists need not wait for the grace."""
    installation = install(tmp_path)
    async with fake_apns(tmp_path / "mute", "--latency-ms", "600000") as apple:
        installation.configure(apple.port, apple.credentials, grace=600)
        async with installation.serving() as relay, installation.backend_client() as backend:
            await everybody_has_news(backend)
            sightings = Sightings(apple.journal)
            await sightings.until(lambda: bool(sightings.all))
            relay.terminate()
            await relay.line("drain_began")
            relay.terminate()
            assert await relay.ended() == 1


async def test_a_log_that_nobody_reads_any_more_does_not_stop_the_relay(tmp_path: Path) -> None:
    """The reader of standard error is restarted by an upgrade: the relay serves on, and later exits 0."""
    installation = install(tmp_path)
    async with fake_apns(tmp_path / "apple") as apple:
        installation.configure(apple.port, apple.credentials, grace=GRACE)
        async with installation.serving() as relay, installation.backend_client() as backend:
            await relay.close_log()
            await everybody_has_news(backend)
            with trio.fail_after(GRACE + SLACK):
                relay.terminate()
                assert await relay.ended() == 0
