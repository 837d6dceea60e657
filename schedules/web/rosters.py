"""An imported roster's place in a document: what it replaces, what it joins, and which duties other rules would
silence.

The law. For the days of the new window nothing of an earlier import holds; for days beside them that an earlier one
knows, it still does. Where the two touch they are one window, since a night duty goes on in the next day, which is the
other's. Other rules that recur stay or go, as the officer chooses; leave, single times and overrides stay.

The file itself is never kept. Between the preview and saving the page carries the row (schedules/roster.py) in a field
of its form, as JSON; it comes back as anything may come from a browser, and is checked like any document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain, count
from typing import Final, cast

from schedules import parse
from schedules.roster import AHEAD, BACK, ID
from schedules.table import DAY, compile_table
from schedules.web import shifts
from schedules.web.changes import RECURRING
from schedules.web.shifts import Entry, date_of, day_of
from schedules.windows import FREE, MAX_SHIFTS

Document = dict[str, object]

_ROW: Final = frozenset({"kind", "anchor", "days", "shifts", "id"})


def is_import(window: Entry) -> bool:
    return window.get("kind") == "cycle" and window.get("id") == ID


def written(row: Entry) -> str:
    """A row for a field of a form."""
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def read(text: str) -> Document | None:
    """The row that was written; None for anything that is none."""
    try:
        row = json.loads(text)
        parse({"windows": [row]})
        written(row).encode()  # half a sign, which JSON lets through, has no place on a page
        return row if row.keys() == _ROW and is_import(row) and len(row["days"]) > BACK else None
    except (ValueError, RecursionError):  # RuleError is one
        return None


def bounds(row: Entry) -> tuple[int, int]:
    """The days, first and last, for which a window of the row can hold."""
    anchor = day_of(str(row["anchor"]))
    return anchor + BACK, anchor + len(_days(row)) - 1


def window(row: Entry, first: int, last: int, lead: object, lag: object) -> Document:
    """The row as a window for these days within its bounds; `lead` and `lag` are what a form says minutes are.

    A duty that reaches into the first day, or the minutes after it do, makes the window begin with its own day.
    """
    made: Document = {**row, "lead_minutes": lead, "lag_minutes": lag}
    after = lag * 60 if isinstance(lag, int) else 0
    began = first
    for _, start, end in reversed(list(shifts.duties(row, day_of(str(row["anchor"])), first - 1))):
        if end + after > began * DAY:
            began = start // DAY
    return {**made, "from": date_of(began).isoformat(), "to": date_of(last).isoformat()}


def replaced(document: Entry) -> list[Entry]:
    """The rules that a roster may take the place of; earlier imports are not among them."""
    return [w for w in shifts.entries(document, "windows") if w["kind"] in RECURRING and not is_import(w)]


def placed(document: Entry, made: Entry, today: int, *, replaces: bool) -> Document:
    """The document with an import; `replaces`: without other rules that recur."""
    windows = shifts.entries(document, "windows")
    kept = [w for w in windows if not is_import(w) and not (replaces and w["kind"] in RECURRING)]
    apart: list[Entry] = []
    for earlier in filter(is_import, windows):
        first, last = _held(earlier, today)
        if last < first:
            continue
        new_first, new_last = _held(made, today)
        if last < new_first - 1 or new_last + 1 < first:
            apart.append(earlier)
        else:
            made = _joined(made, earlier, min(first, new_first), max(last, new_last))
    return {**document, "windows": [*sorted([made, *apart], key=lambda w: str(w.get("from", ""))), *kept]}


def _held(made: Entry, today: int) -> tuple[int, int]:
    """The days, not over, for which a window holds; its dates may have been edited away."""
    low, high = today - BACK, today + AHEAD - 1
    first = day_of(str(made["from"])) if "from" in made else low
    last = day_of(str(made["to"])) if "to" in made else high
    return max(first, low), min(last, high)


def _joined(new: Entry, old: Entry, first: int, last: int) -> Entry:
    """One window, with the days of the old one around those of the new; the new one alone if names were too many."""
    ours = dict(cast("Mapping[str, Mapping[str, str]]", new["shifts"]))
    called = {FREE: FREE}
    days = []
    for day in range(first, last + 1):
        if shifts.is_bound(new, day):
            days.append(shifts.on(new, day))
            continue
        name = shifts.on(old, day)
        if name not in called:
            hours = cast("Mapping[str, Mapping[str, str]]", old["shifts"])[name]
            called[name] = _name(ours, name, hours)
            ours[called[name]] = hours
        days.append(called[name])
    if len(ours) > MAX_SHIFTS:
        return new
    dates = {"anchor": date_of(first).isoformat(), "from": date_of(first).isoformat(), "to": date_of(last).isoformat()}
    return {**new, **dates, "days": days, "shifts": ours}


def _name(ours: Mapping[str, Mapping[str, str]], name: str, hours: Mapping[str, str]) -> str:
    """What a shift with these hours is called, or may be: two of one name would be two shifts."""
    same = next((known for known, theirs in ours.items() if theirs == hours), None)
    names = chain([name, f"{hours['start']}–{hours['end']}"], (f"{name} {n}" for n in count(2)))
    return same or next(each for each in names if each not in ours)


def silenced(document: Entry, made: Entry, now: float) -> list[int]:
    """The days of duties, not over, that lie in rest for a part, by other rules. Raises RuleError."""
    rules = parse(document)
    table = compile_table(rules, now)
    today = rules.zone.wall(int(now // 1)) // DAY
    found = []
    for _, start, end in shifts.duties(made, today - 1, today + AHEAD - 1):
        at, over = max(rules.zone.opens(start), int(now // 1)), rules.zone.closes(end)
        rest = table.at(at)
        if at < over and (rest.resting or (rest.next_start is not None and rest.next_start < over)):
            found.append(start // DAY)
    return found


def _days(row: Entry) -> Sequence[object]:
    return cast("Sequence[object]", row["days"])
