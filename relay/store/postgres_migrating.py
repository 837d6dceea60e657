"""Making and renewing the schema. By hand (`feierabend store migrate`), not at a start: nodes are renewed in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relay.core.chain import UNKEYED, Notary
from relay.store.port import StoreMismatch
from relay.store.postgres_chain import begin
from relay.store.postgres_connection import Connection, connect, translated
from relay.store.postgres_schema import CHAINED, MIGRATIONS, SCHEMA, VERSION

_ONE_AT_A_TIME: Final = "SELECT pg_advisory_xact_lock(hashtext('feierabend migrate'))"


def migrate(
    url: str,
    password: str | None = None,
    notary: Notary = UNKEYED,
    *,
    migrations: Sequence[Sequence[str]] = MIGRATIONS,
) -> int:
    """Bring the schema to the newest version, all in one transaction; how many steps that took.

    Raises StoreError, StoreMismatch for a schema that is another program's or of a newer version.
    """
    with translated(), connect(url, password, "feierabend migrate") as db, db.transaction():
        db.execute(_ONE_AT_A_TIME)
        version = version_of(db)
        if version is None:
            db.execute(f"CREATE SCHEMA {SCHEMA}")
            db.execute("CREATE TABLE version (number integer NOT NULL)")
            db.execute("INSERT INTO version VALUES (0)")
            version = 0
        if version > len(migrations):
            raise _too_new(version)
        for number, statements in enumerate(migrations[version:], version + 1):
            for statement in statements:
                db.execute(statement)
            if number == CHAINED:
                begin(db, notary)
        db.execute("UPDATE version SET number = %s", (len(migrations),))
        return len(migrations) - version


def check_version(db: Connection) -> None:
    """Raises StoreMismatch."""
    version = version_of(db)
    if version is None or version < VERSION:
        raise StoreMismatch(
            f"the database has version {version or 0} and this program needs {VERSION}: run feierabend store migrate"
        )
    if version > VERSION:
        raise _too_new(version)


def version_of(db: Connection) -> int | None:
    """None: the schema is not there."""
    found = db.execute(
        "SELECT to_regnamespace(%s) IS NOT NULL, to_regclass(%s)", (SCHEMA, f"{SCHEMA}.version")
    ).fetchone()
    is_there, table = found or (False, None)
    if is_there and table is None:
        raise StoreMismatch(f"the schema {SCHEMA} of the database belongs to another program")
    if not is_there:
        return None
    (number,) = db.execute("SELECT number FROM version").fetchone() or (0,)
    return int(number)


def _too_new(version: int) -> StoreMismatch:
    return StoreMismatch(f"the database has version {version}; this program knows versions up to {VERSION}")
