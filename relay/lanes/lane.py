"""A lane: the way to one provider with one app's credentials.

It holds what is queued (alarms apart, and first), judges answers, and knows whether sending makes sense at all: the
breaker answers for the provider's health and our configuration, the brake for mass deaths of tokens. Connections
(link.py) take from the queues what they have room for; nothing is pushed at them. What is queued is only a reference:
each device stands here at most once, so the queue is bounded by the number of devices, and after a crash it is made
anew from the slots.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

import structlog
import trio

from relay.clock import Clock
from relay.core.brake import Brake, Ruling
from relay.core.breaker import Breaker, State
from relay.core.flight import Fate, Flight, Settlement
from relay.core.pacing import CONNECTION_RETRY, FIRST_RETRY, backoff
from relay.core.people import Person
from relay.core.tables import Tables
from relay.core.verdicts import Action, Scope
from relay.lanes.provider import Judgement, Provider
from relay.wire import Answer

PAUSE: Final = 300.0
"""Seconds a lane waits after TooManyProviderTokenUpdates."""

KINDS: Final = 100
"""Most reasons told apart in the statistics: a provider's words become labels there."""
OTHER: Final = "other"

LOOK: Final = 3600.0
"""Longest pause of an idle connection between two looks, in seconds."""

log = structlog.get_logger()


class Session(Protocol):
    """One open connection (link.py)."""

    @property
    def in_flight(self) -> int: ...
    def nudge(self) -> None: ...


class Settles(Protocol):
    """Where verdicts go (the journal)."""

    def settle_accepted(self, flights: Sequence[Flight]) -> None: ...
    def settle(self, settlements: Sequence[Settlement]) -> None: ...


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    app: str
    queued: int
    queued_urgent: int
    """Alarms; counted in `queued` too."""
    in_flight: int
    connections: int
    accepted: int
    answers: dict[str, int]
    """Answers that were not 200, by reason."""
    refused: int
    """Last looks at the gate that said no."""
    state: State
    opened_for: str


class Lane:
    """Queues and judgement of one app. `touched` is told of persons whose wakeup did not leave after all."""

    def __init__(
        self,
        app: str,
        provider: Provider,
        settles: Settles,
        tables: Tables,
        clock: Clock,
        rng: Random,
        touched: Callable[[Sequence[Person]], None],
    ) -> None:
        self.app = app
        self.provider = provider
        self.tables = tables
        self.clock = clock
        self.breaker = Breaker()
        self.sessions: set[Session] = set()
        """Open connections; told when something is queued or may go again."""
        self.draining = trio.Event()
        self._settles = settles
        self._rng = rng
        self._touched = touched
        self._urgent: deque[Flight] = deque()
        self._queue: deque[Flight] = deque()
        self._ghosts = 0
        """Entries of `_queue` that an alarm has made urgent: they stand in `_urgent` as well, and leave from there."""
        self._brake = Brake()
        self._suspects: list[tuple[Flight, Judgement]] = []
        self._accepted = 0
        self._refused = 0
        self._answers: Counter[str] = Counter()

    # --- in

    def send(self, flights: Iterable[Flight]) -> None:
        """Queue wakeups; alarms go first. One that is queued already has become urgent: it overtakes itself."""
        for flight in flights:
            self._ghosts += flight.queued
            flight.queued = True
            (self._urgent if flight.urgent else self._queue).append(flight)
        self.nudge()

    def nudge(self) -> None:
        """Something may go: tell the connections."""
        for session in self.sessions:
            session.nudge()

    def drain(self) -> None:
        """Send nothing more; connections end when their answers are in."""
        self.draining.set()
        self.nudge()

    # --- out

    def available(self) -> int:
        """How many queued wakeups may go out now."""
        queued = self.queued
        if not queued or self.draining.is_set():
            return 0
        allowance = self.breaker.allowance(self.clock.now())
        return queued if allowance is None else min(allowance, queued)

    def take(self, limit: int) -> list[Flight]:
        """Up to `limit` wakeups, alarms first."""
        count = min(limit, self.available())
        if count and self.breaker.state is State.OPEN:
            self.breaker.probing()
        return [self._next() for _ in range(count)]

    def _next(self) -> Flight:
        if self._urgent:
            flight = self._urgent.popleft()
        else:
            while (flight := self._queue.popleft()).urgent:
                self._ghosts -= 1
        flight.queued = False
        return flight

    def refuse(self, flights: Sequence[Flight]) -> None:
        """The last look said no: the devices are not in flight any more, the persons are worked out anew."""
        self._refused += len(flights)
        for flight in flights:
            flight.person.flights.pop(flight.device.key, None)
        self._touched([flight.person for flight in flights])

    def again(self, flights: Sequence[Flight]) -> None:
        """Not processed by the provider: to the head of the queue; no attempt counted."""
        for flight in reversed(flights):
            flight.queued = True
            (self._urgent if flight.urgent else self._queue).appendleft(flight)
        if flights:
            self.nudge()

    # --- answers

    def unreadable(self, flights: Sequence[Flight]) -> None:
        """Their sealed tokens do not open: nothing can be sent to these devices."""
        if flights:
            log.error("tokens_unreadable", app=self.app, count=len(flights))
            self._settles.settle([Settlement(flight, Fate.GIVE_UP, "unreadable") for flight in flights])

    def accepted(self, flights: Sequence[Flight]) -> None:
        """The provider took these."""
        self._accepted += len(flights)
        self._brake.saw(len(flights), 0, self.clock.now())
        if self.breaker.state is not State.CLOSED:
            log.info("lane_resumed", app=self.app)
            self.breaker.succeeded()
            self.nudge()
        self._settles.settle_accepted(flights)

    def answered(self, answers: Sequence[Answer], retire: Callable[[str], None]) -> None:
        """Judge answers that were not 200. `retire` ends the connection they came on."""
        now = self.clock.now()
        settlements: list[Settlement] = []
        again: list[Flight] = []
        suspects = 0
        for answer in answers:
            flight = answer.tag
            assert isinstance(flight, Flight)
            judgement = self.provider.judge(answer)
            self._count(judgement.reason)
            action = judgement.verdict.action
            if action in _FATES:
                settlements.append(self._settlement(flight, judgement, _FATES[action], now))
            elif action is Action.SUSPECT:
                suspects += 1
                self._suspects.append((flight, judgement))
            else:
                again.append(flight)
                _ACTS[action](self, judgement, retire, now)
            if judgement.verdict.scope is Scope.SERVICE:
                self._failed(judgement.reason, now)
            elif action in _REACHED:
                self._recovered()
        self._brake.saw(len(answers) - suspects, suspects, now)
        self.again(again)
        if settlements:
            self._settles.settle(settlements)
        self.judge_suspects()

    def lost(self, flights: Sequence[Flight], reason: str) -> None:
        """No answer will come: the outcome is unknown. Sent again after a short while; harmless if it was taken."""
        if not flights:
            return
        now = self.clock.now()
        self._count(reason, len(flights))
        self.breaker.unknown(now)
        self._settles.settle(
            [
                Settlement(
                    flight, Fate.RETRY, reason,
                    now + backoff(flight.device.attempt + 1, self._rng.random(), CONNECTION_RETRY),
                )
                for flight in flights
            ]
        )  # fmt: skip

    def pause(self) -> float:
        """Seconds after which a connection with nothing to do should look again: a probe or the brake may be due."""
        instants = [LOOK + self.clock.now()]
        if self.breaker.state is State.OPEN and self.queued:
            instants.append(self.breaker.probe_at)
        due = self._brake.due_at()
        if due is not None:
            instants.append(due)
        return max(0.0, min(instants) - self.clock.now())

    def judge_suspects(self) -> None:
        """Let the brake rule over the suspects held."""
        if not self._suspects:
            return
        ruling = self._brake.rule(self.clock.now())
        if ruling is Ruling.HOLD:
            return
        suspects, self._suspects = self._suspects, []
        now = self.clock.now()
        if ruling is Ruling.BURY:
            self._brake.released()
            self._settles.settle([self._settlement(f, judgement, Fate.DEAD, now) for f, judgement in suspects])
            return
        self._brake.reset()
        self.breaker.stop(suspects[0][1].reason, now)
        log.error("lane_stopped", app=self.app, reason=suspects[0][1].reason, held=len(suspects))
        self.again([flight for flight, _ in suspects])

    @property
    def queued(self) -> int:
        return len(self._urgent) + len(self._queue) - self._ghosts

    @property
    def in_flight(self) -> int:
        return sum(session.in_flight for session in self.sessions)

    def statistics(self) -> LaneStatistics:
        return LaneStatistics(
            self.app, self.queued, len(self._urgent), self.in_flight, len(self.sessions), self._accepted,
            dict(self._answers), self._refused, self.breaker.state, self.breaker.opened_for,
        )  # fmt: skip

    @property
    def is_busy(self) -> bool:
        """Something is queued, in flight or held: the clock may not be stepped over it."""
        return bool(self.queued or self.in_flight or self._suspects)

    # --- inside

    def _count(self, reason: str, count: int = 1) -> None:
        if reason not in self._answers:
            if len(self._answers) >= KINDS:
                reason = OTHER
            log.info("answer_first_seen", app=self.app, reason=reason)
        self._answers[reason] += count

    def _settlement(self, flight: Flight, judgement: Judgement, fate: Fate, now: float) -> Settlement:
        not_before = 0.0
        if fate is Fate.RETRY:
            not_before = now + backoff(flight.device.attempt + 1, self._rng.random(), FIRST_RETRY)
        return Settlement(flight, fate, judgement.reason, not_before, judgement.dead_since)

    def _failed(self, reason: str, now: float) -> None:
        was = self.breaker.state
        self.breaker.failed(1, reason, now)
        if self.breaker.state is State.OPEN and was is not State.OPEN:
            log.warning("lane_paused", app=self.app, reason=reason)

    def _recovered(self) -> None:
        """An answer about a device or a message: the service itself works."""
        if self.breaker.state is State.PROBING:
            self.breaker.succeeded()
            self.nudge()

    def _reconnect(self, judgement: Judgement, retire: Callable[[str], None], now: float) -> None:
        self.breaker.unknown(now)
        retire(judgement.reason)

    def _new_token(self, judgement: Judgement, retire: Callable[[str], None], now: float) -> None:
        if not self.provider.token_expired(now) and self.breaker.state is not State.OPEN:
            self._stop(Judgement(judgement.verdict, "clock_is_wrong"), retire, now)
        retire(judgement.reason)

    def _stop(self, judgement: Judgement, retire: Callable[[str], None], now: float) -> None:
        if self.breaker.state is not State.OPEN:
            log.error("lane_stopped", app=self.app, reason=judgement.reason)
        self.breaker.stop(judgement.reason, now)
        retire(judgement.reason)

    def _pause(self, judgement: Judgement, retire: Callable[[str], None], now: float) -> None:
        if self.breaker.state is not State.OPEN:
            log.warning("lane_paused", app=self.app, reason=judgement.reason)
        self.breaker.pause(judgement.reason, now + PAUSE)
        retire(judgement.reason)


_FATES: Final = {Action.GIVE_UP: Fate.GIVE_UP, Action.DEAD: Fate.DEAD, Action.LATER: Fate.RETRY}
_REACHED: Final = frozenset({Action.GIVE_UP, Action.DEAD, Action.SUSPECT, Action.LATER})
_ACTS: Final[dict[Action, Callable[[Lane, Judgement, Callable[[str], None], float], None]]] = {
    Action.RECONNECT: Lane._reconnect,
    Action.NEW_TOKEN: Lane._new_token,
    Action.STOP: Lane._stop,
    Action.PAUSE: Lane._pause,
}
