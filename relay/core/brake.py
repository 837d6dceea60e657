"""The deletion brake: one bad token is a dead device, many are our own mistake.

A wrong environment or topic makes Apple answer BadDeviceToken to every token we have; deleting on it would empty the
registry in a minute. So a suspect answer is first held. When `WINDOW` further answers of the lane are in, or
`PATIENCE` seconds have passed, it is judged: fewer than `SHARE` of the last answers suspect (or no more than `FEW` of
them): the tokens are dead. Else the lane stops, and nothing is deleted. A flood is judged as soon as it is one.
"""

from __future__ import annotations

from collections import deque
from enum import StrEnum
from typing import Final

WINDOW: Final = 200
"""Answers looked back on."""
SHARE: Final = 0.05
FEW: Final = 3
PATIENCE: Final = 30.0
"""Seconds a suspect is held when the lane is quiet."""


class Ruling(StrEnum):
    HOLD = "hold"
    BURY = "bury"
    STOP = "stop"


class Brake:
    """Watches one lane's answers. Counts are kept as runs, so that 200 answers of a batch cost one call."""

    __slots__ = ("_held_at", "_recent", "_since", "_suspects", "_total")

    def __init__(self) -> None:
        self._recent: deque[tuple[int, int]] = deque()
        """(good, suspect) per batch, newest last; the last WINDOW answers."""
        self._total = 0
        self._suspects = 0
        self._since = 0
        """Good answers since the first suspect that is held."""
        self._held_at: float | None = None

    def saw(self, good: int, suspect: int, now: float) -> None:
        """A batch of answers: how many were anything but suspect, how many suspect."""
        if not good and not suspect:
            return
        self._recent.append((good, suspect))
        self._total += good + suspect
        self._suspects += suspect
        self._forget(self._total - WINDOW)
        if suspect and self._held_at is None:
            self._held_at = now
            self._since = 0
        if self._held_at is not None:
            self._since += good

    def _forget(self, count: int) -> None:
        """Forget the oldest `count` answers; of a batch the good ones first, for caution."""
        while count > 0:
            good, suspect = self._recent.popleft()
            old_good = min(good, count)
            old_suspect = min(suspect, count - old_good)
            if (good, suspect) != (old_good, old_suspect):
                self._recent.appendleft((good - old_good, suspect - old_suspect))
            self._total -= old_good + old_suspect
            self._suspects -= old_suspect
            count -= old_good + old_suspect

    def rule(self, now: float) -> Ruling:
        """What to do with the suspects held."""
        if self._held_at is None:
            return Ruling.HOLD
        many = self._suspects > FEW and self._suspects >= SHARE * self._total
        if self._suspects > SHARE * WINDOW and many:
            return Ruling.STOP
        if self._since < WINDOW and now < self._held_at + PATIENCE:
            return Ruling.HOLD
        return Ruling.STOP if many else Ruling.BURY

    def due_at(self) -> float | None:
        """When the held suspects are judged at the latest; None when none is held."""
        return None if self._held_at is None else self._held_at + PATIENCE

    def released(self) -> None:
        """The held suspects were dealt with."""
        self._held_at = None

    def reset(self) -> None:
        """Forget everything: the lane starts anew, with other credentials or after a stop."""
        self._recent.clear()
        self._total = self._suspects = self._since = 0
        self._held_at = None
