"""Today's shift is another one: choose the day, choose the shift, save. The rhythm stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from starlette.responses import Response

from schedules.errors import Text
from schedules.web import changes, shifts
from schedules.web.changes import Place
from schedules.web.fields import NOT_IN_FORCE, FieldError, Fields, filled, gathered, one
from schedules.web.outlook import Outlook
from schedules.web.port import Changed
from schedules.web.shifts import Entry, date_of
from schedules.web.views.saving import (
    Edit,
    Shown,
    careful,
    is_outdated,
    marks,
    settle,
    today,
    unplaced,
    words,
)
from schedules.web.visit import Page, Visit
from schedules.windows import FREE

AHEAD: Final = 14
"""Days that are offered, from today on, where the rhythm holds."""

_NO_DAY: Final = Text("Please choose a day.", "Bitte einen Tag wählen.")
_NO_SHIFT: Final = Text("Please choose a shift.", "Bitte eine Schicht wählen.")


async def show(visit: Visit) -> Response:
    rhythms, document = _rhythms(visit), visit.plan.document
    if not rhythms:
        return visit.redirect("/rhythm")
    place = next((each for each in rhythms if _days(visit, changes.rule(document, each))), rhythms[0])
    window = changes.rule(document, place)
    days = _days(visit, window)
    if not days:
        return _page(visit, place, {})
    now = next(n for n, name in _shifts(window) if name == shifts.on(window, days[0]))
    return _page(visit, place, filled(day=date_of(days[0]).isoformat(), shift=now))


async def save(visit: Visit) -> Response:
    place = _place(visit)
    if place is None:
        raise Changed
    fields = gathered(visit.form.fields)
    window = changes.rule(visit.plan.document, place)
    ahead = {date_of(day).isoformat(): day for day in range(today(visit), today(visit) + AHEAD)}
    day = ahead.get(one(fields, "day"))
    shift = dict(_shifts(window)).get(one(fields, "shift"))
    errors = [FieldError("shift", _NO_SHIFT)] if shift is None else []
    if day is None:
        errors.append(FieldError("day", _NO_DAY))
    elif not shifts.is_bound(window, day):
        errors.append(FieldError("day", NOT_IN_FORCE))
    if day is None or shift is None or errors or visit.form.text("act") == "edit":
        return _page(visit, place, fields, errors)

    def again(seen: Outlook | None, errors: Sequence[FieldError]) -> Response:
        return _page(visit, place, fields, errors, seen)

    return await settle(visit, Edit(
        document=changes.with_shift(visit.plan.document, place.index, day, shift, today(visit)),
        what=words(visit).name(window), path="/swap", again=again, located=unplaced,
        marks={"marks": marks(visit, "windows"), "index": str(place.index)},
    ))  # fmt: skip


def _place(visit: Visit) -> Place | None:
    """The rhythm that the form is about, where it stands now."""
    place = Place("windows", visit.form.number("index") or 0)
    if is_outdated(visit):
        found = changes.followed(visit.plan.document, place, visit.form.text("marks").split())
    else:
        found = place
    return found if found in _rhythms(visit) else None


def _rhythms(visit: Visit) -> list[Place]:
    return [Place("windows", index) for index, _ in shifts.cycles(visit.plan.document)]


def _days(visit: Visit, window: Entry) -> list[int]:
    """Those that are offered."""
    return shifts.days_ahead(window, today(visit), AHEAD)


def _shifts(window: Entry) -> list[tuple[str, str]]:
    """(number, name), the free day last."""
    names = cast("Entry", window["shifts"])
    return [*((str(n), name) for n, name in enumerate(names, start=1)), (FREE, FREE)]


def _page(
    visit: Visit,
    place: Place,
    fields: Fields,
    errors: Sequence[FieldError] = (),
    seen: Outlook | None = None,
) -> Response:
    window, told, dates = changes.rule(visit.plan.document, place), words(visit), visit.dates
    days = []
    for day in _days(visit, window):
        name = dates.day(date_of(day))
        if day == today(visit):
            name = visit.gettext("today, %(day)s", day=name)
        days.append((date_of(day).isoformat(), name, told.shift(shifts.on(window, day))))
    return visit.render(
        "swap.html", 422 if errors else 200, form=Shown.of(visit, fields, errors), seen=seen, index=place.index,
        marks=marks(visit, "windows"), days=days, shifts=[(n, told.shift(name)) for n, name in _shifts(window)],
    )  # fmt: skip


PAGES = (Page("/swap", show=show, act=careful(save)),)
