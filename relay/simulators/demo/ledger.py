"""The driver's own ledger, and its judgement of a night. It shares no code with the relay.

Two things go in, in the order in which they happened: what was answered 202 (`posted`), and what arrived at the
simulators and was accepted there (`arrived`). Who rests is told by the plain intervals of world.py. From that alone it
works out what the relay's books should say: a wakeup tells of everything that is open for its owner and may be told
then; while he rests that is alarms only. Of those, per class, one is woken and the others are merged.

    in rest without bypass   a wakeup for an officer who rests, on a phone for which no alarm is open
    lost                     a notice of which nobody told, though there was time to: LONGEST_WAIT without a rest
    pending                  open at the end, and rightly so
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from relay.simulators.world import BEGINS, Officer, at

ALARM: Final = "alarm"
"""The class that pierces rest."""
FIVE_MINUTES: Final = 300.0
GUARD: Final = 10.0
"""Seconds before a rest in which nothing but alarms may leave any more."""
ROUNDED: Final = 30.0
"""Seconds by which the driver's steps may come late, all in all."""
LONGEST_WAIT: Final = 300.0 + 300.0 + GUARD + ROUNDED
"""Seconds within which a notice must be told of: longest gap between two wakeups, jitter of a release, guard."""
ALARM_WAIT: Final = 60.0
"""Seconds within which an alarm must be told of."""


@dataclass(slots=True)
class Account:
    """What the books should say of a class."""

    accepted: int = 0
    woken: int = 0
    merged: int = 0

    @property
    def open(self) -> int:
        return self.accepted - self.woken - self.merged


@dataclass(slots=True)
class _Open:
    """What an officer has not been told of: instants of acceptance, by class; and phones an alarm has yet to reach."""

    notices: dict[str, list[float]] = field(default_factory=dict)
    alarmed: set[str] = field(default_factory=set)
    """Tokens."""


class Ledger:
    """Grows with the night; the counters can be read at any time."""

    def __init__(self, officers: Sequence[Officer]) -> None:
        self._officers = officers
        self._owner = {
            phone.token: number
            for number, officer in enumerate(officers)
            for phone in officer.phones
            if phone.platform != "none"
        }
        self._tokens = [tuple(p.token for p in officer.phones if p.platform != "none") for officer in officers]
        self._open: dict[int, _Open] = {}
        self.accounts: dict[str, Account] = {}
        self.events = 0
        self.wakeups = 0
        self.deferred = 0
        self.in_rest_without_bypass = 0
        self.strangers = 0
        """Wakeups for tokens that nobody has registered."""
        self.curve: Counter[int] = Counter()
        """Wakeups by five minutes since the night's begin."""

    # --- what happens

    def posted(self, t: float, event_class: str, recipients: Iterable[int]) -> None:
        """An event was answered 202."""
        self.events += 1
        account = self.accounts.setdefault(event_class, Account())
        is_alarm = event_class == ALARM
        for number in recipients:
            if not self._tokens[number]:
                continue
            account.accepted += 1
            mine = self._open.setdefault(number, _Open())
            mine.notices.setdefault(event_class, []).append(t)
            if is_alarm:
                mine.alarmed.update(self._tokens[number])
            elif self._officers[number].rests_at(t):
                self.deferred += 1

    def arrived(self, t: float, token: str) -> None:
        """A simulator accepted a wakeup."""
        self.wakeups += 1
        self.curve[int((t - BEGINS) // FIVE_MINUTES)] += 1
        number = self._owner.get(token)
        if number is None:
            self.strangers += 1
            return
        officer, mine = self._officers[number], self._open.get(number)
        is_for_alarm = mine is not None and token in mine.alarmed
        if officer.rests_at(t) and not is_for_alarm:
            self.in_rest_without_bypass += 1
        if mine is None:
            return
        mine.alarmed.discard(token)
        speaks_freely = not (officer.rests_at(t) or officer.rests_at(t + GUARD))
        for name in [name for name in mine.notices if speaks_freely or name == ALARM]:
            account = self.accounts[name]
            account.woken += 1
            account.merged += len(mine.notices.pop(name)) - 1
        if not mine.notices and not mine.alarmed:
            del self._open[number]

    # --- what is to be said of it

    @property
    def merged(self) -> int:
        return sum(account.merged for account in self.accounts.values())

    @property
    def alarms(self) -> int:
        """Alarm notices."""
        return self.accounts.get(ALARM, Account()).accepted

    def lost(self, end: float) -> int:
        """Notices nobody was told of, by the end of the night, though there was time to."""
        return sum(
            any(stop - max(start, t) > _WAITS.get(name, LONGEST_WAIT) for start, stop in spans)
            for number, mine in self._open.items()
            for name, instants in mine.notices.items()
            for spans in [_spans(self._officers[number], name, min(instants), end)]
            for t in instants
        )

    def agrees(self, books: Mapping[str, tuple[int, int, int, int]]) -> bool:
        """Whether the relay's books, (accepted, woken, merged, pending) by class, say what they should."""
        mine = {name: (a.accepted, a.woken, a.merged, a.open) for name, a in self.accounts.items()}
        return mine == {name: row for name, row in books.items() if any(row)}


_WAITS: Final = {ALARM: ALARM_WAIT}
"""Seconds, where it is not LONGEST_WAIT."""


def _spans(officer: Officer, event_class: str, begin: float, end: float) -> list[tuple[float, float]]:
    """The times between two instants in which the officer may be told of a class, by the plain intervals."""
    if event_class == ALARM:
        return [(begin, end)]
    turns = {at(minute) for span in (*officer.rests, *officer.on_call) for minute in span}
    instants = [begin, *sorted(turn for turn in turns if begin < turn < end), end]
    spans: list[tuple[float, float]] = []
    for start, stop in pairwise(instants):
        if not officer.rests_at(start):
            joins = spans and spans[-1][1] == start
            spans.append((spans.pop()[0] if joins else start, stop))
    return spans
