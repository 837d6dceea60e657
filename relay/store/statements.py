"""The SQL that writes a batch: one statement a table, whatever the number of rows.

The rows of a table are laid end to end in one blob; the statement cuts them out (`substr`) by a JSON list of integers,
each `offset << 28 | key length << 20 | row length`. A row is the key and the columns behind it: those that SQL must see
are 8 or 16 bytes long, the body is what remains. Not `executemany`: each row would hand the GIL over to the busy event
loop and wait to get it back, seconds for a large batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from relay.store.port import LARGEST_RECORD, StoreError

Row = tuple[bytes, bytes]
"""(key, the rest of the row)"""

_CUT: Final = "WITH row(o, k, n) AS (SELECT value >> 28, value >> 20 & 255, value & 1048575 FROM json_each(?2)) "
_LARGEST_KEY: Final = 255
"""Bytes; what eight bits of a cut can say. Our longest key is a slot's: 16 and the name of its class."""

PUT: Final = {
    table: _CUT + f"INSERT INTO {table} SELECT substr(?1, o + 1, k), {columns} FROM row WHERE true {conflict}"
    for table, columns, conflict in (
        *(
            (table, "substr(?1, o + 1 + k, n - k)", "ON CONFLICT (key) DO UPDATE SET body = excluded.body")
            for table in ("person", "slot", "account", "halt")
        ),
        *(
            (
                table,
                "substr(?1, o + 1 + k, 8), substr(?1, o + 9 + k, 8), substr(?1, o + 17 + k, 16), "
                "substr(?1, o + 33 + k, n - k - 32)",
                "ON CONFLICT (key) DO UPDATE SET revision = excluded.revision, at = excluded.at, user = excluded.user, "
                "body = excluded.body",
            )
            for table in ("device", "rest")
        ),
        *(
            (table, "substr(?1, o + 1 + k, 8), substr(?1, o + 9 + k, n - k - 8)", "ON CONFLICT (key) DO NOTHING")
            for table in ("feedback", "bypass", "bypass_recipients", "act", "visit", "visits_erased")
        ),
        *(
            (
                table,
                "substr(?1, o + 1 + k, 8), substr(?1, o + 9 + k, n - k - 8)",
                "ON CONFLICT (key) DO UPDATE SET at = excluded.at, body = excluded.body",
            )
            for table in ("request", "receipt", "pass")
        ),
        (
            "link",
            "substr(?1, o + 1 + k, 8), substr(?1, o + 9 + k, 2), substr(?1, o + 11 + k, 32), "
            "substr(?1, o + 43 + k, 32)",
            "",  # a number that is given twice is a failure
        ),
    )
}
DELETE_SLOTS: Final = _CUT + "DELETE FROM slot WHERE key IN (SELECT substr(?1, o + 1, k) FROM row)"
DELETE_PEOPLE: Final = _CUT + "DELETE FROM person WHERE key IN (SELECT substr(?1, o + 1, k) FROM row)"
DELETE_HALTS: Final = _CUT + "DELETE FROM halt WHERE key IN (SELECT substr(?1, o + 1, k) FROM row)"
DELETE_PASSES: Final = _CUT + "DELETE FROM pass WHERE key IN (SELECT substr(?1, o + 1, k) FROM row)"
DELETE_VISITS: Final = _CUT + (
    "DELETE FROM visit WHERE key IN (SELECT visit.key FROM row JOIN visit "
    "ON visit.key > substr(?1, o + 1, k) AND visit.key < substr(?1, o + 1 + k, n - k))"
)
VISITS_OF: Final = _CUT + (
    "SELECT visit.key, visit.at, visit.body FROM row JOIN visit "
    "ON visit.key > substr(?1, o + 1, k) AND visit.key < substr(?1, o + 1 + k, n - k) ORDER BY visit.key"
)
"""Rows of both are the bounds of somebody's keys."""
LINKS_WITH: Final = _CUT + (
    "SELECT link.key, at, kind, digest, chained FROM row JOIN link ON digest = substr(?1, o + 1, k) ORDER BY link.key"
)
"""Rows are digests."""
MARKS: Final = (
    "UPDATE meta SET value = max(value, CASE name WHEN 'generation' THEN ?1 WHEN 'revision' THEN ?2 ELSE ?3 END) "
    "WHERE name IN ('generation', 'revision', 'feedback')"
)
NOTE_PURGED: Final = (
    "INSERT INTO feedback_purged VALUES (?1, ?2) ON CONFLICT (tenant) DO UPDATE SET seq = max(seq, excluded.seq)"
)
NOTE_NEW: Final = "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
NOTE_ERASED: Final = "UPDATE meta SET value = ? WHERE name = 'erased'"


def packed(pairs: Iterable[Row]) -> tuple[bytes, str]:
    """Rows end to end, and the list that cuts them out again. Raises StoreError for a record that does not fit.

    In the order of their keys: neighbours lie on one page, which is then found and copied into the log once.
    """
    parts: list[bytes] = []
    cuts: list[int] = []
    position = 0
    for key, rest in sorted(pairs):
        length = len(key) + len(rest)
        if length >= LARGEST_RECORD:
            raise StoreError("a record is larger than 1 MiB")
        if len(key) > _LARGEST_KEY:
            raise StoreError(f"a key is longer than {_LARGEST_KEY} bytes")
        cuts.append(position << 28 | len(key) << 20 | length)
        position += length
        parts += (key, rest)
    return b"".join(parts), str(cuts)
