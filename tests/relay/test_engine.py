"""What doors ask of the relay: answers after the commit, errors of the core, and tenants that do not see each other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.core.devices import Platform, Registration
from relay.core.errors import DeviceLimitReached, IdempotencyMismatch, NotFound, Unavailable, VersionConflict
from relay.core.events import Accepted, Event, Request
from relay.core.private import DeviceKey, Private, UserKey
from relay.core.seal import SealBroken
from relay.core.tenants import Tenant
from relay.doors.port import DeviceFacts, Engine, Registered, RestDocument, RestKept
from relay.engine import RelayEngine
from relay.store.port import StoreError
from tests.relay.doors.house import CLASSES, NIGHT, NOON, NOON_REST, TOKEN, Held, House, open_house, tenant

NORTH, SOUTH = tenant("north"), tenant("south", device_limit=1, evict=False)


def user(name: str, owner: Tenant = NORTH) -> UserKey:
    return owner.pseudonyms.user(name)


def device(name: str, of: str, owner: Tenant = NORTH) -> DeviceKey:
    return owner.pseudonyms.device(of, name)


def registration(
    house: House, name: str, phone: str = "phone", token: str = TOKEN, owner: Tenant = NORTH
) -> Registration:
    records, names = house.records[owner.name], owner.pseudonyms
    key, device_key = names.user(name), names.device(name, phone)
    return Registration(
        user=key,
        sealed_id=records.seal_user(key, Private(name)),
        device=device_key,
        app="ios",
        platform=Platform.APNS,
        token_hash=names.token("ios", token),
        sealed=records.seal_device(key, device_key, Private(name), Private(phone), Private(token)),
    )


def sealed_id(house: House, name: str, owner: Tenant = NORTH) -> bytes:
    return house.records[owner.name].seal_user(user(name, owner), Private(name))


def event(*users: UserKey) -> Event:
    return Event(CLASSES["message"], users, NOON)


def test_the_engine_is_what_doors_expect() -> None:
    """Checked by mypy; at run time the assignment only has to exist."""
    engine: type[Engine] = RelayEngine
    assert engine is RelayEngine


async def test_a_device_is_created_refreshed_read_and_deleted(autojump_clock: MockClock) -> None:
    async with open_house(tenants=[NORTH]) as house:
        engine = house.engine
        assert await engine.put_device(NORTH, registration(house, "anna")) == Registered(created=True, evicted=0)
        await trio.sleep(5)
        assert await engine.put_device(NORTH, registration(house, "anna")) == Registered(created=False, evicted=0)
        facts = engine.device(NORTH, user("anna"), device("phone", "anna"))
        assert facts == DeviceFacts("ios", Platform.APNS, NOON + 5)
        assert await engine.put_device(NORTH, registration(house, "bert")) == Registered(created=True, evicted=1)
        await engine.delete_device(NORTH, user("bert"), device("phone", "bert"))
        with pytest.raises(NotFound):
            engine.device(NORTH, user("bert"), device("phone", "bert"))


async def test_a_rest_document_is_created_replaced_read_and_deleted(autojump_clock: MockClock) -> None:
    async with open_house(tenants=[NORTH]) as house:
        engine, anna = house.engine, user("anna")
        first = await engine.put_rest(NORTH, anna, sealed_id(house, "anna"), NIGHT, None)
        assert first.created
        second = await engine.put_rest(NORTH, anna, sealed_id(house, "anna"), NOON_REST, first.version)
        assert second == RestKept(created=False, version=first.version + 1)
        assert engine.rest(NORTH, anna) == RestDocument(NOON_REST, second.version)
        with pytest.raises(VersionConflict) as conflict:
            await engine.put_rest(NORTH, anna, sealed_id(house, "anna"), NIGHT, first.version)
        assert conflict.value.current == second.version
        with pytest.raises(VersionConflict):
            await engine.delete_rest(NORTH, anna, first.version)
        await engine.delete_rest(NORTH, anna, "*")
        with pytest.raises(NotFound):
            engine.rest(NORTH, anna)
        with pytest.raises(NotFound):
            await engine.delete_rest(NORTH, anna, None)
        with pytest.raises(VersionConflict) as conflict:
            await engine.put_rest(NORTH, anna, sealed_id(house, "anna"), NIGHT, "*")
        assert conflict.value.current is None


async def test_who_is_not_known_is_not_found(autojump_clock: MockClock) -> None:
    async with open_house(tenants=[NORTH]) as house:
        engine = house.engine
        await engine.put_device(NORTH, registration(house, "anna"))
        for name, phone in (("nobody", "phone"), ("anna", "tablet")):
            with pytest.raises(NotFound):
                engine.device(NORTH, user(name), device(phone, name))
            with pytest.raises(NotFound):
                await engine.delete_device(NORTH, user(name), device(phone, name))
            with pytest.raises(NotFound):
                engine.rest(NORTH, user(name))
            with pytest.raises(NotFound):
                await engine.delete_rest(NORTH, user(name), None)


async def test_a_tenant_reaches_nobody_of_another_even_with_the_right_pseudonym(autojump_clock: MockClock) -> None:
    """Doors cannot name somebody else's user; should one ever, the engine knows whose it is."""
    async with open_house(tenants=[NORTH, SOUTH]) as house:
        engine, anna, phone = house.engine, user("anna"), device("phone", "anna")
        await engine.put_device(NORTH, registration(house, "anna"))
        await engine.put_rest(NORTH, anna, sealed_id(house, "anna"), NIGHT, None)
        await engine.accept(NORTH, [event(anna)], None)
        with pytest.raises(NotFound):
            engine.device(SOUTH, anna, phone)
        with pytest.raises(NotFound):
            await engine.delete_device(SOUTH, anna, phone)
        with pytest.raises(NotFound):
            engine.rest(SOUTH, anna)
        with pytest.raises(NotFound):
            await engine.delete_rest(SOUTH, anna, None)
        assert await engine.accept(SOUTH, [event(anna)], None) == Accepted(0, 1)
        await engine.seen(SOUTH, [(anna, NOON + 1)])
        assert house.pending("anna") == 1
        assert engine.device(NORTH, anna, phone).app == "ios"
        assert engine.rest(NORTH, anna).document == NIGHT


async def test_errors_of_an_edit_reach_the_one_who_asked_and_change_nothing(autojump_clock: MockClock) -> None:
    async with open_house(tenants=[NORTH, SOUTH]) as house:
        engine = house.engine
        await engine.put_device(SOUTH, registration(house, "anna", owner=SOUTH))
        before = house.snapshot()
        with pytest.raises(DeviceLimitReached) as reached:
            await engine.put_device(SOUTH, registration(house, "anna", "tablet", "cd" * 32, SOUTH))
        assert reached.value.limit == 1
        assert house.snapshot() == before


async def test_a_repeated_request_is_recognised_by_its_key_and_body(autojump_clock: MockClock) -> None:
    async with open_house(tenants=[NORTH]) as house:
        engine, anna = house.engine, user("anna")
        await engine.put_device(NORTH, registration(house, "anna"))
        first = await engine.accept(NORTH, [event(anna)], Request(b"k" * 16, b"body"))
        again = await engine.accept(NORTH, [event(anna, anna)], Request(b"k" * 16, b"body"))
        assert first == again == Accepted(1, 0)
        with pytest.raises(IdempotencyMismatch):
            await engine.accept(NORTH, [event(anna)], Request(b"k" * 16, b"other"))
        assert house.pending("anna") == 1


async def test_seen_cancels_and_needs_no_known_user(autojump_clock: MockClock) -> None:
    async with open_house(tenants=[NORTH]) as house:
        engine, anna = house.engine, user("anna")
        await engine.put_device(NORTH, registration(house, "anna"))
        await engine.accept(NORTH, [event(anna, anna)], None)
        await engine.seen(NORTH, [(user("nobody"), NOON), (anna, NOON - 1)])
        assert house.pending("anna") == 2
        await engine.seen(NORTH, [(anna, NOON)])
        assert house.pending("anna") == 0


def edits(house: House) -> list[Callable[[], Awaitable[object]]]:
    """One call of each kind, for a user `anna` with a phone, a rest document and something pending."""
    engine, anna = house.engine, user("anna")
    return [
        lambda: engine.accept(NORTH, [event(anna)], None),
        lambda: engine.seen(NORTH, [(anna, NOON)]),
        lambda: engine.put_rest(NORTH, anna, sealed_id(house, "anna"), NOON_REST, None),
        lambda: engine.put_device(NORTH, registration(house, "anna", "tablet", "cd" * 32)),
        lambda: engine.delete_device(NORTH, anna, device("phone", "anna")),
        lambda: engine.delete_rest(NORTH, anna, None),
    ]


async def prepare(house: House) -> None:
    await house.engine.put_device(NORTH, registration(house, "anna"))
    await house.engine.put_rest(NORTH, user("anna"), sealed_id(house, "anna"), NIGHT, None)
    await house.engine.accept(NORTH, [event(user("anna"))], None)


async def test_every_call_returns_after_its_commit(autojump_clock: MockClock) -> None:
    held = Held()
    async with open_house(tenants=[NORTH], executor=held) as house:
        held.release()
        await prepare(house)
        for call in edits(house):
            held.gate = trio.Event()
            before = house.snapshot()
            returned: list[object] = []

            async def ask(call: Callable[[], Awaitable[object]], returned: list[object]) -> None:
                returned.append(await call())

            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, call, returned)
                await wait_all_tasks_blocked()
                assert returned == []
                assert house.snapshot() == before
                held.release()
            assert len(returned) == 1
            assert house.snapshot() != before


async def test_a_store_that_fails_makes_every_call_unavailable_and_changes_nothing(autojump_clock: MockClock) -> None:
    async with open_house(tenants=[NORTH]) as house:
        await prepare(house)
        before = house.snapshot()
        for call in edits(house):
            house.store.fail_next = StoreError("disk full")
            with pytest.raises(Unavailable) as refused:
                await call()
            assert refused.value.retry_after >= 1
            assert house.snapshot() == before


async def test_a_document_that_does_not_open_is_no_missing_document(autojump_clock: MockClock) -> None:
    """NotFound would invite the settings page to write an empty one over it."""
    async with open_house(tenants=[NORTH]) as house:
        for name in ("anna", "bert"):
            await house.engine.put_rest(NORTH, user(name), sealed_id(house, name), NIGHT, None)
        anna, bert = house.person("anna"), house.person("bert")
        assert anna is not None
        assert bert is not None
        anna.rest = bert.rest
        with pytest.raises(SealBroken):
            house.engine.rest(NORTH, user("anna"))
