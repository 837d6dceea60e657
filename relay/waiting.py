"""What waits for the next commit, and whose turn it is.

Requests arrive faster than commits end, so they stand in line; at low load the line is empty and a commit holds one of
them. A batch is bounded in recipients, because everybody who comes while it is written waits for its end. It takes
alarms first, and then one request of each tenant in turn: a tenant that floods the door delays itself. With alarms it
takes few others: they would be written beside them, and the alarms wait for that; a large request stands back once, and
goes with the next batch, alarms or not. The room is bounded too: beyond it the door says 429. Where there are several
tenants, none may fill more than three quarters of it, so the others are still let in; alarms have twice the room.

Whoever is refused is told when to come back: what stands in line, at the pace at which recipients have left it lately.
Only a batch that left somebody behind tells of the pace, for else the writer has waited and not worked. A tenant whose
own share is full waits for its own part of the line, which moves at every turn of its own. Until a tenth of the room is
free again, what it sends is refused before it is read (`knock`): reading is most of the work of a request, and spent on
those that are refused it would be lacking for those that were taken. Alarms are always read.

Alarms apart, requests of one tenant leave in their order. Within a batch events are drafted before edits; who needs one
after the other waits for the answer to the first.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import trio

from relay.core.draft import Draft
from relay.core.errors import Elsewhere, Overloaded, RelayError

MAX_WAITING: Final = 100_000
"""Most recipients that may wait for a commit."""
SHARE: Final = 0.75
"""Part of it that one of several tenants may fill."""
BATCH: Final = 8_000
"""Recipients from which on a batch takes no further request; one request may have more."""
BESIDE_ALARMS: Final = 500
"""The same for what is no alarm in a batch with alarms. Not none: a stream of alarms would hold up everybody else. A
request that is larger itself is not begun there, unless it has stood back for the batch before."""
REOPENS: Final = 0.9
"""Part of a room that was too small for a request, up to which it must be empty before the next one is read."""
SOONEST, LATEST = 1, 60
"""Whole seconds after which one who was refused is asked to come back, at least and at most."""
ASSUMED: Final = 20_000.0
"""Recipients per second, as long as no batch has told."""
MEMORY: Final = 5.0
"""Seconds of work after which what they told counts for a third."""

T = TypeVar("T")


class Pace:
    """How fast recipients leave the line, older batches fading. `now`: seconds of a clock that is never set back."""

    __slots__ = ("_began", "_counts", "_recipients", "_seconds", "_under_way")

    def __init__(self) -> None:
        self._recipients = self._seconds = self._began = 0.0
        self._under_way = 0
        """Recipients of the batch that is being written; 0 when none is."""
        self._counts = False

    def begins(self, recipients: int, now: float, *, counts: bool) -> None:
        """A batch leaves the line. It counts when it leaves others behind."""
        self._under_way, self._began, self._counts = recipients, now, counts

    def ended(self, now: float) -> None:
        """It is written."""
        if self._counts:
            took = max(0.0, now - self._began)
            fade = math.exp(-took / MEMORY)
            self._recipients = self._recipients * fade + self._under_way
            self._seconds = self._seconds * fade + took
        self._under_way = 0

    def seconds(self, recipients: int, now: float) -> int:
        """Until so many more have left, in whole seconds. A batch that is late may take as long again."""
        each = self._seconds / self._recipients if self._seconds else 1 / ASSUMED
        rest = 0.0
        if self._under_way:
            since = now - self._began
            rest = self._under_way * each - since if since <= self._under_way * each else since
        return max(SOONEST, min(LATEST, math.ceil(rest + recipients * each)))


class Operation(Generic[T]):
    """Something to draft, and where its result goes. `weight`: recipients it stands for. Edits are drafted last."""

    __slots__ = ("done", "draw", "error", "is_edit", "result", "tenant", "weight")

    def __init__(self, tenant: str, draw: Callable[[Draft], T], weight: int, *, is_edit: bool) -> None:
        self.tenant = tenant
        self.draw = draw
        self.weight = weight
        self.is_edit = is_edit
        self.done = trio.Event()
        self.result: T | None = None
        self.error: RelayError | None = None

    def draft(self, draft: Draft) -> None:
        """Operations refuse before they change anything, so a refused one leaves the draft as it was."""
        try:
            self.result = self.draw(draft)
        except RelayError as error:
            self.error = error

    def refuse(self, error: RelayError) -> None:
        """Nothing of its batch was written. Nor need what was found wrong with it be true: perhaps it was so only after
        another one of the batch, as when a device is deleted twice. That somebody is elsewhere no batch changes."""
        if not isinstance(self.error, Elsewhere):
            self.error = error
        self.done.set()


class WaitingRoom:
    """The lines of all tenants."""

    __slots__ = ("_alarms", "_lines", "_pace", "_refused", "_share", "_stood_back", "_weights", "weight")

    def __init__(self, tenants: int) -> None:
        self._pace = Pace()
        self._share = SHARE if tenants > 1 else 1.0
        self._alarms: deque[Operation[Any]] = deque()
        self._lines: dict[str, deque[Operation[Any]]] = {}
        """By tenant; the first one is next."""
        self._weights: Counter[str] = Counter()
        self._refused: set[str] = set()
        """Tenants for whose last request there was no room."""
        self._stood_back = False
        """A large request was not taken into the batch that left last."""
        self.weight = 0
        """Recipients that wait."""

    @property
    def is_empty(self) -> bool:
        return not (self._lines or self._alarms)

    def knock(self, tenant: str, now: float) -> None:
        """Raises Overloaded for a request, no alarm, that need not be read."""
        if tenant not in self._refused:
            return
        mine, room = self._weights[tenant], MAX_WAITING * REOPENS
        if self.weight > room:
            raise Overloaded(self._pace.seconds(self.weight, now))
        if mine > room * self._share:
            raise Overloaded(self._until_own_turns(mine, now))
        self._refused.discard(tenant)

    def enter(self, operation: Operation[Any], now: float, *, urgent: bool) -> None:
        """Stand in line. One operation always fits, however large. Raises Overloaded. `now` as of Pace."""
        room = MAX_WAITING * (2 if urgent else 1)
        tenant, mine = operation.tenant, self._weights[operation.tenant]
        is_full = self.weight and self.weight + operation.weight > room
        if is_full or (mine and mine + operation.weight > room * self._share):
            self._refused.add(tenant)
            raise Overloaded(self._pace.seconds(self.weight, now) if is_full else self._until_own_turns(mine, now))
        self.weight += operation.weight
        self._weights[tenant] += operation.weight
        line = self._alarms if urgent else self._lines.setdefault(tenant, deque())
        line.append(operation)

    def leave(self, now: float) -> list[Operation[Any]]:
        """Those whose turn it is. Call `written` once they are."""
        batch: list[Operation[Any]] = []
        weight = others = 0
        most = BESIDE_ALARMS if self._alarms else BATCH
        may_stand_back, self._stood_back = bool(self._alarms) and not self._stood_back, False
        while weight < BATCH and (self._alarms or (self._lines and others < most)):
            is_alarm = bool(self._alarms)
            if may_stand_back and not is_alarm and self._first().weight > BESIDE_ALARMS:
                self._stood_back = True
                break
            operation = self._alarms.popleft() if is_alarm else self._next()
            batch.append(operation)
            weight += operation.weight
            others += 0 if is_alarm else operation.weight
            self._weights[operation.tenant] -= operation.weight
        self.weight -= weight
        self._pace.begins(weight, now, counts=not self.is_empty)
        return batch

    def written(self, now: float) -> None:
        """The batch that left last is durable."""
        self._pace.ended(now)

    def _until_own_turns(self, mine: int, now: float) -> int:
        """Seconds until a tenant's part of the line has left, when each tenant in line has as many turns."""
        return self._pace.seconds(mine * max(1, len(self._lines)), now)

    def _first(self) -> Operation[Any]:
        return next(iter(self._lines.values()))[0]

    def _next(self) -> Operation[Any]:
        """The next tenant's first; the tenant stands behind the others then."""
        tenant = next(iter(self._lines))
        line = self._lines.pop(tenant)
        operation = line.popleft()
        if line:
            self._lines[tenant] = line
        return operation
