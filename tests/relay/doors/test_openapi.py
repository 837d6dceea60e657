"""The description of the door is of this door: the same operations, and asked of it is what the routes ask."""

from __future__ import annotations

import json

import msgspec
from trio.testing import MockClock

from relay.doors.openapi import OPERATIONS, document
from relay.doors.router import Route
from tests.relay.doors.house import House


def routes(house: House) -> list[Route]:
    router = house.router
    return [*router._exact.values(), *router._patterns]


def described(path: str) -> tuple[bytes, ...]:
    parts = path.encode().split(b"/")[1:]
    return tuple(b"{}" if part.startswith(b"{") else part for part in parts)


async def test_every_operation_of_the_door_is_described_and_no_other(house: House, autojump_clock: MockClock) -> None:
    offered = {
        (method.decode(), route.path): who for route in routes(house) for method, (who, _) in route.methods.items()
    }
    assert {(o.method, described(o.path)): o.caller for o in OPERATIONS} == offered
    assert len(OPERATIONS) == len(offered)


async def test_parameters_are_those_of_the_routes(house: House, autojump_clock: MockClock) -> None:
    by_path = {route.path: route for route in routes(house)}
    for operation in OPERATIONS:
        route = by_path[described(operation.path)]
        assert set(operation.query) <= route.parameters
        names = [part.strip("{}") for part in operation.path.split("/") if part.startswith("{")]
        assert names == list(route.ids[: len(names)])
    known = {path: {name for o in OPERATIONS if described(o.path) == path for name in o.query} for path in by_path}
    assert known == {path: set(route.parameters) for path, route in by_path.items()}


async def test_it_is_served_to_anybody(house: House, autojump_clock: MockClock) -> None:
    answer = await house.ask("GET", "/v1/openapi.json")
    assert (answer.status, answer.json) == (200, json.loads(msgspec.json.encode(document())))


def test_whatever_changes_a_document_names_both_its_conditions() -> None:
    named = {(o.method, o.path): o.headers.keys() & {"If-Match", "If-None-Match"} for o in OPERATIONS}
    conditional = [names for (method, _), names in named.items() if method != "GET" and names]
    assert named["PUT", "/v1/me/rest"] == named["PUT", "/v1/users/{user}/rest"] == {"If-Match", "If-None-Match"}
    assert {len(names) for names in conditional} == {2}


def test_every_reference_leads_somewhere() -> None:
    told = document()
    text = json.dumps(told)
    references = {part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
    assert references <= told["components"]["schemas"].keys()


def test_no_schema_lets_unknown_members_of_a_body_pass() -> None:
    schemas = document()["components"]["schemas"]
    for name in ("EventsBody", "EventBody", "SeensBody", "ConfirmedBody", "DeviceBody", "UsersBody", "LinkBody"):
        assert schemas[name]["additionalProperties"] is False
