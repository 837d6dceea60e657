"""Rest periods: what an officer says, compiled into a table that answers "resting, until when, and why".

Synchronous, no clock reads, no I/O but the zone data of the `tzdata` wheel. The rules R1-R12 stand in README.md here.

    rules = parse(document)                  # RuleError lists every fault
    table = compile_table(rules, now)        # now: UTC seconds
    table.at(now)                            # Rest(resting, until, next_start), UTC seconds
    state(document, instant)                 # the same for one question, with datetimes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schedules.errors import Problem, RuleError
from schedules.rules import Rules, Wake, parse
from schedules.table import NoRest, Rest, RestTable, compile_table
from schedules.walltime import TZDATA
from schedules.windows import RestKind

__all__ = [
    "TZDATA", "NoRest", "Problem", "Rest", "RestKind", "RestState", "RestTable", "RuleError", "Rules", "Wake",
    "compile_table", "parse", "state",
]  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class RestState:
    """Whether somebody rests at an instant. Aware datetimes in UTC."""

    resting: bool
    until: datetime | None
    """End of the current rest; None when reachable, or when the rest has no end within 400 days."""
    next_start: datetime | None
    """Start of the next rest; None when resting, or when none begins within 400 days."""
    reasons: tuple[str, ...]
    """Paths of the rules that make it so, like `windows[0]`; empty when no rule applies."""


def state(document: Mapping[str, object], instant: datetime) -> RestState:
    """The state of a document at an aware instant. Raises RuleError, and ValueError for a naive instant."""
    if instant.utcoffset() is None:
        raise ValueError("instant must have a time zone")
    # No float in between, so that the last microsecond before an edge is before it in any century (R1).
    now = (instant - _EPOCH) // timedelta(seconds=1)
    table = compile_table(parse(document), now)
    rest = table.at(now)
    return RestState(rest.resting, _moment(rest.until), _moment(rest.next_start), table.reasons(now))


def _moment(second: int | None) -> datetime | None:
    return None if second is None else datetime.fromtimestamp(second, UTC)
