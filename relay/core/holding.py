"""Whether this process may still act for the people in its memory: asked last thing before a wakeup leaves.

Of a store that several nodes share it may be taken away (relay/tenure.py). Alarms leave all the same.
"""

from __future__ import annotations

from collections.abc import Callable

Holds = Callable[[], bool]


def for_ever() -> bool:
    """Of a store that nobody can take: a file with its lock."""
    return True
