"""The event door with the real inside: working set, journal, tables, schedules; virtual time and a store in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import trio

from relay.clock import TrioClock
from relay.core.books import Account
from relay.core.devices import Platform
from relay.core.events import DEFAULT_CLASSES, EventClass
from relay.core.people import People, Person
from relay.core.pseudonym import Pseudonyms
from relay.core.records import Records
from relay.core.seal import Seals
from relay.core.tables import Tables
from relay.core.tenants import Tenant
from relay.doors.door import event_door
from relay.doors.http1 import Limits, Server
from relay.doors.keys import ApiKey, Keys, Scope, digest_of
from relay.doors.port import LaneCondition
from relay.doors.problems import refusal
from relay.doors.router import Router
from relay.engine import RelayEngine
from relay.journal import Executor, Journal, inline
from relay.loading import restore
from relay.store.memory import MemoryStore
from schedules import compile_table, parse
from tests.relay.doors.http_client import JSON, PACK, Answer, Client, Field, MemoryListener, request

MASTER = bytes(range(32))
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()
"""A Tuesday; in Berlin it is one o'clock."""

TOKEN = "ab" * 32
OTHER_TOKEN = "cd" * 32

ALARM = EventClass(
    name="alarm",
    pierces=True,
    cancellable=False,
    deadline=3600.0,
    roles=frozenset({"dispatch", "duty"}),
    reasons=frozenset({"incident", "evacuation"}),
    recipients=20,
    rate_per_hour=3,
)
CLASSES = {event_class.name: event_class for event_class in (*DEFAULT_CLASSES, ALARM)}

NIGHT = {"timezone": "Europe/Berlin", "windows": [{"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}]}
NOON_REST = {"windows": [{"kind": "cron", "start": "0 12 * * *", "duration_minutes": 240}]}
"""A rest in which NOON lies."""


def tenant(name: str = "north", *, device_limit: int = 3, evict: bool = True) -> Tenant:
    return Tenant(
        name=name,
        pseudonyms=Pseudonyms(MASTER, name),
        apps={"ios": Platform.APNS, "ipad": Platform.APNS},
        classes=CLASSES,
        device_limit=device_limit,
        evict=evict,
    )


def api_key(key_id: str, owner: Tenant, *scopes: Scope) -> ApiKey:
    return ApiKey(key_id, digest_of(secret_of(key_id)), frozenset(scopes), owner)


def secret_of(key_id: str) -> bytes:
    return f"secret-of-{key_id}".encode()


def bearer(key_id: str) -> Field:
    return ("Authorization", f"Bearer {key_id}.{secret_of(key_id).decode()}")


def usual_keys(owner: Tenant, prefix: str = "") -> list[ApiKey]:
    """A backend without and one with alarms, the registration of devices, the settings of rest, and support."""
    return [
        api_key(f"{prefix}backend", owner, Scope.EVENTS),
        api_key(f"{prefix}control", owner, Scope.EVENTS, Scope.ALARMS),
        api_key(f"{prefix}devices", owner, Scope.DEVICES),
        api_key(f"{prefix}rest", owner, Scope.REST),
        api_key(f"{prefix}support", owner, Scope.SUPPORT),
    ]


class Held:
    """An executor that holds every call of the store until it is let go."""

    def __init__(self) -> None:
        self.gate = trio.Event()

    async def __call__(self, call: Callable[[], None]) -> None:
        await self.gate.wait()
        call()

    def release(self) -> None:
        self.gate.set()


@dataclass(slots=True)
class House:
    """A running door, and what a test may look at behind it."""

    tenants: Mapping[str, Tenant]
    store: MemoryStore
    people: People
    journal: Journal
    engine: RelayEngine
    records: Mapping[str, Records]
    router: Router
    server: Server
    listener: MemoryListener
    clock: TrioClock
    lanes: dict[tuple[str, str], LaneCondition]
    """(tenant, app) → what is wrong with its lane; the others are up."""
    failures: list[BaseException] = field(default_factory=list)
    """What the router reported as our own fault."""

    def connect(self) -> Client:
        return self.listener.connect()

    async def ask(
        self, method: str, target: str, body: object = None, *, key: str | None = None, form: str = JSON,
        headers: Iterable[Field] = (),
    ) -> Answer:  # fmt: skip
        """One request on a connection of its own. `body` bytes go as they are, everything else is encoded as `form`."""
        fields = [*headers]
        if key is not None:
            fields.append(bearer(key))
        content = b""
        if body is not None:
            content = body if isinstance(body, bytes) else PACK[form](body)
            fields.append(("Content-Type", form))
        client = self.connect()
        answer = await client.ask(request(method, target, content, fields))
        await client.aclose()
        return answer

    async def post(self, body: object, *, key: str = "backend", form: str = JSON, **headers: str) -> Answer:
        """POST /v1/events. Further headers by name: `idempotency_key=…`."""
        fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
        return await self.ask("POST", "/v1/events", body, key=key, form=form, headers=fields)

    async def register(
        self, user: str, device: str = "phone", *, token: str | None = None, key: str = "devices", app: str = "ios"
    ) -> Answer:
        """Register a phone; without a token it gets one of its own."""
        own = "".join(f"{byte:02x}" for byte in f"{key}/{user}/{device}".encode().ljust(32)[:100])
        body = {"platform": "apns", "app": app, "token": token or own}
        return await self.ask("PUT", f"/v1/users/{user}/devices/{device}", body, key=key)

    async def officer(self, user: str = "anna", prefix: str = "") -> Field:
        """What an officer authorizes himself with: a link from the settings service, changed for a token."""
        link = await self.ask("POST", f"/v1/users/{user}/link", key=f"{prefix}rest")
        assert link.status == 201, link
        token = await self.ask("POST", "/v1/me/token", {"link": link.json["link"]})
        assert token.status == 201, token
        return ("Authorization", f"Bearer {token.json['token']}")

    async def code(self, officer: Field) -> Field:
        """The header with a support code that this officer has read out."""
        answer = await self.ask("POST", "/v1/me/support", headers=[officer])
        assert answer.status == 201, answer
        return ("Support-Code", answer.json["code"])

    async def read_rest(
        self, user: str = "anna", headers: Iterable[Field] = (), *, owner: str = "north", prefix: str = ""
    ) -> Answer:
        """The rest document as the officer reads it; of somebody whom the relay does not know, that it does not."""
        if self.person(user, owner) is None:
            return await self.ask("POST", f"/v1/users/{user}/link", key=f"{prefix}rest")
        return await self.ask("GET", "/v1/me/rest", headers=[await self.officer(user, prefix), *headers])

    def person(self, user: str, owner: str = "north") -> Person | None:
        return self.people.by_key.get(self.tenants[owner].pseudonyms.user(user))

    def pending(self, user: str, event_class: str = "message", owner: str = "north") -> int:
        """Notices that wait for a user."""
        person = self.person(user, owner)
        slot = person.slots.get(event_class) if person is not None else None
        return slot.n if slot is not None else 0

    def account(self, event_class: str = "message", owner: str = "north") -> Account:
        return self.people.books.of((owner, event_class))

    def snapshot(self) -> tuple[object, ...]:
        """Everything an event or an edit could have changed, in memory and in the store."""
        people = self.people
        persons = {
            person.key: (dict(person.devices), person.rest, {name: slot.copy() for name, slot in person.slots.items()})
            for person in people.by_key.values()
        }
        accounts = {key: repr(account) for key, account in people.books.accounts.items() if account != Account()}
        return (
            persons, accounts, dict(people.tokens), dict(people.remembered), dict(people.receipts), people.generation,
            people.revision, people.feedback_seq, self.store.commits, self.store.changes(0), tuple(self.store.bypasses),
        )  # fmt: skip


@asynccontextmanager
async def open_house(
    *,
    tenants: Iterable[Tenant] | None = None,
    keys: Iterable[ApiKey] | None = None,
    executor: Executor = inline,
) -> AsyncIterator[House]:
    """A running door; stopped and looked over at the end: it reported no fault of ours."""
    owners = list(tenants) if tenants is not None else [tenant()]
    store, clock = MemoryStore(), TrioClock(NOON)
    people = People({owner.name: owner for owner in owners})
    records = {owner.name: Records(Seals({0: MASTER}, 0), owner.name) for owner in owners}
    tables = Tables(
        lambda owner, user, sealed: records[owner.name].open_rest(user, sealed),
        lambda document, now: compile_table(parse(document), now),
        lambda person: records[person.tenant.name].open_user(person.key, person.sealed_id).reveal(),
    )
    epoch = restore(people, store.load())
    journal = Journal(people, store, tables, clock, epoch=epoch, executor=executor, applied=lambda persons: None)
    lanes: dict[tuple[str, str], LaneCondition] = {}
    engine = RelayEngine(
        journal, people, records, tables, lambda owner, app: lanes.get((owner, app), LaneCondition(app, "up", ""))
    )
    failures: list[BaseException] = []
    router = event_door(
        Keys(keys if keys is not None else usual_keys(owners[0])), engine, clock.now,
        lambda owner: records[owner.name], parse, failures.append,
    )  # fmt: skip
    server, listener = Server(router, refusal, Limits()), MemoryListener()
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        await nursery.start(partial(server.run, [listener]))
        house = House(
            people.tenants, store, people, journal, engine, records, router, server, listener, clock, lanes, failures
        )
        yield house
        nursery.cancel_scope.cancel()
    assert house.failures == []
