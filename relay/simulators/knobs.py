"""Every injection by name: one table for the command line and the control port, so that they cannot differ.

A knob belongs to a part of a fake (its injections, its registry, the token endpoint beside it) and is an attribute of
that. `Panel` reads and sets the knobs of one fake; a set of changes is taken whole or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from relay.simulators import apns_faults, fcm_faults, forms, oauth
from relay.simulators.apns import FakeApns
from relay.simulators.fcm import FakeFcm, RetryAfter
from relay.simulators.forms import FLAG, SECONDS, SHARE, Form, choice, number, optional, whole
from relay.simulators.injections import DropAt, DropHow, Oddity, Per
from relay.simulators.oauth import FakeOauth


@dataclass(frozen=True, slots=True)
class Knob:
    """`part`: which object has it; `attribute`: under which name."""

    name: str
    form: Form
    says: str
    attribute: str
    part: str = "injections"


def _knob(name: str, form: Form, says: str, *, part: str = "injections", attribute: str = "") -> Knob:
    return Knob(name, form, says, attribute or name.replace("-", "_"), part)


_ENDS: Final = (
    _knob("drop-after", optional(whole(1)), "cut one connection after so many requests, before the last answer"),
    _knob("drop-share", SHARE, "share that is cut, of what drop-at names"),
    _knob("drop-at", choice(DropAt), "where"),
    _knob("drop-how", choice(DropHow), "by FIN, or by RST"),
    _knob("goaway-after", optional(whole(1)), "one connection says GOAWAY after so many requests"),
    _knob("goaway-every", optional(whole(1)), "each connection does"),
    _knob("goaway-lifetime", optional(number(0.01)), "each new connection does after so many seconds"),
    _knob("goaway-farewell", forms.FAREWELL, "code and debug data of that", attribute="farewell"),
    _knob("goaway-graceful", FLAG, "one that excludes nothing comes before"),
    _knob("goaway-unprocessed", whole(0, 10_000), "it waits for so many requests to exclude"),
    _knob("goaway-last-stream", optional(whole()), "it names this stream, whatever was processed"),
    _knob("goaway-silence", FLAG, "nothing is said after it, and nothing closed"),
    _knob("error-budget", optional(forms.BUDGET), "errors after which a connection is closed", attribute="budget"),
    _knob("idle", optional(number(0.01)), "seconds after which an idle connection ends"),
    _knob("idle-goaway", FLAG, "it says so"),
)
_TRANSPORT: Final = (
    _knob("stall", SHARE, "share of the connections that get no TLS handshake"),
    _knob("half-open", SHARE, "share of the connections that take everything and say nothing"),
    _knob("half-open-after", whole(), "so many requests are answered before"),
    _knob("read-pace", optional(number(1.0, 1e9)), "bytes a second that are read at most"),
)
_HTTP2: Final = (
    _knob("most-at-once", optional(whole()), "streams beyond so many are refused, whatever was announced"),
    _knob("dance", FLAG, "4xx brings a stream limit of 1 and double resets, 200 the full limit"),
    _knob("withhold-window", FLAG, "no WINDOW_UPDATE"),
    _knob("initial-window", optional(whole(0, 65_535)), "INITIAL_WINDOW_SIZE"),
    _knob("window-raised-after", optional(SECONDS), "seconds of a new connection until it is the usual one"),
    _knob("table-size", optional(whole(0, 65_536)), "HEADER_TABLE_SIZE"),
    _knob("settings-every", optional(number(0.01)), "mean seconds between random changes of SETTINGS"),
)


def _answers(names: Sequence[str]) -> tuple[Knob, ...]:
    return (
        _knob("latency", forms.LATENCY, "time to an answer"),
        _knob("latency-per", choice(Per), "how often it is drawn"),
        _knob("token-delays", forms.seconds_by(str, "token"), "more for some tokens", attribute="delays"),
        _knob("connection-delays", forms.seconds_by(int, "1"), "more for some connections"),
        _knob("body-delay", SECONDS, "between head and body"),
        _knob("shares", forms.shares(names), "what good requests are answered"),
        _knob("burst", optional(forms.burst(names)), "the same, at times"),
        _knob("gone", SHARE, "share of the tokens that prove dead at their first request"),
        _knob("silent", forms.STRINGS, "tokens that get no answer"),
        _knob("silence", FLAG, "nothing gets one"),
        _knob("unanswered", SHARE, "share of the requests that are processed and get none"),
        _knob("late", FLAG, "they get it after the client's reset"),
        _knob("odd", forms.shares(tuple(Oddity), exclusive=False), "oddities of answers"),
    )


APNS: Final = (
    *_answers(tuple(apns_faults.ANSWERS)), *_ENDS, *_TRANSPORT, *_HTTP2,
    _knob("token-rate", optional(whole(0)), "requests to a token above which 429 is answered", part="registry",
          attribute="rate"),
    _knob("token-rate-seconds", number(0.01), "in so many seconds", part="registry", attribute="window"),
    _knob("accepting", FLAG, "false: connections are closed at once", part="fake"),
)  # fmt: skip
FCM: Final = (
    *_answers(tuple(fcm_faults.ANSWERS)), *_ENDS, *_TRANSPORT, *_HTTP2,
    _knob("retry-after", choice(RetryAfter), "how a 429 for a quota says when to come again", part="fake"),
    _knob("permitted", FLAG, "false: the account may not send", part="fake", attribute="is_permitted"),
    _knob("accepting", FLAG, "false: connections are closed at once", part="fake"),
    _knob("oauth-latency", forms.LATENCY, "of the token endpoint", part="oauth.injections", attribute="latency"),
    _knob("oauth-shares", forms.shares(tuple(oauth.ANSWERS)), "what it answers", part="oauth.injections",
          attribute="shares"),
    _knob("oauth-silence", FLAG, "it answers nothing", part="oauth.injections", attribute="silence"),
    _knob("oauth-drop-after", optional(whole(1)), "it drops one connection", part="oauth.injections",
          attribute="drop_after"),
    _knob("oauth-skew", number(-1e6), "seconds that its clock is ahead", part="oauth", attribute="skew"),
    _knob("oauth-refused", FLAG, "FCM takes none of its tokens", part="oauth", attribute="are_refused"),
    _knob("oauth-expires-in", whole(1, 86_400), "life of its tokens in seconds", part="oauth", attribute="expires_in"),
)  # fmt: skip


class Refused(Exception):
    """`errors`: (name, reason) of everything that is wrong."""

    def __init__(self, errors: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name}: {reason}" for name, reason in errors))
        self.errors = tuple(errors)


class Panel:
    """The knobs of one fake."""

    def __init__(self, knobs: Sequence[Knob], parts: Mapping[str, Any], rng: Random) -> None:
        self._knobs = {knob.name: knob for knob in knobs}
        self._parts = parts
        self._rng = rng

    def values(self) -> dict[str, object]:
        """What is set now, in the form in which it can be set."""
        return {
            name: knob.form.show(getattr(self._parts[knob.part], knob.attribute)) for name, knob in self._knobs.items()
        }

    def set(self, changes: Mapping[str, object]) -> None:
        """Set all, or raise Refused and set nothing."""
        errors: list[tuple[str, str]] = []
        ready: list[tuple[Knob, object]] = []
        for name, value in changes.items():
            knob = self._knobs.get(name)
            if knob is None:
                errors.append((name, "is not known"))
                continue
            try:
                ready.append((knob, knob.form.read(value, self._rng)))
            except ValueError as error:
                errors.append((name, str(error)))
        if errors:
            raise Refused(errors)
        for knob, value in ready:
            setattr(self._parts[knob.part], knob.attribute, value)

    def set_options(self, options: Sequence[str]) -> None:
        """The same from NAME=VALUE; a value is JSON, or the string that it is when it is none."""
        changes: dict[str, object] = {}
        errors: list[tuple[str, str]] = []
        for option in options:
            name, is_given, text = option.partition("=")
            if not is_given:
                errors.append((option, "must be NAME=VALUE"))
            elif name in changes:
                errors.append((name, "is given twice"))
            changes[name] = _value(text)
        if errors:
            raise Refused(errors)
        self.set(changes)


def apns_panel(fake: FakeApns) -> Panel:
    parts = {"fake": fake, "injections": fake.injections, "registry": fake.registry}
    return Panel(APNS, parts, fake.injections.rng)


def fcm_panel(fake: FakeFcm, tokens: FakeOauth) -> Panel:
    parts = {"fake": fake, "injections": fake.injections, "oauth": tokens, "oauth.injections": tokens.injections}
    return Panel(FCM, parts, fake.injections.rng)


def listed(knobs: Sequence[Knob]) -> str:
    """What there is, for people."""
    return "\n".join(f"{knob.name:<20} {knob.says}\n{'':<20} {knob.form.says}" for knob in knobs)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
