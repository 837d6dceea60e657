"""A link: one place of a lane's pool, holding one connection after the other for as long as the relay runs.

    connect ─▶ session: take from the lane, last look, write; answers to the lane ─▶ ended: what is unanswered goes back
       ▲                                                                               │
       └────────────── back-off with jitter, one connect in progress per lane ◀────────┘

What a session does is told in session.py. A link waits by itself, and only then for its turn: one that has bad luck
with its connections does not keep the others from opening theirs.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

import structlog
import trio

from relay.lanes.lane import Lane
from relay.lanes.session import OpenToken, Session
from relay.wire import ConnectionLost, OriginTrust

CONNECT: Final = 15.0
"""Seconds for name lookup, TCP and TLS together."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Back-off between attempts to connect, in seconds. A connection that lasted so long was no failure either."""

log = structlog.get_logger()
Connect = Callable[[str, int], Awaitable[trio.abc.Stream]]


class Link:
    """Keeps one connection of a lane open."""

    def __init__(
        self,
        lane: Lane,
        connect: Connect,
        open_token: OpenToken,
        trust: OriginTrust,
        turn: trio.Lock,
        rng: Random,
        *,
        for_alarms: bool = False,
    ) -> None:
        self._lane = lane
        self._connect = connect
        self._open_token = open_token
        self._trust = trust
        self._turn = turn
        """One connect in progress per lane."""
        self._rng = rng
        self._for_alarms = for_alarms
        self._wait = 0.0

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, carry, connect again; return when the lane drains and all answers are in."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            while not self._lane.draining.is_set():
                stream = await self._open()
                if stream is None:
                    continue
                opened_at = trio.current_time()
                session = Session(self._lane, stream, self._open_token, self._trust, for_alarms=self._for_alarms)
                nursery.start_soon(session.run)
                await session.retired.wait()
                if session.was_useful or trio.current_time() - opened_at >= LONGEST_WAIT:
                    self._wait = 0.0

    async def _open(self) -> trio.abc.Stream | None:
        await self._back_off()
        async with self._turn:
            if self._lane.draining.is_set():
                return None
            provider = self._lane.provider
            reason = "timeout"
            try:
                with trio.move_on_after(CONNECT):
                    return await self._connect(provider.host, provider.port)
            except OSError as error:
                reason = type(error).__name__
            except ConnectionLost as error:
                reason = error.reason
            log.warning("connect_failed", app=self._lane.app, reason=reason)
            return None

    async def _back_off(self) -> None:
        """Wait before an attempt: not at all after a connection that worked, else 1 s to 60 s."""
        wait, self._wait = self._wait, min(max(self._wait * 2, FIRST_WAIT), LONGEST_WAIT)
        if wait:
            with trio.move_on_after(wait * (0.5 + self._rng.random() / 2)):
                await self._lane.draining.wait()
