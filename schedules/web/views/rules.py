"""Single rules: a new one, and every rule that there is, to be edited or deleted.

`/rules/new?kind=…` offers all kinds in one form, of which the chosen one is read. `/rules/windows/2` and
`/rules/overrides/0` are rules by their place; the form carries the marks of the list, by which the rule is found again
when the list is another one by now. A rhythm has a page of its own (rhythm.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from schedules.holidays import LAENDER
from schedules.rules import DEFAULT_ZONE
from schedules.web import changes, shapes, weekly_rows
from schedules.web.changes import NoSuchRuleError, Place
from schedules.web.fields import FieldError, Fields, filled, gathered, number
from schedules.web.outlook import Outlook
from schedules.web.port import Changed, Document, Missing
from schedules.web.rhythm_form import RHYTHM
from schedules.web.rule_forms import HOLIDAYS, SHAPES, WEEKLY, shape_of
from schedules.web.shapes import Shape
from schedules.web.shifts import Entry, date_of
from schedules.web.views import rhythm
from schedules.web.views.saving import Edit, Shown, careful, is_outdated, marks, settle, unplaced, words
from schedules.web.visit import Page, Visit

KINDS: Final = {
    "weekly": "weekly", "dates": "dated", "once": "dated", "dated": "dated", "holidays": "holidays",
    "oncall": "oncall", "offduty": "offduty",
}  # fmt: skip
"""What an address may ask for → the shape."""
_FRESH: Final[Fields] = filled(**{"d": list("1234567"), "from": "22:00", "to": "06:00", "land": "NI"})


_MONDAY: Final = 4
"""Some Monday, as a day since 1970."""
_REST: Final = {"dated": "leave", "holidays": "free"}
"""What a new rule is for, where it is not the night."""


@dataclass(frozen=True, slots=True, repr=False)
class _Target:
    """The rule that a form is about."""

    shape: Shape | None
    """None: it cannot be edited here."""
    place: Place | None
    """None: it is new, or gone meanwhile."""
    base: Entry | None


# --- new


async def new(visit: Visit) -> Response:
    kind = visit.request.query_params.get("kind", "weekly")
    if kind == "cycle":
        return visit.redirect("/rhythm")
    name = KINDS.get(kind, "weekly")
    day = visit.request.query_params.get("day1", "")
    fields = {**_FRESH, "kind": [name], "rest": [_REST.get(name, "night")], "day1": [day], "day2": [day]}
    return _form(visit, _Target(SHAPES[name], None, None), fields)


async def create(visit: Visit) -> Response:
    shape = SHAPES[KINDS.get(visit.form.text("kind") or visit.form.text("shape"), "weekly")]
    return await _sent(visit, _Target(shape, None, None))


# --- one that there is


async def edit(visit: Visit) -> Response:
    target = _target(visit)
    if target.shape is RHYTHM:
        return await rhythm.show(visit, target.place)
    if target.shape is None or target.base is None:
        return _form(visit, target, {})
    return _form(visit, target, target.shape.show(target.base, visit.plan.rules.zone))


async def change(visit: Visit) -> Response:
    target = _target(visit)
    if target.shape is RHYTHM:
        return await rhythm.sent(visit, target.place)
    if target.shape is None:
        raise Missing
    return await _sent(visit, target)


async def delete(visit: Visit) -> Response:
    target = _target(visit)
    if target.place is None or target.base is None:
        return visit.redirect("/#status")  # gone already
    place, told = target.place, words(visit)

    def again(seen: Outlook | None, errors: Sequence[FieldError]) -> Response:
        shown = Shown.of(visit, {}, errors)
        return visit.render(
            "rule_delete.html", 422 if errors else 200, form=shown, seen=seen, action=_path(place) + "/delete",
            name=told.name(rule), times=told.times(rule), marks=marks(visit, place.where),
        )  # fmt: skip

    rule = target.base
    return await settle(visit, Edit(
        document=changes.removed(visit.plan.document, place), what=told.name(rule), path=_path(place) + "/delete",
        again=again, located=unplaced, marks={"marks": marks(visit, place.where)},
    ))  # fmt: skip


def _target(visit: Visit) -> _Target:
    """Raises Missing, and Changed where only another version can tell."""
    where, index = visit.places["where"], number(visit.places["index"])
    if where not in ("windows", "overrides") or isinstance(index, str):
        raise Missing
    place: Place | None = Place(where, index)
    sent = SHAPES.get(visit.form.text("shape"))
    if visit.is_act and is_outdated(visit):
        before = visit.form.text("marks").split()
        if not before:
            raise Changed
        place = changes.followed(visit.plan.document, Place(where, index), before)
        if place is not None and sent not in (None, shape_of(where, changes.rule(visit.plan.document, place))):
            place = None  # a rule of another kind has come to where it stood
    if place is None:
        return _Target(sent if sent is not None and sent.where == where else None, None, None)
    try:
        base = changes.rule(visit.plan.document, place)
    except NoSuchRuleError:
        raise Missing from None
    return _Target(shape_of(place.where, base), place, base)


def _path(place: Place | None) -> str:
    return "/rules/new" if place is None else f"/rules/{place.where}/{place.index}"


# --- the form


async def _sent(visit: Visit, target: _Target) -> Response:
    shape, place = target.shape, target.place
    assert shape is not None
    fields = gathered(visit.form.fields)
    if place is None and shape is HOLIDAYS:
        fields["all"] = ["on"]  # the hours in this form are those of the week
    if visit.form.text("act") in ("edit", "row"):
        return _form(visit, target, fields)
    entries, errors = _read(visit, shape, fields, target.base)
    if errors:
        return _form(visit, target, fields, errors)
    document = visit.plan.document
    edited = (
        changes.added(document, shape.where, entries) if place is None else changes.replaced(document, place, entries)
    )
    index = len(changes.marks(document, shape.where)) if place is None else place.index

    def again(seen: Outlook | None, errors: Sequence[FieldError]) -> Response:
        return _form(visit, target, fields, errors, seen)

    return await settle(visit, Edit(
        document=edited, what=words(visit).name(entries[0]), path=_path(place), again=again,
        located=lambda problems: shapes.located(shape, fields, problems, Place(shape.where, index)),
        marks={"marks": marks(visit, place.where)} if place is not None else {},
    ))  # fmt: skip


def _read(
    visit: Visit, shape: Shape, fields: Fields, base: Entry | None
) -> tuple[list[Document], Sequence[FieldError]]:
    timezone, zone = str(visit.plan.document.get("timezone", DEFAULT_ZONE)), visit.plan.rules.zone
    if shape is WEEKLY:
        rows, errors = weekly_rows.read(fields, timezone, zone, base)
        return [*rows], errors
    entry, errors = shapes.read(shape, fields, timezone, zone, base)
    return [] if entry is None else [entry], errors


def _form(
    visit: Visit,
    target: _Target,
    fields: Fields,
    errors: Sequence[FieldError] = (),
    seen: Outlook | None = None,
) -> Response:
    told = words(visit)
    rule = target.base
    more = 1 if visit.form.text("act") == "row" else 0
    return visit.render(
        "rule.html", 422 if errors else 200, form=Shown.of(visit, fields, errors), seen=seen,
        shape=target.shape.name if target.shape is not None else "", is_new=target.place is None,
        weekdays=_weekdays(visit), rows=weekly_rows.suffixes(fields, more), most_rows=weekly_rows.MOST,
        action=_path(target.place), laender=LAENDER, rests=told.rests(),
        name=told.name(rule) if rule is not None else "", times=told.times(rule) if rule is not None else "",
        classes=rule.get("classes", ()) if rule is not None else (),
        marks=marks(visit, target.place.where) if target.place is not None else "",
    )  # fmt: skip


def _weekdays(visit: Visit) -> list[tuple[str, str, str]]:
    """(number, short, long) from Monday on."""
    week = [date_of(_MONDAY + n) for n in range(7)]
    return [(str(day.isoweekday()), visit.dates.weekday(day), visit.dates.long_weekday(day)) for day in week]


PAGES = (
    Page("/rules/new", show=new, act=careful(create)),
    Page("/rules/{where}/{index}", show=edit, act=careful(change)),
    Page("/rules/{where}/{index}/delete", act=careful(delete), button="/"),
)
