"""The relay as `port.Relay` has it, by HTTP over its Unix socket.

A path in an address of a Unix socket has 107 bytes at most, and folders are often longer; so the folder is opened once
and the socket named by the descriptor (Linux: /proc/self/fd), as the relay does too.

Every question has a deadline here, at the edge: the relay answers in milliseconds or says that it is busy; beyond
`PATIENCE` an officer had better be told than kept waiting. What comes back is JSON of our own relay; if its shape is
not what we know, that is `Away` as well, for then another version answers.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import quote

import msgspec
import trio

from schedules import Problem, Wake
from schedules.web import answers
from schedules.web.http import Answer, HttpClient, NoAnswer, over_socket
from schedules.web.port import (
    Away,
    Busy,
    Bypass,
    Changed,
    Code,
    Device,
    Document,
    Endless,
    Kept,
    Leaving,
    Missing,
    NotReachable,
    Opened,
    OpenSession,
    Piercing,
    Refused,
    Rejected,
    Secret,
    SignedOut,
    Support,
    Trace,
    WakeTest,
)

PATIENCE: Final = 10.0
"""Seconds for an answer."""
CONNECTIONS: Final = 50
"""To the relay, at most; what is beyond waits for one."""
CONFIRMED: Final = "?confirm=never-reachable"
LARGEST: Final = 4 * 1024 * 1024
"""Bytes of an answer: all that is kept of an officer."""
Condition = Mapping[str, str]
"""Headers."""
NO_CONDITION: Final[Condition] = {}


@asynccontextmanager
async def connected(socket: Path) -> AsyncIterator[RelayClient]:
    """A client for the length of the block. Raises OSError when there is no such folder."""
    folder = os.open(socket.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        named = Path(f"/proc/self/fd/{folder}/{socket.name}")
        async with over_socket(named, most_bytes=LARGEST, most_connections=CONNECTIONS) as http:
            yield RelayClient(http)
    finally:
        os.close(folder)


class RelayClient:
    """`port.Relay`, over HTTP."""

    def __init__(self, http: HttpClient) -> None:
        self._http = http

    # sessions

    async def redeem(self, link: Secret) -> Opened:
        return answers.opened(await self._json(None, "POST", "/v1/me/session", {"link": link.value}))

    async def open(self, tenant: str, user: str) -> Opened:
        return answers.opened(await self._json(None, "POST", "/v1/door/session", {"tenant": tenant, "user": user}))

    async def sign_out(self, session: Secret) -> None:
        await self._ask(session, "DELETE", "/v1/me/token")

    async def sessions(self, session: Secret) -> tuple[OpenSession, ...]:
        return answers.sessions(await self._json(session, "GET", "/v1/me/sessions"))

    async def end_others(self, session: Secret) -> None:
        await self._ask(session, "DELETE", "/v1/me/sessions")

    # rest

    async def waiting(self, session: Secret) -> int:
        return answers.waiting(await self._json(session, "GET", "/v1/me/state"))

    async def rest(self, session: Secret) -> Kept | None:
        try:
            answer = await self._ask(session, "GET", "/v1/me/rest")
        except Missing:
            return None
        return answers.kept(_decoded(answer.body), answer.headers.get("etag", ""))

    async def save(self, session: Secret, document: Document, version: int | None, *, confirmed: bool = False) -> int:
        path = "/v1/me/rest" + (CONFIRMED if confirmed else "")
        return answers.version(await self._json(session, "PUT", path, document, _replacing(version)))

    async def delete_rest(self, session: Secret, version: int) -> None:
        await self._ask(session, "DELETE", "/v1/me/rest", None, _replacing(version))

    async def snooze(
        self, session: Secret, until: float, version: int | None, *, confirmed: bool = False
    ) -> int | None:
        path = "/v1/me/rest/snooze" + (CONFIRMED if confirmed else "")
        return answers.version_after(await self._json(session, "POST", path, {"until": until}, _replacing(version)))

    async def reachable(self, session: Secret, until: float | None, version: int | None) -> int | None:
        body = {} if until is None else {"until": until}
        path = "/v1/me/rest/reachable"
        return answers.version_after(await self._json(session, "POST", path, body, _replacing(version)))

    async def effect(self, session: Secret, document: Document) -> tuple[Leaving, ...]:
        return answers.effect(await self._json(session, "POST", "/v1/me/rest/preview", document))

    # devices

    async def devices(self, session: Secret) -> tuple[Device, ...]:
        return answers.devices(await self._json(session, "GET", "/v1/me/devices"))

    async def wake(self, session: Secret, device: str, wake: Wake, version: int | None) -> int:
        path = f"/v1/me/devices/{quote(device, safe='')}"
        return answers.version(await self._json(session, "PUT", path, {"wake": wake.value}, _replacing(version)))

    async def piercing(self, session: Secret) -> tuple[Piercing, ...]:
        return answers.piercing(await self._json(session, "GET", "/v1/me/classes"))

    async def bypasses(self, session: Secret) -> tuple[Bypass, ...]:
        return answers.bypasses(await self._json(session, "GET", "/v1/me/bypasses"))

    async def test(self, session: Secret) -> None:
        await self._ask(session, "POST", "/v1/me/test")

    async def tested(self, session: Secret) -> WakeTest | None:
        try:
            return answers.tested(await self._json(session, "GET", "/v1/me/test"))
        except Missing:
            return None

    async def trace(self, session: Secret) -> Trace | None:
        return answers.trace(await self._json(session, "GET", "/v1/me/trace"))

    async def begin_trace(self, session: Secret) -> None:
        await self._ask(session, "PUT", "/v1/me/trace")

    async def end_trace(self, session: Secret) -> None:
        await self._ask(session, "DELETE", "/v1/me/trace")

    # support, export, the end

    async def support(self, session: Secret) -> Support:
        return answers.support(await self._json(session, "GET", "/v1/me/support"))

    async def new_code(self, session: Secret) -> Code:
        return answers.code(await self._json(session, "POST", "/v1/me/support"))

    async def end_code(self, session: Secret) -> None:
        await self._ask(session, "DELETE", "/v1/me/support")

    async def export(self, session: Secret) -> bytes:
        return (await self._ask(session, "GET", "/v1/me/export")).body

    async def calendar(self, session: Secret, language: str) -> bytes:
        return (await self._ask(session, "GET", f"/v1/me/rest.ics?lang={quote(language)}")).body

    async def delete_everything(self, session: Secret) -> None:
        await self._ask(session, "DELETE", "/v1/me")

    # asking

    async def _json(
        self, session: Secret | None, method: str, path: str, body: object = None, condition: Condition = NO_CONDITION
    ) -> Any:  # noqa: ANN401 (JSON; `answers` gives it a shape)
        return _decoded((await self._ask(session, method, path, body, condition)).body)

    async def _ask(
        self,
        session: Secret | None,
        method: str,
        path: str,
        body: object = None,
        condition: Condition = NO_CONDITION,
    ) -> Answer:
        headers = dict(condition)
        if session is not None:
            headers["authorization"] = f"Bearer {session.value}"
        content = None
        if body is not None:
            headers["content-type"] = "application/json"
            content = msgspec.json.encode(body)
        try:
            with trio.fail_after(PATIENCE):
                answer = await self._http.send(method, path, headers=headers, content=content)
        except (NoAnswer, trio.TooSlowError):
            raise Away from None
        if not 200 <= answer.status < 300:
            _raise(answer)
        return answer


def _replacing(version: int | None) -> Condition:
    """What must hold for a change: this version is the current one; None: there is no document yet."""
    return {"if-none-match": "*"} if version is None else {"if-match": f'"{version}"'}


def _raise(answer: Answer) -> NoReturn:
    """What the relay's refusal means here."""
    problem = _problem(answer)
    match answer.status:
        case 401:
            raise SignedOut
        case 403:
            raise Refused
        case 404:
            raise Missing
        case 409 if problem.get("type") == "/problems/confirmation":
            raise NotReachable
        case 409 if problem.get("type") == "/problems/endless":
            raise Endless
        case 412:
            raise Changed
        case 422:
            raise Rejected(tuple(_fault(error) for error in problem.get("errors", ())))
        case 429:
            raise Busy(_seconds(answer))
        case _:
            raise Away(_seconds(answer))


def _decoded(body: bytes) -> Any:  # noqa: ANN401 (JSON)
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        raise Away from None


def _problem(answer: Answer) -> Mapping[str, Any]:
    try:
        problem = msgspec.json.decode(answer.body)
    except msgspec.DecodeError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _fault(error: Mapping[str, Any]) -> Problem:
    sentence = str(error.get("sentence", ""))
    return Problem(str(error.get("path", "")), sentence, str(error.get("de", sentence)))


def _seconds(answer: Answer) -> float:
    try:
        return float(answer.headers.get("retry-after", "5"))
    except ValueError:
        return 5.0
