"""The whole relay against HTTP/2 servers that others have written, over TLS: every wakeup is answered, none is lost.

Node's http2 counts what it gets, streams at once too; nghttpd enforces its limit by ending the connection. What the
strict fakes and `h2` let pass by mistake would show here. The store is in memory, everything else is as it is served.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
import trustme

from bench.ports import free_port
from relay.config import Address
from relay.journal import inline
from relay.service import Relay, Seams
from tests.e2e.processes import PATIENCE, Child, started
from tests.effort import examples
from tests.relay.world import World, app, tenant, world

pytestmark = pytest.mark.processes
SERVER = Path(__file__).parent / "peers/http2_server.mjs"
WAKEUPS = max(1_000, examples(2_000))


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files of a server on loopback, and of the authority that vouches for it."""

    key: Path
    chain: Path
    authority: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    files = Certificate(folder / "key.pem", folder / "chain.pem", folder / "ca.pem")
    authority = trustme.CA()
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(files.key)
    for pem in leaf.cert_chain_pems:
        pem.write_to_path(files.chain, append=True)
    authority.cert_pem.write_to_path(files.authority)
    return files


@asynccontextmanager
async def relay_to(port: int, certificate: Certificate, connections: int) -> AsyncIterator[World]:
    """A relay in real time whose Apple is a server on loopback."""
    apple = replace(app(connections=connections), endpoint=Address("127.0.0.1", port), ca_file=certificate.authority)
    async with world(tenant(apple), running=False) as w:
        w.relay = Relay(w.config, w.store, w.clock, Seams(executor=inline, rng=Random(1)))
        await w.begin()
        yield w
        w.stop.set()
        await w.stopped.wait()


async def send(w: World, count: int) -> None:
    """Wake so many users, and wait for the last verdict."""
    users = await w.crowd(count)
    await w.post(*users)
    with trio.fail_after(PATIENCE):
        while w.account.get("pending"):  # noqa: ASYNC110 (looks from outside)
            await trio.sleep(0.02)


async def counted(server: Child) -> dict[str, Any]:
    """What Node says at its end."""
    server.terminate()
    found: dict[str, Any] = json.loads(await server.line('"requests"'))
    await server.ended()
    return found


@asynccontextmanager
async def node(certificate: Certificate, **wishes: object) -> AsyncIterator[tuple[Child, int]]:
    async with started("node", SERVER, certificate.key, certificate.chain, json.dumps(wishes)) as server:
        yield server, int((await server.line("listening on")).split()[-1])


@asynccontextmanager
async def nghttpd(certificate: Certificate, *options: str) -> AsyncIterator[int]:
    port = free_port()
    command: list[str | Path] = ["nghttpd", "--address=127.0.0.1", *options]
    async with started(*command, str(port), certificate.key, certificate.chain):
        with trio.fail_after(PATIENCE):
            while not await is_open(port):  # noqa: ASYNC110 (what it says is buffered)
                await trio.sleep(0.02)
        yield port


async def is_open(port: int) -> bool:
    try:
        await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


@pytest.mark.needs("node")
@pytest.mark.parametrize(
    ("wishes", "wakeups"),
    [
        ({"streams": 100}, WAKEUPS),
        ({"streams": 1}, WAKEUPS // 4),
        ({"streams": 1000, "delay": 20}, WAKEUPS),
        ({"table": 0}, WAKEUPS),
        ({"table": 100, "padded": True, "trailers": True}, WAKEUPS),
        ({"interim": True, "window": 60}, WAKEUPS),
        ({"changing": True, "delay": 3}, WAKEUPS),
    ],
    ids=["100 streams", "1 stream", "slow", "no table", "padding, trailers", "103, small window", "settings change"],
)
async def test_node_answers_everything_on_one_connection(
    certificate: Certificate, wishes: dict[str, object], wakeups: int
) -> None:
    async with node(certificate, **wishes) as (server, port):
        async with relay_to(port, certificate, connections=1) as w:
            await send(w, wakeups)
            assert w.account == {"accepted": wakeups, "woken": wakeups}
            assert not w.lane.answers
        found = await counted(server)
    assert (found["requests"], found["distinct"], found["sessions"]) == (wakeups, wakeups, 1)
    assert found["mostAtOnce"] <= int(str(wishes.get("streams", 100)))
    assert found["codes"] == {"0": 1}


@pytest.mark.needs("node")
@pytest.mark.parametrize("warned", [False, True], ids=["one GOAWAY", "two GOAWAYs"])
async def test_node_ends_its_sessions_in_the_middle_and_nothing_is_lost_or_doubled(
    certificate: Certificate, warned: bool
) -> None:
    async with node(certificate, goawayAfter=150, warned=warned, delay=2) as (server, port):
        async with relay_to(port, certificate, connections=2) as w:
            await send(w, WAKEUPS)
            assert w.account == {"accepted": WAKEUPS, "woken": WAKEUPS}
            assert not w.lane.answers
        found = await counted(server)
    assert (found["requests"], found["distinct"]) == (WAKEUPS, WAKEUPS)
    assert found["sessions"] >= 5
    assert found["mostAtOnce"] <= 100


@pytest.mark.needs("node")
async def test_node_ends_a_session_without_a_word_and_what_was_open_is_sent_again(certificate: Certificate) -> None:
    """Duplicates are those whose answer was cut off, and none is lost."""
    async with node(certificate, goawayAfter=400, cut=True, delay=2) as (server, port):
        async with relay_to(port, certificate, connections=1) as w:
            await send(w, 900)
            assert w.account == {"accepted": 900, "woken": 900}
            unknown = sum(w.lane.answers.values())
        found = await counted(server)
    assert found["sessions"] >= 3
    assert found["distinct"] == 900
    assert 0 < unknown <= 100 * (found["sessions"] - 1)
    assert found["requests"] - 900 <= unknown


@pytest.mark.needs("node")
async def test_errors_of_node_in_several_frames_are_read_among_thousands(certificate: Certificate) -> None:
    async with node(certificate, deadEvery=250) as (server, port):
        async with relay_to(port, certificate, connections=2) as w:
            await send(w, WAKEUPS)
            dead = WAKEUPS // 250
            assert w.account == {"accepted": WAKEUPS, "woken": WAKEUPS - dead, "undeliverable": dead}
            assert w.lane.answers == {"Unregistered": dead}
        found = await counted(server)
    assert (found["requests"], found["distinct"], found["dead"]) == (WAKEUPS, WAKEUPS, dead)


@pytest.mark.needs("nghttpd")
@pytest.mark.parametrize(
    ("options", "wakeups"),
    [
        (["--max-concurrent-streams=100"], WAKEUPS),
        (["--max-concurrent-streams=1"], WAKEUPS // 4),
        (["--max-concurrent-streams=1000", "--workers=2"], WAKEUPS),
        (["--header-table-size=0", "--padding=255"], WAKEUPS),
        (["--header-table-size=100", "--encoder-header-table-size=0", "--trailer=grpc-status: 0"], WAKEUPS),
        (["--window-bits=6", "--connection-window-bits=16", "--early-response"], WAKEUPS),
    ],
    ids=["100 streams", "1 stream", "1,000 streams", "no table, padding", "small table, trailers", "small windows"],
)
async def test_nghttpd_answers_everything_on_one_connection(
    certificate: Certificate, options: list[str], wakeups: int
) -> None:
    """It ends a connection that exceeds its limit with GOAWAY PROTOCOL_ERROR, and every answer in flight is lost."""
    async with (
        nghttpd(certificate, "--echo-upload", *options) as port,
        relay_to(port, certificate, connections=1) as w,
    ):
        await send(w, wakeups)
        assert w.account == {"accepted": wakeups, "woken": wakeups}
        assert w.lane.accepted == wakeups
        assert not w.lane.answers
