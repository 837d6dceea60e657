"""The rhythm: a matrix of days and shifts, two days that change places, and what comes of it, before it is saved.

`/rhythm` is the first rhythm of the document, or a new one; others are reached by their place (rules.py). The first
submit only shows; what was shown is saved by the second. Acts on the form (another length, a swap and its end) show
too, and save nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.responses import Response

from schedules import RuleError, compile_table, parse
from schedules.errors import Text
from schedules.explain import clock_change
from schedules.rules import DEFAULT_ZONE
from schedules.web import changes, rhythm_form, shapes, shifts
from schedules.web.changes import Place
from schedules.web.fields import NOT_IN_FORCE, FieldError, Fields, filled, gathered, one
from schedules.web.outlook import Outlook, outlook
from schedules.web.port import Document
from schedules.web.rhythm_form import RHYTHM
from schedules.web.shifts import Entry, date_of, day_of
from schedules.web.views.saving import Edit, Shown, careful, first_rhythm, marks, settle, today, words
from schedules.web.visit import Page, Visit
from schedules.windows import FREE, MAX_SHIFTS

AHEAD: Final = 14
"""Days from today on that can be swapped."""
_SHOWS: Final = ("edit", "apply", "preview")
"""Acts that save nothing; `exchange` and `back:…` are others."""

_OTHER_DAY: Final = Text("Please choose two different days.", "Bitte zwei verschiedene Tage wählen.")


@dataclass(frozen=True, slots=True, repr=False)
class _Draft:
    """A form, and the rhythm that it says, if it says one."""

    place: Place | None
    base: Entry | None
    fields: Fields
    entry: Document | None
    errors: Sequence[FieldError]

    @property
    def path(self) -> str:
        return "/rhythm" if self.place is None else f"/rules/windows/{self.place.index}"

    def starred(self) -> frozenset[int]:
        """Days whose swap is not saved."""
        ours = shifts.swaps(self.entry) if self.entry is not None else {}
        saved = shifts.swaps(self.base) if self.base is not None else {}
        return frozenset(day for day in ours.keys() | saved.keys() if ours.get(day) != saved.get(day))


async def open_first(visit: Visit) -> Response:
    return await show(visit, first_rhythm(visit))


async def create(visit: Visit) -> Response:
    return await sent(visit, None)


async def show(visit: Visit, place: Place | None) -> Response:
    """The page of a rhythm; of a new one without a place."""
    base = None if place is None else changes.rule(visit.plan.document, place)
    fields = _fresh(visit) if base is None else RHYTHM.show(base, visit.plan.rules.zone)
    draft = _read(visit, place, fields)
    return _page(visit, draft, await _seen(visit, draft), is_ready=False)


async def sent(visit: Visit, place: Place | None) -> Response:
    """The form of a rhythm; `place`: where the document has it now. Raises Changed (see `careful`)."""
    fields = gathered(visit.form.fields)
    draft = _read(visit, place, fields)
    act = visit.form.text("act")
    if act == "exchange":
        draft = _exchanged(visit, draft)
    elif act.startswith("back:"):
        draft = _read(visit, place, rhythm_form.take_back(fields, act.removeprefix("back:")))
    if draft.entry is None or act in _SHOWS or act == "exchange" or act.startswith("back:"):
        return _page(visit, draft, await _seen(visit, draft), is_ready=draft.entry is not None)
    return await settle(visit, _edit(visit, draft))


def _read(visit: Visit, place: Place | None, fields: Fields) -> _Draft:
    base = None if place is None else changes.rule(visit.plan.document, place)
    timezone = str(visit.plan.document.get("timezone", DEFAULT_ZONE))
    entry, errors = shapes.read(RHYTHM, fields, timezone, visit.plan.rules.zone, base)
    return _Draft(place, base, fields, entry, errors)


def _exchanged(visit: Visit, draft: _Draft) -> _Draft:
    if draft.entry is None:
        return draft
    ahead = {date_of(day).isoformat(): day for day in range(today(visit), today(visit) + AHEAD)}
    first, second = (ahead.get(one(draft.fields, name)) for name in ("swap1", "swap2"))
    if first is None or second is None or first == second:
        return replace(draft, errors=[FieldError("swap1", _OTHER_DAY)])
    if not (shifts.is_bound(draft.entry, first) and shifts.is_bound(draft.entry, second)):
        return replace(draft, errors=[FieldError("swap1", NOT_IN_FORCE)])
    fields = rhythm_form.exchange(draft.fields, draft.entry, draft.base, (first, second), today(visit))
    return _read(visit, draft.place, fields)


def _document(visit: Visit, draft: _Draft) -> Document:
    assert draft.entry is not None
    if draft.place is None:
        return changes.added(visit.plan.document, "windows", [draft.entry])
    return changes.replaced(visit.plan.document, draft.place, [draft.entry])


async def _seen(visit: Visit, draft: _Draft) -> Outlook | None:
    if draft.entry is None:
        return None
    try:
        return await outlook(visit, _document(visit, draft), draft.starred())
    except RuleError:  # too many rules; it is told when it is to be saved
        return None


def _edit(visit: Visit, draft: _Draft) -> Edit:
    assert draft.entry is not None
    document = _document(visit, draft)
    at = Place("windows", len(shifts.entries(document, "windows")) - 1) if draft.place is None else draft.place

    def again(seen: Outlook | None, errors: Sequence[FieldError]) -> Response:
        shown = _Draft(draft.place, draft.base, draft.fields, draft.entry, errors)
        return _page(visit, shown, seen, is_ready=seen is not None)

    return Edit(
        document=document, what=words(visit).name(draft.entry), path=draft.path, again=again,
        located=lambda problems: shapes.located(RHYTHM, draft.fields, problems, at), starred=draft.starred(),
        is_shown_first=True, marks={"marks": marks(visit, "windows")},
    )  # fmt: skip


# --- the page


def _fresh(visit: Visit) -> dict[str, list[str]]:
    """Early, late, night, off, off, from today on."""
    gettext = visit.gettext
    return filled(
        anchor=visit.dates.today().isoformat(), length="5", d1="1", d2="2", d3="3", d4=FREE, d5=FREE,
        name1=gettext("Early"), from1="06:00", to1="14:00", name2=gettext("Late"), from2="14:00", to2="22:00",
        name3=gettext("Night"), from3="22:00", to3="06:00", before="30", after="30", rest="free",
    )  # fmt: skip


def _page(visit: Visit, draft: _Draft, seen: Outlook | None, *, is_ready: bool) -> Response:
    fields = draft.fields
    numbers = rhythm_form.shift_numbers(fields)
    spare = str(max(map(int, numbers), default=0) + 1)
    about = ("name", "from", "to")
    return visit.render(
        "rhythm.html", 422 if draft.errors else 200, form=Shown.of(visit, fields, draft.errors), seen=seen,
        is_ready=is_ready and not draft.errors, is_new=draft.place is None, action=draft.path,
        marks=marks(visit, "windows"),
        rows=list(_rows(visit, fields)), shifts=[(n, one(fields, f"name{n}"), _hours(fields, n)) for n in numbers],
        numbers=[*numbers, *([spare] if len(numbers) < MAX_SHIFTS else [])],
        opens_shifts=not numbers or any(error.field.startswith(about) for error in draft.errors),
        sums=list(_sums(visit, draft)), choices=_choices(visit, draft), swapped=list(_swapped(visit, draft)),
        starred=draft.starred(), rests=words(visit).rests(),
    )  # fmt: skip


def _rows(visit: Visit, fields: Fields) -> Iterator[tuple[int, str]]:
    """(number, when it comes next) of the days of the cycle."""
    length = rhythm_form.length(fields) or 0
    try:
        anchor = day_of(one(fields, "anchor"))
    except ValueError:
        anchor = None
    for number in range(1, length + 1):
        if anchor is None:
            yield number, ""
            continue
        ahead = (anchor + number - 1 - today(visit)) % length
        yield number, visit.dates.day(date_of(today(visit) + ahead)) if ahead else visit.gettext("today")


def _hours(fields: Fields, number: str) -> str:
    """06–14, or 05:45–14:00."""
    edges = [one(fields, f"{edge}{number}") for edge in ("from", "to")]
    short = all(edge.endswith(":00") for edge in edges)
    return "–".join(edge[:2] if short else edge for edge in edges)


def _choices(visit: Visit, draft: _Draft) -> list[tuple[str, str]]:
    """(date, words) of the days that can be swapped."""
    if draft.entry is None:
        return []
    days = shifts.days_ahead(draft.entry, today(visit), AHEAD)
    return [(date_of(day).isoformat(), _named(visit, draft.entry, day)) for day in days]


def _named(visit: Visit, entry: Entry, day: int) -> str:
    return f"{visit.dates.day(date_of(day))} {words(visit).shift(shifts.on(entry, day))}"


def _swapped(visit: Visit, draft: _Draft) -> Iterator[tuple[str, str]]:
    """(date, words) of the swaps from today on."""
    for day in sorted(shifts.swaps(draft.entry)) if draft.entry is not None else ():
        if day >= today(visit):
            told = visit.dates.day(date_of(day))
            now = words(visit).shift(shifts.on(draft.entry or {}, day))
            yield date_of(day).isoformat(), visit.gettext("%(day)s now %(shift)s", day=told, shift=now)


@dataclass(frozen=True, slots=True, repr=False)
class Sum:
    """The rest that follows a duty."""

    shift: str
    length: str
    times: str


def _sums(visit: Visit, draft: _Draft) -> Iterator[Sum]:
    """For each shift, the rest after the next duty of that name, by this rhythm alone."""
    if draft.entry is None:
        return
    rules = parse({"timezone": visit.plan.rules.zone.name, "windows": [draft.entry]})
    zone, table, dates = rules.zone, compile_table(rules, visit.now), visit.dates
    lag = int(str(draft.entry.get("lag_minutes", 0))) * 60
    told: set[str] = set()
    day, length = today(visit), rhythm_form.length(draft.fields) or 0
    for name, start, end in shifts.duties(draft.entry, day, day + max(AHEAD, 2 * length)):
        if name in told or zone.opens(start) < visit.now:
            continue
        told.add(name)
        at = zone.closes(end + lag)
        resting, until, _ = table.at(at)
        if resting and until is not None:
            times = visit.gettext("%(first)s to %(last)s", first=dates.edge(at), last=dates.edge(until))
            note = clock_change(zone, at, until, visit.language)
            yield Sum(words(visit).shift(name), _length(until - at), times + note)


def _length(seconds: int) -> str:
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h" + (f" {minutes} min" if minutes else "")


PAGES = (Page("/rhythm", show=open_first, act=careful(create)),)
