"""What a provider publishes, its addresses or its keys, as it was read last; and when it is read again.

It is taken as it is for an hour. A key that is missing is looked for at once, for keys are exchanged without notice,
but not more than once a minute. While the provider does not answer, what was known stays good for a day; and for some
seconds it is not asked again, so that a queue of officers is told so at once instead of one after the other.

One question at a time: whoever comes meanwhile waits for its answer, and takes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

import trio

from schedules.web.oidc_token import LoginRefused

FRESH: Final = 3600.0
"""Seconds for which it is taken as it is."""
STALE: Final = 86_400.0
"""Seconds for which it is used while the provider does not answer."""
APART: Final = 60.0
"""Seconds between two looks for something newer."""
PAUSE: Final = 15.0
"""Seconds between the beginnings of a question that failed and the next one."""

Value = TypeVar("Value")


class Published(Generic[Value]):
    """One such thing. `now`: UTC seconds; `fetch` raises LoginRefused and has its own deadline."""

    def __init__(self) -> None:
        self._value: Value | None = None
        self._read_at = float("-inf")
        self._looked_at = float("-inf")
        self._failed_at = float("-inf")
        self._failure: LoginRefused | None = None
        self._asking = trio.Lock()

    async def at(self, fetch: Callable[[], Awaitable[Value]], now: float) -> Value:
        """What is known, or what is fetched. Raises LoginRefused where that fails and nothing is known."""
        async with self._asking:
            if self._value is not None and now - self._read_at < FRESH:
                return self._value
            try:
                return await self._fetch(fetch, now)
            except LoginRefused:
                if self._value is None or now - self._read_at >= STALE:
                    raise
                return self._value

    async def newer(self, used: Value, fetch: Callable[[], Awaitable[Value]], now: float) -> Value | None:
        """What is published now, for `used` lacks something. Raises LoginRefused.

        None: somebody looked a moment ago.
        """
        async with self._asking:
            if self._value is not None and self._value is not used:
                return self._value
            if now - self._looked_at < APART:
                return None
            self._looked_at = now
            return await self._fetch(fetch, now)

    async def _fetch(self, fetch: Callable[[], Awaitable[Value]], now: float) -> Value:
        if self._failure is not None and now - self._failed_at < PAUSE:
            raise LoginRefused(self._failure.reason, self._failure.detail, is_echo=True)
        try:
            value = await fetch()
        except LoginRefused as failure:
            self._failed_at, self._failure = now, failure
            raise
        self._value, self._read_at, self._failure = value, now, None
        return value
