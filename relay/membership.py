"""Membership: being one of the nodes that share a store, each with the people of its partitions in memory.

Theory of operation. Several times a second this node renews its lease, and does its part of burying and balancing
(store/postgres_nodes.py); what it is told then is how things are (`standing`). Partitions that have become ours are
*adopted*: their people are read, and their slots worked out as at a start. Partitions that another node asks for are
*handed over*: their people are frozen, so that nothing begins for them; what is under way is waited for, a short while;
and the commit that lets them go is the last one that can hold anything of them (`Journal.release`). In between nobody
is without an owner who could be asked, and nobody has two: whoever asks for one who is just moving is asked to wait.

Law: a person is in the memory of the owner and of no other node; the owner is whoever the database says; what is done
for people is done by their owner, or posted for it.

What operators hold back, and how many nodes share a provider's quota, is looked at in the same round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, TypeVar

import structlog
import trio

from relay.clock import Clock
from relay.core.errors import Overloaded, Unavailable
from relay.core.halts import Halt
from relay.core.partitions import part_of
from relay.core.people import People, Person
from relay.core.private import UserKey
from relay.journal import Executor, Journal
from relay.store.port import Loaded, SharedStore, StaleEpoch, Standing, StoreError
from relay.tenure import EVERY, Tenure

HAND_OVER: Final = 2.0
"""Seconds for which answers are waited for before people are handed over; later ones book nothing, and the new owner
sends again."""
AGAIN: Final = 0.1
"""Seconds between two attempts to let them go."""
LOOK: Final = 0.02
"""Seconds between two looks whether they have come."""

T = TypeVar("T")
log = structlog.get_logger()


class Owner(NamedTuple):
    """Another node that has somebody: its number, and where it is asked."""

    node: int
    address: str


@dataclass(frozen=True, slots=True)
class Circle:
    """What belongs to it. `touched` is told of people to be worked out anew."""

    adopt: Callable[[Loaded, frozenset[int]], Sequence[Person]]
    """Take in people of partitions. Raises StoreMismatch."""
    touched: Callable[[Sequence[Person]], None]
    nodes: Callable[[int], None]
    """How many nodes there are."""


class Membership:
    """To be made when the store was joined. `keeper`, `loader`: where it is asked, each for one thing at a time."""

    def __init__(
        self, people: People, journal: Journal, store: SharedStore, tenure: Tenure, clock: Clock, circle: Circle,
        keeper: Executor, loader: Executor, node: int,
    ) -> None:  # fmt: skip
        self._people = people
        self._journal = journal
        self._store = store
        self._tenure = tenure
        self._clock = clock
        self._circle = circle
        self._keep, self._load = keeper, loader
        self._moving: set[int] = set()
        """Partitions that are being adopted or handed over."""
        self.standing: Standing | None = None
        self.looked = trio.Event()
        """Set by every round, and replaced."""
        people.owned, people.node = frozenset(), node

    @property
    def owned(self) -> frozenset[int]:
        return self._people.owned

    @property
    def count(self) -> tuple[int, int]:
        """(nodes that are alive, partitions of ours)."""
        return (0 if self.standing is None else len(self.standing.addresses)), len(self._people.owned)

    def owner_of(self, user: UserKey) -> Owner | None:
        """The node that has somebody; None: this one, or nobody has just now."""
        standing = self.standing
        owner = standing.owners[part_of(user)] if standing is not None else None
        if standing is None or owner is None or owner == standing.node or owner not in standing.addresses:
            return None
        return Owner(owner, standing.addresses[owner])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look after it until cancelled; started when what is ours at the beginning has been read.

        Raises StaleEpoch when this node was buried.
        """
        async with trio.open_nursery() as nursery:
            is_first = True
            while True:
                asked_at, clock_then = trio.current_time(), self._clock.now()
                owned, halts = self._people.owned, dict(self._people.halts)
                try:
                    standing: Standing | None = await _asked(self._keep, self._store.tend)
                except StaleEpoch:
                    raise
                except StoreError:
                    standing = None
                else:
                    self._tenure.renewed(asked_at, clock_then)
                self._tenure.tell()
                if standing is not None:
                    self._see(standing, owned, nursery)
                    if halts == self._people.halts:
                        self._halt(standing.halts)
                if is_first and standing is not None:
                    while self._moving:  # noqa: ASYNC110 (for some hundredths of a second, once)
                        await trio.sleep(LOOK)
                    task_status.started()
                    is_first = False
                await trio.sleep_until(asked_at + EVERY)

    def _see(self, standing: Standing, had: frozenset[int], nursery: trio.Nursery) -> None:
        """`had`: what was ours when this was asked for. What is not any more was let go since: the answer is older."""
        if self.standing is None or len(self.standing.addresses) != len(standing.addresses):
            log.info("nodes", count=len(standing.addresses))
            self._circle.nodes(len(standing.addresses))
        self.standing = standing
        looked, self.looked = self.looked, trio.Event()
        looked.set()
        self._people.remember_bypasses(standing.bypasses)
        let_go = had - self._people.owned
        new = standing.owned - self._people.owned - self._moving - let_go
        if new:
            self._moving |= new
            nursery.start_soon(self._adopt, new)
        wanted = (standing.wanted & self._people.owned) - self._moving
        if wanted:
            self._moving |= wanted
            nursery.start_soon(self._hand_over, wanted)

    def _halt(self, halts: Mapping[int, Halt]) -> None:
        """Number 0 is ours alone (the clock is wrong)."""
        known = {number: halt for number, halt in self._people.halts.items() if number}
        if known == halts:
            return
        self._people.halt({**dict.fromkeys(known), **halts})
        self._circle.touched([person for person in self._people.by_key.values() if person.slots])

    # --- moving

    async def _adopt(self, parts: frozenset[int]) -> None:
        loaded: Loaded | None = None
        try:
            loaded = await _asked(self._load, partial(self._store.load_parts, parts))
        except StoreError as error:  # the next round tries again
            log.error("partitions_not_read", partitions=len(parts), reason=str(error))
        self._moving -= parts
        if loaded is not None:
            persons = self._circle.adopt(loaded, parts)
            log.info("partitions_adopted", partitions=len(parts), people=len(persons))

    async def _hand_over(self, parts: frozenset[int]) -> None:
        people = [person for key, person in self._people.by_key.items() if part_of(key) in parts]
        for person in people:
            person.frozen = True
        with trio.move_on_after(HAND_OVER):
            while any(person.flights for person in people):  # noqa: ASYNC110 (nobody is told of each)
                await trio.sleep(LOOK)
        while not await self._let_go(parts):  # noqa: ASYNC110 (until the store works again)
            await trio.sleep(AGAIN)
        self._moving -= parts
        log.info("partitions_handed_over", partitions=len(parts), people=len(people))

    async def _let_go(self, parts: frozenset[int]) -> bool:
        """False: it is not known. What failed may be written, and somebody else have these people: they stay frozen."""
        try:
            await self._journal.release(parts)
        except (Unavailable, Overloaded):
            return False
        return True


async def _asked(where: Executor, ask: Callable[[], T]) -> T:
    found: list[T] = []
    await where(lambda: found.append(ask()))
    return found[0]
