"""A duty roster from a file: read, shown with what was found and what was left out, then saved as a rhythm with dates.

The first answer to a file only shows; nothing is saved and the file is forgotten. Its row of days waits in the form,
with what is to be told of it (rosters.py). Days and minutes can still be changed then, and another file takes its
place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Final

import trio
from starlette.responses import Response

from schedules import RuleError, parse
from schedules.errors import Problem, Text
from schedules.ics_events import Note, is_available
from schedules.ics_import import MAX_BYTES, duties
from schedules.roster import AHEAD, RosterFault, roster
from schedules.table import DAY
from schedules.web import faults, rosters, shifts
from schedules.web.fields import NO_DATE, FieldError, Fields, filled, gathered, number, one
from schedules.web.forms import Form
from schedules.web.outlook import Outlook
from schedules.web.port import Document, Missing
from schedules.web.shifts import date_of, day_of
from schedules.web.views.saving import Edit, Shown, careful, settle, today, unplaced, words
from schedules.web.visit import Page, Visit

_ONE_BY_ONE: Final = trio.CapacityLimiter(1)
"""Reading a file takes a processor up to half a second; more at a time would only be in each other's way."""

_NO_FILE: Final = Text("Please choose a file.", "Bitte eine Datei wählen.")
_NO_DUTIES: Final = Text(
    "There is no duty in this file from today to {last}.", "Von heute bis {last} ist in dieser Datei kein Dienst."
)
_NO_DUTY: Final = Text("There is no duty on these days.", "An diesen Tagen ist kein Dienst.")
_NOT_AHEAD: Final = Text(
    f"Please choose a day within the next {AHEAD} days.", f"Bitte einen Tag in den nächsten {AHEAD} Tagen wählen."
)
_NOT_READ: Final = Text(
    "Please choose a day from {first} to {last}, or choose the file again.",
    "Bitte einen Tag von {first} bis {last} wählen, oder die Datei noch einmal.",
)
_BACKWARDS: Final = Text("The last day is before the first.", "Der letzte Tag liegt vor dem ersten.")
_FRESH: Final = {"lead_minutes": 30, "lag_minutes": 30}
_OF_A_FILE: Final = frozenset({"row", "left", "doubled", "first", "last", "found"})
"""Controls that a file fills in."""
_MINUTES: Final = {
    "lead_minutes": ("before", Text("The time before duty", "Die Zeit vor dem Dienst")),
    "lag_minutes": ("after", Text("The time after duty", "Die Zeit nach dem Dienst")),
}


@dataclass(frozen=True, slots=True, repr=False)
class _Draft:
    """A form, and the row of the file that it was made from."""

    fields: Fields
    row: Document | None = None
    errors: Sequence[FieldError] = ()


async def show(visit: Visit) -> Response:
    if not is_available:
        raise Missing
    cycles = [window for _, window in shifts.cycles(visit.plan.document)]
    minutes = next(chain(filter(rosters.is_import, cycles), cycles), _FRESH)
    fields = filled(
        before=str(minutes.get("lead_minutes", 0)), after=str(minutes.get("lag_minutes", 0)),
        mode="add" if all(map(rosters.is_import, cycles)) else "replace",
    )  # fmt: skip
    return _page(visit, _Draft(fields))


async def save(visit: Visit) -> Response:
    if not is_available:
        raise Missing
    fields = gathered(visit.form.fields)
    content = visit.form.files.get("file", b"")
    draft = await _uploaded(visit, fields, content) if content else _kept(visit, fields)
    if draft.row is None or draft.errors:
        return _page(visit, draft)
    row, made = draft.row, _window(draft.fields, draft.row)
    try:
        parse({"windows": [made]})
    except RuleError as error:
        return _page(visit, _Draft(draft.fields, row, [_beside(problem) for problem in error.problems]))
    if visit.form.text("act") == "edit":
        return _page(visit, draft)
    document = rosters.placed(
        visit.plan.document, made, today(visit), replaces=one(draft.fields, "mode") == "replace"
    )  # fmt: skip

    def again(seen: Outlook | None, errors: Sequence[FieldError]) -> Response:
        return _page(visit, _Draft(draft.fields, row, errors), document, seen)

    # What is kept from here on is the row, as if it had come with the form.
    sent = Form([(name, value) for name, values in draft.fields.items() for value in values])
    return await settle(replace(visit, form=sent), Edit(
        document=document, what=words(visit).name(made), path="/roster", again=again, located=unplaced,
        is_shown_first=True,
    ))  # fmt: skip


def _window(fields: Fields, row: Document) -> Document:
    """For fields whose dates were checked."""
    first, last = (day_of(one(fields, name)) for name in ("first", "last"))
    lead, lag = (number(one(fields, name) or "0") for name in ("before", "after"))
    return rosters.window(row, first, last, lead, lag)


# --- from a form to a row


async def _uploaded(visit: Visit, fields: Fields, content: bytes) -> _Draft:
    """The form with what a file says."""
    wished = _wished(fields)
    blank = {**{name: values for name, values in fields.items() if name not in _OF_A_FILE}, **filled(last=wished)}
    first, end = today(visit), today(visit) + AHEAD - 1
    try:
        last = day_of(wished) if wished else end
    except ValueError:
        last = first - 1
    if not first <= last <= end:
        return _Draft(blank, None, [FieldError("last", _NOT_AHEAD)])
    try:
        reading = partial(duties, content, visit.now, visit.plan.rules.zone)
        found = await trio.to_thread.run_sync(reading, limiter=_ONE_BY_ONE)
        made = roster(found.duties, first, last)
    except RosterFault as fault:
        day = visit.dates.day(date_of(fault.day)) if fault.day is not None else ""
        return _Draft(blank, None, [FieldError("file", fault.text.filled(day=day))])
    left = {"left": [f"{note.value}={times}" for note, times in found.left_out.items()]}
    if made is None:
        return _Draft({**blank, **left}, None, [FieldError("file", _NO_DUTIES.filled(last=_day(visit, last)))])
    dates = (date_of(found.first).isoformat(), date_of(last if wished else found.last).isoformat())
    said = filled(
        first=dates[0], last=dates[1], found=dates[1], row=rosters.written(made.row), doubled=str(made.doubled)
    )
    return _Draft({**blank, **left, **said}, made.row)


def _wished(fields: Fields) -> str:
    """The last day, where the officer has given it and not an earlier file."""
    return "" if one(fields, "last") == one(fields, "found") else one(fields, "last")


def _kept(visit: Visit, fields: Fields) -> _Draft:
    """The form with the file that was read before."""
    row = rosters.read(one(fields, "row"))
    if row is None:
        return _Draft(fields, None, [FieldError("file", _NO_FILE)])
    low, high = rosters.bounds(row)
    errors, days = [], []
    for name in ("first", "last"):
        try:
            days.append(day_of(one(fields, name)))
        except ValueError:
            errors.append(FieldError(name, NO_DATE))
            continue
        if not low <= days[-1] <= high:
            edges = {"first": visit.dates.day(date_of(low)), "last": visit.dates.day(date_of(high))}
            errors.append(FieldError(name, _NOT_READ.filled(**edges)))
    if not errors and days[1] < days[0]:
        errors.append(FieldError("last", _BACKWARDS))
    elif not errors and not any(shifts.duties(row, *days)):
        errors.append(FieldError("last", _NO_DUTY))
    return _Draft(fields, row, errors)


def _beside(problem: Problem) -> FieldError:
    control, title = _MINUTES.get(problem.path.rpartition(".")[2], ("", None))
    return FieldError(control, faults.beside(problem, title) if title else faults.alone(problem))


# --- the page


def _page(visit: Visit, draft: _Draft, document: Document | None = None, seen: Outlook | None = None) -> Response:
    """`document`: what would be saved."""
    told = words(visit)
    made = None if document is None or draft.row is None else _window(draft.fields, draft.row)
    return visit.render(
        "roster.html", 422 if draft.errors else 200, form=Shown.of(visit, draft.fields, draft.errors), seen=seen,
        has_row=draft.row is not None, found=[] if made is None else list(_found(visit, draft.fields, made)),
        silenced=[] if made is None or document is None or seen is None else list(_silenced(visit, document, made)),
        left_out=list(_left_out(visit, draft.fields)), largest=MAX_BYTES // 1024, ahead=AHEAD,
        replaced=[told.name(window) for window in rosters.replaced(visit.plan.document)],
    )  # fmt: skip


def _found(visit: Visit, fields: Fields, made: Document) -> Iterator[str]:
    """What the window holds, in sentences."""
    first, last = max(day_of(str(made["from"])), today(visit)), day_of(str(made["to"]))
    starts = [_day(visit, start // DAY) for _, start, _ in shifts.duties(made, first, last)]
    if starts:
        yield visit.ngettext(
            "%(num)s duty, on %(first)s.", "%(num)s duties, the first on %(first)s, the last on %(last)s.",
            len(starts), first=starts[0], last=starts[-1],
        )  # fmt: skip
    yield visit.gettext(
        "The roster holds from %(first)s to %(last)s. On other days it makes no rest.",
        first=_day(visit, first), last=_day(visit, last),
    )  # fmt: skip
    doubled = _times(one(fields, "doubled"))
    if doubled:
        yield visit.ngettext(
            "On %(num)s day there are two duties: the pause between them is not rest.",
            "On %(num)s days there are two duties: the pause between them is not rest.",
            doubled,
        )


def _silenced(visit: Visit, document: Document, made: Document) -> Iterator[str]:
    days = rosters.silenced(document, made, visit.now)
    if days:
        yield visit.ngettext(
            "In %(num)s duty, on %(day)s, messages wait all the same, because another rule of yours has rest then.",
            "In %(num)s duties, the first on %(day)s, messages wait all the same, because other rules of yours have "
            "rest then.",
            len(days),
            day=_day(visit, days[0]),
        )


def _left_out(visit: Visit, fields: Fields) -> Iterator[str]:
    """What a file has that is no duty, and why."""
    times = {name: _times(count) for name, _, count in (text.partition("=") for text in fields.get("left", ()))}
    many, ngettext = {note: times.get(note, 0) for note in Note}, visit.ngettext
    said = {
        Note.ALL_DAY: ngettext("%(num)s all-day entry.", "%(num)s all-day entries.", many[Note.ALL_DAY]),
        Note.FREE: ngettext(
            "%(num)s entry that is marked as free.", "%(num)s entries that are marked as free.", many[Note.FREE]
        ),
        Note.CANCELLED: ngettext("%(num)s cancelled entry.", "%(num)s cancelled entries.", many[Note.CANCELLED]),
        Note.EMPTY: ngettext(
            "%(num)s entry without a length.", "%(num)s entries without a length.", many[Note.EMPTY]
        ),
        Note.ZONE: ngettext(
            "%(num)s entry in a time zone that is not known.", "%(num)s entries in a time zone that is not known.",
            many[Note.ZONE],
        ),
        Note.REPEATS: ngettext(
            "%(num)s entry that recurs otherwise than daily or weekly.",
            "%(num)s entries that recur otherwise than daily or weekly.", many[Note.REPEATS],
        ),
        Note.UNREADABLE: ngettext(
            "%(num)s entry whose times cannot be read.", "%(num)s entries whose times cannot be read.",
            many[Note.UNREADABLE],
        ),
    }  # fmt: skip
    return (sentence for note, sentence in said.items() if many[note])


def _day(visit: Visit, day: int) -> str:
    return visit.dates.day(date_of(day))


def _times(text: str) -> int:
    """A count that waited in the form."""
    found = number(text)
    return found if isinstance(found, int) else 0


PAGES = (Page("/roster", show=show, act=careful(save), takes_file=True),)
