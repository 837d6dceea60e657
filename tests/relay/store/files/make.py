"""Write the database file of the version whose `relay` is imported, and what that program reads in it: see README.md.

The edits are the program's own, each in a commit of its own. To be run in a checkout of that version, as a script: what
it imports of `relay` is as old as that.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import telling  # type: ignore[import-not-found]

from relay.core import accepting, editing, fanout, settling
from relay.core.devices import Platform, Registration
from relay.core.draft import Draft
from relay.core.events import DEFAULT_CLASSES, Authority, Event, Request
from relay.core.flight import Fate, Flight, Settlement
from relay.core.people import People, Person
from relay.core.private import Private
from relay.core.tenants import Tenant
from relay.store.schema import VERSION
from relay.store.sqlite import SqliteStore
from schedules import compile_table, parse

NIGHTS: dict[str, object] = {
    "timezone": "Europe/Berlin",
    "windows": [{"kind": "cron", "start": "0 12 * * *", "duration_minutes": 1080}],
}
"""It is one when the events come."""
APPS = {"ios": Platform.APNS, "android": getattr(Platform, "FCM", Platform.APNS)}
"""The program of version 1 knew Apple only."""


class Making:
    """One file in the making, with a clock that is told."""

    def __init__(self, path: Path) -> None:
        self.names = telling.Names()
        self.tenants = {name: self._tenant(name) for name in telling.TENANTS}
        self.people = People(self.tenants)
        self.store = SqliteStore(path)
        self.epoch = self.store.load().epoch
        self.now = telling.NOON

    def _tenant(self, name: str) -> Tenant:
        roles: dict[str, Any] = {"roles": frozenset({"dispatch"}), "reasons": frozenset({"incident"})}
        classes = {each.name: replace(each, **roles) if each.pierces else each for each in DEFAULT_CLASSES}
        return Tenant(
            name=name, pseudonyms=self.names.pseudonyms[name], apps=APPS, classes=classes, posts_seen=True, jitter=0.0
        )

    def table(self, person: Person, now: float) -> Any:  # noqa: ANN401
        if person.rest is None:
            return None
        document = self.names.records[person.tenant.name].open_rest(person.key, person.rest.sealed)
        return compile_table(parse(document), now)

    def do(self, operation: Callable[[Draft, Tenant], object], tenant: str = "city") -> None:
        """One commit, a little later than the one before."""
        self.now += 0.5
        draft = Draft(self.people, self.now, self.table)
        draft.batch.epoch = self.epoch
        operation(draft, self.tenants[tenant])
        self.store.commit(draft.batch)
        draft.apply()

    def key(self, user: str, tenant: str = "city") -> Any:  # noqa: ANN401
        return self.names.pseudonyms[tenant].user(user)

    def register(self, user: str, device: str, app: str, token: str, tenant: str = "city") -> None:
        names, records, key = self.names.pseudonyms[tenant], self.names.records[tenant], self.key(user, tenant)
        platform = APPS.get(app, Platform.NONE)
        device_key = names.device(user, device)
        sealed = records.seal_device(key, device_key, Private(user), Private(device), Private(token))
        registration = Registration(
            key, records.seal_user(key, Private(user)), device_key, app, platform, names.token(app, token), sealed
        )
        self.do(lambda draft, home: editing.put_device(draft, home, registration), tenant)

    def rest(self, user: str, document: dict[str, object]) -> None:
        key, records = self.key(user), self.names.records["city"]
        sealed_id, sealed = records.seal_user(key, Private(user)), records.seal_rest(key, document)
        self.do(lambda draft, home: editing.put_rest(draft, home, key, sealed_id, sealed, None))

    def post(self, *users: str, name: str = "message", tenant: str = "city") -> None:
        keys, authority, request = [self.key(user, tenant) for user in users], None, None
        event_class = self.tenants[tenant].classes[name]
        if event_class.pierces:
            authority = Authority("backend", "dispatch", "incident")
            if VERSION >= 4:
                authority = replace(authority, recipients=self.names.records[tenant].seal_recipients(keys))
            request = Request(self.names.pseudonyms[tenant].request("backend", f"{name} {users}"), bytes(32))
        event = Event(event_class, keys, self.now - 0.25, self.now + 86_400, authority)
        self.do(lambda draft, home: accepting.accept(draft, home, [event], request), tenant)

    def send(self, user: str) -> list[Flight]:
        """What is due for somebody leaves."""
        person = self.people.by_key[self.key(user)]
        table = self.table(person, self.now)
        flights = fanout.consider(person, self.now, table).flights
        for flight in flights:
            flight.queued = False
        return [flight for flight in flights if fanout.depart(flight, self.now, table)]


def fill(made: Making) -> None:
    made.register("anna", "phone", "ios", "a" * 64)
    made.register("anna", "tablet", "ios", "b" * 64)
    made.rest("anna", NIGHTS)
    made.register("bert", "phone", "ios", "c" * 64)
    made.register("bert", "mobile", "android", "d" * 150)
    made.register("bert", "pc", "", "none")
    made.register("carl", "phone", "ios", "e" * 64)
    made.register("carl", "tablet", "ios", "f" * 64)
    made.rest("carl", NIGHTS)
    made.register("dora", "phone", "ios", "0" * 64)
    made.register("erik", "mobile", "android", "1" * 150)
    made.register("fritz", "phone", "ios", "2" * 64, tenant="county")
    made.do(lambda draft, home: editing.delete_rest(draft, home, made.key("carl"), None))
    made.post("anna", "bert", "dora")
    made.post("anna", "bert", name="roster")
    made.post("fritz", tenant="county")
    took, failed = sorted(made.send("bert"), key=lambda flight: flight.device.app, reverse=True)
    made.do(lambda draft, _: settling.settle_accepted(draft, [took]))
    made.do(lambda draft, _: settling.settle(draft, [Settlement(failed, Fate.RETRY, "busy", made.now + 60)]))
    made.post("bert")
    made.post("carl")
    dead, _ = sorted(made.send("carl"), key=lambda flight: flight.device.key)
    made.do(lambda draft, _: settling.settle(draft, [Settlement(dead, Fate.DEAD, "Unregistered")]))
    made.post("anna", "dora", name="alarm")
    made.do(lambda draft, home: settling.seen(draft, home, [(made.key("dora"), made.now - 2.0)]))
    if VERSION >= 4:
        made.post("dora", "bert", name="control")
    if VERSION >= 5:
        hold(made)
    if VERSION >= 6:
        admit(made)


def hold(made: Making) -> None:
    from relay.core import operating

    some, every = operating.Selection("city", "roster", "ios"), operating.Selection(None, None, None)
    made.do(lambda draft, _: operating.hold(draft, some, "new firewall", "root", made.now + 3600))
    made.do(lambda draft, _: operating.hold(draft, every, "repair", "eva", made.now + 7200))
    made.do(lambda draft, _: operating.resume(draft, some, "done", "root"))


def admit(made: Making) -> None:
    from relay.core import admitting
    from relay.core.passes import Look, PassKind

    erik = made.key("erik")
    secrets = dict(telling.SECRETS)
    for kind in PassKind:
        if kind.value in secrets:
            of = erik if kind is PassKind.SUPPORT else b""
            key = made.names.pseudonyms["city"].pass_key(kind, secrets[kind.value], of)
            made.do(lambda draft, home, kind=kind, key=key: admitting.issue(draft, home, erik, kind, key))  # type: ignore[misc]
    made.do(lambda draft, home: admitting.visit(draft, home, erik, key, "helpdesk", Look.REST))
    wrong = made.names.pseudonyms["city"].pass_key(PassKind.SUPPORT, "87654321", erik)
    made.do(lambda draft, home: admitting.visit(draft, home, erik, wrong, "helpdesk", Look.EXPLAIN))


def main(folder: Path) -> None:
    path = folder / f"version-{VERSION}.db"
    made = Making(path)
    fill(made)
    made.store.close()
    content = telling.told(path)
    (folder / f"version-{VERSION}.json").write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
    for left in (".lock", ".erased"):
        path.with_name(path.name + left).unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
