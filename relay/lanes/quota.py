"""What FCM lets a project send, kept so that it never has to say so: pure, driven by `now`.

Google takes 600,000 messages a minute from a project, in any minute, and from it for one device 240 a minute and 5,000
an hour (Firebase, "Throttling and quotas"); for wakeups have no collapse key, the limit of collapsible messages does
not apply. Two token buckets keep that. A bucket that holds B and gains r a second lets at most B + r·W through in any
W seconds, so its gain is what the limit leaves beside B. One bucket of 150 that gains 1 every 0.75 s keeps both limits
of a device: 230 a minute, 4,950 an hour.

Of a device only the instant is kept at which its bucket is full again (the "theoretical arrival time" of GCRA); when
that is past, the device is forgotten. A lone wakeup is forgotten after 0.75 s, and a device that has used up its bucket
after two minutes. Who is over the limit is held here, and comes back when one more may leave; no attempt is counted.

Alarms may use all of the project's bucket, the others leave a twentieth of it. When more wait than the bucket holds,
the others go by about a write at a time: handed out one by one as it fills, a release at Google's 10,000 a second would
consist of writes of four requests, and take twice the CPU.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import Final

from relay.core.flight import Flight
from relay.core.private import DeviceKey

PER_DEVICE: Final = 0.75
"""Seconds in which a device may be sent one more."""
DEVICE_BURST: Final = 150
_FULLEST: Final = (DEVICE_BURST - 1) * PER_DEVICE
"""Seconds until the bucket of a device is full again, when one more just fits."""
BURST: Final = 1.0
"""Seconds of the project's rate that may leave at once."""
RESERVED: Final = 20
"""One in so many of the project's bucket is for alarms only."""
WORTH_IT: Final = 64
"""Where more are waiting than the bucket holds, they go by so many: about one write."""
SHORTEST: Final = 0.001
"""Least wait, in seconds: a clock may not be fine enough for less."""
ROOMY: Final = 1_000
"""Devices known below which those that may be forgotten are left alone."""
SMALLEST: Final = 1_200
"""Least rate per minute: a twentieth of its bucket is one message."""


class Quota:
    """Of one project, at least SMALLEST. `now`: seconds of a clock that is never set back."""

    def __init__(self, rate_per_minute: int) -> None:
        self._rate = rate_per_minute
        self.share(1)
        self._left = self._size
        self._at = float("-inf")
        self._full_at: dict[DeviceKey, float] = {}
        self._crowded = ROOMY
        self._held: list[tuple[float, int, Flight]] = []
        self._order = count()

    def share(self, nodes: int) -> None:
        """So many nodes send for the project: each may use its part of the rate, and no less than SMALLEST."""
        rate = max(SMALLEST, self._rate / nodes)
        self._size = rate / 60.0 * BURST
        self._gain = (rate - self._size) / 60.0
        self._reserve = self._size / RESERVED
        self._worth = min(WORTH_IT, int(self._size / 2))

    # --- the project

    def allowance(self, now: float, waiting: int, urgent: int = 0) -> int:
        """How many may leave now, when `urgent` of the `waiting` ones are alarms."""
        self._fill(now)
        batch = min(waiting, self._worth)
        others = max(batch, int(self._left - self._reserve)) if self._left >= batch + self._reserve else 0
        return max(others, min(int(self._left), urgent))

    def wait(self, now: float, waiting: int) -> float:
        """Seconds until it is worth while to ask again; 0 when some that are no alarms may leave."""
        self._fill(now)
        wanted = min(waiting, self._worth) + self._reserve
        return max(SHORTEST, (wanted - self._left) / self._gain) if self._left < wanted else 0.0

    def _fill(self, now: float) -> None:
        self._left = min(self._size, self._left + max(0.0, now - self._at) * self._gain)
        self._at = now

    # --- devices

    def pass_on(self, flights: list[Flight], now: float) -> list[Flight]:
        """Those that may leave now; they are counted. Those whose device is over its limit are held."""
        full_at, once = self._full_at, now + PER_DEVICE
        late: set[Flight] = set()
        for flight in flights:
            key = flight.device.key
            full = full_at.get(key, now)
            if full <= now:  # nearly all
                full_at[key] = once
            elif full <= now + _FULLEST:
                full_at[key] = full + PER_DEVICE
            else:
                late.add(flight)
                heapq.heappush(self._held, (full - _FULLEST, next(self._order), flight))
        if len(full_at) > self._crowded:
            self._forget(now)
        passed = [flight for flight in flights if flight not in late] if late else flights
        self._left -= len(passed)
        return passed

    def due(self, now: float) -> list[Flight]:
        """Held wakeups whose device may be sent one more; they are held no longer."""
        due: list[Flight] = []
        while self._held and self._held[0][0] <= now:
            due.append(heapq.heappop(self._held)[2])
        return due

    @property
    def held(self) -> int:
        return len(self._held)

    @property
    def due_at(self) -> float:
        """When the first of the held ones is due; infinite when there is none."""
        return self._held[0][0] if self._held else float("inf")

    @property
    def devices(self) -> int:
        """Devices of which something is known."""
        return len(self._full_at)

    def _forget(self, now: float) -> None:
        self._full_at = {key: full for key, full in self._full_at.items() if full > now}
        self._crowded = max(ROOMY, 2 * len(self._full_at))
