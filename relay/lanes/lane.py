"""A lane: the way to one provider with one app's credentials.

It holds what is queued (queue.py), judges answers, and asks whether sending makes sense at all (health.py).
Connections (session.py) take from the queue what they have room for; nothing is pushed at them. What is queued is only
a reference: each device stands here once, and once more for an alarm, so the queue is bounded by the number of devices;
and after a crash it is made anew from the slots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

import structlog
import trio

from relay.clock import Clock
from relay.core.brake import Ruling
from relay.core.breaker import State
from relay.core.flight import Fate, Flight, Settlement
from relay.core.holding import Holds, for_ever
from relay.core.pacing import CONNECTION_RETRY, FIRST_RETRY, backoff
from relay.core.people import Person
from relay.core.sampling import Sample
from relay.core.tables import Tables
from relay.core.verdicts import Action, Scope
from relay.lanes import sizing
from relay.lanes.health import PAUSE, Health
from relay.lanes.provider import Judgement, Provider
from relay.lanes.queue import Queue
from relay.lanes.quota import Quota
from relay.lanes.sizing import AnswerTime
from relay.lanes.skew import Skew
from relay.wire import Answer

KINDS: Final = 100
"""Most reasons told apart in the statistics: a provider's words become labels there."""
OTHER: Final = "other"

STEP_BACK: Final = 2.0
"""Seconds from the step back to an older credential to the probe with it: answers about the newer one come first."""
LOOK: Final = 3600.0
"""Longest pause of an idle connection between two looks, in seconds."""

log = structlog.get_logger()
Retire = Callable[[str], None]
"""Lets a connection open nothing more, for a reason."""


class Carrier(Protocol):
    """One open connection (session.py)."""

    is_for_alarms: bool
    """It is kept for them."""

    @property
    def in_flight(self) -> int: ...
    @property
    def streams(self) -> int:
        """How many requests it can carry at a time."""

    @property
    def is_open_for_alarms(self) -> bool:
        """It is kept for them, and can take one now."""

    def nudge(self) -> None: ...
    def wear(self) -> None: ...
    def retire(self, reason: str) -> None: ...


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
    clock_error: int
    """Seconds by which our clock is ahead of the provider's; 0 while that is nothing."""


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
        quota: Quota | None = None,
        skew: Skew | None = None,
        sample: Sample | None = None,
        holds: Holds = for_ever,
    ) -> None:
        self.app = app
        self.provider = provider
        self.tables = tables
        self.clock = clock
        self.health = Health(app, clock)
        self.sessions: set[Carrier] = set()
        """Open connections; told when something is queued or may go again."""
        self.draining = trio.Event()
        self.answer_time = AnswerTime()
        self._wanting = trio.Event()
        self._settles = settles
        self._rng = rng
        self._touched = touched
        self._skew = skew or Skew(app)
        self._sample = sample
        self.holds = holds
        """Whether the people are still ours; else only alarms leave (relay/tenure.py)."""
        self._quota = quota
        """By trio's clock: what the provider counts happens on the wire, whatever a clock that is set says."""
        self._queue = Queue()
        self._suspects: list[tuple[Flight, Judgement]] = []
        self._accepted = 0
        self._refused = 0
        self._answers: Counter[str] = Counter()

    # --- in

    def send(self, flights: Iterable[Flight]) -> None:
        """Queue wakeups; alarms go first, also ones that are queued already and have become urgent."""
        self._queue.add(flights)
        self._wanting.set()
        self.nudge()

    async def wanting(self) -> None:
        """Return when something is queued from now on, or the lane drains."""
        self._wanting = trio.Event()
        await self._wanting.wait()

    def nudge(self) -> None:
        """Something may go: tell the connections."""
        for session in self.sessions:
            session.nudge()

    def renew(self, provider: Provider) -> None:
        """The credential was replaced: new connections carry the new one, and replace those that are open, in turn.

        All at once when the lane stood still for the old one: the probe must not leave with that.
        """
        self.provider = provider
        stood_still = self.health.mended()
        for session in self.sessions:
            if stood_still:
                session.retire("key_replaced")
            else:
                session.wear()

    def drain(self) -> None:
        """Send nothing more; connections end when their answers are in."""
        self.draining.set()
        self._wanting.set()
        self.nudge()

    # --- out

    def available(self) -> int:
        """How many queued wakeups may go out now."""
        if self._quota is not None and self._quota.held:
            self._queue.add(self._quota.due(trio.current_time()))
        queued = self.queued if self.holds() else self._queue.urgent
        if not queued or self.draining.is_set() or not self.provider.is_ready(self.clock.now()):
            return 0
        allowance = self.health.allowance()
        if self._quota is not None:
            queued = min(queued, self._quota.allowance(trio.current_time(), queued, self._queue.urgent))
        return queued if allowance is None else min(allowance, queued)

    def take(self, limit: int, *, alarms: bool = True, others: bool = True) -> list[Flight]:
        """Up to `limit` wakeups of these kinds, alarms first."""
        others = others and self.holds()
        while (count := min(limit, self.available())) > 0:
            flights = self._queue.take(count, alarms=alarms, others=others)
            if not flights:
                break
            if self._quota is not None:
                flights = self._quota.pass_on(flights, trio.current_time())
            if flights:
                self.health.probing()
                return flights
        return []

    def left(self, flights: Sequence[Flight], now: float) -> None:
        """These wakeups left; the gate was asked at `now`."""
        if self._sample is not None and not self._sample.left(flights, now):
            log.error("woken_in_rest", app=self.app)

    def refuse(self, flights: Sequence[Flight]) -> None:
        """The last look said no: the devices are not in flight any more, the persons are worked out anew."""
        self._refused += len(flights)
        for flight in flights:
            flight.person.landed(flight)
        self.health.probe_again()
        self._touched([flight.person for flight in flights])

    def again(self, flights: Sequence[Flight]) -> None:
        """Not processed by the provider: to the head of the queue; no attempt counted."""
        if flights:
            self._queue.put_back(flights)
            self.health.probe_again()
            self.nudge()

    # --- answers

    def unreadable(self, flights: Sequence[Flight]) -> None:
        """Their sealed tokens do not open: nothing can be sent to these devices."""
        if flights:
            self.health.probe_again()
            log.error("tokens_unreadable", app=self.app, count=len(flights))
            self._settles.settle([Settlement(flight, Fate.GIVE_UP, "unreadable") for flight in flights])

    def answered_after(self, seconds: float) -> None:
        """So long a wakeup was under way."""
        self.answer_time.measured(seconds, load=self.in_flight / max(1, self.streams * len(self.sessions)))

    def accepted(self, flights: Sequence[Flight]) -> None:
        """The provider took these."""
        self._accepted += len(flights)
        if self.health.accepted(len(flights)):
            self.nudge()
        self._settles.settle_accepted(flights)

    def answered(self, answers: Sequence[Answer], retire: Retire, provider: Provider) -> None:
        """Judge answers that were not 200. `retire` ends the connection they came on; `provider` is what it carries."""
        outdated = provider is not self.provider
        settlements: list[Settlement] = []
        accepted: list[Flight] = []
        again: list[Flight] = []
        last: list[Flight] = []
        suspects = unjudged = 0
        for answer in answers:
            flight = answer.tag
            assert isinstance(flight, Flight)
            judgement = provider.judge(answer, self.clock.now())
            for name, value in answer.headers:
                if name == b"date":
                    self._skew.heard(value.decode("latin-1"), self.clock.now())
            self._count(judgement.reason)
            action = self.health.judge(judgement.verdict)
            if outdated and action in _ACTS:
                action = Action.RECONNECT  # about a key that was replaced: the new one is judged by its own answers
            if action is Action.ACCEPTED:
                accepted.append(flight)
            elif self.health.still_stopped(judgement.verdict, judgement.reason):
                last.append(flight)  # the next probe is another device: this one may be bad for itself
                continue
            elif action in _FATES:
                flight.answered = True
                settlements.append(self._settlement(flight, judgement, _FATES[action]))
            elif action is Action.SUSPECT and self.health.is_stopped:
                again.append(flight)  # it was under way when the lane was stopped for many like it: asked again later
                unjudged += 1
            elif action is Action.SUSPECT:
                suspects += 1
                flight.answered = True
                self._suspects.append((flight, judgement))
            else:
                again.append(flight)
                _ACTS[action](self, judgement, retire)
            if judgement.verdict.scope is Scope.SERVICE:
                self.health.failed(judgement.reason)
            elif action in _REACHED and self.health.recovered():
                self.nudge()
        self.health.saw(len(answers) - len(accepted) - len(last) - unjudged - suspects, suspects)
        self.again(again)
        self.send(last)
        if accepted:
            self.accepted(accepted)
        if settlements:
            self._settles.settle(settlements)
        self.judge_suspects()

    def lost(self, flights: Sequence[Flight], reason: str) -> None:
        """No answer will come: the outcome is unknown. Sent again after a short while; harmless if it was taken."""
        if not flights:
            return
        now = self.clock.now()
        self._count(reason, len(flights))
        self.health.unknown()
        self._settles.settle(
            [
                Settlement(
                    flight, Fate.RETRY, reason,
                    now + backoff(flight.device.attempt + 1, self._rng.random(), CONNECTION_RETRY),
                )
                for flight in flights
            ]
        )  # fmt: skip

    def pause(self, *, has_room: bool) -> float:
        """Seconds after which a connection with nothing to do should look again."""
        pause = self.health.look_in(LOOK, may_probe=has_room and self.queued > 0)
        if self._quota is not None and has_room:
            now = trio.current_time()
            pause = min(pause, max(0.0, self._quota.due_at - now))
            wait = self._quota.wait(now, self.queued) if self.queued else 0.0
            if wait and self.health.allowance() is None:
                pause = min(pause, wait)
        return pause

    def judge_suspects(self) -> None:
        """Let the brake rule over the suspects held."""
        ruling = self.health.rule() if self._suspects else Ruling.HOLD
        if ruling is Ruling.HOLD:
            return
        suspects, self._suspects = self._suspects, []
        if ruling is Ruling.BURY:
            self._settles.settle([self._settlement(flight, judgement, Fate.DEAD) for flight, judgement in suspects])
            return
        self.health.stop(suspects[0][1].reason, held=len(suspects))
        for flight, _ in suspects:
            flight.answered = False
        self.again([flight for flight, _ in suspects])

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def has_alarms(self) -> bool:
        """Among what is queued."""
        return self._queue.urgent > 0

    @property
    def is_open_for_alarms(self) -> bool:
        """A connection that is kept for them takes one now: they need not stand behind others."""
        return any(session.is_open_for_alarms for session in self.sessions)

    @property
    def in_flight(self) -> int:
        return sum(session.in_flight for session in self.sessions)

    @property
    def streams(self) -> int:
        """How many requests a connection carries at a time; as many as one may open, where none is open."""
        return max((session.streams for session in self.sessions), default=sizing.STREAMS)

    def statistics(self) -> LaneStatistics:
        held = self._quota.held if self._quota is not None else 0
        return LaneStatistics(
            self.app, self.queued + held, self._queue.urgent, self.in_flight, len(self.sessions), self._accepted,
            dict(self._answers), self._refused, self.health.state, self.health.opened_for,
            self._skew.error,
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

    def _settlement(self, flight: Flight, judgement: Judgement, fate: Fate) -> Settlement:
        not_before = 0.0
        if fate is not Fate.GIVE_UP:  # a death that is not believed is a retry too
            pause = backoff(flight.device.attempt + 1, self._rng.random(), FIRST_RETRY)
            not_before = self.clock.now() + max(pause, judgement.wait)
        return Settlement(flight, fate, judgement.reason, not_before, judgement.dead_since)

    def _reconnect(self, judgement: Judgement, retire: Retire) -> None:
        self.health.unknown()
        retire(judgement.reason)

    def _new_token(self, judgement: Judgement, retire: Retire) -> None:
        wrong = self.provider.credential_refused(self.clock.now())
        if wrong:
            self.health.stop(wrong)
        retire(judgement.reason)

    def _stop(self, judgement: Judgement, retire: Retire) -> None:
        self.health.stop(judgement.reason)
        retire(judgement.reason)

    def _pause(self, judgement: Judgement, retire: Retire) -> None:
        self.health.wait(judgement.reason, judgement.wait or PAUSE)
        retire(judgement.reason)

    def _old_token(self, judgement: Judgement, retire: Retire) -> None:
        """The connection answers nothing else any more. A probe that is told so too has had the old one."""
        is_probe = self.health.state is State.PROBING
        old_again = not is_probe and self.provider.step_back(self.clock.now())
        self.health.wait(judgement.reason, STEP_BACK if old_again else PAUSE)
        retire(judgement.reason)


_FATES: Final = {Action.GIVE_UP: Fate.GIVE_UP, Action.DEAD: Fate.DEAD, Action.LATER: Fate.RETRY}
_REACHED: Final = frozenset({Action.GIVE_UP, Action.DEAD, Action.SUSPECT, Action.LATER})
_ACTS: Final[dict[Action, Callable[[Lane, Judgement, Retire], None]]] = {
    Action.RECONNECT: Lane._reconnect,
    Action.NEW_TOKEN: Lane._new_token,
    Action.STOP: Lane._stop,
    Action.PAUSE: Lane._pause,
    Action.OLD_TOKEN: Lane._old_token,
}
