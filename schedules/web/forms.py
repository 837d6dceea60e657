"""A form as it was sent: urlencoded, names with one value or many. Nothing of it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

MEDIA: Final = "application/x-www-form-urlencoded"
MOST_FIELDS: Final = 1_000


class BadForm(ValueError):
    """It cannot be read; no browser sends such a one from our pages."""


@dataclass(frozen=True, slots=True, repr=False)
class Form:
    """The fields in their order."""

    fields: Sequence[tuple[str, str]] = ()

    def text(self, name: str, default: str = "") -> str:
        """The last value of a field, without blanks around it."""
        return next((value.strip() for known, value in reversed(self.fields) if known == name), default)

    def number(self, name: str) -> int | None:
        """A whole number; None where there is none."""
        text = self.text(name)
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None

    def __contains__(self, name: str) -> bool:
        return any(known == name for known, _ in self.fields)


def read(body: bytes) -> Form:
    """Raises BadForm."""
    try:
        return Form(
            parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
        )
    except ValueError:
        raise BadForm from None
