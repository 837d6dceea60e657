"""Versions of the SQLite file. Forward only: each migration is one transaction that also sets `user_version`.

All tables are `key → body` with a few columns that SQL must see: `revision` for the change feed, `at` for purging. Both
are 8-byte big-endian blobs, which sort like the numbers they are and are cut out of a batch's one blob as they stand
(relay/store/sqlite.py). Bodies begin with a version byte; what is private in them is sealed.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x46456162
"""Marks the file as ours ("FEab"; SQLite, PRAGMA application_id)."""

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        "INSERT INTO meta VALUES ('epoch', 0), ('generation', 0), ('revision', 0), ('feedback', 0)",
        "CREATE TABLE person (key BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE slot (key BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE account (key BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE device (key BLOB PRIMARY KEY, revision BLOB NOT NULL, at BLOB NOT NULL, user BLOB NOT NULL, "
        "body BLOB NOT NULL)",
        "CREATE INDEX device_revision ON device (revision)",
        "CREATE TABLE rest (key BLOB PRIMARY KEY, revision BLOB NOT NULL, at BLOB NOT NULL, user BLOB NOT NULL, "
        "body BLOB NOT NULL)",
        "CREATE INDEX rest_revision ON rest (revision)",
        "CREATE TABLE request (key BLOB PRIMARY KEY, at BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE INDEX request_at ON request (at)",
        "CREATE TABLE feedback (key BLOB PRIMARY KEY, at BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE INDEX feedback_at ON feedback (at)",
        "CREATE TABLE bypass (key BLOB PRIMARY KEY, at BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE bypass_recipients (key BLOB PRIMARY KEY, at BLOB NOT NULL, body BLOB NOT NULL)",
        "CREATE TRIGGER bypass_is_append_only BEFORE UPDATE ON bypass BEGIN SELECT RAISE(ABORT, 'append-only'); END",
        "CREATE TRIGGER recipients_are_append_only BEFORE UPDATE ON bypass_recipients "
        "BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    ),
    (
        # Empty also for a file that has purged feedback: until this version nobody could read it, so nobody missed it.
        "CREATE TABLE feedback_purged (tenant TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
    ),
    (
        # Alarms that are open in an older file have no receipt; nobody was given one.
        "CREATE TABLE receipt (key BLOB PRIMARY KEY, at BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE INDEX receipt_at ON receipt (at)",
    ),
    (
        # Who was woken in rest is sealed from here on (2); what older files hold is pseudonyms in a row (1).
        "DROP TRIGGER recipients_are_append_only",
        "UPDATE bypass_recipients SET body = CAST(x'01' || body AS BLOB)",
        "CREATE TRIGGER recipients_are_append_only BEFORE UPDATE ON bypass_recipients "
        "BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    ),
    (
        "CREATE TABLE halt (key BLOB PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TABLE act (key BLOB PRIMARY KEY, at BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TRIGGER act_is_append_only BEFORE UPDATE ON act BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    ),
    (
        # In `pass`, `at` is when it expires.
        "CREATE TABLE pass (key BLOB PRIMARY KEY, at BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE INDEX pass_at ON pass (at)",
        "CREATE TABLE visit (key BLOB PRIMARY KEY, at BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE INDEX visit_at ON visit (at)",
        "CREATE TRIGGER visit_is_append_only BEFORE UPDATE ON visit BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    ),
    # Sessions among the passes, and when a pass was used last. The tables stay as they are; a program that does not
    # know such records must not take them for damage.
    (),
    (
        # A link for each record from here on (core/chain.py). The key is the tenant, a zero byte and the number.
        "CREATE TABLE link (key BLOB PRIMARY KEY, at BLOB NOT NULL, kind BLOB NOT NULL, digest BLOB NOT NULL, "
        "chained BLOB NOT NULL) WITHOUT ROWID",
        "CREATE INDEX link_digest ON link (digest)",
        "CREATE TRIGGER link_is_append_only BEFORE UPDATE ON link BEGIN SELECT RAISE(ABORT, 'append-only'); END",
        "CREATE TABLE visits_erased (key BLOB PRIMARY KEY, at BLOB NOT NULL, body BLOB NOT NULL) WITHOUT ROWID",
        "CREATE TRIGGER visits_erased_is_append_only BEFORE UPDATE ON visits_erased "
        "BEGIN SELECT RAISE(ABORT, 'append-only'); END",
    ),
)
CHAINED: Final = 8
"""The version with which the chain begins."""
VERSION: Final = len(MIGRATIONS)
