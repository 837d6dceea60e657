"""Which tokens the fake knows, and the phones behind them (validations A-14 and A-15)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

Refusal = tuple[int, str, int | None]
"""(status, reason, timestamp in ms for 410)."""


@dataclass(slots=True)
class Phone:
    """A device behind a token. `delivered` maps collapse id → times shown; one is stored while it is offline."""

    online: bool = True
    stored: tuple[str, float] | None = None
    """(collapse id, until when) of the one notification kept while offline."""
    delivered: list[tuple[float, str]] = field(default_factory=list)

    def push(self, now: float, collapse_id: str, expiration: int | None) -> None:
        """Take a notification: shown at once, kept while offline (the newest only), or gone (expiration 0)."""
        if self.online:
            self.delivered.append((now, collapse_id))
        elif expiration is None or expiration > now:
            self.stored = (collapse_id, float("inf") if expiration is None else float(expiration))

    def connect(self, now: float) -> None:
        """The phone is back: what is kept and not expired is shown."""
        self.online = True
        if self.stored is not None and self.stored[1] > now:
            self.delivered.append((now, self.stored[0]))
        self.stored = None


@dataclass(slots=True)
class Registry:
    """Every well-formed token is valid unless `listed_only`; what is named here is answered as said."""

    listed_only: bool = False
    listed: set[str] = field(default_factory=set)
    wrong_topic: set[str] = field(default_factory=set)
    wrong_environment: set[str] = field(default_factory=set)
    unregistered: dict[str, float] = field(default_factory=dict)
    """token → UTC seconds since when."""
    expired: dict[str, float] = field(default_factory=dict)
    rate: int | None = None
    """Requests per token and minute above which 429 is answered."""
    phones: dict[str, Phone] = field(default_factory=dict)
    _recent: dict[str, deque[float]] = field(default_factory=dict)

    def check(self, token: str, now: float) -> Refusal | None:
        """None when the notification may be delivered."""
        if token in self.unregistered:
            return 410, "Unregistered", int(self.unregistered[token] * 1000)
        if token in self.expired:
            return 410, "ExpiredToken", int(self.expired[token] * 1000)
        if token in self.wrong_environment or (self.listed_only and token not in self.listed):
            return 400, "BadDeviceToken", None
        if token in self.wrong_topic:
            return 400, "DeviceTokenNotForTopic", None
        return (429, "TooManyRequests", None) if self._too_many(token, now) else None

    def _too_many(self, token: str, now: float) -> bool:
        if self.rate is None:
            return False
        recent = self._recent.setdefault(token, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        recent.append(now)
        return len(recent) > self.rate
