"""Policy as help, not as control: documents to begin with, hints on short rests, and one question before saving.

The law (L6): an organisation may offer presets and a floor of eleven hours between duties, but nothing is enforced and
nothing is reported. What is found here is told to the officer whose rules they are, and to nobody else: no superior, no
statistics, no log. Hours that the law counts are elapsed hours, between instants: from 20:00 to 07:00 the clock on the
wall always shows eleven, and in March it is ten, in October twelve.

A preset is a document like any other, with windows as an officer would paint them; it has no labels, because kinds are
told in both languages. Windows that touch are one rest (R8), so a weekend is painted day by day.

Rejected: presets as rules that only a program can read (an officer changes them like everything else), a floor that
moves a rest by itself (a surprise, and a matter of a works agreement), silence about duties inside of a leave (a leave
may be cancelled, and then the plan is as short of rest as before).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from schedules.cycle import Cycle
from schedules.errors import Text
from schedules.explain import Table, clock_change, day_lines, said, sentence, stamp
from schedules.rules import Rules, parse
from schedules.table import DAY, compile_table

Document = dict[str, object]

FLOOR: Final = 11 * 3600
"""Seconds off duty between two duties: Directive 2003/88/EC art. 3, Nds. ArbZVO § 5 (3)."""
LOOK: Final = 35
"""Days that hints and the confirmation of R10 look ahead."""
_MINUTE: Final = 60
"""Seconds of the shortest stretch that counts as being reachable."""
_AROUND: Final = 3
"""Days around a stretch whose duties may be neighbours of those inside: a duty has a day at most."""
_WORKDAYS: Final = (1, 2, 3, 4, 5)
_WEEKEND: Final = (6, 7)

_HINT: Final = Text(
    "Between {end} and {start} there are {length} (less than 11 h){note}.",
    "Zwischen {end} und {start} liegen {length} (unter 11 h){note}.",
)
_NO_REST: Final = Text(
    "At {start} one duty follows another without a rest (less than 11 h){note}.",
    "{start} folgt ein Dienst ohne Ruhe auf den vorigen (unter 11 h){note}.",
)
_CONFIRMATION: Final = Text(
    "In the next {days} days you are not reachable for a single minute.",
    "In den nächsten {days} Tagen sind Sie keine einzige Minute erreichbar.",
)


# --- presets: each raises RuleError, a ValueError, for arguments of which `parse` can make nothing


def day_duty(land: str, start: str = "07:00", end: str = "17:00") -> Document:
    """Rest outside of working hours from Monday to Friday, and all weekend and public holidays of a Land.

    What of it lies between 22:00 and 06:00 is night besides: a class that pierces what is free must not ring then.
    """
    if not start < end:
        raise ValueError("a day's duty must end later than it starts")
    monday: list[Document] = [{"kind": "weekly", "days": [_WORKDAYS[0]], "start": "00:00", "end": start}]
    windows: list[Document] = [
        {"kind": "weekly", "days": [*_WORKDAYS], "start": end, "end": start},
        {"kind": "weekly", "days": [*_WEEKEND], "start": "00:00", "end": "24:00"},
        *(monday if start > "00:00" else []),
        {"kind": "holidays", "land": land},
    ]
    night: Document = {"kind": "weekly", "start": max(end, "22:00"), "end": min(start, "06:00")}
    return _checked({"windows": [*(window | {"rest": "free"} for window in windows), night]})


def nights_only(start: str = "22:00", end: str = "06:00") -> Document:
    """Rest every night."""
    return _checked({"windows": [{"kind": "weekly", "start": start, "end": end}]})


def rotating(
    anchor: str,
    days: Sequence[str],
    shifts: Mapping[str, Mapping[str, str]],
    lead_minutes: int = 30,
    lag_minutes: int = 30,
) -> Document:
    """Rest between the shifts of a row of days that begins on the anchor's date and repeats; "-" is a free day."""
    cycle: Document = {
        "kind": "cycle",
        "anchor": anchor,
        "days": [*days],
        "shifts": {name: dict(shift) for name, shift in shifts.items()},
        "lead_minutes": lead_minutes,
        "lag_minutes": lag_minutes,
    }
    return _checked({"windows": [cycle]})


def leave(first: str, last: str) -> Document:
    """Rest from the first day to the last, both included."""
    return _checked({"windows": [{"kind": "dates", "from": first, "to": last}]})


PRESETS: Final[Mapping[str, Callable[..., Document]]] = MappingProxyType(
    {preset.__name__: preset for preset in (day_duty, nights_only, rotating, leave)}
)


def _checked(document: Document) -> Document:
    parse(document)
    return document


# --- what an officer may want to look at


@dataclass(frozen=True, slots=True, repr=False)
class ShortRest:
    """Fewer than eleven hours between two duties. For the officer only; no `repr`, since duties are personal."""

    end: int
    start: int
    """UTC seconds at which the one duty ends and the next starts; equal where they touch or overlap."""

    @property
    def hours(self) -> float:
        """Elapsed, not what the clock on the wall shows."""
        return (self.start - self.end) / 3600


def short_rests(rules: Rules, now: float, days: int = LOOK) -> list[ShortRest]:
    """Rests of less than eleven hours between the duties of cycles, in the days from now on. For the officer only.

    Duties of all cycles are one row: one person does them. In an hour that is repeated a duty opens at the first
    reading and closes at the second, so that a rest is never taken for longer than it may be.
    """
    first = int(now // 1)
    over = first + days * DAY
    found = []
    ended: int | None = None
    for start, end in _duties(rules, first, over):
        if ended is not None and start - ended < FLOOR and first < start and min(ended, start) < over:
            found.append(ShortRest(min(ended, start), start))
        ended = end if ended is None else max(ended, end)
    return found


def hint(short: ShortRest, rules: Rules, language: str) -> str:
    """A short rest in a sentence. For the officer only."""
    zone = rules.zone
    minutes = (short.start - short.end) // 60
    return said(
        _HINT if minutes else _NO_REST,
        language,
        end=stamp(zone, short.end, language),
        start=stamp(zone, short.start, language),
        length=f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h",
        note=clock_change(zone, short.end, short.start, language),
    )


def is_never_reachable(table: Table, now: float, days: int = LOOK) -> bool:
    """Whether no minute of the days from now on is reachable; then saving asks for a confirmation (R10)."""
    at = int(now // 1)
    over = at + days * DAY
    while at < over:  # mostly the first or second answer tells, so no list of phases is made
        resting, until, next_start = table.at(at)
        edge = until if resting else next_start
        end = over if edge is None else min(edge, over)
        if not resting and end - at >= _MINUTE:
            return False
        at = end
    return True


def confirmation(language: str, days: int = LOOK) -> str:
    """What is asked, or told, where somebody is never reachable."""
    return said(_CONFIRMATION, language, days=days)


def report(rules: Rules, start: int, end: int, language: str) -> list[str]:
    """All that is to be told of rules, in lines: the sentence at the start, days, hints, and whether R10 asks."""
    table = compile_table(rules, start)
    shorts = short_rests(rules, start, -(-(end - start) // DAY))
    return [
        f"{sentence(rules, table, start, language)} [{rules.zone.name}]",
        *day_lines(rules, table, start, end, language),
        *(hint(short, rules, language) for short in shorts),
        *([confirmation(language)] if is_never_reachable(table, start) else []),
    ]


def _duties(rules: Rules, start: int, end: int) -> list[tuple[int, int]]:
    """Duties around [start, end), as instants, by their start; none inside of a skipped hour."""
    zone = rules.zone
    first, last = zone.wall(start) // DAY - _AROUND, zone.wall(end) // DAY + _AROUND
    duties = (
        (zone.opens(began), zone.closes(over))
        for window in rules.windows
        if isinstance(window.times, Cycle)
        for began, over in window.times.duties(first, last)
    )
    return sorted((began, over) for began, over in duties if began < over)
