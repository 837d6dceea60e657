"""What is asked of PostgreSQL besides people: the change feed, feedback, records; and of people whom other nodes have.

Each function asks in a transaction of the caller's, as of one instant.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Final

from relay.core.batch import Bypass, Feedback, Fetched, Receipt, Remembered
from relay.core.devices import Device, RestRecord
from relay.core.halts import Act
from relay.core.passes import Visit
from relay.core.private import DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey
from relay.store import rows
from relay.store.port import Changes, FeedbackRange
from relay.store.postgres_connection import Connection, bytes_array
from relay.store.postgres_nodes import summed
from relay.store.postgres_reading import bytes_of

PAGE: Final = 500
"""Records of bypasses looked at together."""


def changes(db: Connection, since: int) -> Changes:
    devices: dict[DeviceKey, tuple[UserKey, Device | None]] = {}
    rests: dict[UserKey, RestRecord | None] = {}
    newest = since
    query = "SELECT key, revision, owner, body FROM {} WHERE revision > %s ORDER BY revision"
    for key, revision, user, body in bytes_of(db, query.format("device"), since):
        newest = max(newest, revision)
        devices[DeviceKey(key)] = (UserKey(user), rows.read_device(key, body) if body else None)
    for key, revision, _, body in bytes_of(db, query.format("rest"), since):
        newest = max(newest, revision)
        rests[UserKey(key)] = rows.read_rest(body) if body else None
    return Changes(newest, devices, rests)


def feedback(db: Connection, tenant: str, after: int, limit: int) -> list[Feedback]:
    """Numbered by the database, where several nodes write."""
    query = "SELECT seq, body FROM feedback WHERE tenant = %s AND seq > %s ORDER BY seq LIMIT %s"
    found = bytes_of(db, query, tenant, after, limit)
    return [replace(rows.read_feedback(body), seq=seq) for seq, body in found]


def feedback_range(db: Connection, tenant: str) -> FeedbackRange:
    purged = "SELECT seq FROM feedback_purged WHERE tenant = %s"
    newest = "greatest(mark.feedback, (SELECT max(feedback) FROM node))"
    ((last, reached),) = bytes_of(db, f"SELECT ({purged}), {newest} FROM mark", tenant)
    return FeedbackRange(last or 0, reached or 0)


def bypasses_of(db: Connection, tenant: str, wanted: Callable[[Bypass], bool], limit: int) -> list[Bypass]:
    query = (
        "SELECT key, bypass.body, bypass_recipients.body FROM bypass JOIN bypass_recipients USING (tenant, key) "
        "WHERE tenant = %s AND key < %s ORDER BY key DESC LIMIT %s"
    )
    found: list[Bypass] = []
    before = b"\xff" * 25
    while page := list(bytes_of(db, query, tenant, before, PAGE)):
        before = page[-1][0]
        for _, body, recipients in page:
            record = rows.read_bypass(body, recipients)
            if wanted(record):
                found.append(record)
            if len(found) == limit:
                return found
    return found


def acts(db: Connection, limit: int) -> list[Act]:
    return [rows.read_act(body) for (body,) in bytes_of(db, "SELECT body FROM act ORDER BY key DESC LIMIT %s", limit)]


def visits(db: Connection, user: UserKey, limit: int) -> list[Visit]:
    query = "SELECT body FROM visit WHERE part = part_of(%s) AND owner = %s ORDER BY seq DESC LIMIT %s"
    return [rows.read_visit(body) for (body,) in bytes_of(db, query, user, user, limit)]


# --- of people whom other nodes have


def devices_of(db: Connection, users: Collection[UserKey]) -> dict[UserKey, list[Device]]:
    found: dict[UserKey, list[Device]] = {}
    query = (
        "SELECT owner, key, device.body FROM device JOIN unnest(%s::bytea[]) AS asked(person) "
        "ON device.part = part_of(person) AND device.owner = person WHERE device.body <> ''"
    )
    for owner, key, body in bytes_of(db, query, bytes_array(list(users))):
        found.setdefault(UserKey(owner), []).append(rows.read_device(key, body))
    return found


def holders_of(db: Connection, tokens: Collection[TokenHash]) -> dict[TokenHash, tuple[UserKey, DeviceKey]]:
    query = "SELECT token, owner, key FROM device WHERE token = ANY(%s::bytea[])"
    found = bytes_of(db, query, bytes_array(list(tokens)))
    return {TokenHash(token): (UserKey(owner), DeviceKey(key)) for token, owner, key in found}


def owner_of(db: Connection, passes: Collection[PassKey]) -> UserKey | None:
    query = "SELECT owner FROM pass WHERE key = ANY(%s::bytea[]) LIMIT 1"
    return next((UserKey(owner) for (owner,) in bytes_of(db, query, bytes_array(list(passes)))), None)


def remembered(db: Connection, key: bytes) -> Remembered | None:
    query = "SELECT body FROM request WHERE part = part_of(%s) AND key = %s"
    return next((rows.read_request(body) for (body,) in bytes_of(db, query, key, key)), None)


def receipt(db: Connection, key: ReceiptKey) -> Receipt | None:
    query = "SELECT body FROM receipt WHERE part = part_of(%s) AND key = %s"
    return summed((key, rows.read_receipt(body)) for (body,) in bytes_of(db, query, key, key)).get(key)


def posted(db: Connection, parts: Collection[int], limit: int) -> list[Fetched]:
    query = "SELECT part, id, body FROM inbox WHERE part = ANY(%s) ORDER BY id LIMIT %s"
    found = bytes_of(db, query, sorted(parts), limit)
    return [(part, number, rows.read_posted(body)) for part, number, body in found]
