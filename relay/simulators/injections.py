"""What can be made to go wrong at a fake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import log
from random import Random
from typing import Final, Generic, TypeVar

_P99: Final = 2.3263
"""Standard deviations above the mean, below which 99 in 100 lie."""

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Injections(Generic[Answer]):
    """Changeable while it runs. What an answer is told by depends on the fake."""

    latency: Callable[[], float] = lambda: 0.0
    """Seconds until an answer."""
    answers: list[Answer] = field(default_factory=list)
    """For the next requests, one each; overrides every check."""
    delays: dict[str, float] = field(default_factory=dict)
    """Token → seconds more until its answer."""
    connection_delays: dict[int, float] = field(default_factory=dict)
    """Number of a connection (1, 2, …) → seconds more until each of its answers."""
    body_delay: float = 0.0
    """Seconds between the head of an answer and its body."""
    silent: set[str] = field(default_factory=set)
    """Tokens that never get an answer; Apple's in lower case."""
    silence: bool = False
    """Nothing gets an answer."""
    drop_after: int | None = None
    """A connection that has processed so many requests is cut, before the last one's answer. Happens once."""
    goaway_after: int | None = None
    """A connection that has processed so many requests says GOAWAY; those in the same flight behind them are not
    processed. Happens once; HTTP/2 only."""
    farewell: tuple[int, bytes] = (0, b"")
    """Code and debug data of that GOAWAY."""
    most_at_once: int | None = None
    """A stream beyond so many is refused, whatever was announced; HTTP/2 only."""


def log_normal(rng: Random, median: float, p99: float) -> Callable[[], float]:
    """Latencies as they are usually spread: half of them above `median` seconds, one in a hundred above `p99`."""
    mu, sigma = log(median), log(p99 / median) / _P99
    return lambda: rng.lognormvariate(mu, sigma)


def bimodal(rng: Random, usual: float, outlier: float, share: float) -> Callable[[], float]:
    """`usual` seconds, but `outlier` seconds for a share (0 to 1) of the answers."""
    return lambda: outlier if rng.random() < share else usual
