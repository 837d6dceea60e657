"""How often somebody may try to sign in: from one address, and from all together.

An attempt is counted when it begins and given back when it succeeds, so what is limited is attempts that fail or are
not finished; a whole station behind one address signs in at six o'clock unhindered. The measure is a bucket that leaks
(GCRA): one number per address, the instant at which it will be empty.

It is bounded by itself. Whoever is refused leaves no trace, and all together may leave so many only; so no more
addresses are remembered than attempts are let through until the first of them have leaked away.

Rejected: locking an account. Anybody could lock out a colleague, and no account is named here before it has shown its
factors elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limit:
    """So many attempts at once, and as many again in so many seconds, one by one."""

    attempts: int
    seconds: float

    @property
    def apart(self) -> float:
        return self.seconds / self.attempts


SPAN: Final = 600.0
"""Seconds that a number of attempts, where it is configured, is for."""
PER_ADDRESS: Final = Limit(30, SPAN)
TOGETHER: Final = Limit(6_000, SPAN)
"""Ten a second. What an attempt costs is a look into a table of the relay, or a question to the provider."""


class LoginLimits:
    """Attempts of the last minutes, in memory. `now`: UTC seconds."""

    def __init__(self, per_address: Limit = PER_ADDRESS, together: Limit = TOGETHER) -> None:
        self._per_address = per_address
        self._together = together
        self._all = float("-inf")
        self._of: dict[str, float] = {}

    def attempt(self, address: str, now: float) -> float | None:
        """Count an attempt. Else the seconds after which there may be one, and nothing is counted."""
        own = _empty_at(self._of.get(address, now), self._per_address, now)
        everybody = _empty_at(self._all, self._together, now)
        wait = max(_wait(own, self._per_address, now), _wait(everybody, self._together, now))
        if wait > 0:
            return wait
        self._all = everybody + self._together.apart
        self._of[address] = own + self._per_address.apart
        if len(self._of) > self.most:
            self._of = {known: empty for known, empty in self._of.items() if empty > now}
        return None

    def give_back(self, address: str) -> None:
        """The attempt has let somebody in, or its failure was ours."""
        self._all -= self._together.apart
        if address in self._of:
            self._of[address] -= self._per_address.apart

    @property
    def most(self) -> int:
        """Addresses remembered at a time."""
        return self._together.attempts + int(self._per_address.seconds / self._together.apart) + 1

    @property
    def remembered(self) -> int:
        return len(self._of)


def _empty_at(known: float, limit: Limit, now: float) -> float:
    """When the bucket will be empty; not later than a full one, or a clock that was set back would lock people out."""
    return min(max(known, now), now + limit.seconds)


def _wait(empty_at: float, limit: Limit, now: float) -> float:
    """Seconds until one more fits."""
    return empty_at + limit.apart - limit.seconds - now
