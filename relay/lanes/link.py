"""A link: one place of a lane's pool, holding one connection after the other for as long as the relay runs.

    connect ─▶ session: take from the lane, last look, write; answers to the lane ─▶ ended: what is unanswered goes back
       ▲                                                                               │
       └────────────── back-off with jitter, one connect in progress per lane ◀────────┘

What a session does is told in session.py. A link waits by itself, and only then for its turn: one that has bad luck
with its connections does not keep the others from opening theirs. A lane opens at most sixty connections in any minute,
also where each of them worked for a while: a provider that ends all of them after a few requests is in trouble, and
Apple takes many new connections for an attack.

A connection is replaced after about an hour: where the provider has moved its service meanwhile, the new one follows
the name. So is one whose key was replaced. The next connection is opened first, and the old one drains when the new one
may carry requests; one of a lane at a time, and only if the next one can be had.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final, NamedTuple

import structlog
import trio

from relay.lanes.dialer import Dialer, Dialled
from relay.lanes.lane import Lane
from relay.lanes.session import Session
from relay.wire import ConnectionLost

CONNECT: Final = 15.0
"""Seconds for name lookup, TCP and TLS together."""
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
"""Back-off between attempts to connect, in seconds. A connection that lasted so long was no failure either."""
AGE: Final = 3600.0
"""Seconds after which a connection is replaced. Google ends them at about that age, Apple when it moves a host."""
SPREAD: Final = 0.1
"""Part of the age by which it varies, up and down: what was opened together need not be replaced together."""
PACE: Final = 1.5
"""Seconds of a lane for each connection it opens, …"""
AT_ONCE: Final = 20
"""… of which so many may be opened without waiting: 20 + 60 / 1.5 in any minute."""
TURN: Final = 1.0
"""Seconds after which an old connection looks again whether it is its turn to be replaced."""

log = structlog.get_logger()
MakeSession = Callable[[trio.abc.Stream], Session]
"""Makes a session of a new connection of the lane."""


class _Held(NamedTuple):
    session: Session
    address: str
    opened_at: float
    """By trio's clock."""


class Turns:
    """What the links of a lane take in turns: one connects at a time, and one is replaced."""

    def __init__(self) -> None:
        self.connect = trio.Lock()
        self._leaving: Session | None = None
        self._paid_until = float("-inf")
        """By trio's clock: when what was opened has all had its time."""

    def opens_at(self, now: float) -> float:
        """When the next connection may be opened."""
        return max(now, self._paid_until - (AT_ONCE - 1) * PACE)

    def opened(self, now: float) -> None:
        self._paid_until = max(now, self._paid_until) + PACE

    def replace(self, session: Session) -> bool:
        """Take the turn to be replaced; False while another has it, until that has ended."""
        if self._leaving is None or self._leaving.ended.is_set():
            self._leaving = session
        return self._leaving is session


class Link:
    """Keeps one connection of a lane open."""

    def __init__(self, lane: Lane, dialer: Dialer, make: MakeSession, turns: Turns, rng: Random) -> None:
        self._lane = lane
        self._dialer = dialer
        self._make = make
        self._turns = turns
        self._rng = rng
        self._wait = 0.0
        self._dismissed = False
        self._session: Session | None = None

    def dismiss(self) -> None:
        """It is not needed any more: carry nothing new, and end."""
        self._dismissed = True
        if self._session is not None:
            self._session.retire("not_needed")

    def _is_over(self) -> bool:
        return self._dismissed or self._lane.draining.is_set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Connect, carry, connect again; return when it is over, and all answers are in."""
        task_status.started()
        async with trio.open_nursery() as nursery:
            held = await self._next(nursery)
            while held is not None:
                await self._until_worn(held.session)
                self._learn(held)
                held = await self._replace(held.session, nursery)

    async def _until_worn(self, session: Session) -> None:
        """Return when it is retired, or when it is old or outdated and its turn has come."""
        with trio.move_on_after(AGE * (1.0 + SPREAD * (2.0 * self._rng.random() - 1.0))):
            await session.worn.wait()
        while not (session.retired.is_set() or self._turns.replace(session)):
            with trio.move_on_after(TURN):
                await session.retired.wait()

    async def _replace(self, old: Session, nursery: trio.Nursery) -> _Held | None:
        """The next connection, while the old one goes on until it is there; None when it is over."""
        while (held := await self._next(nursery)) is not None:
            await held.session.ready.wait()
            if old.retired.is_set() or not held.session.retired.is_set():
                old.retire("replaced")
                return held
            self._learn(held)
        old.retire("not_needed")
        return None

    def _learn(self, held: _Held) -> None:
        """From how a connection went: about the next back-off, and about the address."""
        was_short = trio.current_time() - held.opened_at < LONGEST_WAIT
        if held.session.was_useful or not was_short:
            self._wait = 0.0
        if held.session.was_lost and was_short:
            self._dialer.failed(held.address, "lost_soon")

    async def _next(self, nursery: trio.Nursery) -> _Held | None:
        """Open the next connection, however long that takes; None when it is over."""
        while not self._is_over():
            await self._back_off()
            async with self._turns.connect:
                with trio.move_on_at(self._turns.opens_at(trio.current_time())):
                    await self._lane.draining.wait()
                dialled = None if self._is_over() else await self._dial()
            if dialled is not None:
                held = _Held(self._make(dialled.stream), dialled.address, trio.current_time())
                self._session = held.session
                nursery.start_soon(self._carry, held)
                return held
        return None

    async def _dial(self) -> Dialled | None:
        provider = self._lane.provider
        self._turns.opened(trio.current_time())
        reason = "timeout"
        try:
            with trio.move_on_after(CONNECT):
                return await self._dialer.dial(provider.host, provider.port)
        except OSError as error:
            reason = type(error).__name__
        except ConnectionLost as error:
            reason = error.reason
        log.warning("connect_failed", app=self._lane.app, reason=reason)
        return None

    async def _carry(self, held: _Held) -> None:
        try:
            await held.session.run()
        finally:
            self._dialer.addresses.closed(held.address)

    async def _back_off(self) -> None:
        """Wait before an attempt: not at all after a connection that worked, else 1 s to 60 s."""
        wait, self._wait = self._wait, min(max(self._wait * 2, FIRST_WAIT), LONGEST_WAIT)
        if wait:
            with trio.move_on_after(wait * (0.5 + self._rng.random() / 2)):
                await self._lane.draining.wait()
