"""`Private` shows nothing, whatever is done to it without asking."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from string import Template

import msgpack
import msgspec
import pytest

from relay.core.batch import Bypass, Feedback, Parting, PersonRecord
from relay.core.devices import Device, Platform, Registration, RestRecord
from relay.core.private import DeviceKey, Private, TokenHash, UserKey

CANARY = "canary-4711"
secret = Private(CANARY)


@dataclass(frozen=True)
class Holder:
    user: Private
    tokens: tuple[Private, ...]


SHOWN: dict[str, Callable[[], str]] = {
    "str": lambda: str(secret),
    "repr": lambda: repr(secret),
    "ascii": lambda: ascii(secret),
    "f-string": lambda: f"{secret}",
    "f-string with repr": lambda: f"{secret!r} {secret!s} {secret!a} {secret=}",
    "format": lambda: format(secret),
    "format method": lambda: "{} {!r}".format(secret, secret),  # noqa: UP032 (texts of others are formatted so)
    "percent": lambda: "%s %r %a" % (secret, secret, secret),  # noqa: UP031 (this is how logging formats)
    "template": lambda: Template("$user").substitute(user=secret),
    "in a list": lambda: str([secret]),
    "in a dict": lambda: str({secret: secret}),
    "in a dataclass": lambda: repr(Holder(secret, (secret,))),
    "in an error": lambda: f"{ValueError(secret)} {KeyError(secret)!r}",
    "in a traceback": lambda: _traceback(),
    "in a log record": lambda: _logged(),
    "json with a fallback": lambda: json.dumps({"user": secret}, default=str),
    "msgspec with a fallback": lambda: msgspec.json.encode([secret], enc_hook=repr).decode(),
}


def _traceback() -> str:
    try:
        raise LookupError(secret)
    except LookupError as error:
        with_locals = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(with_locals.format())


def _logged() -> str:
    return logging.Formatter().format(logging.LogRecord("relay", 10, "", 0, "woke %s %r", (secret, secret), None))


@pytest.mark.parametrize("way", SHOWN)
def test_no_way_of_showing_it_shows_it(way: str) -> None:
    shown = SHOWN[way]()
    assert CANARY not in shown
    assert "<private>" in shown


REFUSED: dict[str, Callable[[], object]] = {
    "format with a width": lambda: f"{secret:>20}",
    "concatenation": lambda: "user " + secret,  # type: ignore[operator]
    "join": lambda: " ".join([secret]),  # type: ignore[list-item]
    "bytes": lambda: bytes(secret),  # type: ignore[call-overload]
    "iteration": lambda: list(secret),  # type: ignore[call-overload]
    "length": lambda: len(secret),  # type: ignore[arg-type]
    "index": lambda: secret[0],  # type: ignore[index]
    "containment": lambda: "4711" in secret,  # type: ignore[operator]
    "order": lambda: sorted([secret, Private("a")]),  # type: ignore[type-var]
    "json": lambda: json.dumps(secret),
    "msgpack": lambda: msgpack.packb([secret]),
    "msgspec json": lambda: msgspec.json.encode([secret]),
    "msgspec msgpack": lambda: msgspec.msgpack.encode({"a": secret}),
    "msgspec builtins": lambda: msgspec.to_builtins(secret),
    "copy": lambda: copy.copy(secret),
    "deepcopy": lambda: copy.deepcopy([secret]),
    "asdict": lambda: dataclasses.asdict(Holder(secret, ())),
    "vars": lambda: vars(secret),
    **{
        f"pickle {protocol}": lambda protocol=protocol: pickle.dumps(secret, protocol)  # type: ignore[misc]
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "new member": lambda: setattr(secret, "user", 1),
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_would_need_the_text_fails_and_does_not_tell_it(way: str) -> None:
    with pytest.raises((TypeError, AttributeError)) as caught:
        REFUSED[way]()
    assert CANARY not in str(caught.value)


def test_it_is_no_text() -> None:
    """A subclass of str would pass silently wherever a text is formatted or encoded."""
    assert not issubclass(Private, (str, bytes))
    assert secret != CANARY
    assert not (secret == CANARY)  # noqa: SIM201 (__eq__ itself, not its negation)


def test_it_cannot_be_subclassed_into_something_that_talks() -> None:
    assert getattr(Private, "__final__", False)


def test_reveal_is_the_one_way_in() -> None:
    assert secret.reveal() == CANARY
    public = {name for name in dir(secret) if not name.startswith("_")}
    assert public == {"reveal"}


def test_equal_texts_are_equal_and_one_key() -> None:
    assert Private("a") == Private("a") != Private("b")
    assert {Private("a"): 1}[Private("a")] == 1
    assert len({Private("a"), Private("a"), Private("b")}) == 2


SEALED = b"canary sealed"
USER, DEVICE, HASH = UserKey(b"u" * 16), DeviceKey(b"d" * 16), TokenHash(b"t" * 16)


@pytest.mark.parametrize(
    "value",
    [
        PersonRecord("city", SEALED),
        RestRecord(SEALED, 1),
        Device(DEVICE, USER, "ios", Platform.APNS, HASH, SEALED, 0.0),
        Registration(USER, SEALED, DEVICE, "ios", Platform.APNS, HASH, SEALED),
        Feedback(1, "city", USER, DEVICE, Parting.DEAD, "", 0.0, SEALED),
        Bypass("city", "alarm", 0.0, "key", "dispatch", "incident", 1, over_rate=False, sealed=SEALED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_carry_what_is_sealed_do_not_show_it(value: object) -> None:
    """A sealed record in a log is a record the key still opens, long after the store has forgotten it."""
    assert "canary" not in repr(value)
