"""A few people of one tenant, and one commit after the other: what most tests of the core begin with.

    scene = Scene()
    scene.register("anna")
    scene.accept("anna")
    (flight,) = scene.send("anna")        # considered, looked at, left
    scene.took(flight)
    assert scene.account() == Account(accepted=1, woken=1)

Everything is the real core; rest is compiled from real documents, and a commit is a draft that is applied.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, TypeVar

from relay.core import accepting, editing, settling
from relay.core.batch import Batch
from relay.core.books import Account
from relay.core.devices import Device, Platform, Registration
from relay.core.draft import Draft
from relay.core.events import DEFAULT_CLASSES, NEVER, Accepted, Authority, Event, EventClass, Request
from relay.core.fanout import Considered, consider, depart, left
from relay.core.flight import Fate, Flight, Settlement
from relay.core.gate import RestTable
from relay.core.people import People, Person
from relay.core.private import DeviceKey, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.slots import Slot
from relay.core.tables import Tables
from relay.core.tenants import Tenant
from schedules import compile_table, parse

NOON: Final = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
"""A Tuesday."""
MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0
DISPATCH: Final = Authority("key", "dispatch", "incident")
Document = Mapping[str, object]
T = TypeVar("T")


def tenant(
    name: str = "city",
    *,
    apps: Mapping[str, Platform] | None = None,
    classes: Mapping[str, EventClass] | None = None,
    device_limit: int = 3,
    evict: bool = True,
    posts_seen: bool = False,
    jitter: float = 0.0,
) -> Tenant:
    """Without jitter, unless a test wants it."""
    return Tenant(
        name=name,
        pseudonyms=Pseudonyms(bytes(32), name),
        apps={"ios": Platform.APNS} if apps is None else apps,
        classes=classes or {c.name: c for c in DEFAULT_CLASSES},
        device_limit=device_limit,
        evict=evict,
        posts_seen=posts_seen,
        jitter=jitter,
    )


def rest_between(*edges: float) -> dict[str, object]:
    """Rest from the first instant to the second, from the third to the fourth, …"""
    pairs = zip(edges[::2], edges[1::2], strict=True)
    windows = [{"kind": "once", "start": iso(start), "end": iso(end)} for start, end in pairs]
    return {"timezone": "UTC", "windows": windows}


def nightly(start_hour: int = 22, minutes: int = 480) -> dict[str, object]:
    return {"timezone": "UTC", "windows": [_cron(f"0 {start_hour} * * *", minutes)]}


def endless() -> dict[str, object]:
    return {"timezone": "UTC", "windows": [_cron("0 0 * * *", 1440)]}


def compiled(document: Document, now: float = NOON) -> RestTable:
    return compile_table(parse(document), now)


def iso(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _cron(start: str, minutes: int) -> dict[str, object]:
    return {"kind": "cron", "start": start, "duration_minutes": minutes}


class Scene:
    def __init__(self, *tenants: Tenant, now: float = NOON) -> None:
        self.now = now
        self.tenants = {t.name: t for t in tenants or (tenant(),)}
        self.home = next(iter(self.tenants.values()))
        self.people = People(self.tenants)
        self._names: dict[UserKey, str] = {}
        self.tables = Tables(
            lambda _tenant, _key, sealed: json.loads(sealed),
            lambda document, at: compile_table(parse(document), at),
            lambda person: self._names[person.key],
        )
        self.batches: list[Batch] = []
        """Every commit, oldest first."""

    # names

    def key(self, user: str, home: Tenant | None = None) -> UserKey:
        key = (home or self.home).pseudonyms.user(user)
        self._names[key] = user
        return key

    def device_key(self, user: str, device: str = "phone") -> DeviceKey:
        return self.home.pseudonyms.device(user, device)

    def person(self, user: str) -> Person:
        return self.people.by_key[self.key(user)]

    def slot(self, user: str, name: str = "message") -> Slot:
        return self.person(user).slots[name]

    def device(self, user: str, device: str = "phone") -> Device:
        return self.person(user).devices[self.device_key(user, device)]

    def account(self, name: str = "message") -> Account:
        return self.people.books.of((self.home.name, name))

    # commits

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        """A draft that is committed at the end of the block; the books balance then."""
        draft = Draft(self.people, self.now, self.tables)
        yield draft
        self.batches.append(draft.batch)
        draft.apply()
        assert self.people.books.balance(self.people.pending()) == []

    def do(self, operation: Callable[[Draft], T]) -> T:
        with self.draft() as draft:
            return operation(draft)

    def register(
        self, user: str, device: str = "phone", *, token: str | None = None, home: Tenant | None = None
    ) -> tuple[bool, int]:
        """`token`: empty for a device that cannot be woken; its own name if not given."""
        home = home or self.home
        registration = registration_of(home, user, device, f"{user}/{device}" if token is None else token)
        return self.do(lambda draft: editing.put_device(draft, home, registration))

    def unregister(self, user: str, device: str = "phone") -> None:
        self.do(lambda draft: editing.delete_device(draft, self.home, self.key(user), self.device_key(user, device)))

    def forget(self, user: str) -> None:
        self.do(lambda draft: editing.delete_user(draft, self.home, self.key(user)))

    def rest(self, user: str, document: Document) -> int:
        sealed = json.dumps(document).encode()
        return self.do(lambda draft: editing.put_rest(draft, self.home, self.key(user), b"id", sealed, None))

    def event(
        self, *users: str, name: str = "message", at: float | None = None, ttl: float = NEVER, role: str = "dispatch",
        device: str | None = None,
    ) -> Event:  # fmt: skip
        event_class = self.home.classes[name]
        authority = Authority("key", role, "incident") if event_class.pierces else None
        at = self.now if at is None else at
        one = None if device is None else self.device_key(users[0], device)
        return Event(event_class, [self.key(user) for user in users], at, at + ttl, authority, one)

    def accept(
        self,
        *users: str,
        name: str = "message",
        at: float | None = None,
        ttl: float = NEVER,
        role: str = "dispatch",
        device: str | None = None,
        request: Request | None = None,
    ) -> Accepted:
        event = self.event(*users, name=name, at=at, ttl=ttl, role=role, device=device)
        return self.do(lambda draft: accepting.accept(draft, self.home, [event], request))

    def seen(self, user: str, at: float | None = None, active_for: float | None = None) -> None:
        mark = (self.key(user), self.now if at is None else at)
        active = {} if active_for is None else {self.key(user): self.now + active_for}
        self.do(lambda draft: settling.seen(draft, self.home, [mark], active))

    def confirm(self, user: str, device: str | None = None, at: float | None = None) -> None:
        one = None if device is None else self.device_key(user, device)
        until = self.now if at is None else at
        control = self.home.classes["control"]
        self.do(lambda draft: settling.confirm(draft, self.home, self.key(user), control, one, until))

    def expire(self, user: str, name: str = "message") -> None:
        self.do(lambda draft: settling.expire(draft, self.person(user), name))

    # wakeups

    def table(self, user: str) -> RestTable | None:
        return self.tables(self.person(user), self.now)

    def consider(self, user: str) -> Considered:
        return consider(self.person(user), self.now, self.table(user))

    def queue(self, user: str) -> list[Flight]:
        """Consider somebody, and queue the wakeups as a lane does."""
        flights = self.consider(user).flights
        for flight in flights:
            flight.queued = True
        return flights

    def leave(self, flight: Flight) -> bool:
        """Take a wakeup from its queue, look a last time, and hand it over."""
        flight.queued = False
        if not depart(flight, self.now, self.tables(flight.person, self.now)):
            flight.person.landed(flight)
            return False
        left(flight, self.now)
        return True

    def send(self, user: str) -> list[Flight]:
        """Whatever is due for somebody leaves now."""
        return [flight for flight in self.queue(user) if self.leave(flight)]

    def took(self, *flights: Flight) -> None:
        self.do(lambda draft: settling.settle_accepted(draft, flights))

    def say(self, fate: Fate, *flights: Flight, not_before: float = 0.0, dead_since: float | None = None) -> None:
        """Any verdict but "accepted"."""
        settlements = [Settlement(flight, fate, "reason", not_before, dead_since) for flight in flights]
        self.do(lambda draft: settling.settle(draft, settlements))


def registration_of(home: Tenant, user: str, device: str, token: str) -> Registration:
    names = home.pseudonyms
    app, platform = ("ios", Platform.APNS) if token else ("", Platform.NONE)
    sealed = f"sealed {user}/{device}".encode()
    return Registration(
        names.user(user), b"id", names.device(user, device), app, platform, names.token(app, token), sealed
    )


def phones(flights: Sequence[Flight], scene: Scene, user: str, *devices: str) -> bool:
    """Whether the flights go to exactly these devices of the user."""
    return sorted(f.device.key for f in flights) == sorted(scene.device_key(user, device) for device in devices)
