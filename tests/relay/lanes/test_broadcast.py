"""S1: one event for everybody, at a healthy provider: each phone rings once, in time, and nobody complains.

At full size (69,000 phones) it is `python -m bench.force`, on sockets, against a sink that checks nothing.
"""

from __future__ import annotations

from collections import Counter

from relay.core.events import HOUR
from tests.relay.world import app, tenant, token_of, virtual, world

PHONES = ("phone", "tablet", "second")
SIZE = 700


@virtual
async def test_every_phone_rings_once_for_a_broadcast() -> None:
    async with world(tenant(app(connections=3))) as w:
        users = [f"user{number}" for number in range(SIZE)]
        for user in users:
            await w.register(user, *PHONES)
        await w.pass_time(10)
        posted_at = w.now
        await w.post(*users)
        await w.pass_time(HOUR)
        assert Counter(entry.token for entry in w.requests()) == {
            token_of(user, phone): 1 for user in users for phone in PHONES
        }
        assert {entry.status for entry in w.requests()} == {200}
        assert max(entry.t for entry in w.requests()) <= posted_at + 60
        assert all(int(entry.value(b"apns-expiration")) > entry.t for entry in w.requests())
        assert not w.fake.journal.violations
        assert w.account == {"accepted": SIZE, "woken": SIZE}
