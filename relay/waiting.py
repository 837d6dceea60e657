"""What waits for the next commit, and whose turn it is.

Requests arrive faster than commits end, so they stand in line; at low load the line is empty and a commit holds one of
them. A batch is bounded in recipients, because everybody who comes while it is written waits for its end. It takes
alarms first, and then one request of each tenant in turn: a tenant that floods the door delays itself. The room is
bounded too: beyond it the door says 429. Where there are several tenants, none may fill more than three quarters of it,
so the others are still let in; alarms have twice the room.

Alarms apart, requests of one tenant leave in their order. Within a batch events are drafted before edits; who needs one
after the other waits for the answer to the first.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import trio

from relay.core.draft import Draft
from relay.core.errors import Overloaded, RelayError

MAX_WAITING: Final = 100_000
"""Most recipients that may wait for a commit."""
SHARE: Final = 0.75
"""Part of it that one of several tenants may fill."""
BATCH: Final = 8_000
"""Recipients from which on a batch takes no further request; one request may have more."""

T = TypeVar("T")


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
        """Nothing of it was written; what was wrong with itself is told rather."""
        self.error = self.error or error
        self.done.set()


class WaitingRoom:
    """The lines of all tenants."""

    __slots__ = ("_alarms", "_lines", "_share", "_weights", "weight")

    def __init__(self, tenants: int) -> None:
        self._share = SHARE if tenants > 1 else 1.0
        self._alarms: deque[Operation[Any]] = deque()
        self._lines: dict[str, deque[Operation[Any]]] = {}
        """By tenant; the first one is next."""
        self._weights: Counter[str] = Counter()
        self.weight = 0
        """Recipients that wait."""

    @property
    def is_empty(self) -> bool:
        return not (self._lines or self._alarms)

    def enter(self, operation: Operation[Any], *, urgent: bool) -> None:
        """Stand in line. One operation always fits, however large. Raises Overloaded."""
        room = MAX_WAITING * (2 if urgent else 1)
        mine = self._weights[operation.tenant]
        is_full = self.weight and self.weight + operation.weight > room
        if is_full or (mine and mine + operation.weight > room * self._share):
            raise Overloaded(retry_after=1)
        self.weight += operation.weight
        self._weights[operation.tenant] += operation.weight
        line = self._alarms if urgent else self._lines.setdefault(operation.tenant, deque())
        line.append(operation)

    def leave(self) -> list[Operation[Any]]:
        """Those whose turn it is."""
        batch: list[Operation[Any]] = []
        weight = 0
        while weight < BATCH and not self.is_empty:
            operation = self._alarms.popleft() if self._alarms else self._next()
            batch.append(operation)
            weight += operation.weight
            self._weights[operation.tenant] -= operation.weight
        self.weight -= weight
        return batch

    def _next(self) -> Operation[Any]:
        """The next tenant's first; the tenant stands behind the others then."""
        tenant = next(iter(self._lines))
        line = self._lines.pop(tenant)
        operation = line.popleft()
        if line:
            self._lines[tenant] = line
        return operation
