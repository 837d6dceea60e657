"""An officer's rests as a calendar (iCalendar, RFC 5545), to be seen beside everything else they plan.

The law. The events are the rests of `table.at` within [now, now + days): each maximal interval is one, in UTC, none
touches another, and none lies outside. What a label says stays a label, whatever is in it.

Expanded, and not recurrence rules. An RRULE is one event for all nights, and wrong in two of them. Its instances have
"the same exact duration" (3.8.5.3): 22:00-06:00 would end at 05:00 in the autumn night, which R2 is there to prevent.
A start that is skipped is ignored, or counts from the offset before (3.3.10 says both); by R3 it is the jump. An end
that is repeated is the first, by R4 the second. A swap of shifts would be exceptions in two events, a time on call one
in every event it cuts. The price: the export ends after `days`, and whoever wants more must fetch it again.

Theory of operation. The table is asked from edge to edge, and made anew when it says so, since a question outside of
its horizon costs as much as a table. A rest is known by its own start and end, not by what is shown of it: the one that
is under way begins at `now` in the export, the last may be cut at the horizon, and both keep their UID, so that a
calendar which reads a later export moves events and doubles none. The start of a rest under way is searched for in the
past; a rest without end (R10) is the last one, and all of them have one UID.

What it does not promise. No person goes into a UID, so people who rest from the same second to the same second share
it: calendars of two people should be subscribed to, not imported into one. CLASS:PRIVATE is a request to the reader,
and SUMMARY may say "sick". Overrides for single classes of events are left out: a calendar shows when somebody rests,
not for whom they would get up. Without any rest there is no VEVENT; the RFC wants one component, readers do not.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Final, NamedTuple
from uuid import UUID, uuid5

from schedules.rules import Override, Rules, Window
from schedules.table import DAY, FAR, Reason, compile_table
from schedules.windows import RestKind

LINE: Final = 75
"""Octets of a line without its end; longer ones are folded (RFC 5545, 3.1)."""

_SPACE: Final = UUID("4e81886a-cd34-4d61-b02a-57d7bbd5a10d")
"""Drawn once at random: no other program makes our UIDs."""
_ESCAPED: Final = str.maketrans({"\\": r"\\", ",": r"\,", ";": r"\;", "\n": r"\n"})


class _Words(NamedTuple):
    """What is said in SUMMARY."""

    rest: str
    kinds: Mapping[RestKind, str]
    """For rules without a label."""


_LANGUAGES: Final = {
    "de": _Words(
        "Ruhe",
        {
            RestKind.NIGHT: "Nachtruhe", RestKind.FREE: "dienstfreie Zeit", RestKind.LEAVE: "Urlaub",
            RestKind.SICK: "Krankheit", RestKind.OFF: "Feierabend",
        },
    ),
    "en": _Words(
        "Rest",
        {
            RestKind.NIGHT: "night rest", RestKind.FREE: "free time", RestKind.LEAVE: "leave",
            RestKind.SICK: "sick leave", RestKind.OFF: "off duty now",
        },
    ),
}  # fmt: skip


def export(rules: Rules, now: float, days: int = 90, *, language: str = "de", name: str = "Feierabend") -> str:
    """The rests of so many days (of 86,400 s, 1 to 400) from `now` (UTC seconds, floored), as iCalendar text.

    `name` is that of the calendar. Raises ValueError for other languages than de and en, and for other numbers of days:
    no rest is seen further than 400 days ahead (R10).
    """
    if language not in _LANGUAGES:
        raise ValueError("language must be de or en")
    if not 1 <= days <= FAR:
        raise ValueError(f"days must be from 1 to {FAR}")
    words = _LANGUAGES[language]
    first = int(now // 1)
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Feierabend//schedules//EN", "CALSCALE:GREGORIAN",
        f"NAME:{_text(name)}", f"X-WR-CALNAME:{_text(name)}",
    ]  # fmt: skip
    for event in _events(rules, first, first + days * DAY):
        lines += [
            "BEGIN:VEVENT", f"UID:{event.uid}", f"DTSTAMP:{_utc(first)}", f"DTSTART:{_utc(event.start)}",
            f"DTEND:{_utc(event.end)}", f"SUMMARY:{_text(_summary(event.reasons, words))}", "CLASS:PRIVATE",
            "TRANSP:TRANSPARENT", "END:VEVENT",
        ]  # fmt: skip
    lines.append("END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in lines)


class _Event(NamedTuple):
    """A rest as it is shown: instants in UTC seconds, and the rules that hold at its start."""

    start: int
    end: int
    uid: UUID
    reasons: tuple[Reason, ...]


def _events(rules: Rules, first: int, horizon: int) -> Iterator[_Event]:
    table = compile_table(rules, first)
    moment: int | None = first
    while moment is not None and moment < horizon:
        if moment >= table.stale_at:
            table = compile_table(rules, moment)
        rest = table.at(moment)
        if rest.resting:
            end = horizon if rest.until is None else min(rest.until, horizon)
            yield _Event(moment, end, _uid(rules, moment, rest.until, first), table.holding(moment))
        moment = rest.until if rest.resting else rest.next_start


def _uid(rules: Rules, start: int, until: int | None, first: int) -> UUID:
    if until is None:
        return uuid5(_SPACE, "endless")
    began = _began(rules, start, until) if start == first else start
    return uuid5(_SPACE, f"{began} {until}")


def _began(rules: Rules, second: int, until: int) -> int:
    """The start of the rest under way that lasts until then; if it is too far back, always the same second of it."""
    tables = cache(lambda day: compile_table(rules, day * DAY))
    past = range(second - FAR * DAY, second + 1)
    # What rested before it had another end, and its own end is in sight for 400 days.
    return past[bisect_left(past, True, key=lambda then: tables(then // DAY).at(then).until == until)]


def _summary(reasons: Iterable[Reason], words: _Words) -> str:
    said = (_plain(rule.label) or words.kinds[_kind(rule)] for _, rule in reasons)
    return f"{words.rest}: {', '.join(dict.fromkeys(said))}"


def _kind(rule: Window | Override) -> RestKind:
    return rule.kind if isinstance(rule, Window) else RestKind.OFF


# --- text


def _utc(second: int) -> str:
    return f"{datetime.fromtimestamp(second, UTC):%Y%m%dT%H%M%SZ}"


def _plain(text: str) -> str:
    """Whatever any reader takes for a line's end is one; other control characters and half surrogates are nothing."""
    text = "\n".join(text.replace("\t", " ").splitlines())
    return "".join(sign for sign in text if sign == "\n" or unicodedata.category(sign) not in ("Cc", "Cs")).strip()


def _text(text: str) -> str:
    """A value of type TEXT (RFC 5545, 3.3.11)."""
    return _plain(text).translate(_ESCAPED)


def _folded(line: str) -> str:
    """With a line's end and a blank before each character that would be too much; the blank counts as well."""
    signs: list[str] = []
    octets = 0
    for sign in line:
        width = len(sign.encode())
        if octets + width > LINE:
            signs.append("\r\n ")
            octets = 1
        signs.append(sign)
        octets += width
    return "".join(signs)
