"""What a fake has announced by SETTINGS, and what its client has acknowledged: it is held to that, and to no more.

`h2` as a server enforces limits in ways a fake cannot use, so SETTINGS are written by hand and counted here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from random import Random
from typing import Final

from relay.simulators import frames

TABLE_SIZE: Final = 1
STREAMS: Final = 3
WINDOW: Final = 4
_NO_UPDATES: Final = 16_000
"""Bytes of a body up to which `h2` gives no window back, so that the initial one is all there was."""


class Announced:
    """SETTINGS of one connection, by number."""

    def __init__(self, settings: Mapping[int, int], window: int) -> None:
        """`settings`: the first that are announced. `window`: for streams, where they name none."""
        self.now: dict[int, int] = {}
        """What was announced last."""
        self._known: dict[int, int] = {STREAMS: frames.LAST_STREAM, WINDOW: window}
        """What the client has acknowledged, or may take for granted."""
        self._unknown: deque[dict[int, int]] = deque()
        self.first = self.announce(settings)

    def announce(self, changes: Mapping[int, int]) -> bytes:
        """The frame that says so; none when it would say nothing new."""
        new = {key: value for key, value in changes.items() if self.now.get(key) != value}
        if not new:
            return b""
        self.now.update(new)
        self._unknown.append(new)
        return frames.settings(new)

    def acknowledged(self) -> None:
        """The client knows the oldest that it did not know."""
        if self._unknown:
            self._known.update(self._unknown.popleft())

    @property
    def most_streams(self) -> int:
        """What a client is held to: the limit it has acknowledged."""
        return self._known[STREAMS]

    @property
    def table_size(self) -> int | None:
        """What the client has acknowledged; None: nothing was said."""
        return self._known.get(TABLE_SIZE)

    def allows(self, received: int) -> bool:
        """Whether a stream may have sent so many bytes: within the widest window that may be in force at the client."""
        windows = [self._known[WINDOW], *(some[WINDOW] for some in self._unknown if WINDOW in some)]
        return received <= max(windows) or received >= _NO_UPDATES


def at_random(rng: Random, streams: int) -> dict[int, int]:
    """A change that a client must bear: the stream limit up, down or none; a smaller table; other windows."""
    choices: tuple[tuple[int, tuple[int, ...]], ...] = (
        (STREAMS, (0, 1, 2, max(1, streams // 2), streams * 2)),
        (TABLE_SIZE, (0, 64, 1024)),
        (WINDOW, (0, 10, 1000, 32_768)),
    )
    key, values = rng.choice(choices)
    return {key: rng.choice(values)}
