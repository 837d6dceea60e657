"""What FCM makes of a request's JSON, field by field (validation F-02).

Source: Google, "REST Resource: projects.messages" and "About FCM messages". JSON as proto3 reads it: names in
snake_case or lowerCamelCase, nothing unknown, nothing twice. What is in android.notification, for a browser or for APNs
is not looked into.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

Violation = tuple[str, str]
"""(field, description)."""
TARGETS: Final = ("token", "fid", "topic", "condition")
LARGEST_DATA: Final = 4096
"""Bytes of all keys and values."""
LONGEST_TTL: Final = 2_419_200
"""Seconds: four weeks, which is the default too."""

_TTL: Final = re.compile(r"([0-9]+)(?:\.[0-9]{1,9})?s")
_PRIORITIES: Final = ("normal", "high")
_RESERVED: Final = ("from", "message_type")
_RESERVED_PREFIXES: Final = ("google.", "gcm.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A request to which nothing can be objected."""

    target: str
    """Kind: one of TARGETS."""
    token: str
    """Its value, of whatever kind."""
    validate_only: bool
    is_high: bool
    ttl: float
    """Seconds; 0: now or never."""
    collapse_key: str


class _Unreadable(ValueError):
    """Not the JSON it should be."""


def read(body: bytes) -> Send | list[Violation]:
    """The message; or everything that is wrong with it, which is at least one thing."""
    try:
        content = json.loads(body.decode(), parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        told = str(error) if isinstance(error, _Unreadable) else "Unexpected token."
        return [("", f"Invalid JSON payload received. {told}")]
    found: list[Violation] = []
    request = _fields(content, "", _REQUEST, found)
    message = request.get("message")
    if message is None and not found:
        found.append(("message", "Message is missing."))
    if found or not isinstance(message, dict):
        return found
    return _send(message, validate_only=bool(request.get("validate_only")))


def _send(message: Mapping[str, object], *, validate_only: bool) -> Send | list[Violation]:
    """What is left to check once every field has the right type."""
    targets = [target for target in TARGETS if message.get(target)]
    if not targets:
        return [("message", "Recipient of the message is not set.")]
    if len(targets) > 1:
        return [("message", f"Only one recipient may be set, not {' and '.join(targets)}.")]
    android = message.get("android") or {}
    assert isinstance(android, dict)
    if _size(android.get("data") or message.get("data")) > LARGEST_DATA:
        return [("message.data", "Android message is too big")]
    return Send(
        target=targets[0],
        token=str(message[targets[0]]),
        validate_only=validate_only,
        is_high=str(android.get("priority", "")).lower() == "high",
        ttl=float(str(android.get("ttl", f"{LONGEST_TTL}s"))[:-1]),
        collapse_key=str(android.get("collapse_key", "")),
    )


def _size(data: object) -> int:
    """Bytes of keys and values."""
    pairs = data.items() if isinstance(data, dict) else ()
    return sum(len(key.encode()) + len(text.encode()) for key, text in pairs)


def _refuse(constant: str) -> None:
    raise _Unreadable(f"{constant} is not JSON.")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise _Unreadable("Duplicate key.")
    return content


# Checks of values: each tells what is wrong with it, or nothing. A mapping in their place describes an object.


def _text(value: object) -> str:
    return "" if isinstance(value, str) and _is_unicode(value) else "Expected a string."


def _truth(value: object) -> str:
    return "" if isinstance(value, bool) else "Expected true or false."


def _anything(value: object) -> str:
    return "" if isinstance(value, dict) else "Expected an object."


def _data(value: object) -> str:
    if not isinstance(value, dict):
        return "Expected an object."
    for key, text in value.items():
        if _text(key) or _text(text):
            return f"Value of {key!r} is not a string."
        if key in _RESERVED or key.startswith(_RESERVED_PREFIXES):
            return f"Invalid data payload key: {key}"
    return ""


def _ttl(value: object) -> str:
    match = _TTL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return "Illegal duration format; duration must end with 's'"
    return "" if float(match[0][:-1]) <= LONGEST_TTL else f"TTL must be between 0 and {LONGEST_TTL} seconds."


def _priority(value: object) -> str:
    return "" if isinstance(value, str) and value.lower() in _PRIORITIES else f"Invalid priority: {value!r}"


def _is_unicode(text: str) -> bool:
    """JSON can spell half a character."""
    return not any("\ud800" <= sign <= "\udfff" for sign in text)


_Check = Callable[[object], str]
_Shape = Mapping[str, "_Check | _Shape"]
_OPTIONS: Final[_Shape] = {"analytics_label": _text}
_ANDROID: Final[_Shape] = {
    "collapse_key": _text,
    "priority": _priority,
    "ttl": _ttl,
    "restricted_package_name": _text,
    "data": _data,
    "notification": _anything,
    "fcm_options": _OPTIONS,
    "direct_boot_ok": _truth,
    "bandwidth_constrained_ok": _truth,
    "restricted_satellite_ok": _truth,
}
_MESSAGE: Final[_Shape] = {
    "name": _text,
    "data": _data,
    "notification": {"title": _text, "body": _text, "image": _text},
    "android": _ANDROID,
    "webpush": _anything,
    "apns": _anything,
    "fcm_options": _OPTIONS,
    **dict.fromkeys(TARGETS, _text),
}
_REQUEST: Final[_Shape] = {"validate_only": _truth, "message": _MESSAGE}


def _fields(content: object, path: str, shape: _Shape, found: list[Violation]) -> dict[str, object]:
    """The object's fields under their snake_case names. What is wrong is added to `found`."""
    fields: dict[str, object] = {}
    if not isinstance(content, dict):
        found.append((path, f"Invalid value at '{path}'. Expected an object."))
        return fields
    names = {spelling: name for name in shape for spelling in (name, _camel(name))}
    for spelling, value in content.items():
        name = names.get(spelling)
        where = f"{path}.{spelling}" if path else spelling
        if name is None:
            at = f" at '{path}'" if path else ""
            found.append((path, f'Invalid JSON payload received. Unknown name "{spelling}"{at}: Cannot find field.'))
        elif name in fields:
            found.append((where, f"Field '{name}' is given twice."))
        elif value is not None:  # null is as good as absent in proto3 JSON
            fields[name] = _value(value, where, shape[name], found)
    return fields


def _value(value: object, where: str, kind: _Check | _Shape, found: list[Violation]) -> object:
    if isinstance(kind, Mapping):
        return _fields(value, where, kind, found)
    if wrong := kind(value):
        found.append((where, f"Invalid value at '{where}'. {wrong}"))
    return value


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
