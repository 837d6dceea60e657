"""The way of an edit into the document: looked at where that matters, saved, or asked about when there is another one.

A view reads its form and says what the document would be (`Edit`). From there on all edits go the same way:

    another version is saved by now   -> both versions on a page, and the officer chooses (conflict.html)
    something is to be seen first     -> the form again with its outlook, and the mark of what was seen in `seen`
    else                              -> saved; Undo stands on the next page

`careful` is around every view that saves: where somebody else saves between reading and saving, the view is called
again with the document as it is now, and finds that it is another than the form's.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from starlette.responses import Response

from schedules import Problem, RuleError
from schedules.errors import Text
from schedules.table import DAY
from schedules.web import changes, faults, rosters, shifts, versions
from schedules.web.bands import Day, bands
from schedules.web.changes import List, Place
from schedules.web.fields import FieldError, Fields, one
from schedules.web.forms import Form
from schedules.web.outlook import Outlook, outlook
from schedules.web.port import Changed, Document, Rejected
from schedules.web.rule_words import Words
from schedules.web.shifts import Entry
from schedules.web.versions import Line, Turn
from schedules.web.visit import View, Visit

SAVED: Final = "/#status"
"""Where an act leads to: the state as it is now, and Undo."""
_OURS: Final = frozenset({"csrf", "version", "confirm", "seen", "act", "marks"})
"""Fields that a page which keeps a form makes anew."""


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Edit:
    """A form that was read without an error."""

    document: Document
    """What it makes of the document as it is now."""
    what: str
    """The rule, by its name: for the title where two versions are compared."""
    path: str
    """Below the language: where the form is sent to, as the document is now."""
    again: Callable[[Outlook | None, Sequence[FieldError]], Response]
    """The form once more."""
    located: Callable[[Sequence[Problem]], Sequence[FieldError]]
    starred: Collection[int] = ()
    """Days with a swap that is not saved yet."""
    is_shown_first: bool = False
    """Never saved before it was shown."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Fields by which the form finds its rule again, as the document is now."""


@dataclass(frozen=True, slots=True, repr=False)
class Shown:
    """A form for a template: what is in it, and what is wrong, in the reader's language."""

    fields: Fields
    errors: Sequence[tuple[str, str]] = ()
    """(control, sentence)"""

    @classmethod
    def of(cls, visit: Visit, fields: Fields, errors: Sequence[FieldError] = ()) -> Shown:
        return cls(fields, [(error.field, said(visit, error.text)) for error in errors])

    def one(self, name: str) -> str:
        return one(self.fields, name)

    def all(self, name: str) -> Sequence[str]:
        return self.fields.get(name, ())

    def error(self, name: str) -> str:
        return next((sentence for control, sentence in self.errors if control == name), "")


def said(visit: Visit, text: Text) -> str:
    return text.german if visit.language == "de" else text.english


def words(visit: Visit) -> Words:
    return Words(visit.gettext, visit.dates)


def today(visit: Visit) -> int:
    """The day, since 1970, by the officer's clock."""
    return visit.plan.rules.zone.wall(int(visit.now // 1)) // DAY


def marks(visit: Visit, where: List) -> str:
    """For the field `marks` of a form."""
    return " ".join(changes.marks(visit.plan.document, where))


def first_rhythm(visit: Visit) -> Place | None:
    """The first that no file has made."""
    cycles = shifts.cycles(visit.plan.document)
    return next((Place("windows", index) for index, window in cycles if not rosters.is_import(window)), None)


def unplaced(problems: Sequence[Problem]) -> list[FieldError]:
    """Faults of a document that belong to no control of the form."""
    return [FieldError("", text) for text in dict.fromkeys(map(faults.alone, problems))]


def careful(view: View) -> Callable[[Visit], Awaitable[Response]]:
    async def watched(visit: Visit) -> Response:
        try:
            return await view(visit)
        except Changed:
            return await view(await visit.signed_in())

    return watched


def is_outdated(visit: Visit) -> bool:
    """Whether the form was made from another version than the one that is saved."""
    return visit.version != visit.plan.version


async def settle(visit: Visit, edit: Edit) -> Response:
    """Raises Changed (see `careful`) and other faults of the port."""
    if edit.document == visit.plan.document:
        return visit.redirect(SAVED)
    if is_outdated(visit):
        return _both(visit, edit)
    try:
        seen = await outlook(visit, edit.document, edit.starred)
        is_known = visit.form.text("seen") == seen.mark
        wants_look = visit.form.text("act") == "preview"
        if wants_look or (not is_known and (edit.is_shown_first or seen.is_to_be_seen)):
            return edit.again(seen, ())
        await visit.save(edit.document, confirmed=is_known)
    except (RuleError, Rejected) as error:
        return edit.again(None, edit.located(error.problems))
    return visit.redirect(SAVED)


# --- two versions


@dataclass(frozen=True, slots=True, repr=False)
class Side:
    """One of two versions."""

    rules: list[tuple[str, Line]]
    """Names and times of the rules that the other has not."""
    days: list[Day]
    turn: Turn | None


def _both(visit: Visit, edit: Edit) -> Response:
    saved, own = visit.plan.document, edit.document
    try:
        at = versions.first_difference(saved, own, visit.now, versions.LOOK)
    except RuleError as error:
        return edit.again(None, edit.located(error.problems))
    ours, theirs = versions.differing(own, saved)
    fresh = replace(visit, form=Form())  # its forms are made from the version that is saved
    made = _OURS | edit.marks.keys()
    kept = [(name, value) for name, value in visit.form.fields if name not in made]
    return fresh.render(
        "conflict.html", 409, what=edit.what, action=visit.url(edit.path), kept=[*kept, *edit.marks.items()],
        is_from_another_session=visit.is_from_another_session,
        saved=_side(visit, saved, theirs, ours, at), own=_side(visit, own, ours, theirs, at),
    )  # fmt: skip


def _side(visit: Visit, document: Document, rules: Sequence[Entry], others: Sequence[Entry], at: int | None) -> Side:
    told = words(visit)
    lines = versions.lines(rules, others, told.times)
    zone = visit.plan.rules.zone
    first = today(visit) if at is None else max(today(visit), zone.wall(at) // DAY - 1)
    return Side(
        [(told.name(entry), line) for entry, line in zip(rules, lines, strict=True)],
        bands(document, first, 3, visit.language, now=visit.now),
        None if at is None else versions.turn(document, at),
    )
