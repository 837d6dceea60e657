"""The journal: everything that changes the working set goes through one writer, batch by batch.

Theory of operation. Doors and lanes queue operations; the writer takes those whose turn it is (waiting.py), drafts one
batch (accepts first, then settles, then edits), commits it in the store's thread, applies it in memory and wakes who
waits. It commits as soon as it is free, so a batch is what arrived during the last commit: at low load one event and
its own fsync, at high load hundreds of events per fsync. There is no timer to tune.

Law: nothing is answered before the commit that holds it; memory holds only what is committed; a failed commit answers
503 to its waiters and keeps the verdicts for the next one.

Rejected: a commit per request (one fsync each), a fixed commit interval (latency when idle, too small when busy), a
channel per request (8-10 µs a hop, where an event costs two).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import trio

from relay.clock import Clock
from relay.core import accepting, fetching, settling, tracing
from relay.core.abroad import Abroad
from relay.core.batch import Batch, Bypass, Feedback, Fetched
from relay.core.draft import Draft
from relay.core.errors import Elsewhere, Overloaded, Unavailable
from relay.core.events import Accepted, Event, Request
from relay.core.flight import Flight, Settlement
from relay.core.halts import Act
from relay.core.passes import Visit
from relay.core.people import People, Person
from relay.core.private import UserKey
from relay.core.tables import Tables
from relay.core.tenants import Tenant
from relay.store.port import FeedbackRange, StaleEpoch, StoreError
from relay.waiting import Operation, WaitingRoom

SETTLE_CHUNK: Final = 1_000
"""Most verdicts of one batch: an event that comes meanwhile waits for its end, 20 ms perhaps."""
RIDE_ALONG: Final = 250
"""Most verdicts of a batch that somebody waits for."""
MAX_REMEMBERED: Final = 1_000_000
"""Most Idempotency-Keys remembered at a time (about 300 bytes each); alarms, which need one, may use twice as many."""
BUSY: Final = 200
"""Verdicts of one batch from which on the next ones are gathered: each slot is then written once, not per device."""
GATHER: Final = 0.03
"""Seconds for which verdicts that nobody waits for are gathered."""
IDLE: Final = 1.0
"""Seconds without work after which the store may tidy up."""
RETRY_AFTER_FAILURE: Final = (0.05, 0.1, 0.25, 0.5, 1.0)
"""Seconds between attempts to commit verdicts while the store fails."""

T = TypeVar("T")
Executor = Callable[[Callable[[], None]], Awaitable[None]]


async def inline(commit: Callable[[], None]) -> None:
    """Executor for virtual time: run in the loop's own thread, with the same checkpoint a thread hop has."""
    await trio.lowlevel.checkpoint()
    commit()


def in_thread() -> Executor:
    """Executor for real time: one thread at a time, so that the store sees its calls one after the other."""
    limiter = trio.CapacityLimiter(1)

    async def run(commit: Callable[[], None]) -> None:
        await trio.to_thread.run_sync(commit, limiter=limiter)

    return run


class Journaled(Protocol):
    """The part of a store the journal needs."""

    def commit(self, batch: Batch) -> None: ...

    def feedback(self, tenant: str, after: int, limit: int) -> Sequence[Feedback]: ...

    def feedback_range(self, tenant: str) -> FeedbackRange: ...

    def bypasses_of(self, tenant: str, wanted: Callable[[Bypass], bool], limit: int) -> Sequence[Bypass]: ...

    def acts(self, limit: int) -> Sequence[Act]: ...

    def visits(self, user: UserKey, limit: int) -> Sequence[Visit]: ...

    def idle(self) -> None:
        """Nothing has been waiting for a while: a good moment for housekeeping."""


@dataclass(frozen=True, slots=True)
class JournalStatistics:
    commits: int
    failures: int
    waiting: int
    """Recipients waiting for the next commit."""
    unsettled: int
    """Verdicts waiting for a commit, or for the end of the one that holds them."""
    healthy: bool
    """The last commit succeeded."""


class Journal:
    """The one writer. `applied` is called with the persons touched, after each commit.

    `reader`: where feedback is read, so that it need not wait for commits; None: where they run.
    """

    def __init__(
        self,
        people: People,
        store: Journaled,
        tables: Tables,
        clock: Clock,
        *,
        epoch: int,
        executor: Executor,
        applied: Callable[[Sequence[Person]], None],
        reader: Executor | None = None,
    ) -> None:
        self.people = people
        self._store = store
        self._tables = tables
        self._clock = clock
        self._epoch = epoch
        self._execute = executor
        self._read = reader or executor
        self._told: dict[str, trio.Event] = {}
        self._applied = applied
        self._waiting = WaitingRoom(len(people.tenants))
        self._accepted: deque[Flight] = deque()
        self._settlements: deque[Settlement] = deque()
        self._expired: deque[tuple[Person, str]] = deque()
        self._expiring: set[tuple[Person, str]] = set()
        """The same: a slot is told of each time its person is looked at."""
        self._wake = trio.Event()
        self._hurry = trio.Event()
        """Set when somebody waits for the next commit, or it is full."""
        self._closing = False
        self.closed = trio.Event()
        """Set when `run` has returned: everything taken is committed, or refused."""
        self._settled = 0
        """Verdicts "accepted" of the last commit."""
        self._writing = 0
        """Verdicts of the commit under way."""
        self._commits = 0
        self._failures = 0
        self._healthy = True

    # --- what doors ask

    def knock(self, tenant: Tenant) -> None:
        """Before a request, no alarm, is read. Raises Overloaded when that would be in vain."""
        self._waiting.knock(tenant.name, trio.current_time())

    async def accept(
        self, tenant: Tenant, events: Sequence[Event], request: Request | None, abroad: Abroad | None = None
    ) -> Accepted:
        """Take events; return after the commit. Raises IdempotencyMismatch, Moved, Overloaded, Unavailable.

        Who is named several times by an event weighs once: a commit costs by people.
        """
        weight = 1 + sum(len(set(event.users)) for event in events)
        urgent = any(event.event_class.is_urgent for event in events)
        if request is not None and len(self.people.remembered) >= MAX_REMEMBERED * (2 if urgent else 1):
            raise Overloaded(retry_after=60)
        operation = Operation(
            tenant.name, lambda draft: accepting.accept(draft, tenant, events, request, abroad), weight, is_edit=False
        )
        return await self._committed(operation, urgent=urgent)

    async def seen(
        self, tenant: Tenant, marks: Sequence[tuple[UserKey, float]], active: Mapping[UserKey, float] = settling.NOBODY
    ) -> None:
        """Cancel what the users have read. Raises Overloaded, Unavailable."""
        await self.edit(tenant, lambda draft: settling.seen(draft, tenant, marks, active), weight=len(marks))

    async def edit(
        self, tenant: Tenant, draw: Callable[[Draft], T], *, about: UserKey | None = None, weight: int = 1
    ) -> T:
        """Draft and commit one edit; return its result. Raises what `draw` raises, Overloaded, Unavailable.

        `about`: whom it is about; Elsewhere is raised if another node has that person when its turn comes.
        """

        def at_home(draft: Draft) -> T:
            if about is not None and not draft.people.owns(about):
                raise Elsewhere(about)
            return draw(draft)

        return await self._committed(Operation(tenant.name, at_home, weight, is_edit=True), urgent=False)

    async def fetch(self, fetched: Sequence[Fetched]) -> int:
        """Take what other nodes have posted for our people; how many. Raises Unavailable."""
        draw = partial(fetching.fetch, fetched=fetched)
        return await self._committed(Operation("", draw, len(fetched), is_edit=True), urgent=True)

    async def release(self, parts: frozenset[int]) -> None:
        """Let another node have these partitions: what was drafted before is in that commit, or in an earlier one."""

        def draw(draft: Draft) -> None:
            draft.batch.released |= parts & draft.people.owned

        await self._committed(Operation("", draw, 1, is_edit=True), urgent=True)

    async def operate(self, draw: Callable[[Draft], T]) -> T:
        """Draft and commit what an operator does; it overtakes what waits. Raises as `edit` does."""
        return await self._committed(Operation("", draw, 1, is_edit=True), urgent=True)

    async def _committed(self, operation: Operation[T], *, urgent: bool) -> T:
        if self._closing:
            raise Unavailable(retry_after=5)
        self._waiting.enter(operation, trio.current_time(), urgent=urgent)
        self._wake.set()
        self._hurry.set()
        await operation.done.wait()
        if operation.error is not None:
            raise operation.error
        return operation.result  # type: ignore[return-value]  # set by draft(), None only where T is None

    # --- what is told back

    async def feedback(self, tenant: Tenant, after: int, limit: int) -> tuple[Sequence[Feedback], FeedbackRange]:
        """What the store tells of a tenant's devices. Raises Unavailable."""

        def read() -> tuple[Sequence[Feedback], FeedbackRange]:
            return self._store.feedback(tenant.name, after, limit), self._store.feedback_range(tenant.name)

        return await self._asked(read)

    async def bypasses(self, tenant: Tenant, wanted: Callable[[Bypass], bool], limit: int) -> Sequence[Bypass]:
        """Records of a tenant, newest first; `wanted` is asked where the store is read. Raises Unavailable."""
        return await self._asked(lambda: self._store.bypasses_of(tenant.name, wanted, limit))

    async def acts(self, limit: int) -> Sequence[Act]:
        """What operators did, newest first. Raises Unavailable."""
        return await self._asked(lambda: self._store.acts(limit))

    async def visits(self, user: UserKey, limit: int) -> Sequence[Visit]:
        """Who was shown somebody's rest, newest first. Raises Unavailable."""
        return await self._asked(lambda: self._store.visits(user, limit))

    async def _asked(self, read: Callable[[], T]) -> T:
        """What the store's reader finds. Raises Unavailable."""
        found: list[T] = []
        try:
            await self._read(lambda: found.append(read()))
        except StoreError:
            raise Unavailable(retry_after=5) from None
        return found[0]

    def told(self, tenant: Tenant) -> trio.Event:
        """Set by the next commit that writes feedback of this tenant. To be asked for before reading."""
        return self._told.setdefault(tenant.name, trio.Event())

    def hush(self) -> None:
        """Nobody need wait for feedback any more."""
        self._tell(list(self._told))

    def _tell(self, tenants: Iterable[str]) -> None:
        for name in tenants:
            told = self._told.pop(name, None)
            if told is not None:
                told.set()

    # --- what lanes and the dispatcher report

    def settle_accepted(self, flights: Sequence[Flight]) -> None:
        self._accepted.extend(flights)
        self._wake.set()
        if len(self._accepted) >= SETTLE_CHUNK:
            self._hurry.set()

    def settle(self, settlements: Sequence[Settlement]) -> None:
        self._settlements.extend(settlements)
        self._wake.set()

    def expire(self, person: Person, names: Sequence[str]) -> None:
        for told in ((person, name) for name in names):
            if told not in self._expiring:
                self._expiring.add(told)
                self._expired.append(told)
        self._wake.set()

    async def housekeep(self, work: Callable[[], None]) -> None:
        """Run something on the store between two commits, in the store's thread. Errors of the store are forgiven."""

        def forgiving() -> None:
            try:
                work()
            except StoreError:
                pass

        await self._execute(forgiving)

    def close(self) -> None:
        """Take nothing more; `run` returns when all that was taken is committed."""
        self._closing = True
        self._wake.set()
        self._hurry.set()

    def statistics(self) -> JournalStatistics:
        unsettled = len(self._accepted) + len(self._settlements) + len(self._expired) + self._writing
        return JournalStatistics(self._commits, self._failures, self._waiting.weight, unsettled, self._healthy)

    # --- the writer

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Commit batches until closed and empty. Raises StaleEpoch when another node owns the partition."""
        task_status.started()
        try:
            while True:
                if self._is_empty():
                    if self._closing:
                        return
                    await self._wait_for_work()
                    if self._healthy:
                        continue
                elif self._settled >= BUSY:
                    await self._gather()
                await self._commit_one()
        finally:
            self._refuse_waiters()
            self.closed.set()

    def _is_empty(self) -> bool:
        return self._waiting.is_empty and not (self._accepted or self._settlements or self._expired)

    async def _wait_for_work(self) -> None:
        """Return when there is work; or, after a failure, when it is time to try whether the store works again: nobody
        might ask as long as we say that it does not."""
        self._wake = trio.Event()
        with trio.move_on_after(IDLE):
            await self._wake.wait()
            return
        if not self._healthy:
            return
        await self._execute(self._store.idle)
        if not self._wake.is_set():
            await self._wake.wait()

    async def _gather(self) -> None:
        """Let verdicts come together while the lanes are busy, unless somebody waits for the next commit.

        It costs nobody anything: a crash repeats at most what was in flight and one batch of verdicts.
        """
        self._hurry = trio.Event()
        if self._closing or not self._waiting.is_empty or len(self._accepted) >= SETTLE_CHUNK:
            return
        with trio.move_on_after(GATHER):
            await self._hurry.wait()

    async def _commit_one(self) -> None:
        operations = self._waiting.leave(trio.current_time())
        most = RIDE_ALONG if operations else SETTLE_CHUNK
        accepted = _take(self._accepted, most)
        settlements = _take(self._settlements, most - len(accepted))
        expired = _take(self._expired, most)
        self._writing = len(accepted) + len(settlements) + len(expired)
        try:
            draft = self._draft(operations, accepted, settlements, expired)
            if not (draft.batch.is_empty and self._healthy):
                await self._execute(lambda: self._store.commit(draft.batch))
        except BaseException as error:
            _refuse(operations)
            if isinstance(error, StaleEpoch) or not isinstance(error, StoreError):
                raise  # another owner, cancelled, or a fault of ours: `run` ends
            self._accepted.extendleft(reversed(accepted))
            self._settlements.extendleft(reversed(settlements))
            self._expired.extendleft(reversed(expired))
            self._writing = 0
            await self._wait_after_failure()
            return
        self._expiring.difference_update(expired)
        self._writing = 0
        self._settled = len(accepted)
        self._commits += 1
        self._failures = 0
        self._healthy = True
        if self.people.traces.open:
            tracing.saw(draft, accepted, settlements, expired)
        touched = draft.apply()
        if self.people.trials.open:
            self.people.trials.saw(accepted, settlements, draft.now)
        for operation in operations:
            operation.done.set()
        self._tell({record.tenant for record in draft.batch.feedback})
        self._applied(touched)
        self._waiting.written(trio.current_time())

    def _draft(
        self,
        operations: list[Operation[Any]],
        accepted: list[Flight],
        settlements: list[Settlement],
        expired: list[tuple[Person, str]],
    ) -> Draft:
        draft = Draft(self.people, self._clock.now(), self._tables)
        draft.batch.epoch = self._epoch
        for operation in operations:
            if not operation.is_edit:
                operation.draft(draft)
        settling.settle_accepted(draft, accepted)
        settling.settle(draft, settlements)
        for person, name in expired:
            settling.expire(draft, person, name)
        for operation in operations:
            if operation.is_edit:
                operation.draft(draft)
        return draft

    def _refuse_waiters(self) -> None:
        self._closing = True
        while not self._waiting.is_empty:
            _refuse(self._waiting.leave(trio.current_time()))

    async def _wait_after_failure(self) -> None:
        step = RETRY_AFTER_FAILURE[min(self._failures, len(RETRY_AFTER_FAILURE) - 1)]
        self._failures += 1
        self._healthy = False
        await trio.sleep(step)


def _refuse(operations: Iterable[Operation[Any]]) -> None:
    """Nothing of this batch was written: say so to everybody who waits for it."""
    for operation in operations:
        operation.refuse(Unavailable(retry_after=5))


def _take(queue: deque[T], limit: int) -> list[T]:
    return [queue.popleft() for _ in range(min(limit, len(queue)))]
