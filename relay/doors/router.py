"""From a request to a handler: path, method, and who may ask; and from every error to an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from relay.core.errors import Elsewhere, Problem, Refused, RelayError
from relay.core.private import Private, UserKey
from relay.core.tenants import Tenant
from relay.doors import decoding, problems
from relay.doors.http1 import Request, Response
from relay.doors.keys import ApiKey, Keys, Scope, Who
from relay.doors.port import Engine, Officer

TOKEN_PREFIX: Final = b"me."
"""Of officers' tokens: so that people see what it is. No key can be taken for one: each path is open to one of them."""


class Forbidden(Exception):
    """The key lacks a scope for what this request asks."""


class Unauthorized(Exception):
    """There is no key or token, or none that is good here."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request and who asks: what a handler works on. `ids`: the decoded path segments."""

    caller: ApiKey | Officer | None
    """None where anybody may ask."""
    ids: tuple[str, ...]
    content_type: bytes
    body: bytes
    headers: Mapping[bytes, bytes]
    now: float
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Of the query, decoded; each stands at most once."""

    def __repr__(self) -> str:
        return "<Call>"

    @property
    def key(self) -> ApiKey:
        """Of a route that needs a scope."""
        assert isinstance(self.caller, ApiKey)
        return self.caller

    @property
    def officer(self) -> Officer:
        """Of a route for officers."""
        assert isinstance(self.caller, Officer)
        return self.caller

    @property
    def tenant(self) -> Tenant:
        assert self.caller is not None
        return self.caller.tenant

    @property
    def user(self) -> UserKey:
        """Whom it is about: the officer who asks, or who is named first in the path."""
        return self.caller.user if isinstance(self.caller, Officer) else self.tenant.pseudonyms.user(self.ids[0])

    def header(self, name: bytes) -> bytes:
        """Value of a header field (lower-case name); empty when absent."""
        return self.headers.get(name, b"")


Handle = Callable[[Call, Engine], Awaitable[Response]]
Forward = Callable[[Request, UserKey, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """`path` with `{}` for an id; handlers, and who may ask, by method; names of the parameters and of the ids."""

    path: tuple[bytes, ...]
    methods: Mapping[bytes, tuple[Scope | Who, Handle]]
    parameters: frozenset[str] = frozenset()
    ids: tuple[str, ...] = ("user", "device")


class Router:
    """Answers requests. `failed` is told of what should not happen, and must not raise."""

    def __init__(
        self,
        routes: tuple[Route, ...],
        keys: Keys,
        engine: Engine,
        clock: Callable[[], float],
        failed: Callable[[BaseException], None],
        forward: Forward | None = None,
    ) -> None:
        """`forward`: gets the answer of the node that has a person; None: there is no other node."""
        self._forward = forward
        self._exact = {b"/" + b"/".join(r.path): r for r in routes if b"{}" not in r.path}
        self._patterns = [route for route in routes if b"{}" in route.path]
        self._keys = keys
        self._engine = engine
        self._clock = clock
        self._failed = failed

    def drain(self) -> None:
        """Requests that wait for something to happen are answered now, and none waits any more."""
        self._engine.drain()

    async def __call__(self, request: Request) -> Response:
        try:
            return await self.here(request)
        except Elsewhere as error:
            if self._forward is None:
                return self._internal(error)
            return await self._forward(request, error.user, self.here)

    async def here(self, request: Request) -> Response:
        """Answer it, or raise Elsewhere for a person whom another node has."""
        try:
            return await self._answer(request)
        except Elsewhere:
            raise
        except RelayError as error:
            return problems.of(error) or self._internal(error)
        except Forbidden as error:
            return problems.problem("forbidden", str(error))
        except Unauthorized:
            return problems.problem("unauthorized", headers=((b"www-authenticate", b'Bearer realm="feierabend"'),))
        except decoding.Malformed as error:
            return problems.problem("malformed", str(error))
        except decoding.UnknownMedia as error:
            return problems.problem("media-type", str(error))
        except MemoryError:
            return problems.refusal(503, "there is no memory for this request")
        except Exception as error:  # the process boundary of one request: the others go on
            return self._internal(error)

    def _internal(self, error: Exception) -> Response:
        self._failed(error)
        return problems.problem("internal")

    async def _answer(self, request: Request) -> Response:
        path, _, query = request.target.partition(b"?")
        route, ids = self._find(path)
        if route is None:
            return problems.problem("not-found")
        found = route.methods.get(request.method)
        if found is None:
            return problems.problem("method-not-allowed", headers=((b"allow", b", ".join(sorted(route.methods))),))
        parameters = _parameters(query, route.parameters) if query else {}
        who, handle = found
        now = self._clock()
        authorization = request.headers.get(b"authorization", b"")
        try:
            caller = self._caller(who, authorization, now)
        except Unauthorized:
            if who is Who.OFFICER:
                await self._engine.search(Private(_token(authorization)))
            raise
        call = Call(
            caller, _ids(route.ids, ids), request.headers.get(b"content-type", b""), request.body, request.headers,
            now, parameters,
        )  # fmt: skip
        return await handle(call, self._engine)

    def _caller(self, who: Scope | Who, authorization: bytes, now: float) -> ApiKey | Officer | None:
        """Who asks. Raises Unauthorized, Forbidden."""
        if who is Who.ANYBODY:
            return None
        if who is Who.OFFICER:
            officer = self._engine.officer(Private(_token(authorization)), now)
            if officer is None:
                raise Unauthorized
            return officer
        key = self._keys.find(authorization)
        if key is None:
            raise Unauthorized
        if who not in key.scopes:
            raise Forbidden(f"this needs the scope {who.value}")
        return key

    def _find(self, path: bytes) -> tuple[Route | None, list[bytes]]:
        exact = self._exact.get(path)
        if exact is not None:
            return exact, []
        parts = path.split(b"/")[1:]
        for route in self._patterns:
            if len(parts) == len(route.path) and all(
                want in (b"{}", part) for want, part in zip(route.path, parts, strict=True)
            ):
                return route, [p for want, p in zip(route.path, parts, strict=True) if want == b"{}"]
        return None, []


def _token(authorization: bytes) -> str:
    """What comes after `Bearer me.`. Raises Unauthorized."""
    scheme, _, value = authorization.partition(b" ")
    value = value.strip()
    if scheme.lower() != b"bearer" or not value.startswith(TOKEN_PREFIX):
        raise Unauthorized
    return value.removeprefix(TOKEN_PREFIX).decode("latin-1")


def _parameters(query: bytes, known: frozenset[str]) -> dict[str, str]:
    """The decoded parameters of a query. Raises Refused for one that is unknown or stands twice."""
    if not known:
        raise Refused(Problem("query", "no parameters are known here"))
    found: dict[str, str] = {}
    for pair in query.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        if name not in known:
            raise Refused(Problem("query", f"known here are {', '.join(sorted(known))}"))
        if name in found:
            raise Refused(Problem(f"query.{name}", "stands twice"))
        found[name] = unquote_to_bytes(value).decode("latin-1")
    return found


def _ids(names: tuple[str, ...], raw: list[bytes]) -> tuple[str, ...]:
    """Percent-decoded path segments. Raises Refused."""
    ids: list[str] = []
    faults: list[Problem] = []
    for name, part in zip(names, raw, strict=False):
        try:
            value = unquote_to_bytes(part).decode()
        except UnicodeDecodeError:
            value = ""
        sentence = decoding.an_id(value)
        if sentence is not None:
            faults.append(Problem(f"path.{name}", sentence))
        ids.append(value)
    if faults:
        raise Refused(*faults)
    return tuple(ids)
