"""Whether a lane may send.

The breaker (core/breaker.py) stands open for three reasons: the provider is in trouble, it has told us to wait, or it
says that we are wrong. The last is also concluded from what looks like single faults: tokens that are bad in numbers
(the brake, core/brake.py), and requests that are called malformed one after the other; deleting those devices, or
giving up those notices, would empty the store for a mistake of ours.

While the breaker is open, one probe is let through from time to time. Answers that arrive meanwhile are to requests
that left before, and say nothing about the fault. A probe that did not leave after all is followed by another at once,
or nobody would ever close the breaker.
"""

from __future__ import annotations

from typing import Final

import structlog

from relay.clock import Clock
from relay.core.brake import Brake, Ruling
from relay.core.breaker import Breaker, State
from relay.core.verdicts import Action, Scope, Verdict

PAUSE: Final = 300.0
"""Seconds a lane waits when it is told to, but not for how long."""
NOT_TAKEN: Final = 1.0
"""Seconds until the next look for a probe that is due and could not leave: there is no access token, for one."""
BUGS: Final = 20
"""Answers in a row that call our requests malformed, after which it is not the one request."""
_DOUBTFUL: Final = frozenset({Action.GIVE_UP, Action.SUSPECT})
"""May be about the one request, or about all of them."""

log = structlog.get_logger()


class Health:
    """Of one lane. `app` is for the log."""

    def __init__(self, app: str, clock: Clock) -> None:
        self._app = app
        self._clock = clock
        self._breaker = Breaker()
        self._brake = Brake()
        self._bugs = 0
        """Answers in a row that called our requests malformed."""
        self._is_stopped = False
        """The breaker was opened for a mistake of ours, last of all."""
        self._ahead = PAUSE
        """Most seconds by which the next probe can lie ahead."""

    @property
    def state(self) -> State:
        return self._breaker.state

    @property
    def opened_for(self) -> str:
        """Why the breaker was opened; empty when it is closed."""
        return self._breaker.opened_for

    @property
    def word(self) -> str:
        """up; paused: the provider is in trouble, or wants us to wait; stopped: we are wrong."""
        if self._breaker.state is State.CLOSED:
            return "up"
        return "stopped" if self._is_stopped else "paused"

    @property
    def is_stopped(self) -> bool:
        """It waits because we are wrong: what is said of single devices meanwhile may be our fault too."""
        return self._is_stopped and self._is_open()

    # --- may it send

    def allowance(self) -> int | None:
        """How many requests may go out now; None: any number."""
        return self._breaker.allowance(self._now())

    def probing(self) -> None:
        """A request has been let through; if the breaker is open, it is the probe."""
        if self._is_open():
            self._breaker.probing()

    def probe_again(self) -> None:
        """Requests have not left, or were not processed; if the probe is among them, the next request is the probe."""
        if self._breaker.state is State.PROBING:
            self._breaker.pause(self._breaker.opened_for, self._clock.now())

    def look_in(self, longest: float, *, may_probe: bool) -> float:
        """Seconds after which something is due: a probe, if one could be sent, or the ruling over suspects."""
        now = self._now()
        instants = [now + longest]
        if may_probe and self._is_open():
            due_at = self._breaker.probe_at
            instants.append(due_at if due_at > now else now + NOT_TAKEN)
        due = self._brake.due_at()
        if due is not None:
            instants.append(due)
        return max(0.0, min(instants) - now)

    # --- what is learned

    def judge(self, verdict: Verdict) -> Action:
        """What to do about an answer: what its verdict asks for, unless the bug is in every request."""
        self._bugs = self._bugs + 1 if verdict.scope is Scope.MESSAGE else 0
        return verdict.action if self._bugs <= BUGS else Action.STOP

    def accepted(self, count: int) -> bool:
        """So many requests were taken. True: sending begins again."""
        self._bugs = 0
        self.saw(count, 0)
        return self.recovered()

    def recovered(self) -> bool:
        """An answer about a device or a message: the service itself works. True: sending begins again."""
        if self._is_open():
            return False
        was = self._breaker.state
        self._breaker.succeeded()
        if was is State.PROBING:
            log.info("lane_resumed", app=self._app)
        return was is State.PROBING

    def failed(self, reason: str) -> None:
        """The provider is in trouble, it says."""
        was_open = self._is_open()
        self._breaker.failed(1, reason, self._clock.now())
        if self._is_open() and not was_open:
            self._is_stopped = False
            log.warning("lane_paused", app=self._app, reason=reason)

    def unknown(self) -> None:
        """No answer."""
        self._breaker.unknown(self._clock.now())

    def stop(self, reason: str, held: int = 0) -> None:
        """We are wrong: keep everything, probe slowly; and not before the end of a wait that we were told."""
        told = self._breaker.probe_at if self._is_open() else 0.0
        if not self._is_open():
            log.error("lane_stopped", app=self._app, reason=reason, held=held)
        self._breaker.stop(reason, self._clock.now())
        if told > self._breaker.probe_at:
            self._breaker.pause(reason, told)
        self._is_stopped = True

    def mended(self) -> bool:
        """What may have been wrong with us was replaced. True: the lane was stopped, and a probe may go at once."""
        was_stopped = self.is_stopped
        if was_stopped:
            self._breaker.pause(self._breaker.opened_for, self._clock.now())
        return was_stopped

    def still_stopped(self, verdict: Verdict, reason: str) -> bool:
        """Whether this is the probe, saying again what has stopped the lane: then it is no news about a device."""
        is_same = self._breaker.state is State.PROBING and self._breaker.opened_for == reason
        if not is_same or verdict.action not in _DOUBTFUL:
            return False
        self._breaker.stop(reason, self._clock.now())
        return True

    def wait(self, reason: str, seconds: float = PAUSE) -> None:
        """The provider wants us to wait so long; if it has told us more before, so long."""
        now = self._now()
        until = now + seconds
        if self._is_open():
            until = max(until, self._breaker.probe_at)
        self._ahead = max(PAUSE, until - now)
        if self.is_stopped:  # it takes more than waiting
            self._breaker.pause(self._breaker.opened_for, until)
            return
        if not self._is_open():
            log.warning("lane_paused", app=self._app, reason=reason)
        self._is_stopped = False
        self._breaker.pause(reason, until)

    # --- suspects

    def saw(self, good: int, suspect: int) -> None:
        """How many answers were anything but suspect, and how many suspect."""
        self._brake.saw(good, suspect, self._clock.now())

    def rule(self) -> Ruling:
        """What to do with the suspects held; after BURY and STOP none is held any more."""
        ruling = self._brake.rule(self._clock.now())
        if ruling is Ruling.BURY:
            self._brake.released()
        elif ruling is Ruling.STOP:
            self._brake.reset()
        return ruling

    # --- inside

    def _is_open(self) -> bool:
        return self._breaker.state is State.OPEN

    def _now(self) -> float:
        """The clock. A probe further ahead than any pause was planned by a clock that has been set back since."""
        now = self._clock.now()
        if self._is_open() and self._breaker.probe_at > now + self._ahead:
            self._breaker.pause(self._breaker.opened_for, now)
        return now
