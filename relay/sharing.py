"""Sharing: what a relay has beside its other parts when it is one of several nodes on a database.

membership   which people are ours; adopts and hands over        (membership.py)
office       fetches what was posted for them by other nodes     (post_office.py)
neighbours   sends on what only another node can answer          (neighbours.py)
door         answers what other nodes send on to us
tenure       until when we may believe all that                  (tenure.py)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import trio

from relay.clock import Clock
from relay.core.people import Person
from relay.doors.http1 import Limits, Server
from relay.doors.listening import CrowdListener
from relay.doors.problems import refusal
from relay.journal import Executor, Journal
from relay.loading import Household, adopt, bring_back
from relay.membership import Circle, Membership
from relay.neighbours import Engine, Here, Neighbours, NodeDoor, Post
from relay.post_office import PostOffice
from relay.store.port import Loaded, SharedStore
from relay.tenure import Tenure

OVERHEAD: Final = 64 * 1024
"""Bytes that a request has more where one node sends it to another."""
Told = Callable[[Sequence[Person]], None]


@dataclass(frozen=True, slots=True)
class Sharing:
    """`keeper`, `loader`, `reader`, `listener`: where the store is asked, each for one thing at a time."""

    store: SharedStore
    tenure: Tenure
    post: Post
    """How another node is asked."""
    doors: Sequence[trio.SocketListener]
    """Where the others ask this one; in tests nowhere."""
    keeper: Executor
    loader: Executor
    reader: Executor
    listener: Executor


class Shared:
    """`touched`: people to be worked out anew; `nudge`: wakeups may leave again; `share`: how many nodes there are."""

    def __init__(
        self,
        sharing: Sharing,
        household: Household,
        journal: Journal,
        clock: Clock,
        epoch: int,
        *,
        touched: Told,
        nudge: Callable[[], None],
        share: Callable[[int], None],
    ) -> None:
        self._sharing = sharing
        self._household = household
        self._clock = clock
        self._node = epoch
        self._touched = touched
        self._asked: NodeDoor | None = None
        self.door: Server | None = None
        people, store = household.people, sharing.store
        self.membership = Membership(
            people, journal, store, sharing.tenure, clock, Circle(self._adopt, touched, share), sharing.keeper,
            sharing.loader, epoch,
        )  # fmt: skip
        self.neighbours = Neighbours(self.membership, store, household.seals, clock, sharing.post, sharing.reader)
        self.office = PostOffice(people, journal, store, listener=sharing.listener, reader=sharing.reader)
        sharing.tenure.goes_on = nudge

    def open(self, here: Here, engine: Engine, limits: Limits, failed: Callable[[BaseException], None]) -> None:
        """What the other nodes ask is answered by these."""
        household = self._household
        self._asked = NodeDoor(self._node, household.seals, self._clock, here, engine, household.tenants, failed)
        self.door = Server(self._asked, refusal, replace(limits, body=limits.body + OVERHEAD))

    def _adopt(self, loaded: Loaded, parts: frozenset[int]) -> Sequence[Person]:
        people = adopt(self._household.people, loaded, parts)
        self._household.check(people)
        bring_back(self._household.people, self._clock.now())
        self._touched([person for person in people if person.slots])
        self.office.call()
        return people

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled; started when what is ours at the beginning has come. Raises StaleEpoch."""
        async with trio.open_nursery() as nursery:
            if self.door is not None and self._sharing.doors:
                await nursery.start(partial(self.door.run, [CrowdListener(each) for each in self._sharing.doors]))
            await nursery.start(self.neighbours.run)
            await nursery.start(self.membership.run)
            await nursery.start(self.office.run)
            task_status.started()

    async def retire(self) -> None:
        """This node is about to leave."""
        if self._asked is not None:
            self._asked.is_leaving = True
        await self._sharing.keeper(self._sharing.store.retire)
