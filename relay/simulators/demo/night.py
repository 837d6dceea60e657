"""The driver: registers a force through the real doors, and plays its night step by step.

A step leads to the next instant at which anything happens, rounded up to a whole TICK: an event is written, or somebody
in the relay has slept long enough (a hold or a rest is over, an access token grows old). What is written within one
tick goes out in one request. The next step waits at the barrier until nothing due is unsent, nothing is in flight, all
answers are booked and nobody in the process has anything to do.

What needs the clock itself to go on while something is queued, like the probe of a lane that was paused, would wait at
the barrier for ever. So when nothing has come of waiting for PATIENCE in real time, the night goes on by one tick.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import trio
from trio.testing import wait_all_tasks_blocked

from relay.client import AsyncClient, Call, wake_many
from relay.simulators.demo.doorway import Doorway
from relay.simulators.demo.ledger import ALARM, Ledger
from relay.simulators.demo.stage import Backstage, Stage
from relay.simulators.demo.stepped import SteppedClock
from relay.simulators.stage import REASON, ROLE
from relay.simulators.world import ENDS, Moment, Officer, World

TICK: Final = 10.0
"""Seconds of the night. Divides a minute, so that rests begin and end on a step."""
MOST_RECIPIENTS: Final = 25_000
"""Of one request; the door takes no more."""
USERS: Final = 1_000
"""Of one request that registers devices."""
CONNECTIONS: Final = 64
"""On which rest documents are put: one commit takes what all of them ask."""
PATIENCE: Final = 0.25
"""Seconds of real time. With every task blocked and no thread at work, nothing comes any more by itself."""
LOOK: Final = 0.001
"""Seconds between two looks at what cannot be waited for."""
_APPS: Final = {"apns": "ios", "fcm": "android", "none": None}


async def register(world: World, stage: Stage, backstage: Backstage) -> None:
    """Everybody's devices, in bulk; everybody's rest, one document each. Raises RelayFailure, Unanswered."""
    officers = world.officers
    async with backstage.client(stage.backend) as client:
        for first in range(0, len(officers), USERS):
            await client.put_devices({o.id: _devices_of(o) for o in officers[first : first + USERS]})
    calls = [Call("PUT", f"/v1/users/{o.id}/rest", o.document) for o in officers if o.document is not None]
    async with trio.open_nursery() as nursery:
        for first in range(CONNECTIONS):
            nursery.start_soon(_put, stage, backstage, calls[first::CONNECTIONS])


async def _put(stage: Stage, backstage: Backstage, calls: Sequence[Call]) -> None:
    door = await Doorway.open(backstage.door, stage.settings)
    await door.send_all(calls)
    await door.aclose()


def _devices_of(officer: Officer) -> dict[str, dict[str, object]]:
    listed: dict[str, dict[str, object]] = {}
    for phone in officer.phones:
        body = {"platform": phone.platform, "app": _APPS[phone.platform], "token": phone.token or None}
        listed[phone.id] = {name: value for name, value in body.items() if value is not None}
    return listed


class Arrivals:
    """What the simulators accepted since the last step, in order."""

    def __init__(self) -> None:
        self._new: list[tuple[float, str]] = []

    def seen(self, t: float, token: str, accepted: bool) -> None:
        if accepted:
            self._new.append((t, token))

    def __len__(self) -> int:
        return len(self._new)

    def take(self) -> list[tuple[float, str]]:
        new, self._new = self._new, []
        return new


class Night:
    """Plays one night. `shown` is called after each step."""

    def __init__(
        self,
        world: World,
        ledger: Ledger,
        clock: SteppedClock,
        backstage: Backstage,
        arrivals: Arrivals,
        shown: Callable[[float], None],
    ) -> None:
        self._world = world
        self._ledger = ledger
        self._clock = clock
        self._backstage = backstage
        self._arrivals = arrivals
        self._shown = shown
        self.steps = 0
        self._is_stuck = False
        """Something is left that waits for the clock."""

    async def play(self, client: AsyncClient) -> None:
        """From 21:00 to 07:00. Raises RelayFailure."""
        coming = Coming(self._world.night())
        await self._settle()
        while (instant := self._next(coming.t)) <= ENDS:
            await self._step(instant, coming.until(instant), client)
        await self._step(ENDS, [], client)

    def _next(self, written_at: float) -> float:
        """The next step: where anything happens, at least one tick on."""
        now = self._clock.now()
        happens = now if self._is_stuck else min(written_at, self._clock.next_wake())
        if happens == math.inf:
            return happens
        return max(math.ceil(happens / TICK), math.floor(now / TICK) + 1) * TICK

    async def _step(self, instant: float, moments: Sequence[Moment], client: AsyncClient) -> None:
        self.steps += 1
        self._clock.set(instant)
        if moments:
            await client.send(self._call(moments))
            for moment in moments:
                self._ledger.posted(instant, moment.event_class, moment.recipients)
        self._clock.release()
        await self._settle()
        for t, token in self._arrivals.take():
            self._ledger.arrived(t, token)
        self._shown(instant)

    def _call(self, moments: Sequence[Moment]) -> Call:
        has_alarm = any(moment.event_class == ALARM for moment in moments)
        return wake_many([self._event(m) for m in moments], f"step-{self.steps}" if has_alarm else None)

    def _event(self, moment: Moment) -> dict[str, object]:
        users = [self._world.officers[number].id for number in moment.recipients]
        why = {"role": ROLE, "reason": REASON} if moment.event_class == ALARM else {}
        return {"users": users, "class": moment.event_class, **why}

    async def _settle(self) -> None:
        """The barrier."""
        backstage, known, impatient_at = self._backstage, -1, 0.0
        if self._is_stuck:
            backstage.relay.pool.nudge()
        while True:
            await wait_all_tasks_blocked()
            if backstage.is_quiet():
                self._is_stuck = False
                return
            if backstage.errands.under_way or len(self._arrivals) != known:
                known, impatient_at = len(self._arrivals), trio.current_time() + PATIENCE
            elif trio.current_time() >= impatient_at:
                self._is_stuck = True
                return
            await backstage.errands.wait(LOOK)


class Coming:
    """What will be written, taken a step at a time."""

    def __init__(self, moments: Iterator[Moment]) -> None:
        self._moments = moments
        self._next = next(moments, None)

    @property
    def t(self) -> float:
        return math.inf if self._next is None else self._next.t

    def until(self, instant: float) -> list[Moment]:
        """What is written until then, as much as one request holds; the rest is for the next step."""
        some: list[Moment] = []
        room = MOST_RECIPIENTS
        while self._next is not None and self._next.t <= instant and len(self._next.recipients) <= room:
            some.append(self._next)
            room -= len(self._next.recipients)
            self._next = next(self._moments, None)
        return some
