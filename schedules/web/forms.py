"""A form as it was sent: urlencoded, names with one value or many; with a file, in parts. Nothing of it is printed.

Parts are read as browsers write them (RFC 7578; WHATWG, multipart/form-data) and in no other way: a name in quotes, no
encodings, nothing before the first boundary. A file's own name is not read. Rejected: the library that Starlette asks
for this. It is made for streams of any length and for files on disk; here a body is in memory, short, and of our own
pages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

MEDIA: Final = "application/x-www-form-urlencoded"
PARTS: Final = "multipart/form-data"
MOST_FIELDS: Final = 1_000

_BOUNDARY: Final = re.compile(r"[^;]*;\s*boundary=(\"?)([0-9A-Za-z'()+_,./:=?-]{1,70})\1\s*", re.ASCII | re.IGNORECASE)
_NAMED: Final = re.compile(
    r"^content-disposition: form-data; name=\"([^\"]*)\"(; filename=.*)?$", re.IGNORECASE | re.MULTILINE
)
_ESCAPED: Final = {"%22": '"', "%0D": "\r", "%0A": "\n"}


class BadForm(ValueError):
    """It cannot be read; no browser sends such a one from our pages."""


@dataclass(frozen=True, slots=True, repr=False)
class Form:
    """The fields in their order."""

    fields: Sequence[tuple[str, str]] = ()
    files: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))
    """By the name of the control; those that nobody chose are empty or missing."""

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


def read_parts(body: bytes, content_type: str) -> Form:
    """A form with files in it. Raises BadForm."""
    match = _BOUNDARY.fullmatch(content_type)
    if match is None:
        raise BadForm
    first, *parts = (b"\r\n" + body).split(b"\r\n--" + match[2].encode(), MOST_FIELDS + 1)
    if first or not parts or parts.pop() not in (b"--", b"--\r\n"):
        raise BadForm
    fields: list[tuple[str, str]] = []
    files: dict[str, bytes] = {}
    for part in parts:
        head, blank, content = part.partition(b"\r\n\r\n")
        if not blank or not head.startswith(b"\r\n"):
            raise BadForm
        try:
            named = _NAMED.search(head.decode().replace("\r\n", "\n"))
            if named is None:
                raise BadForm
            name = re.sub("%22|%0D|%0A", lambda found: _ESCAPED[found[0]], named[1])
            if named[2]:
                files[name] = content
            else:
                fields.append((name, content.decode()))
        except UnicodeDecodeError:
            raise BadForm from None
    return Form(fields, MappingProxyType(files))
