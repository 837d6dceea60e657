"""Several times in one weekly form: "Monday to Friday 22:00 to 06:00" and "Saturday all day", under one name.

The first row has the plain controls `d`, `from`, `to` and `all`; the others the same with a number, `d_2`. Each row is
a rule. A further row without days and times is none, so that one can be offered and left empty. Painting the week
(`static/week.mjs`) fills such rows, and a page without script adds them one by one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from schedules.walltime import Zone
from schedules.web import shapes
from schedules.web.changes import Document
from schedules.web.fields import FieldError, Fields, one
from schedules.web.rule_forms import WEEKLY
from schedules.web.shifts import Entry

MOST: Final = 14
"""Rows: two for each day of the week, as painting may need."""
_OWN: Final = ("d", "from", "to", "all")


def suffixes(fields: Fields, more: int = 0) -> list[str]:
    """The endings of the names of the rows, in order; with some more rows at their end."""
    numbers = [n for n in range(2, MOST + 1) if any(f"{name}_{n}" in fields for name in _OWN)]
    following = range(max(numbers, default=1) + 1, MOST + 1)
    return ["", *(f"_{n}" for n in (*numbers, *following[:more]))]


def read(
    fields: Fields, timezone: str, zone: Zone, base: Entry | None = None
) -> tuple[list[Document], tuple[FieldError, ...]]:
    """The rules of the rows, of which the first was made from `base`; or what is wrong, beside the rows' controls."""
    entries: list[Document] = []
    errors: list[FieldError] = []
    for suffix in suffixes(fields):
        row = {**fields, **{name: fields.get(f"{name}{suffix}", ()) for name in _OWN}}
        if suffix and not any(one(row, name) for name in _OWN):
            continue
        entry, wrong = shapes.read(WEEKLY, row, timezone, zone, None if suffix else base)
        entries += [entry] if entry is not None else []
        for error in wrong:
            own = replace(error, field=f"{error.field}{suffix}") if error.field in _OWN else error
            errors += [] if own in errors else [own]
    return entries, tuple(errors)
