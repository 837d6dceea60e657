"""What can be made to go wrong at the fake APNs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Injections:
    """Changeable while it runs."""

    latency: Callable[[], float] = lambda: 0.0
    """Seconds until an answer."""
    answers: list[tuple[int, str]] = field(default_factory=list)
    """(status, reason) for the next requests, one each; overrides every check."""
    silent: set[str] = field(default_factory=set)
    """Tokens, in lower case, that never get an answer."""
    silence: bool = False
    """Nothing gets an answer."""
    drop_after: int | None = None
    """A connection that has processed so many requests is cut, before the last one's answer. Happens once."""
