"""What an edit would do, before it is saved: the days to come, what happens to what waits, and what may be a mistake.

An edit is shown first where it changes when waiting messages go out, where it leaves no reachable minute (R10), and
where it brings a rest of less than eleven hours between two duties; the last is a hint for its owner only, and stops
nobody. Other edits are saved at once, since Undo stands on the next page. What was shown is known again by its mark,
so that nothing is saved that was not seen, whatever was typed in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from schedules import compile_table, parse
from schedules.policy import hint, is_never_reachable, short_rests
from schedules.table import DAY
from schedules.web import switch
from schedules.web.bands import Day, bands
from schedules.web.changes import mark
from schedules.web.port import Document, Leaving
from schedules.web.versions import first_difference
from schedules.web.visit import Visit

_DAYS = 14
_AT_ONCE = 60
"""Seconds: the relay's "now" is a moment later than that of the page, and nobody tells such a wait from none."""


@dataclass(frozen=True, slots=True, repr=False)
class Outlook:
    mark: str
    """Of the document it is about."""
    days: list[Day]
    """Fourteen, from today, or from the day before the first difference where that is later."""
    effect: list[str]
    """What happens to what waits, in sentences."""
    hints: list[str]
    """Short rests between duties in the next five weeks, in sentences."""
    never_reachable: bool
    is_to_be_seen: bool
    """Not to be saved before it was shown."""


async def outlook(visit: Visit, document: Document, starred: Collection[int] = ()) -> Outlook:
    """Raises RuleError, RelayFault."""
    rules = parse(document)
    table = compile_table(rules, visit.now)
    effect = await visit.relay.effect(visit.secret, document)
    hints = [hint(short, rules, visit.language) for short in short_rests(rules, visit.now)]
    before = visit.plan.rules
    known = {hint(short, before, visit.language) for short in short_rests(before, visit.now)}
    never = is_never_reachable(table, visit.now)
    # Where everything is turned off the rules are still what is edited, so they are what is painted.
    painted = switch.turned_on(document) if switch.is_off(document) else document
    return Outlook(
        mark=mark(document),
        days=bands(painted, _first(visit, document), _DAYS, visit.language, now=visit.now, starred=starred),
        effect=list(_told(visit, effect)),
        hints=hints,
        never_reachable=never,
        is_to_be_seen=never or not known.issuperset(hints) or _moves(effect),
    )


def _first(visit: Visit, document: Document) -> int:
    """The first day that is worth showing."""
    zone = visit.plan.rules.zone
    today = zone.wall(int(visit.now // 1)) // DAY
    at = first_difference(visit.plan.document, document, visit.now)
    day = today if at is None else zone.wall(at) // DAY
    return today if day < today + _DAYS - 1 else day - 1


def _moves(effect: Sequence[Leaving]) -> bool:
    return any(each.due_before != each.due_after for each in effect)


def _told(visit: Visit, effect: Sequence[Leaving]) -> Iterator[str]:
    """A sentence for each instant at which something goes out."""
    counted: Counter[tuple[float | None, float | None]] = Counter()
    for each in effect:
        counted[each.due_before, each.due_after] += each.notices
    for (before, after), number in counted.items():
        yield _sentence(visit, number, before, after)


def _sentence(visit: Visit, number: int, before: float | None, after: float | None) -> str:
    at = visit.dates.edge(after - after % 60) if after is not None else ""
    if after is not None and after < visit.now + _AT_ONCE:
        return visit.ngettext(
            "%(num)s message is waiting. With this change it comes at once.",
            "%(num)s messages are waiting. With this change they come at once.",
            number,
        )
    if before == after:
        return visit.ngettext(
            "%(num)s message is waiting, as before.", "%(num)s messages are waiting, as before.", number
        )
    if after is None:
        return visit.ngettext(
            "%(num)s message is waiting. With this change no end of rest is in sight.",
            "%(num)s messages are waiting. With this change no end of rest is in sight.",
            number,
        )
    return visit.ngettext(
        "%(num)s message is waiting. With this change it waits until %(at)s.",
        "%(num)s messages are waiting. With this change they wait until %(at)s.",
        number,
        at=at,
    )
