"""The control socket: what it takes, what it tells, and that what it does is true after a restart."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from relay import unix
from relay.core.errors import CannotListen
from relay.core.events import DAY, HOUR
from relay.doors.http1 import Limits, Request, Response, Server
from relay.doors.problems import refusal
from tests.e2e.client import Client, client
from tests.e2e.in_memory import MemoryListener
from tests.relay.world import TENANT, World, app, rest_between, tenant, virtual, world

HOLD = {"reason": "repair", "by": "root", "seconds": HOUR}
RESUME = {"reason": "done", "by": "root"}


@asynccontextmanager
async def control_of(w: World) -> AsyncIterator[Client]:
    listener = MemoryListener()
    await w.nursery.start(partial(w.relay.control.server.run, [listener]))
    async with client(listener.connect) as asking:
        yield asking


@virtual
async def test_held_messages_wait_for_the_end_and_alarms_pass() -> None:
    async with world() as w, control_of(w) as control:
        await w.register("anna")
        answer = await control.ask("POST", "/holds", HOLD)
        assert (answer.status, answer.json()["until"], answer.json()["by"]) == (201, w.start + HOUR, "root")
        await w.post("anna")
        await w.pass_time(60)
        await w.alarm("anna")
        await w.pass_time(DAY)
        assert w.rang("anna") == [60, HOUR]
        assert w.account == {"accepted": 2, "woken": 2}


@virtual
async def test_what_was_held_leaves_at_once_when_it_is_resumed() -> None:
    async with world() as w, control_of(w) as control:
        users = await w.crowd(30)
        await control.ask("POST", "/holds", HOLD)
        await w.post(*users)
        await w.pass_time(60)
        assert w.requests() == []
        answer = await control.ask("POST", "/resume", RESUME)
        assert (answer.status, answer.json()) == (200, {"ended": 1})
        await w.pass_time(1)
        assert {at for user in users for at in w.rang(user)} == {60}


@virtual
async def test_a_hold_survives_a_restart_and_ends_when_it_should() -> None:
    async with world() as w, control_of(w) as control:
        await w.register("anna")
        await control.ask("POST", "/holds", HOLD)
        await w.post("anna")
        await w.pass_time(HOUR / 2)
        await w.restart()
        await w.pass_time(HOUR)
        assert w.rang("anna") == [HOUR]


@virtual
async def test_who_rests_when_a_hold_ends_rests_on() -> None:
    async with world() as w, control_of(w) as control:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start + HOUR / 2, w.start + 2 * HOUR))
        await control.ask("POST", "/holds", HOLD)
        await w.post("anna")
        await w.pass_time(DAY)
        assert w.rang("anna") == [2 * HOUR]


@virtual
async def test_one_lane_of_one_tenant() -> None:
    apps = tenant(app("ios"), app("ipad", topic="other.topic"))
    async with world(apps) as w, control_of(w) as control:
        await w.register("anna")
        await w.register("anna", "tablet", app="ipad")
        answer = await control.ask("POST", "/holds", {**HOLD, "tenant": TENANT, "lane": "ipad", "class": "message"})
        assert answer.status == 201
        await w.post("anna")
        await w.pass_time(60)
        assert (w.rang("anna", "phone"), w.rang("anna", "tablet")) == ([0], [])
        await control.ask("POST", "/resume", {**RESUME, "tenant": TENANT, "lane": "ipad", "class": "message"})
        await w.pass_time(60)
        assert w.rang("anna", "tablet") == [60]


@virtual
async def test_what_is_held_and_what_was_done_is_told() -> None:
    async with world() as w, control_of(w) as control:
        assert (await control.ask("GET", "/holds")).json() == {"holds": [], "acts": []}
        await control.ask("POST", "/holds", {**HOLD, "class": "roster", "by": "eva"})
        await w.pass_time(60)
        told = (await control.ask("GET", "/holds")).json()
        assert told["holds"] == [
            {
                "tenant": None, "class": "roster", "lane": None, "reason": "repair", "by": "eva", "at": w.start,
                "until": w.start + HOUR,
            }
        ]  # fmt: skip
        await control.ask("POST", "/resume", RESUME)
        told = (await control.ask("GET", "/holds")).json()
        assert told["holds"] == []
        assert [(act["what"], act["by"], act["at"]) for act in told["acts"]] == [
            ("resume", "root", w.start + 60), ("hold", "eva", w.start),
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body", "paths"),
    [
        ("/holds", {**HOLD, "seconds": 0}, ["seconds"]),
        ("/holds", {**HOLD, "seconds": 7 * DAY + 1}, ["seconds"]),
        ("/holds", {**HOLD, "seconds": "1h"}, ["seconds"]),
        ("/holds", {"seconds": 60}, ["by", "reason"]),
        ("/holds", {**HOLD, "reason": ""}, ["reason"]),
        ("/holds", {**HOLD, "reason": "two\nlines", "by": "x" * 201}, ["by", "reason"]),
        ("/holds", {**HOLD, "tenant": "nowhere"}, ["tenant"]),
        ("/holds", {**HOLD, "class": "mesage", "lane": "iso"}, ["class", "lane"]),
        ("/holds", {**HOLD, "user": "anna"}, ["user"]),
        ("/resume", {**RESUME, "class": "mesage"}, ["class"]),
        ("/resume", {**RESUME, "seconds": 60}, ["seconds"]),
        ("/resume", {"by": "root"}, ["reason"]),
    ],
)
@virtual
async def test_what_is_wrong_is_named_and_nothing_is_held(path: str, body: object, paths: list[str]) -> None:
    async with world() as w, control_of(w) as control:
        answer = await control.ask("POST", path, body)
        assert (answer.status, sorted(error["path"] for error in answer.json()["errors"])) == (422, paths)
        assert (await control.ask("GET", "/holds")).json() == {"holds": [], "acts": []}


@virtual
async def test_what_is_no_request_of_ours_is_refused() -> None:
    async with world() as w, control_of(w) as control:
        for method, path, body, status in (
            ("GET", "/", None, 404), ("DELETE", "/holds", None, 404), ("POST", "/holds", b"{", 400),
            ("POST", "/resume", RESUME, 404),
        ):  # fmt: skip
            assert (await control.ask(method, path, body)).status == status


# --- the socket itself


async def answering(request: Request) -> Response:
    return Response(200, json.dumps([request.method.decode(), request.target.decode()]).encode())


@pytest.mark.processes
async def test_only_its_own_user_can_open_it_however_long_its_path_is(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    path = folder / "relay.sock"
    with socket.socket(socket.AF_UNIX) as stale, unix.short(path) as name:
        stale.bind(name)  # and left behind
    server = Server(answering, refusal, Limits())
    async with trio.open_nursery() as nursery:
        await nursery.start(unix.serve, server, path)
        assert path.stat().st_mode & 0o777 == 0o600
        assert await trio.to_thread.run_sync(unix.ask, path, "GET", "/x") == (200, ["GET", "/x"])
        nursery.cancel_scope.cancel()
    assert not path.exists()
    with pytest.raises(FileNotFoundError):
        unix.ask(path, "GET", "/x")


@pytest.mark.processes
async def test_where_no_socket_can_be_is_said(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere" / "relay.sock", tmp_path):
        with pytest.raises(CannotListen):
            await unix.serve(Server(answering, refusal, Limits()), path)


@pytest.mark.processes
async def test_a_file_that_is_no_socket_stays(tmp_path: Path) -> None:
    """The path may name the master key by mistake."""
    key, link = tmp_path / "master.key", tmp_path / "link"
    key.write_bytes(b"1:secret")
    link.symlink_to(key)
    for path in (key, link):
        with pytest.raises(CannotListen, match="something else than a socket is there"):
            await unix.serve(Server(answering, refusal, Limits()), path)
    assert (key.read_bytes(), link.is_symlink()) == (b"1:secret", True)
