"""Trials: officers wake their own phones, to see whether they ring. What became of each phone is kept for an hour.

Theory of operation. A trial is an event of the class `test` (`events.TEST`), for one person and by that person. No key
can post it, no configuration can change it. It takes the way of any event: accepted in a commit that records the
bypass, a slot, the fan-out, the last look, the same bytes. It goes out in rest and in a hold, for that is what is asked
for; and it takes nothing from anything else:

- It overtakes nothing, for it is no alarm (`EventClass.is_urgent`).
- It begins no hold: what comes after it rings as if there had been none (`Person.left_generation`).
- Apple keeps one wakeup for a phone that is off, the newest. So this one lives as long as any that may be kept now, or
  it would cut the life of what it displaces (gate.py). It is tried for ten minutes only.

What became of it is noted from the verdicts of a commit, when it is written. While nobody tests, that costs a look at
an empty dictionary for each commit. In memory only: a restart forgets it, and the wakeup leaves all the same.

Rejected: asking the slot afterwards (it does not say when, nor why not), a receipt (totals, where devices are wanted),
and a mark on each wakeup (everybody's would pay for it).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from relay.core.devices import Device
from relay.core.errors import TooOften
from relay.core.events import TEST
from relay.core.flight import Fate, Flight, Settlement
from relay.core.private import DeviceKey, UserKey

MOST: Final = 3
"""Trials of one person within WINDOW."""
WINDOW: Final = 600.0
KEPT: Final = 3600.0
"""Seconds for which the outcome of somebody's last trial is kept."""
LARGEST: Final = 100_000
"""Outcomes kept at a time, about 1 kB each; beyond it the oldest goes."""


class Heard(StrEnum):
    """What the provider said of one phone, so far."""

    TAKEN = "taken"
    LATER = "later"
    """Not now; it is tried again."""
    REFUSED = "refused"
    """Never, though the phone stays."""
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Outcome:
    heard: Heard
    at: float
    reason: str = ""
    """The provider's own word."""


@dataclass(slots=True, repr=False)
class Trial:
    """One person's last. `devices`: as they were when it came; `phones`: those that it is for."""

    user: UserKey
    at: float
    generation: int
    devices: Sequence[Device]
    phones: frozenset[DeviceKey]
    outcomes: dict[DeviceKey, Outcome] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Of no phone anything more is to come."""
        ended = {key for key, outcome in self.outcomes.items() if outcome.heard is not Heard.LATER}
        return self.phones <= ended


class Trials:
    """The last trial of each person, and who may begin another."""

    __slots__ = ("_begun", "_last", "open")

    def __init__(self) -> None:
        self.open: dict[UserKey, Trial] = {}
        """Those of which something is to come yet; the oldest comes first."""
        self._last: dict[UserKey, Trial] = {}
        self._begun: dict[UserKey, tuple[float, ...]] = {}

    def admit(self, user: UserKey, now: float) -> None:
        """One more is asked for. Raises TooOften. A clock that was set back makes nobody wait."""
        begun = tuple(at for at in self._begun.get(user, ()) if now - WINDOW < at <= now)
        if len(begun) >= MOST:
            raise TooOften(max(1, math.ceil(begun[0] + WINDOW - now)))
        self._begun[user] = (*begun, now)

    def forgive(self, user: UserKey, at: float) -> None:
        """The one that was admitted then did not come to pass."""
        begun = [*self._begun.get(user, ())]
        if at in begun:
            begun.remove(at)
        self._begun[user] = tuple(begun)

    def begin(self, trial: Trial) -> None:
        """It is committed."""
        self._drop(trial.user)
        self._last[trial.user] = trial
        if not trial.is_over:
            self.open[trial.user] = trial
        if len(self._last) > LARGEST:
            self._drop(next(iter(self._last)))

    def of(self, user: UserKey, now: float) -> Trial | None:
        """Somebody's last within the hour."""
        trial = self._last.get(user)
        return trial if trial is not None and now < trial.at + KEPT else None

    def saw(self, accepted: Iterable[Flight], settlements: Iterable[Settlement], now: float) -> None:
        """These verdicts are committed, and applied."""
        for flight in accepted:
            self._note(flight, Outcome(Heard.TAKEN, now))
        for settlement in settlements:
            heard = _HEARD[settlement.fate]
            if heard is Heard.DEAD and settlement.flight.device.key in settlement.flight.person.devices:
                heard = Heard.LATER  # not believed
            self._note(settlement.flight, Outcome(heard, now, settlement.reason))
        while self.open and (oldest := next(iter(self.open.values()))).at + TEST.deadline <= now:
            del self.open[oldest.user]

    def _note(self, flight: Flight, outcome: Outcome) -> None:
        trial = self.open.get(flight.person.key)
        if trial is None or not any(
            name == TEST.name and generation >= trial.generation for name, generation, _total in flight.claims
        ):
            return
        trial.outcomes[flight.device.key] = outcome
        if trial.is_over:
            del self.open[trial.user]

    def forget(self, now: float) -> None:
        """Drop what nobody can ask for any more."""
        for user in [user for user, trial in self._last.items() if trial.at + KEPT <= now]:
            self._drop(user)
        self._begun = {user: begun for user, begun in self._begun.items() if begun and begun[-1] + WINDOW > now}

    def drop(self, user: UserKey) -> None:
        """The person is gone."""
        self._drop(user)
        self._begun.pop(user, None)

    def _drop(self, user: UserKey) -> None:
        self._last.pop(user, None)
        self.open.pop(user, None)


_HEARD: Final[Mapping[Fate, Heard]] = {
    Fate.RETRY: Heard.LATER,
    Fate.GIVE_UP: Heard.REFUSED,
    Fate.DEAD: Heard.DEAD,
}
