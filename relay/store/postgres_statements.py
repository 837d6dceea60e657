"""The SQL that writes a batch into PostgreSQL: one statement a table; its parameters are one array for each column."""

from __future__ import annotations

from typing import Final

_PART: Final = "part_of({})"


def _put(table: str, columns: str, types: str, chosen: str, conflict: str) -> str:
    arrays = ", ".join(f"%s::{kind}[]" for kind in types.split())
    names = columns.replace("part, ", "")
    return (
        f"INSERT INTO {table} ({columns}) SELECT {chosen} FROM unnest({arrays}) AS new({names}) ON CONFLICT {conflict}"
    )


def _replacing(key: str, *names: str) -> str:
    return f"({key}) DO UPDATE SET " + ", ".join(f"{name} = excluded.{name}" for name in names)


_BY_KEY: Final = "part_of(key), key, "

PUT: Final = {
    "person": _put("person", "part, key, body", "bytea bytea", _BY_KEY + "body", _replacing("part, key", "body")),
    "slot": _put("slot", "part, key, body", "bytea bytea", _BY_KEY + "body", _replacing("part, key", "body")),
    "rest": _put(
        "rest", "part, key, owner, revision, at, body", "bytea bytea bigint bigint bytea",
        "part_of(owner), key, owner, revision, at, body",
        _replacing("part, key", "revision", "at", "body"),
    ),
    "device": _put(
        "device", "part, key, owner, revision, at, token, body", "bytea bytea bigint bigint bytea bytea",
        "part_of(owner), key, owner, revision, at, token, body",
        _replacing("part, key", "revision", "at", "token", "body"),
    ),
    "pass": _put(
        "pass", "part, key, owner, at, body", "bytea bytea bigint bytea", "part_of(owner), key, owner, at, body",
        _replacing("part, key", "at", "body"),
    ),
    "request": _put(
        "request", "part, key, at, body", "bytea bigint bytea", _BY_KEY + "at, body",
        _replacing("part, key", "at", "body"),
    ),
    "receipt": _put(
        "receipt", "part, key, node, at, body", "bytea bigint bigint bytea", _BY_KEY + "node, at, body",
        _replacing("part, key, node", "at", "body"),
    ),
    "visit": _put(
        "visit", "part, owner, seq, at, body", "bytea bigint bigint bytea", "part_of(owner), owner, seq, at, body",
        "DO NOTHING",
    ),
    "feedback": _put(
        "feedback", "tenant, seq, at, body", "bytea bigint bigint bytea",
        "convert_from(tenant, 'UTF8'), seq, at, body", "DO NOTHING",
    ),
    **{
        table: _put(
            table, "tenant, key, at, body", "bytea bytea bigint bytea",
            "convert_from(tenant, 'UTF8'), key, at, body", "DO NOTHING",
        )
        for table in ("bypass", "bypass_recipients")
    },
    "account": _put(
        "account", "node, tenant, class, body", "bigint bytea bytea bytea",
        "node, convert_from(tenant, 'UTF8'), convert_from(class, 'UTF8'), body",
        _replacing("node, tenant, class", "body"),
    ),
    "halt": _put("halt", "number, body", "bigint bytea", "number, body", _replacing("number", "body")),
    "inbox": (
        "INSERT INTO inbox (part, body) SELECT part, body FROM unnest(%s::bigint[], %s::bytea[]) AS new(part, body)"
    ),
    **{
        table: _put(table, "key, at, body", "bytea bigint bytea", "key, at, body", "DO NOTHING")
        for table in ("act", "visits_erased")
    },
    # Of a store that is copied; nodes let `LINK` make theirs.
    "link": (
        "INSERT INTO link SELECT convert_from(tenant, 'UTF8'), number, at, kind, digest, chained FROM "
        "unnest(%s::bytea[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bytea[], %s::bytea[]) "
        "AS new(tenant, number, at, kind, digest, chained)"
    ),
}  # fmt: skip
"""By table; rows as `columns` of postgres_connection.py wants them, `part` left out."""

DELETE: Final = {
    **{
        table: f"DELETE FROM {table} USING unnest(%s::bytea[]) AS old(key) "
        f"WHERE {table}.part = part_of(old.key) AND {table}.key = old.key"
        for table in ("person", "slot")
    },
    "pass": "DELETE FROM pass WHERE key = ANY(%s::bytea[])",
    "inbox": "DELETE FROM inbox USING unnest(%s::bigint[], %s::bigint[]) AS old(part, id) "
    "WHERE inbox.part = old.part AND inbox.id = old.id",
    "visit": "DELETE FROM visit USING unnest(%s::bytea[]) AS old(key) "
    "WHERE visit.part = part_of(old.key) AND visit.owner = old.key",
    "halt": "DELETE FROM halt WHERE number = ANY(%s::bigint[])",
}
"""By keys; of visits, by whose they are."""
SHARED: Final = {
    **PUT,
    # Serialised by the lock on the one row, so that who reads up to a number has missed nothing before it.
    "feedback": (
        "WITH new AS (SELECT * FROM unnest(%s::bytea[], %s::bigint[], %s::bigint[], %s::bytea[]) "
        "WITH ORDINALITY AS new(tenant, seq, at, body, number)), "
        "last AS (UPDATE mark SET feedback = feedback + (SELECT count(*) FROM new) RETURNING feedback) "
        "INSERT INTO feedback (tenant, seq, at, body) SELECT convert_from(tenant, 'UTF8'), "
        "feedback - (SELECT count(*) FROM new) + number, at, new.body FROM new, last"
    ),
    "request": "SELECT remember(%s, %s, %s)",
}
"""Where several nodes write: numbers of feedback are given here, and no request is taken by two."""
LINK: Final = "SELECT link(%s, %s, %s, %s)"
"""Tenant, and what its next links say: an array each of instants, kinds and digests."""
CHANNEL: Final = "feierabend"
NOTIFY: Final = (
    "SELECT pg_notify(%s || '_' || owner, '') FROM partition WHERE id = ANY(%s) AND owner IS NOT NULL GROUP BY owner"
)
RELEASE: Final = "UPDATE partition SET owner = wanted, wanted = NULL WHERE id = ANY(%s) AND owner = %s"
NOTE_PURGED: Final = (
    "INSERT INTO feedback_purged SELECT tenant, max(seq) FROM unnest(%s::text[], %s::bigint[]) AS gone(tenant, seq) "
    "GROUP BY tenant ON CONFLICT (tenant) DO UPDATE SET seq = greatest(feedback_purged.seq, excluded.seq)"
)
