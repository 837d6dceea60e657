"""From a rule of the document to the controls of a form, and back.

The law. A form that is sent as it was shown changes nothing, to the byte; what is edited changes, and nothing beside
it: offsets, seconds, ids and members that no control shows stay. A fault of the document is told beside the control it
was typed in.

Theory of operation. A shape says which rules a form is for, how they are shown (`show`), and how each member of the
rule is made from the controls (`Member.read`). A form that comes back is read twice: as sent, and as it was shown.
Members that read the same keep the text they have in the document, or stay left out; the others are written anew, and
left out where they say what is meant anyway. So no reader has to know how somebody wrote what it shows.

The shapes stand in `rule_forms.py` and `rhythm_form.py`. Rules of the kind `cron` have none: five fields of cron in
controls would be a language to learn. They come by the API only, and are shown, kept or removed.

Rejected: writing the rule anew from its controls (an instant would become a wall time by being looked at), and hidden
controls for what is not shown (two tabs would overwrite each other's rules without a conflict).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schedules.errors import Problem, RuleError, Text
from schedules.rules import parse
from schedules.walltime import Zone
from schedules.web import faults
from schedules.web.changes import Document, List, Place
from schedules.web.fields import FieldError, Fields
from schedules.web.shifts import Entry


class Member(NamedTuple):
    """A member of a rule, made from controls."""

    name: str
    control: str
    """Where its faults are shown."""
    title: Text
    """What its faults are about (faults.py)."""
    read: Callable[[Fields, Entry | None], object]
    """Its value as the controls say it; None where the rule has no such member. The entry is that of the document."""
    silent: object = None
    """The value that says nothing: left out, unless it was written out before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A form: which rules it is for, how it shows one, and how it reads one."""

    name: str
    where: List
    kinds: frozenset[str]
    members: tuple[Member, ...]
    show: Callable[[Entry, Zone], dict[str, list[str]]]
    check: Callable[[Fields], list[FieldError]]
    """What the document cannot say of a form: what was left empty."""
    control: Callable[[str, Fields], str | None] = lambda below, fields: None
    """The control of a path below the rule (`days[3]`) that is not its member's; None where it is."""


class Read(NamedTuple):
    """A form as it was read: a rule, or what is wrong."""

    entry: Document | None
    errors: tuple[FieldError, ...]


def read(shape: Shape, fields: Fields, timezone: str, zone: Zone, base: Entry | None = None) -> Read:
    """The rule that a form says; `base` is the one that it was made from."""
    errors = shape.check(fields)
    if errors:
        return Read(None, tuple(errors))
    entry = _written(shape, fields, zone, base)
    try:
        parse({"timezone": timezone, shape.where: [entry]})
    except RuleError as error:
        return Read(None, located(shape, fields, error.problems, Place(shape.where, 0)))
    return Read(entry, ())


def located(shape: Shape, fields: Fields, problems: Sequence[Problem], place: Place) -> tuple[FieldError, ...]:
    """Faults of a document, each beside a control where it is one of the rule at this place."""
    return tuple(_located(shape, fields, problem, place) for problem in problems)


def _written(shape: Shape, fields: Fields, zone: Zone, base: Entry | None) -> Document:
    sent = {member.name: member.read(fields, base) for member in shape.members}
    said = {m.name for m in shape.members if sent[m.name] is not None and sent[m.name] != m.silent}
    if base is None:
        return {name: value for name, value in sent.items() if name in said}
    was = shape.show(base, zone)
    kept = {m.name for m in shape.members if sent[m.name] == m.read(was, base)}
    kept |= base.keys() - sent.keys()
    old: Document = {n: v if n in kept else sent[n] for n, v in base.items() if n in kept | said}
    return old | {name: sent[name] for name in sent if name in said - kept}


def _located(shape: Shape, fields: Fields, problem: Problem, place: Place) -> FieldError:
    if not problem.path.startswith(place.path):
        return FieldError("", faults.alone(problem))
    below = problem.path[len(place.path) + 1 :]
    name = below.partition(".")[0].partition("[")[0]
    member = next((m for m in shape.members if m.name == name), None)
    if member is None:
        return FieldError("", faults.alone(problem))
    return FieldError(shape.control(below, fields) or member.control, faults.beside(problem, member.title))
