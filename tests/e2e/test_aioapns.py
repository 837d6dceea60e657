"""aioapns as shipped, the second opinion on Apple's answers: it reads from each what our table is asked about.

It has no verdicts of its own, only status, reason and timestamp; so what can differ is the reading. Where it does, the
case has a name here. Its transport runs on asyncio, in a thread of its own, over real TLS to the same fake.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import trio
from aioapns import APNs, NotificationRequest, PushType
from aioapns.common import NotificationResult
from aioapns.connection import APNsKeyConnectionPool, APNsTLSClientProtocol

from relay.core.verdicts import APNS, Action
from relay.lanes.apns import Apns
from relay.lanes.credentials import ProviderToken
from relay.simulators.apns import FakeApns
from relay.simulators.certificates import Authority, provider_key
from relay.simulators.commands import KEY_ID, TEAM_ID, TOPIC
from relay.simulators.provider_token import TeamKey
from relay.wire import Answer

pytestmark = pytest.mark.sockets

PATIENCE = 1.0
"""Seconds for its answer; more than a hundred times what one takes."""
TOKEN = "ab" * 32
IMPOLITE = {"path_indexed", "authorization_indexed", "push_enabled"}
"""What the fake holds against it and Apple does not: secrets enter the peer's header table; it would be pushed to."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """aioapns and the fake it talks to."""

    fake: FakeApns
    port: int
    context: ssl.SSLContext
    key: bytes

    def ask(self, count: int) -> list[Any]:
        """Send so many notifications, one after the other; results, or None where none came. In a thread."""
        return asyncio.run(self._ask(count))

    async def _ask(self, count: int) -> list[Any]:
        class Protocol(APNsTLSClientProtocol):
            APNS_SERVER = "127.0.0.1"
            APNS_PORT = self.port

        client = APNs(
            key=self.key.decode(), key_id=KEY_ID, team_id=TEAM_ID, topic=TOPIC, ssl_context=self.context,
            max_connections=1, err_func=_quiet,
        )  # fmt: skip
        assert isinstance(client.pool, APNsKeyConnectionPool)
        client.pool.protocol_class = Protocol
        found: list[NotificationResult | None] = []
        for _ in range(count):
            request = NotificationRequest(TOKEN, {"aps": {"alert": {"loc-key": "W"}}}, push_type=PushType.ALERT)
            try:
                found.append(await asyncio.wait_for(client.send_notification(request), PATIENCE))
            except TimeoutError:
                found.append(None)
        for connection in list(client.pool.connections):
            assert connection.inactivity_timer is not None
            assert connection.transport is not None
            connection.inactivity_timer.cancel()
            connection.transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)  # it closes its sockets in the loop's next rounds
        return found


async def _quiet(*_: object) -> None:
    """It would log every refusal."""


@asynccontextmanager
async def shipped() -> AsyncIterator[Shipped]:
    authority, (private, public) = Authority("127.0.0.1"), provider_key()
    keys = {KEY_ID: TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=public)}
    fake = FakeApns(keys, {TOPIC}, time.time)
    context = ssl.create_default_context(cadata=authority.pem.decode())
    context.set_alpn_protocols(["h2"])
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(
            0, authority.server_context(), host="127.0.0.1", https_compatible=True
        )
        await nursery.start(trio.serve_listeners, fake.serve_stream, listeners)
        inner = listeners[0].transport_listener
        assert isinstance(inner, trio.SocketListener)
        yield Shipped(fake, inner.socket.getsockname()[1], context, private)
        nursery.cancel_scope.cancel()


async def asked(shipped: Shipped, count: int) -> list[Any]:
    return await trio.to_thread.run_sync(shipped.ask, count)


def ours(status: int, body: bytes) -> tuple[str, Action]:
    """How our lane reads an answer: (reason, what it does)."""
    lane = Apns(TOPIC, ProviderToken(TEAM_ID, KEY_ID, provider_key()[0]), "127.0.0.1")
    judgement = lane.judge(Answer(None, status, body), time.time())
    return judgement.reason, judgement.verdict.action


async def test_it_reads_from_every_answer_of_the_table_what_we_read() -> None:
    answers = [*APNS, (400, "SomethingNew"), (418, "Teapot"), (503, "Unheard")]
    async with shipped() as theirs:
        theirs.fake.injections.answers = list(answers)
        results = await asked(theirs, len(answers))
    for (status, reason), result in zip(answers, results, strict=True):
        assert (result.status, result.description) == (str(status), reason)
        assert ours(status, b'{"reason":"%s"}' % reason.encode())[0] == reason
        assert not result.is_successful


async def test_an_accepted_wakeup_is_accepted_for_both() -> None:
    async with shipped() as theirs:
        (result,) = await asked(theirs, 1)
        assert result.is_successful
        assert set(theirs.fake.journal.violations) <= IMPOLITE


async def test_where_it_differs_an_answer_without_a_reason_leaves_it_waiting_for_ever() -> None:
    """It waits for a body with a reason; we judge by the status: a 500 is tried again, a bare 410 deletes nothing."""
    async with shipped() as theirs:
        theirs.fake.injections.answers = [(500, "")]
        (result,) = await asked(theirs, 1)
    assert result is None
    assert ours(500, b"") == ("status_500", Action.LATER)


async def test_where_it_differs_the_age_of_a_death_is_left_to_the_caller() -> None:
    """It hands on Apple's milliseconds, and deletes or keeps nothing; whether a newer registration counts is ours."""
    async with shipped() as theirs:
        theirs.fake.registry.unregistered[TOKEN] = time.time() - 60
        (result,) = await asked(theirs, 1)
    assert (result.status, result.description) == ("410", "Unregistered")
    assert result.timestamp == pytest.approx((time.time() - 60) * 1000, abs=20_000)
