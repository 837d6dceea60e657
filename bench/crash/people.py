"""Who is woken: a small force whose kinds of people differ in what may happen to their events.

Made anew from the number of rounds by whoever needs it, so that the one who kills and the one who records need not
tell each other. Phones are at a fake APNs and a fake FCM in turns; those of the crowd at the fast sink.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from bench import stage

DESK = "desk"
"""The app of the crowd, at the fast sink."""
CROWD = 2_500
RELEASED = 120
ROUND = 1.4
"""Seconds of a round, about; the instants at which some fall asleep or wake up are spread over the run by it."""
TURNING, REVIVED = 40, 4
"""People of one round of those kinds."""
WAVE = 15
"""Rounds from one such instant to the next."""
LATER = 3.0
"""Seconds after those who fall asleep, others wake up."""


class Kind(Enum):
    """What distinguishes the people."""

    ONCE = "gets one event in the whole run"
    OFTEN = "gets many events in one round"
    READER = "gets many events in one round, and reads some"
    RESTING = "rests all the time"
    ALARMED = "rests all the time, and gets alarms"
    ORDERED = "rests all the time, and gets orders, which are confirmed by and by"
    LEAVER = "rests, and gives the only phone back before the end of it"
    FALLING_ASLEEP = "rests from an instant within the run"
    WAKING_UP = "rests until an instant within the run"
    PLANNER = "begins and ends to rest by edits"
    MOVER = "has a second phone that changes its token, goes and comes"
    RELEASED = "rests until an instant at which many others are released"
    TURNING = "rests until an instant, and again by an edit that comes about then"
    REVIVED = "likewise, with a second phone that is dead for one node's providers, and is registered anew"
    CROWD = "gets what is sent to everybody"


ALWAYS_RESTING = frozenset({Kind.RESTING, Kind.ALARMED, Kind.ORDERED, Kind.LEAVER})


@dataclass(frozen=True, slots=True)
class Phone:
    device: str
    app: str
    token: str

    @property
    def registration(self) -> dict[str, str]:
        platform = "fcm" if self.app == stage.ANDROID else "apns"
        return {"platform": platform, "app": self.app, "token": self.token}


@dataclass(frozen=True, slots=True)
class Officer:
    name: str
    kind: Kind
    phones: tuple[Phone, ...]
    after: float = 0.0
    """Of those who fall asleep or wake up: seconds after the beginning."""


def phone(number: int, index: int, app: str = "") -> Phone:
    """A phone whose token tells whose it is; at Google where the index is odd."""
    app = app or (stage.ANDROID if index % 2 else stage.APP)
    if app == stage.ANDROID:
        return Phone(f"phone-{index}", app, f"crash{number:06d}-{index:04d}:APA91b".ljust(163, "f"))
    return Phone(f"phone-{index}", app, f"{number:056x}{index:08x}")


class Force:
    """Everybody, for so many rounds."""

    def __init__(self, rounds: int, *, crowd: int = CROWD, pace: float = ROUND) -> None:
        """`pace`: seconds of a round, about."""
        self._count = 0
        self.cohorts = [
            [*self._hire(Kind.ONCE, 12), *self._hire(Kind.OFTEN, 8), *self._hire(Kind.READER, 4)] for _ in range(rounds)
        ]
        waves = [(min(rounds, WAVE) * 0.6 + number * WAVE) * pace for number in range(max(1, rounds // WAVE))]
        self.constant = [
            *self._hire(Kind.RESTING, 8), *self._hire(Kind.ALARMED, 4), *self._hire(Kind.ORDERED, 4),
            *self._hire(Kind.LEAVER, 4), *self._hire(Kind.PLANNER, 6), *self._hire(Kind.MOVER, 4),
            *(officer for after in waves for officer in self._hire(Kind.FALLING_ASLEEP, 4, after=after)),
            *(officer for after in waves for officer in self._hire(Kind.WAKING_UP, 4, after=after + LATER)),
        ]  # fmt: skip
        self.witness = self._hire(Kind.ONCE, 1)[0]
        """Gets the very last event."""
        self.crowd = self._hire(Kind.CROWD, crowd, app=DESK)
        self.released: dict[int, list[Officer]] = {}
        self.turned: dict[int, list[Officer]] = {}

    def release(self, number: int) -> list[Officer]:
        """The people who are released in a round; they are new in it."""
        if number not in self.released:
            first = 500_000 + number * RELEASED
            self.released[number] = [
                Officer(f"released-{n}", Kind.RELEASED, (phone(n, 0), phone(n, 1)))
                for n in range(first, first + RELEASED)
            ]
        return self.released[number]

    def turn(self, number: int) -> list[Officer]:
        """The people whose rest turns in a round; they are new in it."""
        if number not in self.turned:
            first = 900_000 + number * TURNING
            kinds = [Kind.REVIVED] * REVIVED + [Kind.TURNING] * (TURNING - REVIVED)
            self.turned[number] = [
                Officer(f"turning-{n}", kind, (phone(n, 0), phone(n, 1))) for n, kind in enumerate(kinds, first)
            ]
        return self.turned[number]

    def _hire(self, kind: Kind, count: int, *, app: str = "", after: float = 0.0) -> list[Officer]:
        hired = []
        for _ in range(count):
            self._count += 1
            most = 1 if kind in (Kind.LEAVER, Kind.CROWD) else 2 if kind is Kind.MOVER else self._count % 3 + 1
            phones = tuple(phone(self._count, index, app) for index in range(most))
            hired.append(Officer(f"officer-{self._count}", kind, phones, after))
        return hired

    def of(self, *kinds: Kind) -> list[Officer]:
        """Of those who are there in every round."""
        return [officer for officer in self.constant if officer.kind in kinds]

    def everybody(self) -> Iterator[Officer]:
        """Who is there from the beginning, and is somebody to judge by."""
        for cohort in self.cohorts:
            yield from cohort
        yield from (*self.constant, self.witness, *self.crowd)

    def newcomers(self) -> Iterator[Officer]:
        """Who came in some round."""
        for group in (*self.released.values(), *self.turned.values()):
            yield from group
