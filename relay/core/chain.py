"""The chain of the record: one link for each append-only record, so that a record that is gone or changed is missed.

Accepted bypasses, acts of operators, looks at a rest: whoever writes to the database itself can drop a trigger and
change them. So each record is followed, in its own commit, by a link of its tenant's chain; acts that concern no single
tenant stand in the chain of the installation, which has no name.

    digest  = HMAC-SHA256(subkey "audit" of the tenant, kind, instant, key and body of the record as they are stored)
    chained = SHA-256(chained of the link before, number, instant, kind, digest)

The digest is keyed, so that a deleted record cannot be guessed from it, nor another one be made to fit. The chain is
not: whoever has links can check them against each other, and a number with its hash, noted on paper, vouches for all
that came before it. That paper is needed: by the database alone a chain that was cut short, or made anew without some
record and its link, looks like a shorter one.

**What is older.** The chain of the installation begins with a link whose instant is that of the newest record there was
when the chain began, under the key. A record without a link is *older than the chain* if it is not younger than that;
nobody moves that instant without the key. In a new store it is 0, and nothing is older.

**What is gone.** Records have a life, and their links stay. A link whose instant lies back by more than that life is of
one that is *gone by retention*. The instant is what excuses it, so it must agree with the records that are still there:
none before it in the chain is younger by more than `BACKWARDS`. Looks end earlier too, with their person: then a record
of its own names the digests of their links, for as long as they would have been kept.

Rejected: a digest without a key (three fields with a few values each are guessed in seconds); the number of the link in
the digest (many nodes write one chain, and the number is known in the database only, which has no key); one chain for
all tenants (a works council is shown the one that is its business); a link for each person who is erased (it would
stand for ever, and nearly nobody was looked at).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from typing import Final

from relay.core.pseudonym import MASTER_KEY_BYTES, prefixed, subkey

INSTALLATION: Final = ""
"""Whose chain holds what concerns no single tenant."""
BACKWARDS: Final = 86_400_000
"""Milliseconds by which a link may be older than one before it: clocks differ, and are set."""
DOMAIN: Final = "feierabend audit"


class LinkKind(IntEnum):
    """What a link stands for; the number is in the hash, so none is ever given another meaning."""

    BEGINNING = 0
    BYPASS = 1
    ACT = 2
    VISIT = 3
    VISITS_ERASED = 4


@dataclass(frozen=True, slots=True)
class Filed:
    """A record as it is stored, or was. `at`: milliseconds."""

    kind: int
    tenant: str
    at: int
    key: bytes = field(repr=False)
    body: bytes = field(repr=False)
    beside: bytes = field(default=b"", repr=False)
    """What is kept apart from the body: the sealed recipients of a bypass."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What a new link is to say."""

    at: int
    kind: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Link:
    tenant: str
    number: int
    at: int
    """Milliseconds; of the record."""
    kind: int
    digest: bytes
    chained: bytes


class Notary:
    """Makes digests, under keys derived from the first master key: the one that is never changed."""

    __slots__ = ("_keys", "_master")

    def __init__(self, master: bytes) -> None:
        self._master = master
        self._keys: dict[str, bytes] = {}

    def digest(self, record: Filed) -> bytes:
        key = self._keys.get(record.tenant)
        if key is None:
            key = self._keys[record.tenant] = subkey(self._master, "audit", record.tenant)
        parts = (
            record.kind.to_bytes(2, "big"), record.at.to_bytes(8, "big"), record.key, record.body,
            sha256(record.beside).digest(),
        )  # fmt: skip
        return hmac.digest(key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")

    def entry(self, record: Filed) -> Entry:
        return Entry(record.at, record.kind, self.digest(record))

    def beginning(self, newest: int) -> Entry:
        """The first link of the installation's chain. `newest`: the instant of the newest record that is older."""
        return self.entry(Filed(LinkKind.BEGINNING, INSTALLATION, newest, b"", b""))


UNKEYED: Final = Notary(bytes(MASTER_KEY_BYTES))
"""For stores that serve nobody. Whoever has a configuration takes the key from there."""


def start(tenant: str) -> bytes:
    """What the first link of a chain is chained to."""
    return sha256(prefixed(DOMAIN, tenant)).digest()


def chained(previous: bytes, number: int, at: int, kind: int, digest: bytes) -> bytes:
    return sha256(
        previous + number.to_bytes(8, "big") + at.to_bytes(8, "big") + kind.to_bytes(2, "big") + digest
    ).digest()


def grown(tenant: str, newest: Link | None, entries: Iterable[Entry]) -> list[Link]:
    """The next links of a chain. `newest`: its last one so far."""
    reached, last = (newest.number, newest.chained) if newest is not None else (0, start(tenant))
    links = []
    for number, entry in enumerate(entries, reached + 1):
        last = chained(last, number, entry.at, entry.kind, entry.digest)
        links.append(Link(tenant, number, entry.at, entry.kind, entry.digest, last))
    return links
