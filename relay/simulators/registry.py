"""Which tokens the fake knows, and the phones behind them (validations A-14 and A-15)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

Refusal = tuple[int, str, int | None]
"""(status, reason, timestamp in ms for 410)."""
LONGEST_STORED: Final = 30 * 86_400.0
"""Seconds. "APNs stores the notification for 30 days or less" when it has no expiration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """What a phone is sent."""

    topic: str
    collapse_id: str = ""
    priority: int = 10
    expiration: int | None = None
    """UTC seconds until when it is worth keeping. 0: it is not. None: as long as APNs likes."""


@dataclass(slots=True)
class Phone:
    """A device behind a token. While it is offline one notification per topic is kept, the newest."""

    online: bool = True
    stored: dict[str, tuple[Notification, float]] = field(default_factory=dict)
    """topic → (what is kept, until when)"""
    delivered: list[tuple[float, str]] = field(default_factory=list)
    """(when, collapse id) of everything that arrived."""
    shown: list[Notification] = field(default_factory=list)
    """What the screen shows: a notification replaces the one with its collapse id."""

    def push(self, now: float, notification: Notification) -> None:
        """Take a notification: shown at once, kept while offline (the newest only), or gone (expiration 0)."""
        if self.online:
            self._show(now, notification)
            return
        longest = now + LONGEST_STORED
        until = longest if notification.expiration is None else min(float(notification.expiration), longest)
        if until > now:
            self.stored[notification.topic] = (notification, until)

    def connect(self, now: float) -> None:
        """The phone is back: what is kept and not expired is shown."""
        self.online = True
        for notification, until in self.stored.values():
            if until > now:
                self._show(now, notification)
        self.stored.clear()

    def _show(self, now: float, new: Notification) -> None:
        self.delivered.append((now, new.collapse_id))
        if new.collapse_id:
            same = new.topic, new.collapse_id
            self.shown = [old for old in self.shown if (old.topic, old.collapse_id) != same]
        self.shown.append(new)


@dataclass(slots=True)
class Registry:
    """Every well-formed token is valid unless `listed_only`; what is named here, in lower case, is answered as said."""

    listed_only: bool = False
    listed: set[str] = field(default_factory=set)
    wrong_topic: set[str] = field(default_factory=set)
    wrong_environment: set[str] = field(default_factory=set)
    unregistered: dict[str, float] = field(default_factory=dict)
    """token → UTC seconds since when; may lie before the relay's latest registration of it."""
    expired: dict[str, float] = field(default_factory=dict)
    rate: int | None = None
    """Requests per token and `window` above which 429 is answered."""
    window: float = 60.0
    """Seconds."""
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
        while recent and recent[0] <= now - self.window:
            recent.popleft()
        recent.append(now)
        return len(recent) > self.rate
