"""Compiling ahead: everybody's rest is a table before an event asks for it.

A table takes 30 to 240 µs. Made when first asked for they came all at once: with the first event for everybody after a
start, and again when all of those went stale in the same minute a week later; with 23,000 people the whole relay stood
still for 0.6 s and more. So they are made ahead, a few at a time, and anew half an hour before they are stale. Whoever
is asked about earlier is compiled then, by the dispatcher or a door (core/tables.py).

Rejected: tables in the store (zone data, and so their content, change with the machine's packages), and a thread (it
would share the interpreter with the loop, and the working set has one owner).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import trio

from relay.clock import Clock
from relay.core.people import Person
from relay.core.tables import Tables

SETTLED: Final = 2.0
"""Seconds after the start at which it begins: first comes what is due."""
EVERY: Final = 600.0
"""Seconds between two looks at everybody."""
AHEAD: Final = 1800.0
"""Seconds before it is stale in which a table is made anew: more than one look, and less than what an unreadable
document is left alone for."""
PART: Final = 500
"""People looked at between two checkpoints, less than a millisecond, …"""
FEW: Final = 10
"""… and compiled: some milliseconds; …"""
BREATH: Final = 0.01
"""… then the others have so many seconds."""


async def compile_ahead(everybody: Collection[Person], tables: Tables, clock: Clock) -> None:
    """Until cancelled. `everybody`: who is there at each look."""
    await trio.sleep(SETTLED)
    while True:
        persons = list(everybody)
        for first in range(0, len(persons), PART):
            now = clock.now()
            await _compile([p for p in persons[first : first + PART] if not p.is_compiled(now + AHEAD)], tables, clock)
            await trio.lowlevel.checkpoint()
        await trio.sleep(EVERY)


async def _compile(persons: list[Person], tables: Tables, clock: Clock) -> None:
    for first in range(0, len(persons), FEW):
        now = clock.now()
        for person in persons[first : first + FEW]:
            if not person.is_compiled(now + AHEAD):  # still: others may have asked, or deleted the rules
                tables.renew(person, now)
        await trio.sleep(BREATH)
