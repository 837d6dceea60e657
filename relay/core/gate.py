"""The gate: may this class wake this user now? The answer is a reason and an instant, never a bare bool.

Asked when a slot is created or falls due, and again last thing before the bytes leave, on every retry too (I2). It
refuses when rest begins within ten seconds: what is written now may reach the phone then. A class that pierces always
passes, with a life bounded by its own deadline. Release after rest is `end of rest + jitter`, so that 30,000 phones
do not ring in the second after 06:00; the jitter is a stable hash of user and day (R12), so that asking twice does not
move it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b
from typing import Final, Protocol

from relay.core.events import NEVER, EventClass
from relay.core.life import LADDER, NOW_OR_NEVER, life
from relay.core.private import UserKey

MARGIN: Final = 10.0
"""Seconds before a rest in which nothing is sent any more."""
OVERHANG: Final = 1.1
"""A life may outlast what it stands for by a tenth: a full step would else be missed by the seconds since the event."""


class Rest(Protocol):
    """What a rest table says of an instant, in UTC seconds."""

    @property
    def resting(self) -> bool: ...
    @property
    def until(self) -> float | None:
        """End of the current rest; None when reachable, or when no end is known."""

    @property
    def next_start(self) -> float | None:
        """Start of the next rest; None when resting or none is known."""


class RestTable(Protocol):
    """Compiled rest of one user (schedules/table.py)."""

    @property
    def stale_at(self) -> float: ...
    @property
    def is_uniform(self) -> bool:
        """All classes that pierce nothing see the same rest."""

    @property
    def wakes(self) -> Mapping[str, str]:
        """Devices, as the backend calls them, that do not follow: `never` or `always`."""

    def at(self, now: float) -> Rest: ...
    def for_class(self, name: str, pierced: frozenset[str]) -> RestTable:
        """The table as a class sees it that pierces rest of these kinds."""


class Why(StrEnum):
    """Every reason for which something may or may not go out now."""

    REACHABLE = "reachable"
    PIERCES = "pierces"
    REST = "rest"
    REST_SOON = "rest_soon"
    ENDLESS_REST = "endless_rest"


@dataclass(frozen=True, slots=True)
class Passed:
    """May go out now. `life` in seconds from the ladder; `echo_at` (UTC seconds) when rest cut it short, else None."""

    why: Why
    life: int
    echo_at: float | None = None


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now. `until` is the release, infinite for a rest without end."""

    why: Why
    until: float


Decision = Passed | Deferred

# The same few answers to nearly all questions, made once.
_REACHABLE: Final = {step: Passed(Why.REACHABLE, step) for step in (NOW_OR_NEVER, *LADDER)}
_PIERCES: Final = {step: Passed(Why.PIERCES, step) for step in (NOW_OR_NEVER, *LADDER)}


_PLAIN: Final = EventClass(name="message")
_ALARMS: Final = 3600
"""How long an alarm is kept, if its class says nothing else; a step of the ladder."""


def jitter(user: UserKey, release: float, width: float) -> float:
    """Stable delay in [0, width) of a release on the day of `release` (R12)."""
    if width <= 0:
        return 0.0
    seed = blake2b(user + int(release // 86400).to_bytes(8, "big"), digest_size=4).digest()
    return int.from_bytes(seed, "big") / 2**32 * width


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides for the users of one tenant. `width`: seconds over which releases are spread."""

    width: float

    def ask(
        self, table: RestTable | None, user: UserKey, event_class: EventClass, now: float, expiry: float = NEVER
    ) -> Decision:
        """`expiry` (UTC seconds) bounds the life: a wakeup for nothing need not be kept."""
        if event_class.renewal:
            return _PIERCES[event_class.life]
        wanted = (expiry - now) * OVERHANG
        if wanted > event_class.life:
            wanted = event_class.life
        if event_class.pierces:
            if event_class.is_trial:
                return _PIERCES[self._longest(table, user, now)]
            return _PIERCES[life(min(event_class.deadline, wanted))]
        if table is None:
            return _REACHABLE[life(wanted)]
        if event_class.through or not table.is_uniform:
            table = table.for_class(event_class.name, event_class.through)
        rest = table.at(now)
        if rest.resting:
            return self._deferred(Why.REST, user, table, rest.until)
        start = rest.next_start
        if start is None:
            return _REACHABLE[life(wanted)]
        if start - now <= MARGIN:
            return self._deferred(Why.REST_SOON, user, table, table.at(start).until)
        return self._passed(table, user, start, now, wanted)

    def _longest(self, table: RestTable | None, user: UserKey, now: float) -> int:
        """The life of the longest wakeup that a provider may be keeping for this user, orders apart."""
        kept = self.ask(table, user, _PLAIN, now)
        return max(kept.life if isinstance(kept, Passed) else NOW_OR_NEVER, _ALARMS)

    def _passed(self, table: RestTable, user: UserKey, start: float, now: float, wanted: float) -> Passed:
        step = life(min(start - now, wanted))
        if step == life(wanted):
            return _REACHABLE[step]
        end = table.at(start).until
        return Passed(Why.REACHABLE, step, None if end is None else end + jitter(user, end, self.width))

    def _deferred(self, why: Why, user: UserKey, table: RestTable, end: float | None) -> Deferred:
        """A hole in the rest that is too short to leave in is no end of it: deadlines count from the release."""
        while end is not None:
            start = table.at(end).next_start
            if start is None or start - end > MARGIN:
                return Deferred(why, end + jitter(user, end, self.width))
            end = table.at(start).until
        return Deferred(Why.ENDLESS_REST, NEVER)
