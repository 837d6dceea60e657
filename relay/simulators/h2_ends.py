"""How a connection comes to its end when something is injected, and what its client cannot know then.

A request that was accepted and whose answer did not get through may be sent again by the best of clients, and the
journal counts it (`unanswered`): so many duplicates are nobody's fault. After an abrupt end the answers of the last
second count too, for they may have been lost on their way.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import trio

from relay.simulators.h2_service import Reply
from relay.simulators.injections import DropAt, Injections
from relay.simulators.journal import Journal

_ON_THE_WAY: Final = 1.0
"""Seconds after which an answer that was written has arrived."""


class Ends:
    """Counts of one connection. `clock`: monotonic seconds."""

    def __init__(self, faults: Injections[Any], journal: Journal, clock: Callable[[], float]) -> None:
        self._faults = faults
        self._journal = journal
        self._clock = clock
        self._processed = 0
        self._has_left = False
        self._is_half_open = faults.happens(faults.half_open)
        self._excluded = 0
        self._accepted: set[int] = set()
        """Streams of accepted requests without an answer."""
        self._told: deque[float] = deque(maxlen=1000)
        """When accepted requests got theirs."""
        self._errors: deque[tuple[float, int]] = deque()
        self.is_clean = False
        """It has ended in a way that loses nothing."""

    # --- what happens now

    def plays_dead(self) -> bool:
        return self._is_half_open and self._processed >= self._faults.half_open_after

    def processed(self, stream: int, reply: Reply) -> None:
        self._processed += 1
        if reply.status == 200:
            self._accepted.add(stream)

    def cuts_now(self) -> bool:
        """Whether it is cut between processing and answer."""
        faults = self._faults
        if faults.drop_after is not None and self._processed >= faults.drop_after:
            faults.drop_after = None
            return True
        return faults.drops(DropAt.ANSWER)

    def leaves_now(self) -> bool:
        """Whether a GOAWAY is due."""
        faults = self._faults
        if faults.goaway_after is not None and self._processed >= faults.goaway_after:
            faults.goaway_after = None
            self._has_left = True
            return True
        if faults.goaway_every is None or self._processed < faults.goaway_every or self._has_left:
            return False
        self._has_left = True
        return True

    def excludes(self) -> bool:
        """A request came behind the last stream; whether that is all that the GOAWAY has waited for."""
        self._excluded += 1
        return self._excluded >= self._faults.goaway_unprocessed

    def is_overdrawn(self, weight: int) -> bool:
        """Whether errors of this weight are too much, after those there were."""
        budget = self._faults.budget
        if budget is None or not weight:
            return False
        now = self._clock()
        self._errors.append((now, weight))
        while self._errors[0][0] <= now - budget.seconds:
            self._errors.popleft()
        return sum(weight for _, weight in self._errors) > budget.weight

    # --- what the client knows

    def settled(self, stream: int, *, was_told: bool) -> None:
        """The answer was written, or never will be."""
        if stream not in self._accepted:
            return
        self._accepted.remove(stream)
        if was_told:
            self._told.append(self._clock())
        else:
            self._journal.unanswered += 1

    def disowned(self, last_stream: int) -> None:
        """The client is told that what came behind this stream was not processed."""
        for stream in [stream for stream in self._accepted if stream > last_stream]:
            self.settled(stream, was_told=False)

    def over(self) -> None:
        """The connection is closed."""
        self._journal.unanswered += len(self._accepted)
        self._accepted.clear()
        if not self.is_clean:
            recent = self._clock() - _ON_THE_WAY
            self._journal.unanswered += sum(1 for at in self._told if at >= recent)


def reset_at_close(stream: trio.abc.Stream) -> None:
    """Make the next close a TCP RST, where there is TCP beneath."""
    inner = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
    if isinstance(inner, trio.SocketStream):
        inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
