"""What the fakes object to, and what of it is forgiven: with each, the fault that provokes it."""

from __future__ import annotations

from collections import Counter
from typing import Final

import trio

from bench.simulation.clock import Clocks
from bench.simulation.frames import Departure
from bench.simulation.ledger import Ledger
from bench.simulation.trace import Trace

AGAIN: Final = {"retry_of_refused", "retry_too_soon_after_5xx", "retry_too_soon_after_429"}
"""Breaches by asking again. Forgiven to a relay that has not heard the refusal (its answer was lost, or its process is
another one; so does an alarm that leaves beside a wakeup, or from a node that has lost the person), whose clock was set
since (it counts by that), or that was told of the phone anew."""
BELIEVED: Final = 3
"""Where more tokens than that are called dead, the relay may doubt it, and ask again five minutes later
(relay/core/brake.py); a fake Google that is told to say so of some at random objects to that."""
AT_START: Final = "token_refreshed_too_often"
"""Forgiven to a relay that was started again, and has no token, while that of the process before may be young."""
YOUNG: Final = 300.0
"""Seconds (relay/simulators/oauth.py)."""


class Conduct:
    """What the relay can know of the refusals that it got."""

    def __init__(self, ledger: Ledger, clocks: Clocks, trace: Trace) -> None:
        self._ledger = ledger
        self._clocks = clocks
        self._trace = trace
        self._heard_at: dict[Departure, float] = {}
        self._refusals: dict[str, Departure] = {}
        """Token → its last wakeup that was refused."""
        self._deaths: Counter[str] = Counter()
        """App → tokens that were called dead."""
        self._estranged: set[Departure] = set()
        """Alarms of nodes that had lost their people by then."""
        self._ends: list[float] = []
        """When processes ended."""
        self.forgiven: set[str] = set()
        """Breaches that a fault of this run provokes whenever it comes."""

    def heard(self, departure: Departure) -> None:
        """The answer has reached the relay."""
        self._heard_at[departure] = trio.current_time()

    def estranged(self, departure: Departure) -> None:
        """It leaves from a node that does not hear what others hear about this person."""
        self._estranged.add(departure)

    def refused(self, departure: Departure, *, is_dead: bool) -> None:
        self._refusals[departure.token] = departure
        self._deaths[departure.app] += is_dead

    def ended(self) -> None:
        """The relay's process has."""
        self._ends.append(trio.current_time())

    def objected(self, app: str, what: str, at: float, departure: Departure | None = None) -> None:
        """A provider objected to the relay's conduct. `departure`: the request that it objected to, if it was one."""
        is_forgiven = (
            what in self.forgiven
            or (what in AGAIN and departure is not None and self._may_not_know(departure))
            or (what == "retry_of_refused" and self._deaths[app] > BELIEVED)
            or (what == AT_START and self._has_ended(at - YOUNG, at))
        )
        if not is_forgiven:
            self._trace.fail(f"{app} objects: {what}")

    def _may_not_know(self, departure: Departure) -> bool:
        """The relay that asks again had perhaps not heard that it was refused, or for how long by the right clock."""
        refusal = self._refusals.get(departure.token)
        if refusal is None:
            return False
        heard = self._heard_at.get(refusal, float("inf"))
        is_news = self._ledger.was_registered(departure.token, refusal.called)
        is_another = departure in self._estranged or self._has_ended(heard, departure.called)
        return heard > departure.called or is_news or is_another or self._clocks.set_at >= refusal.called

    def _has_ended(self, first: float, last: float) -> bool:
        return any(first <= end <= last for end in self._ends)
