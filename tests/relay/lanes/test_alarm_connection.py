"""The connection that is kept for alarms: they stand behind nobody, and it is not idle when it is alone (I5)."""

from __future__ import annotations

from relay.core.events import HOUR
from tests.relay.world import World, app, tenant, token_of, virtual, world

TWO = tenant(app(connections=2))


async def crowd(w: World, size: int) -> list[str]:
    users = [f"user{number}" for number in range(size)]
    for user in users:
        await w.register(user)
    return users


@virtual
async def test_messages_go_over_one_connection_and_alarms_too_while_it_has_little_to_do() -> None:
    """It is known to work; the other one was silent, and may be dead without anybody knowing."""
    async with world(TWO) as w:
        await w.pass_time(10)
        users = await crowd(w, 300)
        await w.post(*users)
        await w.pass_time(10)
        await w.alarm("user0")
        await w.pass_time(10)
        assert len({entry.connection for entry in w.requests()}) == 1
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
        (alarm,) = w.requests("user1")
        assert alarm.t == began
        assert alarm.connection not in {entry.connection for user in users[2:] for entry in w.requests(user)}


@virtual
async def test_an_alarm_does_not_wait_for_the_answer_to_a_message_for_the_same_phone() -> None:
    """It would be half a minute where none comes. The answer to the alarm settles both; nothing is sent twice then."""
    async with world(TWO) as w:
        await w.register("anna")
        await w.alarm("anna")
        await w.pass_time(400)
        w.fake.injections.silent.add(token_of("anna"))
        await w.post("anna")
        await w.pass_time(1)
        w.fake.injections.silent.clear()
        began = w.now
        await w.alarm("anna")
        await w.pass_time(0.001)
        assert [entry.t for entry in w.requests("anna")][-1] == began
        await w.pass_time(400)
        assert len(w.requests("anna")) == 3
        assert w.account == {"accepted": 3, "woken": 3}


@virtual
async def test_many_alarms_use_both_connections() -> None:
    """The one that is kept for them may have one stream only until its first answer; the other has some left."""
    async with world(TWO) as w:
        await w.pass_time(10)
        users = await crowd(w, 1_300)
        await w.post("user0")
        await w.pass_time(10)
        w.fake.injections.silent |= {token_of(user) for user in users[30:]}
        await w.post(*users[30:])
        await w.pass_time(1)
        before = len(w.requests())
        await w.alarm(*users[:30])
        await w.pass_time(1)
        alarms = w.requests()[before:]
        assert {w.owner(entry) for entry in alarms} == set(users[:30])
        assert len({entry.connection for entry in alarms}) == 2


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


@virtual
async def test_what_was_wanted_for_an_alarm_that_is_over_is_none_where_only_alarms_may_leave() -> None:
    """Another node may have the people by now, and know of a rest that this one does not."""
    held = True
    async with world(holds=lambda: held) as w:
        w.network.reachable = False
        await w.register("anna", "phone")
        await w.post("anna")
        await w.alarm("anna")
        await w.pass_time(HOUR + 1)
        held, w.network.reachable = False, True
        await w.pass_time(HOUR)
        assert w.requests() == []
        held = True
        w.relay.pool.nudge()
        await w.pass_time(1)
        assert len(w.requests("anna")) == 1
        assert w.account == {"accepted": 2, "woken": 1, "expired": 1}
        held = False
        await w.alarm("anna")
        await w.pass_time(1)
        assert len(w.requests("anna")) == 2
