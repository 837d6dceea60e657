"""A police force that does not exist: officers, their phones, their rest, and what is written in a night.

Everything follows from a seed. An officer's rest is made twice from the same persona: as the document that is given to
the relay, and as plain intervals by arithmetic on minutes, which share no code with the relay's evaluation. Who judges
the relay's night by these intervals is independent of it. The night (21:00 to 07:00) has no clock change, so an hour of
the wall is an hour of UTC plus a constant.

    world = World(seed=1, officers=23_000)
    for moment in world.night(): ...      # in order of time: who is written to, in which class
    world.officers[7].rests_at(instant)
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Final, NamedTuple

NIGHT: Final = date(2026, 11, 24)
"""A Tuesday in November; Europe/Berlin is one hour ahead of UTC."""
AHEAD: Final = 3600
FIRST_HOUR: Final = 21
LAST_HOUR: Final = 31
"""07:00 of the next morning, in hours since midnight."""
INCIDENT: Final = 23 * 60 + 40
"""Minute of the evening at which the incident begins."""
LARGE: Final = 200
"""Members of a group above which nobody talks there: it is for announcements."""
ANNOUNCING: Final = 4.0
"""How much is announced there, relatively: as many times as somebody begins to talk in a group of 16."""
MINUTE: Final = 60
DAY: Final = 86_400

_MIDNIGHT: Final = int(datetime(NIGHT.year, NIGHT.month, NIGHT.day, tzinfo=UTC).timestamp()) - AHEAD
Span = tuple[int, int]
"""Minutes since the night's first midnight, local; may be negative or lie days ahead."""


def at(minute: float) -> float:
    """UTC seconds of a minute of the night, counted from its first midnight (local)."""
    return _MIDNIGHT + minute * MINUTE


BEGINS: Final = at(FIRST_HOUR * 60)
ENDS: Final = at(LAST_HOUR * 60)


@dataclass(frozen=True, slots=True)
class Phone:
    """A device: `platform` apns, fcm or none (a PC)."""

    id: str
    platform: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Officer:
    id: str
    pattern: str
    phones: tuple[Phone, ...]
    document: dict[str, object] | None = field(repr=False)
    """None: no rules at all."""
    rests: tuple[Span, ...] = field(repr=False)
    on_call: tuple[Span, ...] = field(repr=False)

    def rests_at(self, instant: float) -> bool:
        """Whether the officer rests, by the plain intervals. Good for the night and a day around it."""
        minute = (instant - _MIDNIGHT) / MINUTE
        inside = any(start <= minute < end for start, end in self.rests)
        return inside and not any(start <= minute < end for start, end in self.on_call)

    def rest_ends_after(self, instant: float) -> float | None:
        """End of the rest that holds at `instant`; None when reachable, or when it does not end within days."""
        while self.rests_at(instant):
            minute = (instant - _MIDNIGHT) / MINUTE
            ends = [end for start, end in self.rests if start <= minute < end]
            opens = [start for start, _ in self.on_call if start > minute]
            instant = at(min(max(ends), *opens)) if opens else at(max(ends))
            if instant > ENDS + 2 * DAY:
                return None
        return instant


class Moment(NamedTuple):
    """Something is written: one event for some officers."""

    t: float
    event_class: str
    recipients: Sequence[int]
    """Indices into `World.officers`."""


class World:
    """Officers, groups and a night's traffic; the same for the same arguments."""

    def __init__(self, *, seed: int, officers: int) -> None:
        if not 100 <= officers <= 1_000_000:
            raise ValueError("a force has 100 to 1,000,000 officers")
        self._seed = seed
        rng = Random(seed)
        self.officers = [_officer(number, rng) for number in range(officers)]
        self.groups = _groups(officers, rng)

    def devices(self) -> int:
        """Devices that can be woken."""
        return sum(phone.platform != "none" for officer in self.officers for phone in officer.phones)

    def night(self) -> Iterator[Moment]:
        """All that is written from 21:00 to 07:00, in order of time."""
        yield from heapq.merge(self._talk(Random(self._seed + 1)), self._incident(Random(self._seed + 2)), key=_time)

    def _talk(self, rng: Random) -> Iterator[Moment]:
        """Groups talk in bursts; the later, the less; before the shift change at 06:00 again more.

        In the large ones something is announced instead, and nobody answers.
        """
        hours, weights = tuple(_ACTIVITY), tuple(_ACTIVITY.values())
        busy = [len(group) ** 0.5 if len(group) <= LARGE else ANNOUNCING for group in self.groups]
        conversations = max(12, len(self.officers) // 25)
        moments: list[Moment] = []
        for _ in range(conversations):
            hour = rng.choices(hours, weights)[0]
            group = rng.choices(self.groups, busy)[0]
            event_class = "roster" if rng.random() < 0.2 else "message"
            minute = hour * 60 + rng.random() * 60
            length = min(60, 1 + int(rng.paretovariate(0.9)))
            for _ in range(length if len(group) <= LARGE else 1):
                if minute >= LAST_HOUR * 60:
                    break
                sender = rng.choice(group)
                moments.append(Moment(at(minute), event_class, [n for n in group if n != sender]))
                minute += rng.expovariate(1 / 1.5)
        yield from sorted(moments, key=_time)

    def _incident(self, rng: Random) -> Iterator[Moment]:
        """23:40: a few alarms to those who may be needed, and everybody talks about it."""
        crew = rng.sample(range(len(self.officers)), max(20, len(self.officers) // 200))
        moments = [Moment(at(INCIDENT + 4 * i + rng.random()), "alarm", crew[i::3]) for i in range(3)]
        talking = [group for group in self.groups if len(group) <= LARGE]
        for _ in range(max(40, len(self.officers) // 60)):
            group = rng.choice(talking)
            moments.append(Moment(at(INCIDENT + rng.expovariate(1 / 12)), "message", group))
        yield from sorted(moments, key=_time)


def _time(moment: Moment) -> float:
    return moment.t


_ACTIVITY: Final = {21: 9, 22: 7, 23: 4, 24: 2, 25: 1, 26: 1, 27: 1, 28: 2, 29: 5, 30: 8}
"""How much is talked in each hour since midnight, relatively."""


def _groups(officers: int, rng: Random) -> list[list[int]]:
    """Groups of 3 to 5,000, most of them small (Pareto); about one for four officers."""
    sizes = (min(5_000, officers, 2 + int(rng.paretovariate(1.05))) for _ in range(max(20, officers // 4)))
    return [rng.sample(range(officers), max(3, size)) for size in sizes]


# --- officers

_Rest = tuple[list[dict[str, object]], list[dict[str, object]], list[Span], list[Span]]
"""(windows, overrides, rests, on call)"""


def _officer(number: int, rng: Random) -> Officer:
    pattern = rng.choices(tuple(_PATTERNS), _SHARES)[0]
    windows, overrides, rests, on_call = _PATTERNS[pattern](rng)
    document: dict[str, object] | None = None
    if windows or overrides:
        document = {"timezone": "Europe/Berlin", "windows": windows, "overrides": overrides}
    return Officer(f"officer-{number}", pattern, _phones(rng), document, tuple(rests), tuple(on_call))


def _phones(rng: Random) -> tuple[Phone, ...]:
    """A service or private phone for everybody, perhaps a second and a PC."""
    kinds = [rng.choices(("apns", "fcm"), (55, 45))[0]]
    if rng.random() < 0.4:
        kinds.append(rng.choices(("apns", "fcm"), (55, 45))[0])
    if rng.random() < 0.5:
        kinds.append("none")
    return tuple(Phone(f"device-{i}", kind, _TOKENS[kind](rng)) for i, kind in enumerate(kinds))


def _fcm_token(rng: Random) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(rng.choices(alphabet, k=22)) + ":APA91b" + "".join(rng.choices(alphabet, k=134))


_TOKENS: Final[dict[str, Callable[[Random], str]]] = {
    "apns": lambda rng: rng.randbytes(32).hex(),
    "fcm": _fcm_token,
    "none": lambda _: "",
}


def _day_duty(rng: Random) -> _Rest:
    """Rest from the evening to the morning on weekdays, all of the weekend."""
    end, start = rng.choice((6 * 60, 6 * 60 + 30, 7 * 60)), rng.choice((17 * 60, 18 * 60, 20 * 60, 22 * 60))
    length = DAY // MINUTE - start + end
    windows = [_cron(start, "1-5", length), _cron(0, "0,6", 1440)]
    return windows, [], [(start + day * 1440, start + day * 1440 + length) for day in range(-1, 3)], []


def _cycle(rng: Random) -> _Rest:
    """Early, late, night, free, free: where in it the night falls decides. Half an hour about each duty is no rest."""
    today = rng.randrange(5)
    shifts = {"early": ("06:00", "14:00"), "late": ("14:00", "22:00"), "night": ("22:00", "06:00")}
    window: dict[str, object] = {
        "kind": "cycle", "anchor": _iso(-today * 1440)[:10], "days": [*shifts, "-", "-"], "lead_minutes": 30,
        "lag_minutes": 30, "shifts": {name: {"start": start, "end": end} for name, (start, end) in shifts.items()},
    }  # fmt: skip
    free = [
        (first * 1440 + start, first * 1440 + end)
        for first in range(-today - 10, 15, 5)
        for start, end in ((870, 2250), (2790, 4170), (4710, 7530))  # 14:30-13:30, 22:30-21:30, 06:30-05:30
    ]
    return [window], [], free, []


def _nights(_rng: Random) -> _Rest:
    """Works at night and sleeps by day."""
    return [_cron(8 * 60, "*", 8 * 60)], [], [(8 * 60 + d * 1440, 16 * 60 + d * 1440) for d in range(-1, 3)], []


def _leave(rng: Random) -> _Rest:
    first, last = -1440 * rng.randrange(1, 10), 1440 * rng.randrange(1, 10) + 1440
    return [_once(first, last)], [], [(first, last)], []


def _on_call(rng: Random) -> _Rest:
    """Would rest, but is on call for the night or a part of it."""
    windows, _, rests, _ = _day_duty(rng)
    begin, end = rng.choice(((20 * 60, 32 * 60), (22 * 60, 26 * 60)))
    override: dict[str, object] = {"kind": "reachable", "start": _iso(begin), "end": _iso(end)}
    return windows, [override], rests, [(begin, end)]


def _no_rules(_rng: Random) -> _Rest:
    return [], [], [], []


_PATTERNS: Final[dict[str, Callable[[Random], _Rest]]] = {
    "day duty": _day_duty,
    "cycle": _cycle,
    "nights": _nights,
    "leave": _leave,
    "on call": _on_call,
    "no rules": _no_rules,
}
_SHARES: Final = (45, 27, 5, 8, 6, 9)


def _cron(start: int, weekdays: str, minutes: int) -> dict[str, object]:
    return {"kind": "cron", "start": f"{start % 60} {start // 60} * * {weekdays}", "duration_minutes": minutes}


def _once(start: int, end: int) -> dict[str, object]:
    return {"kind": "once", "start": _iso(start), "end": _iso(end)}


def _iso(minute: int) -> str:
    """Wall clock of a minute, without offset."""
    moment = datetime(NIGHT.year, NIGHT.month, NIGHT.day) + timedelta(minutes=minute)
    return moment.isoformat(timespec="minutes")
