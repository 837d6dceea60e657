"""The relay by HTTP: what is sent, what the answers mean, and that no answer is an answer too."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from schedules import Wake
from schedules.errors import Problem
from schedules.web import relay_client
from schedules.web.http import HttpClient
from schedules.web.port import (
    Away,
    Busy,
    Changed,
    Endless,
    Missing,
    NotReachable,
    Refused,
    Rejected,
    RelayFault,
    Secret,
    SignedOut,
)
from schedules.web.relay_client import PATIENCE, RelayClient, connected

ANNA = Secret("me.anna")


class Wire:
    """Answers everything with one answer, and remembers what was asked."""

    def __init__(self, status: int = 200, body: object = None, headers: dict[str, str] | None = None) -> None:
        self.status, self.body, self.headers = status, body, headers or {}
        self.asked: list[httpx.Request] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        content = self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()
        return httpx.Response(self.status, stream=httpx.ByteStream(content), headers=self.headers)

    @property
    def client(self) -> RelayClient:
        transport = httpx.MockTransport(self.answer)
        return RelayClient(HttpClient(httpx.AsyncClient(transport=transport, base_url="http://relay"), 100_000))

    @property
    def last(self) -> httpx.Request:
        return self.asked[-1]


Ask = Callable[[RelayClient], Awaitable[object]]


@pytest.mark.parametrize(
    ("ask", "method", "path", "body", "match"),
    [
        (lambda c: c.save(ANNA, {"windows": []}, 7), "PUT", "/v1/me/rest", {"windows": []}, '"7"'),
        (lambda c: c.save(ANNA, {}, None), "PUT", "/v1/me/rest", {}, "*"),
        (lambda c: c.snooze(ANNA, 9.0, None), "POST", "/v1/me/rest/snooze", {"until": 9.0}, "*"),
        (lambda c: c.reachable(ANNA, 9.0, None), "POST", "/v1/me/rest/reachable", {"until": 9.0}, "*"),
        (lambda c: c.wake(ANNA, "a", Wake.NEVER, None), "PUT", "/v1/me/devices/a", {"wake": "never"}, "*"),
        (lambda c: c.save(ANNA, {}, 7, confirmed=True), "PUT", "/v1/me/rest?confirm=never-reachable", {}, '"7"'),
        (lambda c: c.delete_rest(ANNA, 7), "DELETE", "/v1/me/rest", None, '"7"'),
        (lambda c: c.snooze(ANNA, 9.0, 7), "POST", "/v1/me/rest/snooze", {"until": 9.0}, '"7"'),
        (lambda c: c.reachable(ANNA, None, 7), "POST", "/v1/me/rest/reachable", {}, '"7"'),
        (lambda c: c.wake(ANNA, "a/b c", Wake.NEVER, 7), "PUT", "/v1/me/devices/a%2Fb%20c", {"wake": "never"}, '"7"'),
        (lambda c: c.test(ANNA), "POST", "/v1/me/test", None, None),
        (lambda c: c.begin_trace(ANNA), "PUT", "/v1/me/trace", None, None),
        (lambda c: c.end_trace(ANNA), "DELETE", "/v1/me/trace", None, None),
        (lambda c: c.sign_out(ANNA), "DELETE", "/v1/me/token", None, None),
        (lambda c: c.end_others(ANNA), "DELETE", "/v1/me/sessions", None, None),
        (lambda c: c.delete_everything(ANNA), "DELETE", "/v1/me", None, None),
        (lambda c: c.calendar(ANNA, "en"), "GET", "/v1/me/rest.ics?lang=en", None, None),
        (lambda c: c.export(ANNA), "GET", "/v1/me/export", None, None),
        (lambda c: c.end_code(ANNA), "DELETE", "/v1/me/support", None, None),
    ],
)
async def test_what_is_asked_is_sent_in_the_officers_name(
    ask: Ask, method: str, path: str, body: object, match: str | None
) -> None:
    """`match`: the version that must be the current one; `*`: there must be none."""
    wire = Wire(200, {"version": 8})
    await ask(wire.client)
    assert (wire.last.method, wire.last.url.raw_path.decode()) == (method, path)
    assert wire.last.headers["authorization"] == "Bearer me.anna"
    assert wire.last.headers.get("if-match") == (None if match == "*" else match)
    assert wire.last.headers.get("if-none-match") == ("*" if match == "*" else None)
    assert (json.loads(wire.last.content) if wire.last.content else None) == body


async def test_who_begins_a_session_has_none_to_show() -> None:
    wire = Wire(201, {"session": "me.new", "idle": 1800, "expires_in": 43_200})
    opened = await wire.client.redeem(Secret("a-link"))
    assert "authorization" not in wire.last.headers
    assert json.loads(wire.last.content) == {"link": "a-link"}
    assert (opened.session, opened.expires_in) == (Secret("me.new"), 43_200)
    assert "me.new" not in repr(opened)
    await wire.client.open("example", "anna")
    assert json.loads(wire.last.content) == {"tenant": "example", "user": "anna"}


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (401, {}, SignedOut), (403, {}, Refused), (404, {}, Missing), (412, {}, Changed), (429, {}, Busy),
        (409, {"type": "/problems/confirmation"}, NotReachable), (409, {"type": "/problems/endless"}, Endless),
        (409, {"type": "/problems/unreadable"}, Away), (422, {}, Rejected), (500, {}, Away), (503, b"", Away),
        (302, {}, Away), (400, b"<html>", Away),
    ],
)  # fmt: skip
async def test_every_refusal_has_its_meaning(status: int, body: object, fault: type[RelayFault]) -> None:
    with pytest.raises(fault) as raised:
        await Wire(status, body).client.waiting(ANNA)
    assert raised.type is fault
    assert raised.value.__cause__ is None


async def test_faults_come_with_their_sentences_in_both_languages() -> None:
    errors = [{"path": "until", "sentence": "is late", "de": "ist spät"}, {"path": "x", "sentence": "is odd"}]
    with pytest.raises(Rejected) as raised:
        await Wire(422, {"errors": errors}).client.snooze(ANNA, 1.0, None)
    assert raised.value.problems == (Problem("until", "is late", "ist spät"), Problem("x", "is odd", "is odd"))


@pytest.mark.parametrize(("told", "seconds"), [({"retry-after": "90"}, 90.0), ({}, 5.0), ({"retry-after": "x"}, 5.0)])
async def test_when_to_ask_again_is_told(told: dict[str, str], seconds: float) -> None:
    with pytest.raises(Busy) as busy:
        await Wire(429, {}, told).client.test(ANNA)
    assert busy.value.retry_after == seconds


async def test_what_is_not_there_is_none_where_that_is_usual() -> None:
    assert await Wire(404, {}).client.rest(ANNA) is None
    assert await Wire(404, {}).client.tested(ANNA) is None
    with pytest.raises(Missing):
        await Wire(404, {}).client.wake(ANNA, "phone", Wake.NEVER, None)


async def test_a_document_comes_with_its_version() -> None:
    kept = await Wire(200, {"windows": []}, {"etag": 'W/"12"'}).client.rest(ANNA)
    assert kept is not None
    assert (kept.document, kept.version) == ({"windows": []}, 12)
    for tag in ("", "x", '"x"'):
        with pytest.raises(Away):
            await Wire(200, {}, {"etag": tag}).client.rest(ANNA)


@pytest.mark.parametrize("body", [b"", b"no JSON", [], {}, {"waiting": None}, {"devices": [{}]}, {"version": "x"}, 7])
async def test_a_shape_of_another_version_is_no_answer(body: Any) -> None:  # noqa: ANN401 (JSON)
    client = Wire(200, body).client
    asks: list[Ask] = [
        lambda c: c.waiting(ANNA), lambda c: c.devices(ANNA), lambda c: c.piercing(ANNA), lambda c: c.bypasses(ANNA),
        lambda c: c.sessions(ANNA), lambda c: c.support(ANNA), lambda c: c.new_code(ANNA), lambda c: c.tested(ANNA),
        lambda c: c.effect(ANNA, {}), lambda c: c.save(ANNA, {}, None), lambda c: c.snooze(ANNA, 1.0, None),
        lambda c: c.redeem(Secret("x")), lambda c: c.trace(ANNA),
    ]  # fmt: skip
    for ask in asks:
        with pytest.raises(Away):
            await ask(client)


async def test_no_answer_is_not_waited_for_longer_than_an_officer_would(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Silent(Wire):
        async def answer(self, request: httpx.Request) -> httpx.Response:
            await trio.sleep_forever()

    began = trio.current_time()
    with pytest.raises(Away):
        await Silent().client.waiting(ANNA)
    assert trio.current_time() - began == PATIENCE


async def test_a_relay_that_is_not_there_is_away_and_the_folder_may_be_deep(tmp_path: Path) -> None:
    """107 bytes are all that an address of a socket has."""
    folder = tmp_path / ("deep" * 30)
    folder.mkdir()
    async with connected(folder / "door.sock") as client:
        with pytest.raises(Away):
            await client.waiting(ANNA)
    with pytest.raises(FileNotFoundError):
        async with connected(tmp_path / "none" / "door.sock"):
            pass


def test_a_client_says_nothing_of_whom_it_asks_for() -> None:
    assert "anna" not in repr(Away()) + repr(SignedOut()) + repr(Rejected((Problem("a", "anna", "anna"),)))
    assert relay_client.LARGEST > 65_536
