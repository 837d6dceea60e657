"""A test that hangs ends its process, and says where.

pytest's own `faulthandler_timeout` starts and joins a thread for each test, which takes 4-7 ms, and most of ours take
less. Here the clock is wound anew once in a while; so a hang is noticed after `HANGS` seconds, or up to `APART` sooner.
"""

from __future__ import annotations

import faulthandler
import os
import sys
from dataclasses import dataclass
from typing import Final

HANGS: Final = 330.0
APART: Final = 30.0
"""Seconds between two windings, at least."""


@dataclass(slots=True)
class Watch:
    """`stderr`: where it is told; a descriptor of its own, for pytest captures the other one."""

    stderr: int
    seconds: float = HANGS
    _wound_at: float = float("-inf")

    def wind(self, now: float) -> None:
        """A test begins. `now`: by a clock that is never set back."""
        if now >= self._wound_at + APART:
            self._wound_at = now
            faulthandler.dump_traceback_later(self.seconds, exit=True, file=self.stderr)

    def end(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        os.close(self.stderr)


def watch() -> Watch:
    """To be made while nothing is captured."""
    return Watch(os.dup(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2))
