"""How fast time goes in a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bench.simulation.calm import AFTERMATH

GAP_WEIGHTS: Final = (40, 25, 20, 10, 4)
"""How often there are so many seconds between two acts (`Pace.gaps`)."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast time goes. Nodes are busy with one another all the time, so of theirs less can be played."""

    gaps: tuple[tuple[float, float], ...]
    leaps: float
    """Share of the acts after which hours are slept through."""
    crowds: float
    """Share of the faults into which everybody is told something."""
    jitter: float
    """Seconds, at most."""
    turn: float
    """Seconds of each step to what is due next."""
    nap: float
    """Seconds after a leap of days."""
    hush: tuple[float, float, float]
    """Seconds before everything is well again, one of these."""
    after: Sequence[tuple[float, float]]
    """Of calm at the end, the longest back-off, and an hour of probes: seconds slept through, and seconds."""
    quiet: Sequence[tuple[float, float]]
    """When all is due."""
    settles: float
    """Seconds of true time after the last fault, within which whoever can be rung has been: the longest back-off of a
    phone, and a stretch of `after`."""


ALONE: Final = Pace(
    gaps=((0.0, 0.05), (0.05, 3.0), (3.0, 60.0), (60.0, 600.0), (600.0, 3600.0)), leaps=0.01, crowds=0.0,
    jitter=300.0, turn=30.0, nap=60.0, hush=(1.0, 30.0, 300.0), after=[(0.0, 3000.0)], quiet=[(0.0, 700.0)],
    settles=AFTERMATH,
)  # fmt: skip
TOGETHER: Final = Pace(
    gaps=((0.0, 0.05), (0.05, 3.0), (3.0, 12.0), (5.0, 25.0), (20.0, 40.0)), leaps=0.05, crowds=0.4,
    jitter=5.0, turn=7.0, nap=10.0, hush=(1.0, 10.0, 40.0), after=[(0.0, 75.0), *[(700.0, 10.0)] * 5],
    quiet=[(400.0, 10.0)] * 2, settles=AFTERMATH + 710.0,
)  # fmt: skip
