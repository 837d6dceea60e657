"""What the backend knows: who has which phones and which plan, what was posted, and what it was answered.

Where an answer is missing it knows less: then there are several states that may be. A departure is right when it is
right in one of them; a notice need not be rung when it need not in one of them. Nothing here is told by the relay but
its answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

import trio

from bench.simulation.frames import Departure
from bench.simulation.rests import REACHABLE, Kind, Plan

Tokens = Mapping[str, str]
"""Device → its token; empty for one that cannot be woken."""


class Answered(Enum):
    """What is known of a post."""

    UNKNOWN = "unknown"
    TAKEN = "taken"
    REFUSED = "refused"


@dataclass(slots=True, eq=False)
class Notice:
    """One event for one recipient. Instants by trio's clock."""

    number: int
    user: User
    kind: Kind
    posted: float
    ttl: float | None
    device: str | None
    """Of an order for one device."""
    written: float = 0.0
    """When it was posted, by true time, …"""
    answered: float = float("inf")
    """… and when that was answered at last: by then a relay had taken it, at some time since."""
    addressed: frozenset[str] = frozenset()
    """Of an order: devices that have it for sure."""
    state: Answered = Answered.UNKNOWN
    acked: float = float("inf")
    settled: dict[str, float] = field(default_factory=dict)
    """Token → since when the relay has booked a wakeup of it durably: it has no reason to ring it again."""
    rung: bool = False
    """A provider has accepted a wakeup that stands for it."""
    excuses: set[str] = field(default_factory=set)
    """Why no wakeup need follow."""
    over: float = float("inf")
    """From then on it is no reason to ring anybody: read, confirmed, or its user deleted."""

    @property
    def life(self) -> float:
        """Seconds for which it is worth a wakeup, at most."""
        return self.kind.deadline if self.ttl is None else min(self.ttl, self.kind.deadline)

    def is_open(self, at: float) -> bool:
        return self.state is not Answered.REFUSED and self.posted <= at < self.over

    def is_settled(self, token: str, at: float) -> bool:
        """Where a write was looked at before that, and took a while, it was no reason against it."""
        return self.settled.get(token, at) < at


@dataclass(slots=True, eq=False)
class User:
    """Possible states, the one before the last edit first; one when all is answered."""

    name: str
    homes: list[Tokens] = field(default_factory=lambda: [{}])
    plans: list[Plan] = field(default_factory=lambda: [REACHABLE])
    notices: list[Notice] = field(default_factory=list)
    changed: float = float("-inf")
    """When anything about it was last changed, or asked to be (trio's clock)."""
    moved: float = float("-inf")
    """When its devices were."""
    reads_until: float = float("-inf")
    """What can be read elsewhere may wait so long."""

    def open(self, at: float) -> list[Notice]:
        return [notice for notice in self.notices if notice.is_open(at)]


class Ledger:
    """Everybody, and everything posted."""

    def __init__(self, users: Iterable[str]) -> None:
        self.users = {name: User(name) for name in users}
        self.notices: list[Notice] = []
        self.taken: dict[str, int] = {}
        """Class → notices that were answered 202."""
        self.told = 0
        """Notices taken, by the sum of what the answers said."""
        self.doubtful: dict[str, int] = {}
        """Class → notices that may have been taken besides, for a post was repeated without a key."""
        self.dead: set[str] = set()
        """Tokens that a provider has called dead: their devices may be gone, or not."""
        self._refused: dict[str, float] = {}
        """Token → when the last wakeup for it left that was refused for good."""
        self._owners: dict[str, set[User]] = {}
        """Token → everybody who may have it, or had it."""

    # --- devices

    def may_have(self, user: User, home: Tokens) -> None:
        """An edit of somebody's devices was begun: this is the state it may leave."""
        user.homes.append(dict(home))
        user.changed = user.moved = trio.current_time()
        for token in home.values():
            if token:
                self._owners.setdefault(token, set()).add(user)
        self._review(user)

    def has(self, user: User, home: Tokens) -> None:
        """It was answered: this is the state."""
        gone = {token for known in user.homes for token in known.values()} - set(home.values())
        user.homes = [dict(home)]
        user.changed = user.moved = trio.current_time()
        for notice in user.notices:
            notice.settled = {token: at for token, at in notice.settled.items() if token not in gone}
        self._review(user)

    def owners(self, token: str) -> list[tuple[User, str]]:
        """(user, device) of everybody who may have the token at present."""
        return [
            (user, device)
            for user in sorted(self._owners.get(token, ()), key=lambda user: user.name)
            for device in sorted({d for home in user.homes for d, t in home.items() if t == token})
        ]

    def holders(self, token: str) -> list[User]:
        """Everybody who may have the token, or had it."""
        return sorted(self._owners.get(token, ()), key=lambda user: user.name)

    def has_changed(self, token: str, since: float) -> bool:
        """Something about those who may have the token, or had it."""
        return any(user.changed >= since for user in self._owners.get(token, ()))

    def was_registered(self, token: str, since: float) -> bool:
        """Perhaps, anew: the devices of those who may have it, or had it, were changed."""
        return any(user.moved >= since for user in self._owners.get(token, ()))

    # --- plans

    def may_rest(self, user: User, plan: Plan) -> None:
        user.plans.append(plan)
        user.changed = trio.current_time()
        self._review(user)

    def rests(self, user: User, plan: Plan) -> None:
        user.plans = [plan]
        user.changed = trio.current_time()

    # --- posts

    def post(self, user: User, kind: Kind, written: float, ttl: float | None, device: str | None) -> Notice:
        notice = Notice(len(self.notices), user, kind, trio.current_time(), ttl, device, written)
        if kind.renewal:
            surely = [frozenset(d for d, token in home.items() if token) for home in user.homes]
            notice.addressed = frozenset.intersection(*surely) & ({device} if device else surely[0])
        self.notices.append(notice)
        user.notices.append(notice)
        self._review(user)
        return notice

    def take(self, notice: Notice) -> None:
        """It was answered 202, and has somebody to wake."""
        notice.state, notice.acked = Answered.TAKEN, trio.current_time()
        self.taken[notice.kind.name] = self.taken.get(notice.kind.name, 0) + 1

    def doubt(self, kind: Kind, count: int) -> None:
        self.doubtful[kind.name] = self.doubtful.get(kind.name, 0) + count

    def end(self, notices: Iterable[Notice], why: str, *, surely: bool = True) -> None:
        """They may be ended by something that was asked for; surely: it was answered."""
        for notice in notices:
            notice.excuses.add(why)
            notice.user.changed = trio.current_time()
            if surely:
                notice.over = min(notice.over, trio.current_time())

    # --- what providers say

    def buried(self, token: str) -> None:
        self.dead.add(token)
        self._review_owners(token)

    def refused(self, departure: Departure) -> None:
        self._refused[departure.token] = max(departure.called, self._refused.get(departure.token, 0.0))
        self._review_owners(departure.token)

    def is_doubtful(self, token: str) -> bool:
        """A provider has refused it for good, so that nothing need be sent to it."""
        return token in self.dead or token in self._refused

    def _review_owners(self, token: str) -> None:
        for user in self._owners.get(token, ()):
            self._review(user)

    def _review(self, user: User) -> None:
        """Whatever waits for somebody who perhaps has no phone left that takes it may have ended by that."""
        for notice in user.open(trio.current_time()):
            if notice.kind.renewal:
                notice.addressed = frozenset(d for d in notice.addressed if self._is_living(user, d))
            if "no phone" not in notice.excuses and any(self._is_bare(home, notice) for home in user.homes):
                notice.excuses.add("no phone")

    def _is_living(self, user: User, device: str) -> bool:
        return all(home.get(device) and home[device] not in self.dead for home in user.homes)

    def _is_bare(self, home: Tokens, notice: Notice) -> bool:
        devices = set(notice.addressed if notice.kind.renewal else home)
        if not notice.kind.pierces:  # a device that is never woken is none that anything waits for
            devices = {d for d in devices if all(plan.devices.get(d) != "never" for plan in notice.user.plans)}
        tokens = [token for device in devices if (token := home.get(device))]
        return all(token in self.dead or self._refused.get(token, -1.0) >= notice.posted for token in tokens)
