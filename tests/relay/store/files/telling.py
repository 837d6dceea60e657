"""What a database holds, in words that do not change: read by the program whose `relay` is imported, whichever it is.

Names are opened and numbers left as they are. What a program does not know yet is empty.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack

from relay.core.private import Private
from relay.core.pseudonym import Pseudonyms
from relay.core.records import Records
from relay.core.seal import Seals
from relay.store.sqlite import SqliteStore

MASTER = bytes(range(32))
NOON = 1_795_521_600.0
"""2026-11-24, 12:00 UTC, a Tuesday: when everything begins."""
TENANTS = ("city", "county")
USERS = ("anna", "bert", "carl", "dora", "erik", "fritz", "nobody")
SECRETS = (("link", "a link"), ("token", "a token"), ("support", "12345678"), ("session", "a session"))
"""Of passes: (kind, secret); each is erik's."""
Told = dict[str, Any]


class Names:
    """From pseudonyms back to names."""

    def __init__(self) -> None:
        seals = Seals({0: MASTER}, 0)
        self.pseudonyms = {tenant: Pseudonyms(MASTER, tenant) for tenant in TENANTS}
        self.records = {tenant: Records(seals, tenant) for tenant in TENANTS}
        self.users = {
            bytes(names.user(user)): f"{tenant}/{user}" for tenant, names in self.pseudonyms.items() for user in USERS
        }
        self.devices: dict[bytes, str] = {}

    def learn(self, devices: Any) -> None:  # noqa: ANN401 (of any version)
        for key, device in devices.items():
            self.devices[bytes(key)] = "/".join((*self.opened(device), device.app))

    def opened(self, record: Any, device: Any = None) -> tuple[str, str]:  # noqa: ANN401
        """The user's and the device's id, of a device or of feedback."""
        key = device or record.key
        user, name = self.of(record.user).open_device_ids(record.user, key, record.sealed)
        return user.reveal(), name.reveal()

    def of(self, user: bytes) -> Records:
        return self.records[self.users[bytes(user)].partition("/")[0]]

    def passes(self) -> dict[bytes, str]:
        names, erik = self.pseudonyms["city"], self.pseudonyms["city"].user("erik")
        return {
            bytes(names.pass_key(kind, secret, erik if kind == "support" else b"")): f"{kind}: {secret}"
            for kind, secret in SECRETS
        }


def told(path: Path) -> Told:
    """Everything in a file. Opening it upgrades it to the version of this program."""
    names = Names()
    with closing(SqliteStore(path)) as store:
        loaded: Any = store.load()
        names.learn(loaded.devices)
        found = {
            "people": {names.users[key]: _person(names, key, person) for key, person in loaded.people.items()},
            "devices": {names.devices[key]: _device(names, device) for key, device in loaded.devices.items()},
            "rests": {
                names.users[key]: [rest.version, names.of(key).open_rest(key, rest.sealed)]
                for key, rest in loaded.rests.items()
            },
            "slots": {f"{names.users[key]}/{name}": _slot(names, slot) for (key, name), slot in loaded.slots.items()},
            "requests": {
                key.hex(): [known.body.hex(), known.answer.accepted, known.answer.unknown, known.at]
                for key, known in loaded.requests.items()
            },
            "accounts": {"/".join(key): _fields(account) for key, account in loaded.accounts.items()},
            "marks": [loaded.generation, loaded.revision, loaded.feedback_seq],
            "feedback": [
                [record.seq, *names.opened(record, record.device), record.parting.value, record.reason, record.at]
                for tenant in TENANTS
                for record in store.feedback(tenant, 0, 100)
            ],
            "receipts": {key.hex(): _fields(receipt) for key, receipt in getattr(loaded, "receipts", {}).items()},
            "halts": {str(number): _fields(halt) for number, halt in getattr(loaded, "halts", {}).items()},
            "acts": [_fields(act) for act in store.acts(100)] if hasattr(store, "acts") else [],
            "passes": _passes(names, getattr(loaded, "passes", {})),
            "visits": _visits(names, store),
        }
    return {**found, "bypasses": list(_bypasses(names, path))}


def _person(names: Names, key: Any, person: Any) -> list[str]:  # noqa: ANN401
    return [person.tenant, names.of(key).open_user(key, person.sealed_id).reveal()]


def _device(names: Names, device: Any) -> list[object]:  # noqa: ANN401
    token = names.of(device.user).open_token(device.user, device.key, device.sealed)
    tenant = names.users[device.user].partition("/")[0]
    assert isinstance(token, Private)
    assert device.token_hash == names.pseudonyms[tenant].token(device.app, token.reveal())
    return [
        device.platform.value, token.reveal(), device.registered_at, device.attempt, device.not_before,
    ]  # fmt: skip


def _slot(names: Names, slot: Any) -> Told:  # noqa: ANN401
    numbers = ("born", "generation", "total", "booked", "first_at", "last_at", "reachable_at", "expires_at", "due_at")
    return {
        **{name: getattr(slot, name) for name in numbers},
        "echo_at": slot.echo_at,
        "done": {names.devices[key]: generation for key, generation in slot.done.items()},
        "stubs": [[stub[0].hex(), *stub[1:]] for stub in getattr(slot, "stubs", ())],
        "orders": {names.devices[key]: list(order) for key, order in getattr(slot, "orders", {}).items()},
    }


def _passes(names: Names, passes: Any) -> Told:  # noqa: ANN401
    if not passes:
        return {}
    secrets = names.passes()
    return {
        secrets[key]: [known.kind.value, names.users[known.user], known.expires_at, known.tries]
        for key, known in passes.items()
    }


def _visits(names: Names, store: Any) -> list[list[object]]:  # noqa: ANN401
    if not hasattr(store, "visits"):
        return []
    return [
        [visit.seq, visit.tenant, user, visit.at, visit.key_id, visit.what.value]
        for key, user in names.users.items()
        for visit in store.visits(key, 100)
    ]


def _bypasses(names: Names, path: Path) -> Iterator[list[object]]:
    """The records, and who they say was woken. Read by SQL: not every program reads them."""
    query = "SELECT b.body, r.body FROM bypass b JOIN bypass_recipients r USING (key) ORDER BY key"
    with closing(sqlite3.connect(path)) as db:
        found = db.execute(query).fetchall()
    for record, recipients in found:
        content = msgpack.unpackb(record)
        sealed = recipients[1:] if recipients[:1] == b"\x02" else b""
        records = names.records[content[1]]
        yield [*content, [user for key, user in names.users.items() if sealed and records.is_recipient(key, sealed)]]  # type: ignore[arg-type]


def _fields(record: Any) -> list[object]:  # noqa: ANN401
    return [getattr(record, name) for name in record.__dataclass_fields__]
