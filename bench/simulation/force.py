"""A small force and its messenger: what happens in a run that is no fault, drawn by the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from itertools import count
from random import Random
from typing import Final

import trio

from bench.simulation.backend import Backend
from bench.simulation.clock import Clocks
from bench.simulation.ledger import Ledger, User
from bench.simulation.rests import DAY, HOUR, Kind, a_plan

KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind("message"),
        Kind("roster"),
        Kind("brief", deadline=600.0),
        Kind("duty", through=frozenset({"free"})),
        Kind("alarm", pierces=True, cancellable=False, deadline=float(HOUR)),
        Kind("control", pierces=True, cancellable=False, deadline=28.0 * DAY, renewal=float(DAY)),
    )
}
PLANNED: Final = ("message", "roster", "brief", "duty")
"""Classes that a plan can name."""
DEVICES: Final = ("phone", "tablet", "pc")
PHONES: Final = ("phone", "tablet")


class Force:
    """Acts of people and of their messenger, one at a time."""

    def __init__(self, ledger: Ledger, backend: Backend, clocks: Clocks, rng: Random) -> None:
        self._ledger = ledger
        self._backend = backend
        self._clocks = clocks
        self._rng = rng
        self._tokens = count(1)
        self.users = list(ledger.users.values())
        self.events = 0
        """Posts."""

    async def enlist(self) -> None:
        """Everybody comes, with one to three devices, and most with a plan."""
        await self._backend.register({user.name: self._a_home() for user in self.users})
        for user in self.users:
            if self._rng.random() < 0.6:
                await self._plan(user)

    async def act(self) -> None:
        """Something happens."""
        await self._rng.choices(ACTS, WEIGHTS)[0](self)

    async def edit(self) -> None:
        """Somebody's plan or devices change."""
        await self._rng.choices(EDITS, (6, 1, 1, 1, 1))[0](self)

    # --- who and what

    def _a_home(self) -> dict[str, str]:
        home = {device: self._a_token() for device in self._rng.sample(PHONES, self._rng.choice((1, 1, 2)))}
        return {**home, "pc": ""} if self._rng.random() < 0.3 else home

    def _a_token(self) -> str:
        """Of either provider."""
        digest = hashlib.sha256(b"token %d" % next(self._tokens)).hexdigest()
        return digest if self._rng.random() < 0.5 else f"{digest[:22]}:APA91b{digest * 2}"

    def _somebody(self) -> User:
        """Mostly one of a few, so that things meet."""
        return self._rng.choice(self.users[:5] if self._rng.random() < 0.5 else self.users)

    # --- events

    async def _post(self, name: str, most: int = 4) -> None:
        rng, kind = self._rng, KINDS[name]
        users = [self._somebody()] if rng.random() < 0.6 else rng.sample(self.users, min(most, len(self.users)))
        ttl = rng.choice((20.0, 400.0, 5000.0)) if rng.random() < 0.1 and not kind.pierces else None
        self.events += 1
        await self._backend.post(users, kind, ttl=ttl, dated=rng.random() < 0.1, named=rng.random() < 0.7)

    async def _message(self) -> None:
        await self._post("message")

    async def _other(self) -> None:
        await self._post(self._rng.choice(("roster", "brief")))

    async def _duty(self) -> None:
        await self._post("duty")

    async def _alarm(self) -> None:
        await self._post("alarm", 8)

    async def _order(self) -> None:
        user, rng = self._somebody(), self._rng
        home = sorted(user.homes[-1])
        self.events += 1
        device = rng.choice(home) if home and rng.random() < 0.5 else None
        await self._backend.post([user], KINDS["control"], device=device)

    async def _obey(self) -> None:
        waiting = [user for user in self.users if any(n.kind.renewal for n in user.open(float("inf")))]
        if waiting:
            await self._backend.confirm(self._rng.choice(waiting))

    async def _read(self) -> None:
        active_for = self._rng.uniform(5.0, 100.0) if self._rng.random() < 0.3 else None
        await self._backend.read(self._somebody(), active_for)

    async def tell_everybody(self) -> None:
        """One message for all, in a few posts that are under way at the same time."""
        users = self._rng.sample(self.users, len(self.users))
        size = max(1, len(users) // 4)
        async with trio.open_nursery() as nursery:
            for first in range(0, len(users), size):
                self.events += 1
                nursery.start_soon(self._backend.post, users[first : first + size], KINDS["message"])

    # --- edits

    async def _plan(self, user: User | None = None) -> None:
        user = user or self._somebody()
        if user.homes[-1]:
            await self._backend.plan(user, a_plan(self._rng, self._clocks.true(), PLANNED, PHONES))

    async def _no_plan(self) -> None:
        await self._backend.plan(self._somebody(), None)

    async def _new_token(self) -> None:
        user = self._somebody()
        await self._backend.device(user, self._rng.choice(PHONES), self._a_token())

    async def _same_token(self) -> None:
        user = self._somebody()
        living = [d for d, token in sorted(user.homes[-1].items()) if token and token not in self._ledger.dead]
        if living:
            device = self._rng.choice(living)
            await self._backend.device(user, device, user.homes[-1][device])

    async def _moved_token(self) -> None:
        """A phone is handed on: its token is registered for somebody else."""
        giver, taker = self._somebody(), self._somebody()
        living = [token for token in sorted(giver.homes[-1].values()) if token and token not in self._ledger.dead]
        if living:
            await self._backend.device(taker, self._rng.choice(PHONES), self._rng.choice(living))

    async def _removed(self) -> None:
        user = self._somebody()
        if user.homes[-1]:
            await self._backend.remove(user, self._rng.choice(sorted(user.homes[-1])))

    async def _asleep(self) -> None:
        """A device can be woken no more, and stays."""
        await self._backend.device(self._somebody(), self._rng.choice(DEVICES), "")

    async def _listed(self) -> None:
        await self._backend.register({self._somebody().name: self._a_home()})

    async def _left(self) -> None:
        """Somebody goes for good, or comes back the next day."""
        user = self._somebody()
        await self._backend.forget(user)
        if self._rng.random() < 0.8:
            await self._backend.register({user.name: self._a_home()})

    async def hear(self) -> None:
        """Devices that are gone are registered anew, or taken off the list."""
        for user, device in await self._backend.hear():
            if self._rng.random() < 0.7:
                await self._backend.device(user, device, self._a_token())
            else:
                await self._backend.remove(user, device)

    async def _look(self) -> None:
        await self._backend.look(self._somebody())

    async def _follow_up(self) -> None:
        await self._backend.follow_up()


Act = Callable[[Force], Awaitable[None]]
_WEIGHTED: Final[dict[Act, int]] = {
    Force._message: 30, Force._other: 8, Force._duty: 6, Force._alarm: 10, Force._order: 4, Force._obey: 3,
    Force._read: 6, Force._plan: 10, Force._no_plan: 2, Force._new_token: 4, Force._same_token: 2,
    Force._moved_token: 2, Force._removed: 3, Force._asleep: 1, Force._listed: 2, Force._left: 2, Force.hear: 3,
    Force._look: 3, Force._follow_up: 2,
}  # fmt: skip
ACTS: Final = tuple(_WEIGHTED)
WEIGHTS: Final = tuple(_WEIGHTED.values())
EDITS: Final[tuple[Act, ...]] = (Force._plan, Force._no_plan, Force._new_token, Force._removed, Force._moved_token)
