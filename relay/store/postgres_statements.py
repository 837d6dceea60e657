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
    **{
        table: _put(
            table, "part, key, owner, revision, at, body", "bytea bytea bigint bigint bytea",
            "part_of(owner), key, owner, revision, at, body",
            _replacing("part, key", "revision", "at", "body"),
        )
        for table in ("device", "rest")
    },
    "pass": _put(
        "pass", "part, key, owner, at, body", "bytea bytea bigint bytea", _BY_KEY + "owner, at, body",
        _replacing("part, key", "at", "body"),
    ),
    **{
        table: _put(
            table, "part, key, at, body", "bytea bigint bytea", _BY_KEY + "at, body",
            _replacing("part, key", "at", "body"),
        )
        for table in ("request", "receipt")
    },
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
    "act": _put("act", "key, at, body", "bytea bigint bytea", "key, at, body", "DO NOTHING"),
}  # fmt: skip
"""By table; rows as `columns` of postgres_connection.py wants them, `part` left out."""

DELETE: Final = {
    **{
        table: f"DELETE FROM {table} USING unnest(%s::bytea[]) AS old(key) "
        f"WHERE {table}.part = part_of(old.key) AND {table}.key = old.key"
        for table in ("person", "slot", "pass")
    },
    "visit": "DELETE FROM visit USING unnest(%s::bytea[]) AS old(key) "
    "WHERE visit.part = part_of(old.key) AND visit.owner = old.key",
    "halt": "DELETE FROM halt WHERE number = ANY(%s::bigint[])",
}
"""By keys; of visits, by whose they are."""
NOTE_PURGED: Final = (
    "INSERT INTO feedback_purged SELECT tenant, max(seq) FROM unnest(%s::text[], %s::bigint[]) AS gone(tenant, seq) "
    "GROUP BY tenant ON CONFLICT (tenant) DO UPDATE SET seq = greatest(feedback_purged.seq, excluded.seq)"
)
