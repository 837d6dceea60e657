"""The control socket: what an operator on this machine does to the running relay.

A Unix socket beside the database, or the configuration, which only the relay's own user and root can open: so there is
no key to keep, and no port for others to find. `feierabend hold`, `resume`, `holds` and `backup` talk to it.

    POST /holds    {"reason": …, "by": …, "seconds": …, "tenant": …, "class": …, "lane": …}   201
    POST /resume   {"by": …, "reason": …, "tenant": …, "class": …, "lane": …}                  200
    GET  /holds    what is held now, and what was done lately                                  200
    POST /backup   a copy of the SQLite file beside it, for who asks to take away              200
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Final

import msgspec
import structlog

from relay.core.errors import Problem, Refused, RelayError
from relay.core.halts import Halt
from relay.core.operating import Selection, hold, resume
from relay.core.people import People
from relay.doors import decoding, problems
from relay.doors.decoding import Body, check_members
from relay.doors.http1 import Limits, Request, Response, Server
from relay.journal import Journal
from relay.ops.copier import Copier
from relay.store.port import StoreError

LONGEST: Final = 7 * 86400
"""Seconds of a hold: the messages that wait are given up after so long."""
LATELY: Final = 50
"""Acts that are told."""
_MOST_TEXT: Final = 200

log = structlog.get_logger()


class _Selecting(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    reason: str
    by: str
    tenant: str | None = None
    event_class: str | None = msgspec.field(name="class", default=None)
    lane: str | None = None


class HoldBody(_Selecting, kw_only=True):
    seconds: float


class ResumeBody(_Selecting, kw_only=True):
    """What is held for exactly this selection; all when it names nothing."""


def _a_line(value: object) -> str | None:
    if isinstance(value, str) and 0 < len(value) <= _MOST_TEXT and value.isprintable():
        return None
    return f"must be a line of 1 to {_MOST_TEXT} characters"


def _a_time(value: object) -> str | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and 1 <= float(str(value)) <= LONGEST:
        return None
    return f"must be a number of seconds from 1 to {LONGEST}"


_CHECKS: Final = {
    "reason": _a_line,
    "by": _a_line,
    "tenant": decoding.a_text,
    "class": decoding.a_text,
    "lane": decoding.a_text,
}
_HOLD: Final = Body(
    HoldBody, lambda v: check_members(v, "", {**_CHECKS, "seconds": _a_time}, frozenset({"reason", "by", "seconds"}))
)
_RESUME: Final = Body(ResumeBody, lambda v: check_members(v, "", _CHECKS, frozenset({"reason", "by"})))


class Control:
    """Answers for the node. `journal` commits what is done, `copier` copies, `failed` hears of our faults.

    Without a copier, where the store is no file, there is no such route.
    """

    def __init__(
        self,
        people: People,
        journal: Journal,
        copier: Copier | None,
        now: Callable[[], float],
        failed: Callable[[BaseException], None],
    ) -> None:
        self._people = people
        self._journal = journal
        self._copier = copier
        self._now = now
        self._failed = failed
        self._routes: dict[tuple[bytes, bytes], Callable[[Request], Awaitable[Response]]] = {
            (b"GET", b"/holds"): self._told,
            (b"POST", b"/holds"): self._hold,
            (b"POST", b"/resume"): self._resume,
        }
        if copier is not None:
            self._routes[(b"POST", b"/backup")] = self._copy
        self.server = Server(self._answer, problems.refusal, Limits(body=8192, connections=10))

    async def _answer(self, request: Request) -> Response:
        answer = self._routes.get((request.method, request.target))
        if answer is None:
            return problems.problem("not-found")
        try:
            return await answer(request)
        except decoding.Malformed as error:
            return problems.problem("malformed", str(error))
        except decoding.UnknownMedia as error:
            return problems.problem("media-type", str(error))
        except RelayError as error:
            return problems.of(error) or self._internal(error)
        except Exception as error:  # the process boundary of one request: the relay goes on
            return self._internal(error)

    def _internal(self, error: Exception) -> Response:
        self._failed(error)
        return problems.problem("internal")

    async def _hold(self, request: Request) -> Response:
        body = _HOLD.decode(request.headers.get(b"content-type", b""), request.body)
        of = self._selection(body, _faults(body, seconds=body.seconds))
        until = self._now() + body.seconds
        held = await self._journal.operate(lambda draft: hold(draft, of, body.reason, body.by, until))
        log.warning("hold_began", tenant=of.tenant, event_class=of.event_class, app=of.app, seconds=body.seconds)
        return Response(201, json.dumps(_shown(held)).encode())

    async def _resume(self, request: Request) -> Response:
        body = _RESUME.decode(request.headers.get(b"content-type", b""), request.body)
        of = self._selection(body, _faults(body))
        ended = await self._journal.operate(lambda draft: resume(draft, of, body.reason, body.by))
        log.warning("hold_ended", tenant=of.tenant, event_class=of.event_class, app=of.app, count=ended)
        return Response(200, b'{"ended":%d}' % ended)

    async def _told(self, _request: Request) -> Response:
        now = self._now()
        acts = await self._journal.acts(LATELY)
        held = [_shown(halt) for halt in self._people.halts.values() if halt.until > now]
        return Response(200, json.dumps({"holds": held, "acts": [asdict(act) for act in acts]}).encode())

    async def _copy(self, _request: Request) -> Response:
        assert self._copier is not None
        try:
            at = await self._copier.copy()
        except StoreError as error:
            return problems.problem("unavailable", str(error))
        return Response(200, json.dumps({"at": at}).encode())

    def _selection(self, body: _Selecting, faults: list[Problem]) -> Selection:
        """Raises Refused for what is not there: a slip would hold nothing, and look as if it did."""
        tenants = [t for t in self._people.tenants.values() if body.tenant in (None, t.name)]
        if not tenants:
            faults.append(Problem("tenant", f"must be one of {', '.join(sorted(self._people.tenants))}"))
        for path, given, known in (
            ("class", body.event_class, {name for tenant in tenants for name in tenant.slot_names}),
            ("lane", body.lane, {name for tenant in tenants for name in tenant.apps}),
        ):
            if tenants and given is not None and given not in known:
                faults.append(Problem(path, f"must be one of {', '.join(sorted(known))}"))
        if faults:
            raise Refused(*faults)
        return Selection(body.tenant, body.event_class, body.lane)


def _faults(body: _Selecting, **more: object) -> list[Problem]:
    """Of members whose type is right and whose value may not be."""
    given = {"reason": body.reason, "by": body.by, **more}
    checks: dict[str, decoding.Check] = {**_CHECKS, "seconds": _a_time}
    return [Problem(name, sentence) for name, value in given.items() if (sentence := checks[name](value)) is not None]


def _shown(halt: Halt) -> dict[str, object]:
    return {
        "tenant": halt.tenant, "class": halt.event_class, "lane": halt.app, "reason": halt.reason, "by": halt.by,
        "at": halt.at, "until": halt.until,
    }  # fmt: skip
