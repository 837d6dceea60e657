"""What a form sends: names of controls with the texts that were typed, and what is wrong with them.

A text is kept as it was typed until the whole form is good, so that an error costs nobody their input. Errors carry
the name of a control, for the link in the summary and for `aria-describedby`, and a sentence in both languages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from schedules.errors import Text
from schedules.walltime import Zone

Fields = Mapping[str, Sequence[str]]
"""Control → its values; a control may be there more than once, or not at all."""

_EPOCH: Final = datetime(1970, 1, 1)
_CLOCK: Final = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)

NO_TIME: Final = Text("Please give a time of day.", "Bitte eine Uhrzeit angeben.")
NO_DATE: Final = Text("Please give a date.", "Bitte ein Datum angeben.")
NO_LAND: Final = Text("Please choose a federal state.", "Bitte ein Bundesland wählen.")
NOT_IN_FORCE: Final = Text("The rhythm does not hold on this day.", "An diesem Tag gilt der Rhythmus nicht.")


@dataclass(frozen=True, slots=True, repr=False)
class FieldError:
    """What is wrong at a control; "" is the form as a whole. Never holds what was typed."""

    field: str
    text: Text


def gathered(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """Fields from what was sent, in its order."""
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def one(fields: Fields, name: str) -> str:
    """The first value of a control, without blanks around it; empty where there is none."""
    values = fields.get(name, ())
    return values[0].strip() if values else ""


def filled(**values: str | Sequence[str]) -> dict[str, list[str]]:
    """Fields from values."""
    return {name: [value] if isinstance(value, str) else list(value) for name, value in values.items()}


def shown(text: object) -> str:
    """A text of the document as an `input` can hold and send it: on one line, nothing that HTML has no place for."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())


def number(text: str) -> int | str:
    """A whole number, or the text where it is none: what reads the document says so."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else text


def is_clock(text: str) -> bool:
    """Whether a control for times of day would send it."""
    return _CLOCK.fullmatch(text) is not None


def closing(clock: str) -> str:
    """A time of day that ends something: midnight is that which follows."""
    return "24:00" if clock == "00:00" else clock


def opening(clock: object) -> str:
    """The same as a control for times of day has it, which knows no 24:00."""
    return "00:00" if clock == "24:00" else str(clock)


def wall_time(text: str, zone: Zone) -> datetime:
    """What the clock on the wall shows at a time of the document."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo is None else _EPOCH + timedelta(seconds=zone.wall(int(moment.timestamp())))
