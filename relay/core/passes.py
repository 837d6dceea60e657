"""Passes: secrets that stand for one person for a while; and visits, the record of who was shown that person's rest.

A rest is its owner's (L2). So whoever wants to read one shows a *pass*. A *link* is handed to an officer by whoever has
made sure who that is, the settings service; it is good once, and is changed for a *token*, the officer's own, or, by
the officers' door, for a *session*: that ends within a day, and earlier when it is not used. A *support code* is read
out by the officer to somebody who helps: one person, a quarter of an hour, and each look leaves a visit that the
officer is shown.

Here is what a pass is, and the working set of passes; what happens to them is in admitting.py. Memory and store hold a
keyed hash of each secret (`Pseudonyms.pass_key`). A link, token or session is 32 random bytes, so a plain look-up is
enough; a code has eight digits, so it is good for its person only and ends after five wrong tries.

When a pass was used last is known in memory, and written down once in a while for all that were used since: a restart
that nobody ordered costs a session the minutes in between, and asking costs no commit.

Rejected: signed tokens without a record (nobody could end them), and the tries in memory (a restart would forget them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from relay.core.private import PassKey, UserKey

MINUTE: Final = 60.0
HOUR: Final = 3600.0
DAY: Final = 86400.0


class PassKind(StrEnum):
    LINK = "link"
    TOKEN = "token"
    SUPPORT = "support"
    SESSION = "session"


LIVES: Final[Mapping[PassKind, float]] = {
    PassKind.LINK: 10 * MINUTE,
    PassKind.TOKEN: 30 * DAY,
    PassKind.SUPPORT: 15 * MINUTE,
    PassKind.SESSION: 12 * HOUR,
}
"""Seconds for which a pass is good."""
IDLE: Final[Mapping[PassKind, float]] = {PassKind.SESSION: 30 * MINUTE}
"""Seconds without use after which a pass ends before its time; the others do not."""
OWN: Final = (PassKind.TOKEN, PassKind.SESSION)
"""What an officer asks with."""
MOST: Final[Mapping[PassKind, int]] = {
    PassKind.LINK: 10,
    PassKind.TOKEN: 10,
    PassKind.SUPPORT: 1,
    PassKind.SESSION: 5,
}
"""How many one person may have; for another one the oldest ends."""
TRIES: Final = 5
"""Wrong codes after which the right one ends."""
VISIT_LIFE: Final = 90 * DAY
"""Seconds for which a visit is kept."""
NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Pass:
    kind: PassKind
    user: UserKey = field(repr=False)
    expires_at: float
    tries: int = 0
    """Wrong ones, of a support code."""
    noted: float = 0.0
    """When it was used last, as far as that is written down; 0: not since it was given."""

    @property
    def begun_at(self) -> float:
        return self.expires_at - LIVES[self.kind]


class Look(StrEnum):
    """What was looked at with a support code."""

    REST = "rest"
    EXPLAIN = "explain"


@dataclass(frozen=True, slots=True)
class Visit:
    """A look at somebody's rest with a support code; append-only, and told to that person."""

    seq: int
    """From the store-wide counter of generations: visits have an order."""
    tenant: str
    user: UserKey = field(repr=False)
    at: float
    key_id: str
    """API key of the one who looked."""
    what: Look


class Passes:
    """The committed passes of all people. Expired ones may be among them until they are forgotten."""

    __slots__ = ("_of", "_uses", "by_key")

    def __init__(self, passes: Mapping[PassKey, Pass] = MappingProxyType({})) -> None:
        self.by_key: dict[PassKey, Pass] = {}
        self._of: dict[UserKey, dict[PassKey, Pass]] = {}
        self._uses: dict[PassKey, float] = {}
        """Last uses that are not written down."""
        self.update(passes)

    def of(self, user: UserKey) -> Mapping[PassKey, Pass]:
        return self._of.get(user, _NONE)

    def good(self, key: PassKey, now: float) -> Pass | None:
        """The pass of this key, when it is good at this instant."""
        known = self.by_key.get(key)
        if known is None or now >= known.expires_at or now >= self.used_at(key) + IDLE.get(known.kind, NEVER):
            return None
        return known

    def use(self, key: PassKey, now: float) -> None:
        """A pass that is there is used; nothing is written by that."""
        if now > self.used_at(key):
            self._uses[key] = now

    def used_at(self, key: PassKey) -> float:
        """When a pass that is there was used last; when it was given, if never."""
        known = self.by_key[key]
        return max(known.begun_at, known.noted, self._uses.get(key, 0.0))

    def unnoted(self) -> dict[PassKey, float]:
        """Last uses that are not written down."""
        return dict(self._uses)

    def update(self, changes: Mapping[PassKey, Pass | None]) -> None:
        """None ends a pass."""
        for key, changed in changes.items():
            used = self._uses.get(key)
            self._drop(key)
            if changed is not None:
                self.by_key[key] = changed
                self._of.setdefault(changed.user, {})[key] = changed
                if used is not None and used > changed.noted:
                    self._uses[key] = used

    def forget(self, now: float) -> None:
        """Drop what has expired."""
        for key in [key for key, known in self.by_key.items() if known.expires_at <= now]:
            self._drop(key)

    def _drop(self, key: PassKey) -> None:
        self._uses.pop(key, None)
        known = self.by_key.pop(key, None)
        if known is not None:
            own = self._of[known.user]
            del own[key]
            if not own:
                del self._of[known.user]


_NONE: Final[Mapping[PassKey, Pass]] = MappingProxyType({})
