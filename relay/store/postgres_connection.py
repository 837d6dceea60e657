"""Connections to PostgreSQL: how they are made, what their errors mean, and arrays as its binary protocol wants them.

psycopg's synchronous connections, in threads: a batch is one trip, and a thread hop for each is nothing. Its own
conversion of a list looks at every element; a batch's columns are laid end to end here instead.

A server that is gone must not hold a thread for ever: the kernel gives a connection up after `SILENCE` without an
answer, the server a statement after `LONGEST_STATEMENT` and a transaction whose client is gone after `LONGEST_IDLE`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper
from psycopg.pq import Format

from relay.store.port import LARGEST_RECORD, StaleEpoch, StoreError, StoreMismatch
from relay.store.postgres_schema import SCHEMA

Connection = psycopg.Connection[tuple[Any, ...]]

_OWN_WORDS: Final = logging.getLogger("psycopg")
_OWN_WORDS.addHandler(logging.NullHandler())
_OWN_WORDS.propagate = False
"""It tells of connections that break, where the server is and perhaps what it said; we tell that ourselves."""
CONNECT_SECONDS: Final = 3
SILENCE: Final = 4_000
"""Milliseconds for which what was sent may stay without an acknowledgement of the other machine."""
LONGEST_STATEMENT: Final = 30_000
LONGEST_IDLE: Final = 10_000
"""Milliseconds."""
STALE: Final = "FE001"
"""What `hold` raises (postgres_schema.py)."""
FORGETFUL: Final = ("off", "local")
"""Settings of synchronous_commit by which a commit that was answered could be lost."""
TAKEN_OVER: Final = "another process has taken over this store"

BY_KEY: Final = dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin"), "off")
"""For who asks for rows by their keys only. The server keeps a plan that it has made while a table was small and that
reads all of it; when everybody is woken at once the table is large before its figures are."""

_HEAD: Final = b"\x00\x00\x00\x01\x00\x00\x00\x00"
"""One dimension, no nulls."""
_FIRST: Final = b"\x00\x00\x00\x01"
_LENGTHS: Final = [n.to_bytes(4, "big") for n in range(4096)]
_EIGHT: Final = _LENGTHS[8]


class Bytes(bytes):
    """A `bytea[]` as the binary protocol has it."""

    __slots__ = ()


class Numbers(bytes):
    """A `bigint[]`."""

    __slots__ = ()


class _BytesDumper(Dumper):
    format = Format.BINARY
    oid = 1001

    def dump(self, obj: Bytes) -> Buffer:
        return obj


class _NumbersDumper(_BytesDumper):
    oid = 1016


def bytes_array(items: Sequence[bytes]) -> Bytes:
    """Raises StoreError for a record that does not fit."""
    parts = [_HEAD, b"\x00\x00\x00\x11", len(items).to_bytes(4, "big"), _FIRST]
    for item in items:
        length = len(item)
        if length >= LARGEST_RECORD:
            raise StoreError("a record is larger than 1 MiB")
        parts += (_LENGTHS[length] if length < 4096 else length.to_bytes(4, "big"), item)
    return Bytes(b"".join(parts))


def numbers_array(items: Sequence[int]) -> Numbers:
    parts = [_HEAD, b"\x00\x00\x00\x14", len(items).to_bytes(4, "big"), _FIRST]
    for item in items:
        parts += (_EIGHT, item.to_bytes(8, "big", signed=True))
    return Numbers(b"".join(parts))


def columns(rows: Iterable[tuple[bytes | int, ...]]) -> tuple[Bytes | Numbers, ...]:
    """Rows as one array for each of their columns; no rows: no columns."""
    return tuple(
        bytes_array(column) if isinstance(column[0], bytes) else numbers_array(column)
        for column in zip(*rows, strict=True)
    )


def connect(url: str, password: str | None, name: str, *, by_key: bool = False) -> Connection:
    """`name`: what operators see in pg_stat_activity; `by_key`: see BY_KEY. Raises psycopg.Error."""
    try:
        return _connect(url, password, name, by_key=by_key)
    except UnicodeError:  # psycopg looks up hosts itself
        raise psycopg.OperationalError("the name of a host is none") from None


def _connect(url: str, password: str | None, name: str, *, by_key: bool) -> Connection:
    settings = {
        "search_path": SCHEMA,
        "statement_timeout": LONGEST_STATEMENT,
        "idle_in_transaction_session_timeout": LONGEST_IDLE,
        "jit": "off",
        "timezone": "UTC",
        **(BY_KEY if by_key else {}),
    }
    db = psycopg.connect(
        url, autocommit=True, prepare_threshold=1, connect_timeout=CONNECT_SECONDS, application_name=name,
        tcp_user_timeout=SILENCE, keepalives_idle=2, keepalives_interval=1, keepalives_count=3,
        options=" ".join(f"-c {key}={value}" for key, value in settings.items()),
        password=password or None,
    )  # fmt: skip
    db.adapters.register_dumper(Bytes, _BytesDumper)
    db.adapters.register_dumper(Numbers, _NumbersDumper)
    return db


@contextmanager
def translated() -> Iterator[None]:
    """psycopg's errors as ours; by name only, for its texts hold rows."""
    try:
        yield
    except psycopg.Error as error:
        raise _ours(error) from None


def _ours(error: psycopg.Error) -> StoreError:
    if error.sqlstate == STALE:
        return StaleEpoch(TAKEN_OVER)
    if isinstance(error, psycopg.errors.DiskFull):
        return StoreError("the database's disk is full")
    if isinstance(error, psycopg.errors.DataCorrupted | psycopg.errors.IndexCorrupted):
        return StoreMismatch("the database is damaged")
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return StoreError("the database is read-only (a standby?)")
    if error.sqlstate is None:
        return StoreError("the database cannot be reached, or does not let us in")
    return StoreError(f"the database refused ({type(error).__name__})")
