"""Bodies into typed values, strictly; and when that fails, a list of everything that is wrong.

The fast path is msgspec: one pass, validated, unknown fields refused, about 0.3 µs an event. It stops at the first
fault, so only a body that failed is decoded again without types and walked by a table of checks, which names every
faulty path (at most 100). Faults of grammar (not JSON at all) are `Malformed`: there is no path to name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Final, Generic, TypeVar

import msgspec

from relay.core.errors import Problem, Refused

MOST_PROBLEMS: Final = 100
LONGEST_ID: Final = 256
_PRINTABLE: Final = r"^[^\x00-\x1f\x7f]+\Z"
_MEDIA: Final = {
    b"application/json": "json",
    b"application/msgpack": "msgpack",
    b"application/x-msgpack": "msgpack",
    b"application/vnd.msgpack": "msgpack",
}

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID, pattern=_PRINTABLE)]
T = TypeVar("T")


class Malformed(Exception):
    """The body is not of the format it says."""


class UnknownMedia(Exception):
    """No content type, or none that is understood here."""


class Silent(msgspec.Struct, forbid_unknown_fields=True):
    """A body that does not show its content (ids) in `repr`."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class Body(Generic[T]):
    """Decoder of one kind of body, in JSON and MessagePack. `check` lists the faults of a decoded body."""

    def __init__(self, kind: type[T], check: Callable[[object], list[Problem]]) -> None:
        self._decode: dict[str, Callable[[bytes], T]] = {
            "json": msgspec.json.Decoder(kind).decode,
            "msgpack": msgspec.msgpack.Decoder(kind).decode,
        }
        self._check = check

    def decode(self, content_type: bytes, body: bytes) -> T:
        """Raises UnknownMedia, Malformed, Refused."""
        form = media(content_type)
        try:
            return self._decode[form](body)
        except msgspec.ValidationError:
            problems = self._check(plain(form, body)) or [Problem("body", "is not what is expected here")]
            raise Refused(*problems[:MOST_PROBLEMS]) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Malformed(f"the body is not valid {form}") from None


def media(content_type: bytes) -> str:
    """The format of a content type. Raises UnknownMedia."""
    form = _MEDIA.get(content_type.partition(b";")[0].strip().lower())
    if form is None:
        raise UnknownMedia("use application/json or application/msgpack")
    return form


def plain(form: str, body: bytes) -> object:
    """The body without types. Raises Malformed."""
    decode = msgspec.json.decode if form == "json" else msgspec.msgpack.decode
    try:
        return decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Malformed(f"the body is not valid {form}") from None


# --- checks: (value) → a sentence, or None when it is right

Check = Callable[[object], str | None]


def an_id(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= LONGEST_ID and re.match(_PRINTABLE, value):
        return None
    return f"must be a text of 1 to {LONGEST_ID} characters without control characters"


def a_text(value: object) -> str | None:
    return None if isinstance(value, str) else "must be a text"


def an_instant(value: object) -> str | None:
    if _is_number(value) or (isinstance(value, str) and _moment(value) is not None):
        return None
    return "must be UTC seconds, or a time like 2026-11-24T21:55:00Z"


def a_duration(value: object) -> str | None:
    return None if _is_number(value) else "must be a number of seconds"


def check_members(
    value: object, path: str, checks: Mapping[str, Check], required: frozenset[str] = frozenset()
) -> list[Problem]:
    """Faults of an object by a table of checks. What is not required may be null, which means absent."""
    if not isinstance(value, dict):
        return [Problem(path or "body", "must be an object")]
    prefix = f"{path}." if path else ""
    problems = [Problem(f"{prefix}{name}", "is missing") for name in sorted(required - value.keys())]
    for name, member in value.items():
        check = checks.get(name) if isinstance(name, str) else None
        if check is None:
            shown = name if isinstance(name, str) and name.isidentifier() and len(name) <= 40 else "(other)"
            problems.append(Problem(f"{prefix}{shown}", f"is not known here; known are {', '.join(sorted(checks))}"))
        elif (member is not None or name in required) and (sentence := check(member)) is not None:
            problems.append(Problem(f"{prefix}{name}", sentence))
    return problems


def check_list(value: object, path: str, check: Callable[[object, str], list[Problem]]) -> list[Problem]:
    """Faults of a list's items; stops when there are more than anybody reads."""
    if not isinstance(value, list):
        return [Problem(path, "must be a list")]
    problems: list[Problem] = []
    for index, item in enumerate(value):
        problems += check(item, f"{path}[{index}]")
        if len(problems) > MOST_PROBLEMS:
            break
    return problems


def seconds(value: float | str) -> float | None:
    """UTC seconds of an instant as it stands in a body; None when it is none."""
    if isinstance(value, str):
        return _moment(value)
    return float(value) if math.isfinite(value) else None


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.timestamp() if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False  # an integer beyond all floats
