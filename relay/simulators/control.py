"""A fake's control port, for loopback only: HTTP/1.1 with JSON.

    GET   /injections             every injection with its value
    PATCH /injections             {"name": value, …}; 204, or 400 with every fault, and then nothing is changed
    GET   /journal                counters and violations
    GET   /tokens                 token → [accepted requests, when the last one came]; last refusals; the dead
    POST  /tokens/gone            {"tokens": […]}: dead from now on
    POST  /tokens/revoke          FCM: every access token ends
    POST  /connections/goaway     {"graceful": true, "code": 0, "debug": ""}
    POST  /connections/cut        {"how": "fin"}
    POST  /connections/settings   {"settings": {"3": 100}}, by number
    POST  /connections/streams    {"streams": 100}: the limit from now on

A body must say that it is JSON, so that no page in a browser can send one without asking.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Protocol

import trio

from relay.simulators import forms, http1
from relay.simulators.apns import FakeApns
from relay.simulators.fcm import FakeFcm
from relay.simulators.forms import FLAG, Form, choice, whole
from relay.simulators.h2_server import Server
from relay.simulators.http1 import Requests, Unreadable
from relay.simulators.injections import DropHow
from relay.simulators.journal import Journal
from relay.simulators.knobs import Panel, Refused
from relay.simulators.oauth import FakeOauth

_JSON: Final = (("content-type", "application/json"), ("cache-control", "no-store"))
_DEBUG: Final = Form("a string", lambda value, _: _text(value))


class Controlled(Protocol):
    """A fake, as far as it is controlled."""

    journal: Journal
    server: Server
    streams: int


@dataclass(frozen=True, slots=True)
class Act:
    """`fields`: name → (form, what is meant when it is not given; ... for what must be)."""

    fields: Mapping[str, tuple[Form, object]]
    do: Callable[..., Awaitable[None]]


class Control:
    """Serves one fake. `dead`: its dead tokens; `acts`: by path."""

    def __init__(self, fake: Controlled, panel: Panel, dead: Callable[[], list[str]], acts: Mapping[str, Act]) -> None:
        self._fake = fake
        self._panel = panel
        self._dead = dead
        self._acts = {**_connection_acts(fake), **acts}
        self._views: dict[str, Callable[[], object]] = {
            "/injections": panel.values, "/journal": fake.journal.totals, "/tokens": self._tokens,
        }  # fmt: skip

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; `stream` is closed afterwards."""
        requests = Requests(stream)
        try:
            while (request := await requests.next()) is not None:
                status, content = await self._answer(request)
                body = b"" if content is None else json.dumps(content).encode()
                await stream.send_all(http1.head(status, _JSON, len(body), keep=request.keep) + body)
                if not request.keep:
                    break
        except Unreadable as error:
            await stream.send_all(http1.head(error.status, (), 0, keep=False))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, request: http1.Request) -> tuple[int, object]:
        path, method = request.target.decode("latin-1"), request.method.decode("latin-1")
        view, act = self._views.get(path), self._acts.get(path)
        if method == "GET" and view is not None:
            return 200, view()
        is_change = (method, path) == ("PATCH", "/injections")
        if not is_change and (method != "POST" or act is None):
            return (405 if view or act else 404), None
        try:
            given = _object(request)
            if is_change:
                self._panel.set(given)
                await self._fake.server.refresh()
            elif act is not None:
                await act.do(**_arguments(act, given))
        except Refused as refused:
            return 400, {"errors": [{"field": name, "reason": reason} for name, reason in refused.errors]}
        return 204, None

    def _tokens(self) -> object:
        journal = self._fake.journal
        return {
            "accepted": {token: [count, journal.last_at[token]] for token, count in journal.by_token.items()},
            "refused": journal.refused,
            "dead": self._dead(),
        }


def _object(request: http1.Request) -> dict[str, object]:
    if request.value(b"content-type").partition(b";")[0].strip().lower() != b"application/json":
        raise Refused([("content-type", "must be application/json")])
    try:
        given = json.loads(request.body or b"{}")
    except (ValueError, RecursionError):
        raise Refused([("", "is not JSON")]) from None
    if not isinstance(given, dict):
        raise Refused([("", "must be an object")])
    return given


def _arguments(act: Act, given: Mapping[str, object]) -> dict[str, object]:
    errors = [(name, "is not known") for name in given if name not in act.fields]
    read: dict[str, object] = {}
    for name, (form, default) in act.fields.items():
        if name not in given and default is not ...:
            read[name] = default
            continue
        try:
            read[name] = form.read(given.get(name), Random(0))
        except ValueError as error:
            errors.append((name, str(error)))
    if errors:
        raise Refused(errors)
    return read


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _connection_acts(fake: Controlled) -> dict[str, Act]:
    async def goaway(*, graceful: bool, code: int, debug: str) -> None:
        await fake.server.goaway(debug.encode(), graceful=graceful, code=code)

    async def cut(*, how: DropHow) -> None:
        fake.server.cut(how)

    async def settings(*, settings: Mapping[int, int]) -> None:
        await fake.server.announce_settings(settings)

    async def streams(*, streams: int) -> None:
        fake.streams = streams
        await fake.server.announce(streams)

    code, limit = whole(0, 2**32 - 1), whole(0)
    return {
        "/connections/goaway": Act({"graceful": (FLAG, True), "code": (code, 0), "debug": (_DEBUG, "")}, goaway),
        "/connections/cut": Act({"how": (choice(DropHow), DropHow.FIN)}, cut),
        "/connections/settings": Act({"settings": (forms.SETTINGS, ...)}, settings),
        "/connections/streams": Act({"streams": (limit, ...)}, streams),
    }


def apns_control(fake: FakeApns, panel: Panel) -> Control:
    registry = fake.registry

    async def gone(*, tokens: set[str]) -> None:
        registry.unregistered.update({token.lower(): fake.now() for token in tokens})

    acts = {"/tokens/gone": Act({"tokens": (forms.STRINGS, ...)}, gone)}
    return Control(fake, panel, lambda: sorted(registry.unregistered), acts)


def fcm_control(fake: FakeFcm, tokens: FakeOauth, panel: Panel) -> Control:
    registry, endpoint = fake.registry, tokens

    async def gone(*, tokens: set[str]) -> None:
        registry.unregistered.update(tokens)

    async def revoke() -> None:
        endpoint.revoke_all()

    acts = {"/tokens/gone": Act({"tokens": (forms.STRINGS, ...)}, gone), "/tokens/revoke": Act({}, revoke)}
    return Control(fake, panel, lambda: sorted(registry.unregistered), acts)
