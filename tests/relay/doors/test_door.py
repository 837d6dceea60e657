"""The event door as a whole: what nobody may learn from it, and real clients on real sockets."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
from trio.testing import MockClock

from relay.doors.http1 import Limits, Server
from relay.doors.listening import CrowdListener
from relay.doors.problems import refusal
from tests.relay.doors.bare_server import USUAL
from tests.relay.doors.house import (
    MASTER,
    NIGHT,
    NOON,
    NOON_REST,
    TOKEN,
    House,
    bearer,
    open_house,
    tenant,
    usual_keys,
)
from tests.relay.doors.http_client import JSON, MSGPACK, PACK, Answer

ALARM = {"class": "alarm", "role": "dispatch", "reason": "incident"}


# --- L2: whether somebody rests does not show


async def test_the_answers_for_a_resting_and_a_reachable_person_are_the_same_bytes(autojump_clock: MockClock) -> None:
    """Everything a backend can ask, in an order that leaves slots, merges, reads and repeats behind."""

    async def asked_about(user: str, rest: object) -> list[Answer]:
        async with open_house() as house:
            await house.register(user)
            await house.register("other", token=TOKEN)
            if rest is not None:
                target = f"/v1/users/{user}/rest?confirm=never-reachable"
                assert (await house.ask("PUT", target, rest, key="rest")).status == 201
            return [
                await house.post({"user": user}),
                await house.post({"user": user}, form=MSGPACK),
                await house.post({"users": [user, "other", user, "nobody"], "ttl": 60}),
                await house.post({"events": [{"user": user, "class": "roster"}, {"user": "other"}]}),
                await house.post({"user": user}, idempotency_key="k-1"),
                await house.post({"user": user}, idempotency_key="k-1"),
                await house.post({"user": "other"}, idempotency_key="k-1"),
                await house.post({"user": user, **ALARM}, key="control", idempotency_key="k-2"),
                await house.post({"user": user, **ALARM}, idempotency_key="k-3"),
                await house.post({"user": user, "at": -1}),
                await house.ask("POST", "/v1/seen", {"user": user}, key="backend"),
                await house.ask("POST", "/v1/seen", {"seen": [{"user": user, "at": NOON - 5}]}, key="backend"),
                await house.post({"user": user}),
                await house.ask("GET", f"/v1/users/{user}/rest", key="backend"),
                await house.ask("DELETE", f"/v1/users/{user}/rest", key="backend"),
                await house.ask("PUT", f"/v1/users/{user}/rest", NIGHT, key="backend"),
                await house.ask("GET", f"/v1/users/{user}/devices/phone", key="devices"),
                await house.ask("GET", f"/v1/users/{user}/rest", key="devices"),
                await house.ask("DELETE", f"/v1/users/{user}/devices/phone", key="devices"),
                await house.post({"user": user}),
            ]

    endless = {"windows": [{"kind": "once", "start": "2020-01-01T00:00", "end": "2190-01-01T00:00"}]}
    reachable = await asked_about("anna", None)
    for rest in (NOON_REST, NIGHT, endless, {}):
        assert await asked_about("anna", rest) == reachable
    statuses = [answer.status for answer in reachable]
    assert statuses == [202] * 6 + [422, 202, 403, 422] + [202] * 3 + [403] * 3 + [200, 403, 204, 202]


async def test_who_has_only_a_rest_document_is_as_unknown_as_nobody(house: House, autojump_clock: MockClock) -> None:
    """Else a backend would learn who has set up rest."""
    await house.ask("PUT", "/v1/users/anna/rest", NOON_REST, key="rest")
    answers = [await house.post({"user": user}) for user in ("anna", "nobody")]
    assert answers[0] == answers[1]
    answers = [await house.ask("GET", f"/v1/users/{user}/devices/x", key="devices") for user in ("anna", "nobody")]
    assert answers[0] == answers[1]


# --- one tenant's trouble is not another's


async def test_a_key_reaches_the_users_of_its_own_tenant_only(autojump_clock: MockClock) -> None:
    """The same user id in both; what is somebody else's does not exist."""
    north, south = tenant("north"), tenant("south")
    async with open_house(tenants=[north, south], keys=[*usual_keys(north), *usual_keys(south, "s-")]) as house:
        await house.register("anna")
        await house.register("anna", key="s-devices")
        await house.register("bert")
        assert (await house.post({"users": ["anna", "bert"]}, key="s-backend")).json == {"accepted": 1, "unknown": 1}
        assert house.pending("anna", owner="north") == 0
        assert house.pending("anna", owner="south") == 1
        assert house.account(owner="north").accepted == 0
        await house.post({"user": "anna"})
        await house.ask("POST", "/v1/seen", {"user": "anna"}, key="backend")
        assert house.pending("anna", owner="south") == 1
        alarm = {"user": "anna", **ALARM}
        assert (await house.post(alarm, key="s-control", idempotency_key="k")).json["accepted"] == 1
        assert house.pending("anna", "alarm", owner="north") == 0
        assert [bypass.tenant for bypass in house.store.bypasses] == ["south"]
        assert (await house.post(alarm, key="control", idempotency_key="k")).json["accepted"] == 1
        answer = await house.ask("GET", "/v1/users/bert/devices/phone", key="s-devices")
        nobody = await house.ask("GET", "/v1/users/nobody/devices/phone", key="s-devices")
        assert answer == nobody
        assert answer.status == 404


async def test_the_rate_of_alarms_is_counted_per_tenant(autojump_clock: MockClock) -> None:
    north, south = tenant("north"), tenant("south")
    async with open_house(tenants=[north, south], keys=[*usual_keys(north), *usual_keys(south, "s-")]) as house:
        for number in range(4):
            await house.post({"user": "anna", **ALARM}, key="control", idempotency_key=f"k-{number}")
        await house.post({"user": "anna", **ALARM}, key="s-control", idempotency_key="k-0")
        assert [bypass.over_rate for bypass in house.store.bypasses] == [False, False, False, True, False]


async def test_nothing_of_a_request_lies_in_the_store_in_clear(house: House, autojump_clock: MockClock) -> None:
    """I6: names, devices, tokens, idempotency keys."""
    await house.ask(
        "PUT", "/v1/users/hansi/devices/handy-hansi", {"platform": "apns", "app": "ios", "token": TOKEN}, key="devices"
    )
    await house.post({"user": "hansi", **ALARM}, key="control", idempotency_key="hansi-1")
    loaded = house.store.load()
    stored = repr(loaded) + repr(house.store.bypasses)
    stored += repr([d.sealed for d in loaded.devices.values()] + [p.sealed_id for p in loaded.people.values()])
    for word in ("hansi", "handy", TOKEN[:8], MASTER.hex()[:8]):
        assert word not in stored


# --- real clients on real sockets


@asynccontextmanager
async def on_loopback(house: House, limits: Limits = USUAL) -> AsyncIterator[tuple[Server, str]]:
    """The house's door on a real port; drained at the end. Yields the server and its address."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server(house.router, refusal, limits)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run, [CrowdListener(listener) for listener in listeners])
        yield server, f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        server.drain()


def credentials(key: str, **headers: str) -> dict[str, str]:
    return dict([bearer(key)]) | {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.mark.sockets
async def test_a_usual_client_does_the_usual_things() -> None:
    """httpx on one kept connection: register, set rest, post in both forms, mark as seen."""
    async with open_house() as house, on_loopback(house) as (server, base), httpx.AsyncClient(base_url=base) as client:
        device = {"platform": "apns", "app": "ios", "token": TOKEN}
        answer = await client.put("/v1/users/jürgen/devices/phone", json=device, headers=credentials("devices"))
        assert (answer.status_code, answer.json()) == (201, {"evicted": 0})
        answer = await client.put("/v1/users/jürgen/rest", json=NIGHT, headers=credentials("rest"))
        etag = answer.headers["etag"]
        assert answer.status_code == 201
        answer = await client.post("/v1/users/jürgen/link", headers=credentials("rest"))
        answer = await client.post("/v1/me/token", json={"link": answer.json()["link"]})
        token = {"authorization": f"Bearer {answer.json()['token']}"}
        answer = await client.get("/v1/me/rest", headers={**token, "if-none-match": etag})
        assert (answer.status_code, answer.content) == (304, b"")
        answer = await client.post("/v1/events", json={"user": "jürgen"}, headers=credentials("backend"))
        assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "unknown": 0})
        answer = await client.post(
            "/v1/events",
            content=PACK[MSGPACK]({"users": ["jürgen", "nobody"]}),
            headers=credentials("backend", content_type=MSGPACK),
        )
        assert answer.json() == {"accepted": 1, "unknown": 1}
        answer = await client.post("/v1/seen", json={"user": "jürgen"}, headers=credentials("backend"))
        assert (answer.status_code, house.pending("jürgen")) == (202, 0)
        answer = await client.delete("/v1/users/jürgen/devices/phone", headers=credentials("devices"))
        assert (answer.status_code, answer.content) == (204, b"")
        answer = await client.head("/v1/events")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert server.connections == 1


@pytest.mark.sockets
async def test_a_body_that_streams_in_chunks() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b'{"user":', b'"anna"', b"}"):
            yield piece

    async with open_house() as house, on_loopback(house) as (_, base), httpx.AsyncClient(base_url=base) as client:
        await house.register("anna")
        headers = credentials("backend", content_type=JSON)
        answer = await client.post("/v1/events", content=pieces(), headers=headers)
        assert answer.json() == {"accepted": 1, "unknown": 0}


@pytest.mark.sockets
async def test_a_client_that_sends_far_too_much_reads_why() -> None:
    """The connection is not reset under its hands."""
    async with open_house() as house, on_loopback(house) as (_, base), httpx.AsyncClient(base_url=base) as client:
        headers = credentials("backend", content_type=JSON)
        answer = await client.post("/v1/events", content=b" " * 6_000_000, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
        answer = await client.post("/v1/events", json={"user": "anna"}, headers=headers)
        assert answer.status_code == 202


@pytest.mark.sockets
async def test_a_client_that_is_turned_away_reads_why() -> None:
    """Although it has sent its request before it was turned away."""
    async with (
        open_house() as house,
        on_loopback(house, Limits(connections=1)) as (_, base),
        httpx.AsyncClient(base_url=base) as first,
        httpx.AsyncClient(base_url=base) as second,
    ):
        assert (await first.get("/v1/events")).status_code == 405
        answer = await second.post("/v1/events", json={"user": "anna"}, headers=credentials("backend"))
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert (await first.get("/v1/events")).status_code == 405


@pytest.mark.sockets
async def test_clients_that_reset_their_connections_leave_nothing() -> None:
    async with open_house() as house, on_loopback(house) as (server, base):
        port = int(base.rpartition(":")[2])
        for sent in (b"", b"GET /", b"POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{"):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            await stream.send_all(sent or b"\r\n")
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
            await stream.aclose()
        async with httpx.AsyncClient(base_url=base) as client:
            assert (await client.get("/v1/events")).status_code == 405
            with trio.fail_after(30):  # it would hang for ever instead
                while server.connections > 1:
                    await trio.lowlevel.checkpoint()
