"""A node's file and working set without a loop: real edits, each in its own commit, on a clock that is told.

    with Node(tmp_path) as node:
        node.register("anna")
        node.back_up("monday")
        node.forget("anna")
        node.restore("monday")
        assert node.facts() == set()

Everything is the real part: SQLite, seals, drafts, `back_up` and `restore`. Nothing is sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, TypeVar

import trio

from relay.backing_up import back_up
from relay.clock import TrioClock
from relay.config import Config
from relay.core import accepting, admitting, editing, settling
from relay.core.batch import Parting
from relay.core.devices import Platform, Registration
from relay.core.draft import Draft
from relay.core.events import NEVER, Event
from relay.core.passes import PassKind
from relay.core.private import PassKey, Private, UserKey
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.journal import inline
from relay.loading import Household, erase_again
from relay.restoring import Restored, restore
from relay.service import Relay, Seams
from relay.simulators.apns import FakeApns
from relay.simulators.provider_token import TeamKey
from relay.store.copying import Contents
from relay.store.sqlite import SqliteStore
from tests.e2e.in_memory import Line
from tests.relay.world import (
    APP,
    KEY_ID,
    NOON,
    TEAM_ID,
    TENANT,
    TOPIC,
    app,
    configuration,
    nightly,
    signing_key,
    tenant,
    token_of,
)  # fmt: skip

T = TypeVar("T")
Fact = tuple[str, ...]
"""("person", user), ("device", user, device), ("rest", user) or ("pass", user, name, end)."""
DEVICES: Final = ("phone", "tablet")


def config_of(folder: Path) -> Config:
    """One tenant with one app, on a file in this folder."""
    config = configuration(tenant(app()))
    store = replace(config.store, path=folder / "relay.db")
    return replace(config, store=store, control=folder / "relay.db.sock")


@dataclass
class Node:
    folder: Path
    now: float = NOON
    config: Config = field(init=False)
    store: SqliteStore = field(init=False)
    household: Household = field(init=False)

    def __post_init__(self) -> None:
        self.config = config_of(self.folder)
        self.open()

    def __enter__(self) -> Node:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- its process

    def open(self) -> None:
        """As the service does it."""
        self.store = SqliteStore(self.config.store.file, self.config.store.masters.notary())
        erase_again(Household(self.config.store.masters, self.config.tenants), self.store, self.now)
        self.household = Household(self.config.store.masters, self.config.tenants)
        self._epoch = self.household.fill(self.store.load())

    def close(self) -> None:
        self.store.close()

    def reopen(self) -> None:
        self.close()
        self.open()

    # --- commits

    def do(self, operation: Callable[[Draft], T]) -> T:
        """One commit; the books balance then. Raises what the operation and the store raise."""
        people = self.household.people
        draft = Draft(people, self.now, self.household.tables)
        draft.batch.epoch = self._epoch
        result = operation(draft)
        self.store.commit(draft.batch)
        draft.apply()
        assert people.books.balance(people.pending()) == []
        return result

    def register(self, user: str, device: str = "phone", generation: int = 0) -> None:
        registration = self.registration(user, device, generation)
        self.do(lambda draft: editing.put_device(draft, self.home, registration))

    def unregister(self, user: str, device: str = "phone") -> None:
        key = self.home.pseudonyms.device(user, device)
        self.do(lambda draft: editing.delete_device(draft, self.home, self.key(user), key))

    def die(self, user: str, device: str = "phone") -> None:
        """The provider says that a device is no more, and the backend is told."""
        person, key = self.household.people.by_key[self.key(user)], self.home.pseudonyms.device(user, device)
        self.do(lambda draft: settling.part(draft, person, person.devices[key], Parting.DEAD, "Unregistered"))

    def forget(self, user: str) -> None:
        self.do(lambda draft: editing.delete_user(draft, self.home, self.key(user)))

    def rest(self, user: str) -> int:
        """Put a rest document; return its version."""
        key = self.key(user)
        sealed_id, sealed = self.records.seal_user(key, Private(user)), self.records.seal_rest(key, nightly())
        return self.do(lambda draft: editing.put_rest(draft, self.home, key, sealed_id, sealed, None))

    def no_rest(self, user: str) -> None:
        self.do(lambda draft: editing.delete_rest(draft, self.home, self.key(user), None))

    def sign_in(self, user: str, name: str) -> None:
        self.do(
            lambda draft: admitting.issue(draft, self.home, self.key(user), PassKind.TOKEN, self.pass_key(user, name))
        )

    def sign_out(self, user: str, name: str) -> None:
        self.do(lambda draft: admitting.end(draft, self.key(user), PassKind.TOKEN, self.pass_key(user, name)))

    def post(self, *users: str, name: str = "message") -> None:
        event = Event(self.home.classes[name], [self.key(user) for user in users], self.now, NEVER, None, None)
        self.do(lambda draft: accepting.accept(draft, self.home, [event], None))

    # --- backups

    @property
    def database(self) -> Path:
        return self.config.store.file

    def backup(self, name: str) -> Path:
        return self.folder / name

    def back_up(self, name: str) -> Contents:
        """While it does not run."""
        self.close()
        try:
            return back_up(self.config, self.backup(name), self.now)
        finally:
            self.open()

    def restore(self, name: str, *, whatever_was_erased: bool = False) -> Restored:
        """A second later: each former database has a name of its own."""
        self.now += 1
        self.close()
        try:
            return restore(self.config, self.backup(name), self.now, whatever_was_erased=whatever_was_erased)
        finally:
            self.open()

    # --- what is there

    def facts(self) -> set[Fact]:
        """Everything that can be erased, as the working set of a new start has it."""
        people, found = self.household.people, set[Fact]()
        for person in people.by_key.values():
            user = self.records.open_user(person.key, person.sealed_id).reveal()
            found.add(("person", user))
            for device in person.devices.values():
                _, name = self.records.open_device_ids(person.key, device.key, device.sealed)
                found.add(("device", user, name.reveal()))
            if person.rest is not None:
                found.add(("rest", user))
            names = {self.pass_key(user, name): name for name in "ab"}
            for key, known in people.passes.of(person.key).items():
                found.add(("pass", user, names[key], f"{known.expires_at:.0f}"))
        return found

    @property
    def home(self) -> Tenant:
        return self.household.tenants[TENANT]

    @property
    def records(self) -> Records:
        return self.household.records[TENANT]

    def key(self, user: str) -> UserKey:
        return self.home.pseudonyms.user(user)

    def pass_key(self, user: str, name: str) -> PassKey:
        return self.home.pseudonyms.pass_key(PassKind.TOKEN, f"{user} {name}")

    def registration(self, user: str, device: str, generation: int = 0) -> Registration:
        names, records, token = self.home.pseudonyms, self.records, token_of(user, device, generation)
        key, device_key = names.user(user), names.device(user, device)
        return Registration(
            user=key, sealed_id=records.seal_user(key, Private(user)), device=device_key, app=APP,
            platform=Platform.APNS, token_hash=names.token(APP, token),
            sealed=records.seal_device(key, device_key, Private(user), Private(device), Private(token)),
        )  # fmt: skip


@asynccontextmanager
async def running(config: Config, store: SqliteStore, now: float) -> AsyncIterator[tuple[Relay, FakeApns]]:
    """A relay on a file, in virtual time, with a strict APNs."""
    clock = TrioClock(now)
    key = TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=signing_key()[1])
    apple, stop = FakeApns({KEY_ID: key}, {TOPIC}, clock.now), trio.Event()
    async with trio.open_nursery() as nursery:
        seams = Seams(executor=inline, connect=Line(apple, nursery).of, rng=Random(1))
        relay = Relay(replace(config, control=None), store, clock, seams)
        await nursery.start(relay.run, stop)
        yield relay, apple
        assert relay.people.books.balance(relay.people.pending()) == []
        assert apple.journal.violations == {}
        nursery.cancel_scope.cancel()
