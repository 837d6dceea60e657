"""One database for several nodes, with a clock of its own, and the ways to it; all of that can fail.

What it does is the reference (relay/store/memory_nodes.py), with which PostgreSQL is compared. Here it is a machine of
its own: what a process asks is carried there by a task that goes on when the process is stopped, or dies, and so is
what it is answered. A commit can be slow, be lost on its way, or be written and its answer lost; and half of one may
lie there when its process is stopped: it is written when that goes on, unless the process was buried. A restart ends
what is under way everywhere. What is committed stays.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Final

import trio

from bench.simulation.clock import Times
from bench.simulation.disk import USUAL, Range
from bench.simulation.stations import Station
from relay.core.batch import Batch, Feedback
from relay.journal import Executor
from relay.post_office import LOOK_EVERY
from relay.store.memory_nodes import MemoryDatabase, MemoryNode
from relay.store.port import Loaded, Purged, StoreError

WAY: Final = (0.0002, 0.002)
"""Seconds from a node to the database, least and most; and back."""
SILENCE: Final = 4.0
"""Seconds after which a server that says nothing is given up (relay/store/postgres_connection.py)."""
LOOK: Final = 0.1
WRITER, READER, LOADER, KEEPER = "writer", "reader", "loader", "keeper"


class Server(MemoryDatabase):
    """What all nodes see, and how it is at present."""

    def __init__(self, times: Times, rng: Random, nursery: trio.Nursery, moved: Callable[[], None]) -> None:
        """`moved`: told when people have another owner."""
        super().__init__(times.now)
        self.times = times
        self.rng = rng
        self.nursery = nursery
        self.way: Range = WAY
        self.seconds: Range = USUAL
        """Of a commit."""
        self.losing_commits = self.losing_answers = 0
        """So many more: of commits that are written, the answer."""
        self.is_refusing = self.is_silent = False
        self.restarts = 0
        self.stores: dict[int, NodeStore] = {}
        """By node: of all lives there were."""
        self._moved = moved
        self._lost: dict[tuple[int, int], float] = {}
        """(node, partition) → when it had that last."""
        self._known_at: dict[int, float] = {}
        """Partition → when its owner last learned of something posted."""
        self._known: tuple[int, Loaded] | None = None

    def restart(self) -> None:
        self.restarts += 1

    @property
    def is_well(self) -> bool:
        return self.way == WAY and not (self.is_refusing or self.is_silent)

    def mend(self) -> None:
        self.way, self.seconds = WAY, USUAL
        self.losing_commits = self.losing_answers = 0
        self.is_refusing = self.is_silent = False
        for store in self.stores.values():
            store.is_cut = False

    async def delivered(self) -> None:
        """Return when whatever was posted until now was fetched, and its new owner knows."""
        newest = self._posted
        while any(number <= newest for _, number, _ in self.inbox) or self._is_fetched():  # noqa: ASYNC110
            await trio.sleep(LOOK)

    def was_posted(self, partition: int, since: float) -> bool:
        """There was something for its people that their owner did not know, at some time since (trio's clock)."""
        is_posted = any(part == partition for part, _, _ in self.inbox)
        return is_posted or self._is_fetched(partition) or self._known_at.get(partition, -inf) >= since

    def learned(self, partitions: Iterable[int]) -> None:
        """Who has fetched what was posted for them knows it."""
        self._known_at.update(dict.fromkeys(partitions, trio.current_time()))

    def _is_fetched(self, partition: int | None = None) -> bool:
        """And is not known to who has fetched it; of one partition, or of any."""
        return any(
            partition in store.fetched if partition is not None else store.fetched
            for store in self.stores.values()
            if not store.is_dead
        )

    # --- the reference

    def snapshot(self) -> Loaded:
        """Made anew after each commit only: every round of every node asks for it."""
        if self._known is None or self._known[0] != self.tables.commits:
            self._known = self.tables.commits, super().snapshot()
        return self._known[1]

    def fresh(self) -> None:
        """What is read now is changed by who reads it, or has changed without a commit."""
        self._known = None

    def until(self, node: int, partition: int) -> float:
        """Until when a node had a partition (trio's clock): infinite if it has it, minus that if it never had."""
        return inf if self.owners[partition] == node else self._lost.get((node, partition), -inf)

    def write(self, node: int, batch: Batch, feedback: list[Feedback]) -> None:
        self.stores[node].written(batch)
        before = list(self.owners)
        super().write(node, batch, feedback)
        self._note(before)

    def forget(self, node: int) -> None:
        before = list(self.owners)
        super().forget(node)
        self._note(before)

    def _note(self, before: list[int | None]) -> None:
        lost = [(node, part) for part, node in enumerate(before) if node is not None and node != self.owners[part]]
        if lost:
            self._lost.update(dict.fromkeys(lost, trio.current_time()))
            self._moved()


@dataclass(slots=True)
class _Errand:
    """Something that is asked of the database."""

    name: str
    work: Callable[[], None]
    mark: int
    """What the judge's station had heard when it was drafted."""
    done: trio.Event = field(default_factory=trio.Event)
    error: BaseException | None = None


class NodeStore(MemoryNode):
    """The store of one process of a node. `trip`: told of each instant at which a death would be instructive."""

    def __init__(self, server: Server, station: Station, trip: Callable[[str], None]) -> None:
        super().__init__(server)
        self.server = server
        self.station = station
        self.is_dead = False
        self.is_cut = False
        """The way between this node and the database."""
        self.fetched: frozenset[int] = frozenset()
        """Partitions for which it has fetched something, and has not heard yet that this is written."""
        self.awake = trio.Event()
        """Set while its process runs."""
        self.awake.set()
        self.execute = self.at(WRITER)
        self._trip = trip
        self._errand: _Errand | None = None
        self._called = trio.Event()
        self.on_post = self._call

    def die(self) -> None:
        """Its process is no more; what it has asked may still be done."""
        self.is_dead = True

    def hold(self) -> None:
        """Its process is stopped from outside."""
        self.awake = trio.Event()

    # --- ways

    def at(self, name: str) -> Executor:
        """Where one thing after the other is asked."""
        lock = trio.Lock()

        async def run(work: Callable[[], None]) -> None:
            errand = _Errand(name, work, self.station.drafted())
            async with lock:
                if name == READER and self.server.is_well:
                    await self._carry(errand)  # nothing can come of it that the task of nobody would show
                else:
                    self.server.nursery.start_soon(self._carry, errand)
                    await errand.done.wait()
            if name == WRITER:
                self.server.learned(self.fetched)
                self.fetched = frozenset()
            if errand.error is not None:
                raise errand.error

        return run

    async def listen(self, wait: Callable[[], None]) -> None:
        """As a thread that waits for a call: it comes, or it does not."""
        self._called = trio.Event()
        if not self.is_called:
            with trio.move_on_after(LOOK_EVERY):
                await self._called.wait()
        if self.is_called:
            wait()

    def _call(self) -> None:
        self._called.set()

    async def _carry(self, errand: _Errand) -> None:
        """In a task that is nobody's: there, and back."""
        server, restarts, commits = self.server, self.server.restarts, self._commits
        is_there = await self._arrives(errand) and restarts == server.restarts
        if self.is_dead and server.rng.random() < 0.5:
            return
        self._do(errand, is_there=is_there)
        has_committed = self._commits > commits
        if has_committed:
            self._trip("synced")
        elif errand.name == KEEPER and errand.error is None:
            self._trip("renewed")
        if errand.error is None and not (await self._answers(errand, has_committed) and restarts == server.restarts):
            self.is_outdated = self.is_outdated or has_committed
            # The store forgives itself what else its writer does, and that it cannot tell that it leaves (meanwhile a
            # commit that nobody waits for any more may be written).
            is_farewell = errand.work in (self.retire, self.leave)
            if not is_farewell and (has_committed or errand.name != WRITER):
                errand.error = StoreError("the database cannot be reached")
        errand.done.set()

    async def _arrives(self, errand: _Errand) -> bool:
        server = self.server
        await trio.sleep(server.rng.uniform(*server.way))
        if errand.name != WRITER:
            return await self._is_open()
        self._trip("written")
        await trio.sleep(server.rng.uniform(*server.seconds))
        if not self.is_dead and not self.awake.is_set() and server.rng.random() < 0.5:
            await self.awake.wait()  # half of it lies there
        if server.losing_commits:
            server.losing_commits -= 1
            return False
        return await self._is_open()

    async def _answers(self, errand: _Errand, has_committed: bool) -> bool:
        server = self.server
        if errand.name == WRITER or not server.is_well:
            await trio.sleep(server.rng.uniform(*server.way))
        if has_committed and server.losing_answers:
            server.losing_answers -= 1
            return False
        return await self._is_open()

    async def _is_open(self) -> bool:
        if self.server.is_silent or self.is_cut:
            await trio.sleep(SILENCE)
        return not (self.server.is_refusing or self.server.is_silent or self.is_cut)

    def _do(self, errand: _Errand, *, is_there: bool) -> None:
        self.is_away, self._errand = not is_there, errand
        try:
            errand.work()
        except Exception as error:  # whoever has asked gets it
            errand.error = error
        finally:
            self.is_away, self._errand = False, None

    # --- the reference

    def _begin(self, node: int, *, is_shared: bool) -> None:
        super()._begin(node, is_shared=is_shared)
        self.station.node = node
        self.server.stores[node] = self

    def load_parts(self, parts: Collection[int]) -> Loaded:
        self.server.fresh()
        loaded = super().load_parts(parts)
        self.server.fresh()
        return loaded

    def purge(self, now: float, limit: int) -> Purged:
        self.server.fresh()
        return super().purge(now, limit)

    def written(self, batch: Batch) -> None:
        """The database is about to write this."""
        self.fetched = frozenset(part for part, _ in batch.fetched)
        mark = None if self.is_dead or self._errand is None else self._errand.mark
        self.station.durable(batch, mark)
