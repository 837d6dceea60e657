"""What can be made to go wrong at a fake."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Injections(Generic[Answer]):
    """Changeable while it runs. What an answer is told by depends on the fake."""

    latency: Callable[[], float] = lambda: 0.0
    """Seconds until an answer."""
    answers: list[Answer] = field(default_factory=list)
    """For the next requests, one each; overrides every check."""
    silent: set[str] = field(default_factory=set)
    """Tokens that never get an answer; Apple's in lower case."""
    silence: bool = False
    """Nothing gets an answer."""
    drop_after: int | None = None
    """A connection that has processed so many requests is cut, before the last one's answer. Happens once."""
