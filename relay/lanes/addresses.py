"""Which of a provider's addresses to connect to: pure, driven by `now`.

The name is looked up anew before each connect, and answers with one to a dozen addresses. The connections of a lane are
spread over them, and one that has failed is put aside for a while: it refused, it did not answer, somebody who began
later was there first, or a connection to it was lost soon. Being put aside is only an order: when all addresses are
aside, the one whose time is up first is tried first, for better a doubtful address than none.

Where all else is equal the lookup's own order stands (it knows what is near; RFC 6724), but families take turns
(RFC 8305, section 4): the rival of an IPv6 address that leads nowhere is an IPv4 address.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

ASIDE: Final = 300.0
"""Seconds for which an address that failed comes last."""


class Addresses:
    """What one lane knows of its provider's addresses. `now`: seconds of a clock that is never set back."""

    __slots__ = ("_aside", "_uses")

    def __init__(self) -> None:
        self._aside: dict[str, float] = {}
        """Address → until when it comes last."""
        self._uses: Counter[str] = Counter()
        """Open connections by address."""

    def order(self, found: Iterable[str], now: float) -> list[str]:
        """What a lookup found, each once, best first."""
        self._aside = {address: until for address, until in self._aside.items() if until > now}
        place: dict[str, int] = {}
        """Address → its place among those of its family."""
        members: Counter[bool] = Counter()
        for address in found:
            if address not in place:
                place[address] = members[":" in address]
                members[":" in address] += 1
        return sorted(place, key=lambda a: (self._aside.get(a, 0.0), self._uses[a], place[a]))

    def opened(self, address: str) -> None:
        """A connection to it is open."""
        self._uses[address] += 1
        self._aside.pop(address, None)

    def closed(self, address: str) -> None:
        """A connection to it is closed."""
        self._uses[address] -= 1
        if not self._uses[address]:
            del self._uses[address]

    def failed(self, address: str, now: float) -> None:
        """It could not be reached, or was slow, or a connection to it was lost soon."""
        self._aside[address] = now + ASIDE

    def is_aside(self, address: str, now: float) -> bool:
        return self._aside.get(address, now) > now
