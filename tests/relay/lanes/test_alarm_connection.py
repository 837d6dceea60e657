"""The connection that is kept for alarms: they stand behind nobody, and it is not idle when it is alone (I5)."""

from __future__ import annotations

from tests.relay.world import World, app, tenant, token_of, virtual, world

TWO = tenant(app(connections=2))


async def crowd(w: World, size: int) -> list[str]:
    users = [f"user{number}" for number in range(size)]
    for user in users:
        await w.register(user)
    return users


def connections(w: World, user: str) -> set[int]:
    return {entry.connection for entry in w.requests(user)}


@virtual
async def test_messages_go_over_one_connection_and_alarms_over_the_other() -> None:
    async with world(TWO) as w:
        await w.pass_time(10)
        users = await crowd(w, 300)
        await w.post(*users)
        await w.pass_time(10)
        await w.alarm("user0")
        await w.pass_time(10)
        ordinary = {entry.connection for entry in w.requests()[:300]}
        (alarm,) = {entry.connection for entry in w.requests()[300:]}
        assert len(ordinary) == 1
        assert alarm not in ordinary
        assert w.account == {"accepted": 301, "woken": 301}


@virtual
async def test_an_alarm_does_not_wait_for_the_answers_to_a_thousand_messages() -> None:
    """Nobody answers, and every stream of the other connection is taken."""
    async with world(TWO) as w:
        await w.pass_time(10)
        users = await crowd(w, 1_300)
        await w.alarm("user0")
        await w.pass_time(10)
        w.fake.injections.silent |= {token_of(user) for user in users[2:]}
        await w.post(*users[2:])
        await w.pass_time(1)
        assert w.lane.queued > 0
        began = w.now
        await w.alarm("user1")
        await w.pass_time(0.001)
        assert [entry.t for entry in w.requests("user1")] == [began]


@virtual
async def test_an_alarm_for_many_uses_both_connections() -> None:
    """The one that is kept for alarms may have one stream only until its first answer."""
    async with world(TWO) as w:
        await w.pass_time(10)
        users = await crowd(w, 20)
        w.fake.injections.latency = lambda: 1.0
        await w.post("user0")
        await w.pass_time(10)
        await w.alarm(*users)
        await w.pass_time(3)
        assert len({entry.connection for entry in w.requests()[1:]}) == 2
        assert {w.owner(entry) for entry in w.requests()} >= set(users)


@virtual
async def test_when_it_is_alone_it_carries_everything() -> None:
    """Whichever of the two breaks and cannot be replaced: the other one does the work of both."""
    for broken in (0, 1):
        async with world(TWO) as w:
            await w.pass_time(10)
            users = await crowd(w, 5)
            w.network.reachable = False
            await w.network.open_lines[broken].cut()
            await w.pass_time(1)
            await w.post(*users)
            await w.alarm(*users)
            await w.pass_time(10)
            assert len(w.network.open_lines) == 1
            assert w.account == {"accepted": 10, "woken": 10}
