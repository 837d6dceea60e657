"""Rest documents that can be judged by arithmetic, and what they mean, told apart from schedules/.

A plan is made of spans of instants, from which both come: the document that is handed in, and the answer to "does this
class of events ring this device now". All zones have a fixed offset, for runs take place in winter; what the clock
changes do is told by bench.year. Norm: schedules/README.md, by its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Final

DAY: Final = 86_400
HOUR: Final = 3600
MINUTE: Final = 60
ZONES: Final = {"Europe/Berlin": HOUR, "UTC": 0, "America/New_York": -5 * HOUR}
"""Seconds east of Greenwich, in winter."""
BEFORE, AFTER = 8 * DAY, 60 * DAY
"""Of a plan's making: for so long its meaning is known."""
MARGIN: Final = 10
"""Seconds before a rest in which nothing leaves any more."""
Span = tuple[int, int]
Member = dict[str, object]


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of events, as the judge knows it. Seconds."""

    name: str
    pierces: bool = False
    through: frozenset[str] = frozenset()
    cancellable: bool = True
    deadline: float = 7.0 * DAY
    renewal: float = 0.0


@dataclass(frozen=True, slots=True)
class Window:
    rest: str
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Override:
    span: Span
    classes: tuple[str, ...] = ()
    """Empty: for all."""

    def holds(self, second: int, name: str) -> bool:
        return self.span[0] <= second < self.span[1] and (not self.classes or name in self.classes)


@dataclass(frozen=True, slots=True)
class Plan:
    """A rest document and what it means."""

    document: Member
    windows: tuple[Window, ...] = ()
    rests: tuple[Override, ...] = ()
    reachable: tuple[Override, ...] = ()
    devices: Mapping[str, str] = field(default_factory=dict)

    def is_rest(self, instant: float, kind: Kind) -> bool:
        """For this class (R1, R7, R14)."""
        second = int(instant // 1)
        if any(override.holds(second, kind.name) for override in self.reachable):
            return False
        if "off" not in kind.through and any(override.holds(second, kind.name) for override in self.rests):
            return True
        return any(
            start <= second < end
            for window in self.windows
            if window.rest not in kind.through
            for start, end in window.spans
        )

    def rings(self, instant: float, kind: Kind, device: str) -> bool:
        """Whether a wakeup of this class may be on its way to this device (R15)."""
        wake = self.devices.get(device)
        if kind.pierces or wake == "always":
            return True
        return wake != "never" and not self.is_rest(instant, kind)

    def rings_surely(self, instant: float, kind: Kind, device: str) -> bool:
        """The same, and no rest begins within the margin."""
        edges = (edge for edge in self._edges() if instant < edge <= instant + MARGIN + 1)
        return all(self.rings(at, kind, device) for at in (instant, *edges))

    def rings_all_the_time(self, instant: float, seconds: float, kind: Kind, device: str) -> bool:
        """From an instant on, for so long, and a margin more."""
        last = instant + seconds + MARGIN
        edges = (edge for edge in self._edges() if instant < edge <= last)
        return all(self.rings(at, kind, device) for at in (instant, *edges))

    def release(self, instant: float, kind: Kind) -> float | None:
        """From when on there is no rest for half a minute at least; None: not within what is known."""
        ahead = sorted(edge for edge in self._edges() if edge > instant)
        for at in (instant, *ahead):
            if not any(self.is_rest(t, kind) for t in (at, *(e for e in ahead if at < e <= at + 30))):
                return at
        return None

    def _edges(self) -> Iterator[int]:
        for window in self.windows:
            for span in window.spans:
                yield from span
        for override in (*self.rests, *self.reachable):
            yield from override.span


@dataclass(slots=True)
class Draft:
    """What a plan is made of, from its maker's point of view."""

    now: int
    zone: str
    rng: Random
    listed: list[Member] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)

    @property
    def offset(self) -> int:
        return ZONES[self.zone]

    def days(self) -> Iterator[tuple[date, int]]:
        """Each day near, and the instant of its midnight."""
        first = datetime.fromtimestamp(self.now + self.offset - BEFORE, UTC).date()
        for number in range((BEFORE + AFTER) // DAY):
            day = first + timedelta(days=number)
            yield day, self.midnight(day)

    def midnight(self, day: date) -> int:
        return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) - self.offset

    def today(self) -> date:
        return datetime.fromtimestamp(self.now + self.offset, UTC).date()

    def add(self, rest: str | None, usual: str, spans: Sequence[Span], member: Member) -> None:
        self.listed.append(member if rest is None else {**member, "rest": rest})
        self.windows.append(Window(rest or usual, tuple(spans)))

    def wall(self, instant: int) -> str:
        """As a wall time, or as an instant."""
        if self.rng.random() < 0.5:
            return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return datetime.fromtimestamp(instant + self.offset, UTC).strftime("%Y-%m-%dT%H:%M:%S")

    def soon(self) -> Span:
        """A span that begins or ends within the next minutes, mostly."""
        start = self.now + self.rng.choice((-1800, -60, 0, 9, 11, 40, 300, 1500, 7200))
        return start, start + self.rng.choice((5, 30, 90, 600, 3600, 8 * HOUR))


def _rest(rng: Random) -> str | None:
    return rng.choice((None, None, "night", "free", "leave", "sick"))


def _nights(draft: Draft) -> None:
    start, end = draft.rng.choice((21, 22, 23)) * HOUR, draft.rng.choice((5, 6, 7)) * HOUR
    days = sorted(draft.rng.sample(range(1, 8), draft.rng.choice((5, 7))))
    spans = [(at + start, at + DAY + end) for day, at in draft.days() if day.isoweekday() in days]
    draft.add(
        _rest(draft.rng), "night", spans,
        {"kind": "weekly", "start": _clock(start), "end": _clock(end), "days": days},
    )  # fmt: skip


def _weekends(draft: Draft) -> None:
    hour = draft.rng.choice((16, 18))
    spans = [(at + hour * HOUR, at + hour * HOUR + 60 * HOUR) for day, at in draft.days() if day.isoweekday() == 5]
    draft.add(
        draft.rng.choice((None, "free")), "night", spans,
        {"kind": "cron", "start": f"0 {hour} * * 5", "duration_minutes": 3600},
    )  # fmt: skip


def _leave(draft: Draft) -> None:
    first = draft.today() + timedelta(days=draft.rng.randrange(0, 3))
    last = first + timedelta(days=draft.rng.randrange(0, 3))
    span = draft.midnight(first), draft.midnight(last) + DAY
    draft.add(_rest(draft.rng), "leave", [span], {"kind": "dates", "from": str(first), "to": str(last)})


def _once(draft: Draft) -> None:
    start, end = draft.soon()
    draft.add(
        _rest(draft.rng), "leave", [(start, end)],
        {"kind": "once", "start": draft.wall(start), "end": draft.wall(end)},
    )  # fmt: skip


def _holidays(draft: Draft) -> None:
    """Of Lower Saxony in winter."""
    spans = [(at, at + DAY) for day, at in draft.days() if (day.month, day.day) in ((12, 25), (12, 26), (1, 1))]
    draft.add(None, "free", spans, {"kind": "holidays", "land": "NI"})


def _cycle(draft: Draft) -> None:
    """Early, late, night, free, free; half an hour before and after a duty is no rest."""
    duties = {"F": (6 * HOUR, 14 * HOUR), "S": (14 * HOUR, 22 * HOUR), "N": (22 * HOUR, 30 * HOUR)}
    row, anchor = ("F", "S", "N", "-", "-"), draft.today() - timedelta(days=draft.rng.randrange(5))
    spans: list[Span] = []
    free_from: int | None = None
    for day, at in draft.days():
        shift = row[(day - anchor).days % 5]
        if shift == "-":
            continue
        begins, ends = (at + edge for edge in duties[shift])
        if free_from is not None:
            spans.append((free_from, begins - 1800))
        free_from = ends + 1800
    written = {name: {"start": _clock(start), "end": _clock(end % DAY)} for name, (start, end) in duties.items()}
    draft.add(
        None, "free", spans,
        {"kind": "cycle", "anchor": str(anchor), "days": list(row), "shifts": written, "lead_minutes": 30,
         "lag_minutes": 30},
    )  # fmt: skip


def _clock(second: int) -> str:
    return f"{second // HOUR:02}:{second % HOUR // MINUTE:02}"


WINDOWS: Final[tuple[Callable[[Draft], None], ...]] = (
    _nights, _nights, _once, _once, _once, _weekends, _leave, _holidays, _cycle,
)  # fmt: skip


def a_plan(rng: Random, now: float, classes: Sequence[str], devices: Sequence[str]) -> Plan:
    """A plan that somebody might hand in at an instant; often it turns around just that."""
    draft = Draft(int(now), rng.choice(list(ZONES)), rng)
    for _ in range(rng.choice((0, 1, 1, 1, 2))):
        rng.choice(WINDOWS)(draft)
    overrides: list[Member] = []
    made: dict[str, list[Override]] = {"rest": [], "reachable": []}
    for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
        what, (start, end) = rng.choice(("rest", "reachable")), draft.soon()
        some = tuple(rng.sample(classes, rng.choice((1, 2)))) if rng.random() < 0.3 else ()
        made[what].append(Override((start, end), some))
        override: Member = {"kind": what, "start": draft.wall(start), "end": draft.wall(end)}
        overrides.append({**override, "classes": list(some)} if some else override)
    wakes = {device: rng.choice(("never", "always")) for device in devices if rng.random() < 0.1}
    document: Member = {"timezone": draft.zone, "windows": draft.listed}
    if overrides:
        document["overrides"] = overrides
    if wakes:
        document["devices"] = {device: {"wake": wake} for device, wake in wakes.items()}
    return Plan(document, tuple(draft.windows), tuple(made["rest"]), tuple(made["reachable"]), wakes)


REACHABLE: Final = Plan({})
"""What having no document means."""
