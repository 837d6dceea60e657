"""A trace of what wakes somebody, through the whole relay: what is noted and why, for how long, and for nobody else."""

from __future__ import annotations

import pytest

from relay.core.errors import NotFound
from relay.core.events import DAY, HOUR
from relay.core.operating import Selection, hold
from relay.core.private import PassKey
from relay.core.traces import What, Why
from relay.doors.port import Officer, TraceEntry
from tests.relay.world import ENDLESS, World, app, rest_between, tenant, virtual, world

MINUTE = 60.0


def officer(w: World, user: str = "anna") -> Officer:
    return Officer(w.tenant, w.key(user), PassKey(b"shown"))


def begin(w: World, user: str = "anna") -> None:
    w.relay.engine.begin_trace(officer(w, user), w.now)


async def entries(w: World, user: str = "anna") -> list[TraceEntry]:
    """The oldest first."""
    facts = await w.relay.engine.trace(officer(w, user), w.now)
    return [] if facts is None else [*reversed(facts.entries)]


async def told(w: World, user: str = "anna") -> list[tuple[float, str, str, str]]:
    """(seconds since the start, what, why, of which classes)"""
    return [
        (entry.at - w.start, entry.what.value, entry.why.value if entry.why else "", " ".join(entry.classes))
        for entry in await entries(w, user)
    ]


@virtual
async def test_without_one_nothing_is_noted_and_with_one_only_of_its_person() -> None:
    async with world() as w:
        for user in ("anna", "bert"):
            await w.register(user)
        await w.post("anna")
        await w.quiet()
        begin(w)
        await w.pass_time(HOUR)
        for user in ("anna", "bert"):
            await w.post(user)
        await w.quiet()
        assert await told(w) == [(HOUR, "handed_over", "reachable", "message")]
        assert await w.relay.engine.trace(officer(w, "bert"), w.now) is None
        (entry,) = await entries(w)
        assert entry.device is not None
        assert entry.device.reveal() == "phone"


@virtual
async def test_rest_is_told_from_what_comes_to_what_leaves() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.rest("anna", rest_between(w.now, w.now + HOUR))
        begin(w)
        await w.post("anna")
        await w.pass_time(MINUTE)
        await w.post("anna")
        await w.post("anna")
        await w.post("anna", event_class="roster")
        await w.pass_time(HOUR)
        noted = await told(w)
        assert noted[:3] == [
            (0, "deferred", "rest", "message"), (MINUTE, "merged", "rest", "message"),
            (MINUTE, "deferred", "rest", "roster"),
        ]  # fmt: skip
        assert [(what, why) for _, what, why, _ in noted[3:]] == [("handed_over", "after_rest")] * 2
        first, merged, *_, one, other = await entries(w)
        assert first.until == merged.until == w.start + HOUR
        assert merged.notices == 2
        assert {one.device.reveal() if one.device else "", other.device.reveal() if other.device else ""} == {
            "phone", "tablet",
        }  # fmt: skip
        assert set(one.classes) == {"message", "roster"}


@virtual
async def test_an_alarm_in_rest_is_told_with_role_and_reason_and_a_device_that_is_always_woken_as_such() -> None:
    async with world() as w:
        await w.register("anna", "phone", "duty")
        await w.rest("anna", {**rest_between(w.now, w.now + HOUR), "devices": {"duty": {"wake": "always"}}})
        begin(w)
        await w.post("anna")
        await w.pass_time(MINUTE)
        await w.alarm("anna")
        await w.pass_time(2 * HOUR)
        await w.alarm("anna")
        await w.quiet()
        found = [(e.why, e.device.reveal()) for e in await entries(w) if e.device is not None]
        assert found[0] == (Why.ALWAYS, "duty")
        assert set(found[1:3]) == {(Why.DESPITE_REST, "phone"), (Why.DESPITE_REST, "duty")}
        assert (Why.AFTER_REST, "phone") in found
        assert set(found[-2:]) == {(Why.AUTHORITY, "phone"), (Why.AUTHORITY, "duty")}
        for entry in await entries(w):
            by_authority = entry.why in (Why.DESPITE_REST, Why.AUTHORITY)
            assert [*entry.by] == ([("dispatch", "incident")] if by_authority else [])


@virtual
async def test_the_pause_after_a_wakeup_reading_elsewhere_and_a_hold_of_operators_are_told() -> None:
    async with world() as w:
        await w.register("anna")
        begin(w)
        await w.post("anna")
        await w.pass_time(1)
        await w.post("anna")
        await w.pass_time(HOUR)
        await w.seen("anna", active_for=100)
        await w.post("anna")
        await w.quiet()
        await w.seen("anna")
        await w.pass_time(HOUR)
        await w.relay.journal.operate(
            lambda d: hold(d, Selection(None, None, None), "new firewall", "root", w.now + MINUTE)
        )
        await w.post("anna")
        await w.pass_time(2 * MINUTE)
        assert [(what, why) for _, what, why, _ in await told(w)] == [
            ("handed_over", "reachable"), ("deferred", "hold"), ("handed_over", "reachable"), ("deferred", "reading"),
            ("cancelled", ""), ("deferred", "halt"), ("handed_over", "reachable"),
        ]  # fmt: skip


@virtual
async def test_what_a_provider_does_not_take_is_told_in_its_words() -> None:
    async with world() as w:
        await w.register("anna")
        begin(w)
        w.fake.injections.answers += [(429, "TooManyRequests"), (400, "BadPriority")]
        await w.post("anna")
        await w.pass_time(MINUTE)
        await w.post("anna")
        await w.pass_time(MINUTE)
        w.fake.injections.answers = [(410, "Unregistered")]
        await w.alarm("anna")
        await w.pass_time(MINUTE)
        assert [(e.why, e.reason) for e in await entries(w)] == [
            (Why.LATER, "TooManyRequests"), (Why.REFUSED, "BadPriority"), (Why.REACHABLE, ""),
            (Why.DEAD, "Unregistered"),
        ]  # fmt: skip
        first = (await entries(w))[0]
        assert first.until is not None
        assert first.until > first.at


@virtual
async def test_another_rest_that_has_begun_defers_once_more() -> None:
    """Nothing of this is in a commit: the gate says so when what waits is due."""
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.now, w.now + HOUR))
        begin(w)
        await w.post("anna")
        await w.quiet()
        await w.rest("anna", rest_between(w.now, w.now + 3 * HOUR))
        await w.pass_time(4 * HOUR)
        waits = [entry.until for entry in await entries(w) if entry.what is What.DEFERRED]
        assert waits == [w.start + HOUR, w.start + 3 * HOUR]
        assert w.rang("anna") == [3 * HOUR]


@virtual
async def test_a_rest_without_end_and_what_is_given_up() -> None:
    async with world() as w:
        await w.register("anna")
        begin(w)
        await w.rest("anna", ENDLESS)
        await w.post("anna", ttl=HOUR)
        await w.pass_time(2 * HOUR)
        assert await told(w) == [(0, "deferred", "endless_rest", "message"), (HOUR, "expired", "", "message")]
        assert [entry.until for entry in await entries(w)] == [None, None]


@virtual
async def test_it_ends_by_itself_by_its_owner_with_the_person_and_with_the_process() -> None:
    async with world() as w:
        for user in ("anna", "bert", "carl", "dora", "emil"):
            await w.register(user)
            begin(w, user)
            await w.post(user)
        await w.quiet()
        w.relay.engine.end_trace(officer(w, "anna"))
        await w.relay.engine.delete_own(w.tenant, w.key("bert"), None)
        await w.forget("carl")
        assert [*w.relay.people.traces.open] == [w.key("dora"), w.key("emil")]
        for user in ("anna", "bert"):
            assert await w.relay.engine.trace(officer(w, user), w.now) is None
        with pytest.raises(NotFound):
            await w.relay.engine.trace(officer(w, "carl"), w.now)
        await w.register("carl")
        assert await w.relay.engine.trace(officer(w, "carl"), w.now) is None, "who comes anew begins anew"
        await w.pass_time(DAY)
        await w.post("dora")
        await w.quiet()
        assert w.relay.people.traces.open == {}
        assert await w.relay.engine.trace(officer(w, "dora"), w.now) is None
        begin(w, "emil")
        await w.restart()
        assert await w.relay.engine.trace(officer(w, "emil"), w.now) is None


@virtual
async def test_a_test_of_ones_own_and_a_repetition_are_told_as_what_they_are() -> None:
    async with world(tenant(app(), posts_seen=True)) as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.now + 2 * HOUR, w.now + 4 * HOUR))
        begin(w)
        await w.relay.engine.try_out(officer(w), w.now)
        await w.pass_time(MINUTE)
        await w.post("anna")
        await w.pass_time(5 * HOUR)
        assert [(what, why, names) for _, what, why, names in await told(w)] == [
            ("handed_over", "test", "test"), ("handed_over", "reachable", "message"),
            ("handed_over", "repeated", "message"),
        ]  # fmt: skip


@virtual
async def test_it_is_written_nowhere() -> None:
    """No commit is made for it."""
    async with world() as w:
        await w.register("anna")
        await w.quiet()
        before = w.relay.journal.statistics().commits
        begin(w)
        w.relay.engine.end_trace(officer(w))
        begin(w)
        await w.quiet()
        assert w.relay.journal.statistics().commits == before
