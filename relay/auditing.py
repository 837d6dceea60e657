"""`feierabend audit`: whether the record is whole, as far as links and the master key can tell (core/chain.py).

Two passes over a store as of one instant. First every record is asked after: which link says its digest? Then every
chain is walked: does each link follow from the one before, and is its record among those found? What was not found is
gone by retention, went with its person, or is missing. Memory holds a number for each record that is found, and nothing
of the links, which are many more in the course of years.

A record whose link and record do not fit, though kind and instant do, was *changed*; that is a guess for the reader's
sake, and it counts once either way. What is not guessed is who did it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from relay.core.chain import BACKWARDS, INSTALLATION, Filed, Link, LinkKind, Notary, chained, start
from relay.store import rows
from relay.store.evidence import Evidence
from relay.store.filing import TABLES
from relay.store.port import LIVES

LENIENCE: Final = 3_600_000
"""Milliseconds by which a record may be purged before its time: another clock, or one that was set back."""
NO_DIGEST: Final = b""
SHOWN: Final = 20
"""Numbers of links that are told of each fault."""


class Fault(StrEnum):
    BEGINNING = "beginning"
    BROKEN = "broken"
    GAP = "gap"
    BACKWARDS = "backwards"
    CHANGED = "changed"
    MISSING = "missing"
    UNLINKED = "unlinked"
    TWICE = "twice"
    END = "end"
    NOTED = "noted"


SENTENCES: Final = {
    Fault.BEGINNING: "the chain does not begin as it was begun",
    Fault.BROKEN: "a link does not follow from the one before",
    Fault.GAP: "links are missing before this one",
    Fault.BACKWARDS: "a record is said to be gone by retention, but one before it that is younger is there",
    Fault.CHANGED: "a record is not what its link says",
    Fault.MISSING: "a record is missing before its time",
    Fault.UNLINKED: "a record has no link",
    Fault.TWICE: "a second link of the same record",
    Fault.END: "the chain does not end where the store goes on from",
    Fault.NOTED: "a head that was noted is not in the chain",
}


class Noted(NamedTuple):
    """A head as it was written down. `chained`: the beginning of the hash, in hexadecimal digits."""

    tenant: str
    number: int
    chained: str


@dataclass(slots=True)
class Tally:
    """What is found of one tenant; every link but a beginning stands for a record: found, gone, erased or a fault."""

    links: int = 0
    found: int = 0
    gone: int = 0
    """By retention."""
    erased: int = 0
    """Looks that went with their person."""
    older: int = 0
    """Records without a link, from before the chain."""
    faults: Counter[Fault] = field(default_factory=Counter)
    where: dict[Fault, list[int]] = field(default_factory=dict)
    """Numbers of the first links with that fault."""

    def blame(self, fault: Fault, number: int | None = None, times: int = 1) -> None:
        self.faults[fault] += times
        shown = self.where.setdefault(fault, [])
        if number is not None and len(shown) < SHOWN:
            shown.append(number)


Place = tuple[str, int, int]
"""(tenant, kind, instant) of a record."""


@dataclass(slots=True)
class _Asked:
    """What has become known of the records."""

    numbers: dict[str, set[int]] = field(default_factory=dict)
    """By tenant, the links whose record is there."""
    twice: set[tuple[str, int]] = field(default_factory=set)
    strangers: Counter[Place] = field(default_factory=Counter)
    """Records without a link that are not older than the chain."""
    erased: set[bytes] = field(default_factory=set)
    """Digests of looks that went with their people."""


def verify(evidence: Evidence, notary: Notary, now: float, noted: Iterable[Noted] = ()) -> dict[str, Tally]:
    """By tenant, in the order of their names; also those of which only records are left. Raises StoreError."""
    tallies: dict[str, Tally] = {}
    asked = _ask(evidence, notary, tallies)
    by_tenant: dict[str, list[Noted]] = {}
    for head in noted:
        by_tenant.setdefault(head.tenant, []).append(head)
    ends = evidence.ends()
    known = {link.tenant for link in evidence.newest()} | tallies.keys() | by_tenant.keys() | ends.keys()
    for tenant in sorted(known | {INSTALLATION}):
        tally = tallies.setdefault(tenant, Tally())
        walk = _Walk(tenant, tally, asked, notary, int(now * 1000), by_tenant.get(tenant, ()))
        for link in evidence.links(tenant):
            walk.see(link)
        walk.end(ends.get(tenant))
    for (tenant, _, _), times in asked.strangers.items():
        if times:
            tallies[tenant].blame(Fault.UNLINKED, times=times)
    return dict(sorted(tallies.items()))


def _ask(evidence: Evidence, notary: Notary, tallies: dict[str, Tally]) -> _Asked:
    asked, begun = _Asked(), _begun(evidence, notary)
    for kind in TABLES:
        for page in evidence.records(kind):
            _ask_after(page, evidence, notary, begun, asked, tallies)
    return asked


def _begun(evidence: Evidence, notary: Notary) -> int:
    """The instant up to which a record needs no link; -1 where the chain does not say so under our key."""
    first = next(iter(evidence.links(INSTALLATION)), None)
    return first.at if first is not None and _is_beginning(first, notary) else -1


def _is_beginning(link: Link, notary: Notary) -> bool:
    said = (link.number, link.kind, link.digest)
    return _can_be(link.at) and said == (1, LinkKind.BEGINNING, notary.beginning(link.at).digest)


def _can_be(at: int) -> bool:
    """Whether it is an instant that the relay may have written."""
    return 0 <= at < 2**63


def _ask_after(
    page: Sequence[Filed], evidence: Evidence, notary: Notary, begun: int, asked: _Asked, tallies: dict[str, Tally]
) -> None:
    digests = [notary.digest(record) if _can_be(record.at) else NO_DIGEST for record in page]
    links: dict[bytes, list[Link]] = {}
    for link in evidence.links_with(digests):
        links.setdefault(link.digest, []).append(link)
    for record, digest in zip(page, digests, strict=True):
        tally = tallies.setdefault(record.tenant, Tally())
        place = (record.tenant, record.kind, record.at)
        told = links.get(digest, ()) if digest != NO_DIGEST else ()
        fitting = [link.number for link in told if (link.tenant, link.kind, link.at) == place]
        if fitting:
            tally.found += 1
            asked.numbers.setdefault(record.tenant, set()).add(fitting[0])
            asked.twice |= {(record.tenant, number) for number in fitting[1:]}
            if record.kind == LinkKind.VISITS_ERASED:
                asked.erased |= set(rows.read_visits_erased(record.body)[1])
        elif record.at <= begun:
            tally.older += 1
        else:
            asked.strangers[place] += 1


class _Walk:
    """Along one chain."""

    def __init__(
        self, tenant: str, tally: Tally, asked: _Asked, notary: Notary, now: int, noted: Sequence[Noted]
    ) -> None:
        self._tenant, self._tally, self._asked, self._notary, self._now = tenant, tally, asked, notary, now
        self._found = asked.numbers.get(tenant, set())
        self._noted: dict[int, list[Noted]] = {}
        for head in noted:
            self._noted.setdefault(head.number, []).append(head)
        self._number, self._chained = 0, start(tenant)
        self._youngest = 0
        """The instant of the youngest record so far that is there, so that its link cannot lie about it."""

    def see(self, link: Link) -> None:
        tally, number = self._tally, link.number
        tally.links += 1
        if number != self._number + 1:
            tally.blame(Fault.GAP, number)
        if link.chained != _follows(self._chained, link):
            tally.blame(Fault.BROKEN, number)
        self._about_its_record(link)
        for head in self._noted.pop(number, ()):
            if not link.chained.hex().startswith(head.chained):
                tally.blame(Fault.NOTED, number)
        self._number, self._chained = number, link.chained

    def _about_its_record(self, link: Link) -> None:
        tally, number, place = self._tally, link.number, (self._tenant, link.kind, link.at)
        if number in self._found:
            self._youngest = max(self._youngest, link.at)
        elif number == 1 and self._tenant == INSTALLATION:
            if not _is_beginning(link, self._notary):
                tally.blame(Fault.BEGINNING, number)
        elif (self._tenant, number) in self._asked.twice:
            tally.blame(Fault.TWICE, number)
        elif self._asked.strangers[place] > 0:
            self._asked.strangers[place] -= 1
            tally.blame(Fault.CHANGED, number)
        elif link.kind in _LIVES and link.at + _LIVES[link.kind] < self._now + LENIENCE:
            if link.at + BACKWARDS < self._youngest:
                tally.blame(Fault.BACKWARDS, number)
            else:
                tally.gone += 1
        elif link.kind == LinkKind.VISIT and link.digest in self._asked.erased:
            tally.erased += 1
        else:
            tally.blame(Fault.MISSING, number)

    def end(self, expected: tuple[int, bytes] | None) -> None:
        """`expected`: what the store goes on from."""
        if self._tenant == INSTALLATION and not self._tally.links:
            self._tally.blame(Fault.BEGINNING)
        if (expected or (0, start(self._tenant))) != (self._number, self._chained):
            self._tally.blame(Fault.END, self._number)
        for number, heads in self._noted.items():
            self._tally.blame(Fault.NOTED, number, len(heads))


def _follows(previous: bytes, link: Link) -> bytes | None:
    """None for what no link can say."""
    if not (0 < link.number < 2**63 and _can_be(link.at) and 0 <= link.kind < 2**15):
        return None
    return chained(previous, link.number, link.at, link.kind, link.digest)


_LIVES: Final[Mapping[int, int]] = {kind: int(LIVES[table] * 1000) for kind, table in TABLES.items()}


def counted(tallies: Mapping[str, Tally]) -> int:
    """All faults."""
    return sum(tally.faults.total() for tally in tallies.values())


def told(tally: Tally) -> Iterator[str]:
    """The faults of one tenant, in words."""
    for fault in Fault:
        if times := tally.faults[fault]:
            shown = tally.where[fault]
            more = ", …" if len(shown) == SHOWN and times > SHOWN else ""
            links = f" (link {', '.join(map(str, shown))}{more})" if shown else ""
            yield f"{fault}: {times}, {SENTENCES[fault]}{links}"
