"""From a request to a handler: paths, methods, keys and scopes; and every error to an answer."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import msgpack
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from relay.core.devices import RestRecord
from relay.core.errors import NotFound
from relay.doors.http1 import Request, Response
from relay.doors.keys import Keys, Scope
from relay.doors.port import Engine
from relay.doors.router import Call, Route, Router
from tests.relay.doors.house import (
    NIGHT,
    NOON,
    TOKEN,
    House,
    api_key,
    bearer,
    open_house,
    tenant,
)
from tests.relay.doors.http_client import JSON, MSGPACK, PACK, Answer, request

DEVICE = "/v1/users/anna/devices/phone"
REST = "/v1/users/anna/rest"
APNS = {"platform": "apns", "app": "ios", "token": TOKEN}

ROUTES: list[tuple[str, str, object, Scope]] = [
    ("POST", "/v1/events", {"user": "anna"}, Scope.EVENTS),
    ("POST", "/v1/seen", {"user": "anna"}, Scope.EVENTS),
    ("PUT", DEVICE, APNS, Scope.DEVICES),
    ("GET", DEVICE, None, Scope.DEVICES),
    ("DELETE", DEVICE, None, Scope.DEVICES),
    ("PUT", "/v1/devices", {"users": {}}, Scope.DEVICES),
    ("PUT", "/v1/users/anna/devices", {"devices": {}}, Scope.DEVICES),
    ("DELETE", "/v1/users/anna", None, Scope.DEVICES),
    ("GET", "/v1/feedback", None, Scope.DEVICES),
    ("PUT", REST, NIGHT, Scope.REST),
    ("GET", REST, None, Scope.SUPPORT),
    ("DELETE", REST, None, Scope.REST),
    ("POST", "/v1/users/anna/link", None, Scope.REST),
    ("GET", "/v1/users/anna/explain", None, Scope.SUPPORT),
]
"""Everything the door offers to keys, and the scope each needs."""

OFFICERS: list[tuple[str, str, object]] = [
    ("GET", "/v1/me/rest", None),
    ("PUT", "/v1/me/rest", NIGHT),
    ("DELETE", "/v1/me/rest", None),
    ("GET", "/v1/me/explain", None),
    ("GET", "/v1/me/devices", None),
    ("POST", "/v1/me/support", None),
    ("GET", "/v1/me/support", None),
    ("DELETE", "/v1/me/support", None),
    ("DELETE", "/v1/me/token", None),
]
"""What it offers to officers."""

HOLDERS = [
    frozenset(scopes)
    for count in (1, 2, len(Scope) - 1)
    for scopes in itertools.combinations(Scope, count)
    if not {Scope.EVENTS, Scope.REST} <= set(scopes)
]


async def test_each_route_is_open_to_keys_with_its_scope_and_to_no_others(autojump_clock: MockClock) -> None:
    """Every single scope, every pair, and nearly all: `admin` opens none of these, and none opens what is officers'."""
    north = tenant()
    keys = [api_key(f"k{index}", north, *scopes) for index, scopes in enumerate(HOLDERS)]
    async with open_house(tenants=[north], keys=keys) as house:
        for (method, target, body, scope), (index, scopes) in itertools.product(ROUTES, enumerate(HOLDERS)):
            answer = await house.ask(method, target, body, key=f"k{index}")
            if scope in scopes and (method, target) == ("GET", REST):
                assert (answer.status, answer.json["type"]) == (403, "/problems/support-code"), scopes
            elif scope in scopes:
                assert answer.status in (200, 201, 202, 204, 404), (method, target, scopes)
            else:
                assert (answer.status, answer.json["type"]) == (403, "/problems/forbidden"), (method, target, scopes)
                assert answer.json["detail"] == f"this needs the scope {scope.value}"
        for (method, target, body), index in itertools.product(OFFICERS, range(len(HOLDERS))):
            assert (await house.ask(method, target, body, key=f"k{index}")).status == 401, (method, target)


async def test_a_token_opens_what_is_officers_and_nothing_else(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await house.officer()
    for method, target, body, _scope in ROUTES:
        assert (await house.ask(method, target, body, headers=[officer])).status == 401, (method, target)
    for method, target, body in OFFICERS:
        answer = await house.ask(method, target, body, headers=[officer])
        assert answer.status in (200, 201, 204, 404), (method, target, answer)


@pytest.mark.parametrize(
    "authorization",
    [None, "", "Bearer", "Bearer backend", "Bearer backend.wrong", "Bearer nobody.secret-of-backend",
     "Basic backend.secret-of-backend", "Bearer rest.secret-of-backend", "secret-of-backend", "Bearer me.",
     "Bearer me.secret-of-backend", "Bearer me.\xff"],
)  # fmt: skip
@pytest.mark.parametrize(("method", "target", "body"), [*(route[:3] for route in ROUTES), *OFFICERS])
async def test_without_a_valid_key_or_token_the_answer_is_401(
    house: House, autojump_clock: MockClock, method: str, target: str, body: object, authorization: str | None
) -> None:
    """The same for an unknown id as for a wrong secret, and nothing happens."""
    before = house.snapshot()
    headers = [] if authorization is None else [("Authorization", authorization)]
    answer = await house.ask(method, target, body, headers=headers)
    assert (answer.status, answer.json) == (
        401,
        {"type": "/problems/unauthorized", "title": "The API key or token is missing or not valid", "status": 401},
    )
    assert answer.header("www-authenticate") == 'Bearer realm="feierabend"'
    assert house.snapshot() == before


ALLOWED = {
    "/v1/events": "POST",
    "/v1/seen": "POST",
    "/v1/feedback": "GET",
    "/v1/users/anna": "DELETE",
    "/v1/devices": "PUT",
    "/v1/users/anna/devices": "PUT",
    DEVICE: "DELETE, GET, PUT",
    REST: "DELETE, GET, PUT",
    "/v1/users/anna/link": "POST",
    "/v1/users/anna/explain": "GET",
    "/v1/me/token": "DELETE, POST",
    "/v1/me/rest": "DELETE, GET, PUT",
    "/v1/me/support": "DELETE, GET, POST",
    "/v1/me/explain": "GET",
    "/v1/me/devices": "GET",
}


@pytest.mark.parametrize("target", ALLOWED)
@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE"]
)
async def test_a_method_that_is_not_offered_is_405_with_those_that_are(
    house: House, autojump_clock: MockClock, method: str, target: str
) -> None:
    answer = await house.ask(method, target)
    if method in ALLOWED[target].split(", "):
        assert answer.status == (415 if (method, target) == ("POST", "/v1/me/token") else 401)
        return
    assert (answer.status, answer.header("allow")) == (405, ALLOWED[target])
    assert method == "HEAD" or answer.json["type"] == "/problems/method-not-allowed"


@pytest.mark.parametrize(
    "target",
    ["/", "*", "/v1", "/v1/", "/v1/event", "/v1/events/", "/v1/events/x", "//v1/events", "/V1/events", "/v1/users",
     "/v1/users/anna/", "/v1/users/anna/rest/", "/v1/users/anna/rest/x",
     "/v1/users/anna/devices/phone/", "/v1/users/anna/x/devices/phone", "/v1/users/a/b/rest", "/v1/%65vents",
     "/v1/users/anna/../bert/rest", "/v1/events#x", "/healthz", "http://relay/v1/events"],
)  # fmt: skip
async def test_other_paths_are_not_found(house: House, autojump_clock: MockClock, target: str) -> None:
    for method in ("GET", "POST"):
        answer = await house.ask(method, target, key="backend")
        assert (answer.status, answer.json["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(("method", "target", "body"), [*(route[:3] for route in ROUTES), *OFFICERS])
async def test_parameters_are_refused(
    house: House, autojump_clock: MockClock, method: str, target: str, body: object
) -> None:
    """They would land in the logs of every proxy; and whoever sends one means something by it."""
    answer = await house.ask(method, f"{target}?user=anna", body, key="backend")
    assert (answer.status, answer.paths) == (422, ["query"])


@pytest.mark.parametrize(
    ("path", "user"),
    [
        ("anna", "anna"),
        ("a%6Ena", "anna"),
        ("%C3%A4", "ä"),
        ("a%2Fb", "a/b"),
        ("a+b", "a+b"),
        ("%25", "%"),
        ("..", ".."),
    ],
)
async def test_ids_in_paths_are_decoded_once(house: House, autojump_clock: MockClock, path: str, user: str) -> None:
    assert (await house.ask("PUT", f"/v1/users/{path}/rest", NIGHT, key="rest")).status == 201
    assert house.person(user) is not None


# --- what goes wrong on our side


async def test_a_fault_of_ours_is_answered_500_reported_and_costs_nobody_else_anything(
    house: House, autojump_clock: MockClock
) -> None:
    """A record that does not open: the disk was damaged, or the key is another."""
    await house.ask("PUT", REST, NIGHT, key="rest")
    person = house.person("anna")
    assert person is not None
    person.rest = RestRecord(b"\x00" * 64, 7)
    client = house.connect()
    officer = await house.officer()
    answer = await client.ask(request("GET", "/v1/me/rest", headers=[officer]))
    assert (answer.status, answer.json) == (
        500,
        {"type": "/problems/internal", "title": "Something went wrong here", "status": 500},
    )
    assert [type(error).__name__ for error in house.failures] == ["SealBroken"]
    house.failures.clear()
    assert (await client.ask(request("GET", "/v1/me/devices", headers=[officer]))).status == 200
    assert (await house.post({"user": "anna"})).status == 202


@pytest.mark.parametrize("error", [RuntimeError("kanarienvogel"), KeyError("kanarienvogel"), NotFound("no such thing")])
async def test_a_handler_that_fails_says_nothing_of_what_it_knew(
    house: House, error: Exception, autojump_clock: MockClock
) -> None:
    async def fail(_call: Call, _engine: Engine) -> Response:
        raise error

    failures: list[BaseException] = []
    north = house.tenants["north"]
    routes = (Route((b"v1", b"x"), {b"GET": (Scope.ADMIN, fail)}),)
    keys = Keys([api_key("admin", north, Scope.ADMIN)])
    router = Router(routes, keys, house.engine, house.clock.now, failures.append)
    name, value = bearer("admin")
    answer = await router(Request(b"GET", b"/v1/x", {name.lower().encode(): value.encode()}, b""))
    expected = 404 if isinstance(error, NotFound) else 500
    assert answer.status == expected
    assert failures == ([error] if expected == 500 else [])
    assert b"kanarien" not in answer.body


def test_a_call_and_a_request_do_not_show_what_they_hold() -> None:
    key = api_key("backend", tenant(), Scope.EVENTS)
    shown = repr(Call(key, ("hansi",), b"", b"hansi", {b"x": b"hansi"}, 0.0))
    shown += repr(Request(b"GET", b"/v1/users/hansi/rest", {b"authorization": b"hansi"}, b"hansi"))
    assert "hansi" not in shown


# --- nothing of what came in is repeated

CANARY = "Kanarienvogel-Hansi"


def with_canaries() -> list[tuple[str, str, object, list[tuple[str, str]], str]]:
    """(method, target, body, headers, key): a canary in every place an input has, each in a request that is refused."""
    far = f"{CANARY} {CANARY}"
    event: dict[str, object] = {"user": CANARY}
    alarm = {"class": "alarm", "user": CANARY, "role": "dispatch", "reason": "incident"}
    window = {"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}
    return [
        ("POST", "/v1/events", {**event, name: far}, [], "control")
        for name in ("users", "class", "at", "ttl", "role", "reason", "events", far)
    ] + [
        ("POST", "/v1/events", {**event, "x": 1}, [], "backend"),
        ("POST", "/v1/events", {"users": [CANARY, CANARY * 20]}, [], "backend"),
        ("POST", "/v1/events", {"events": [event, {**event, "class": far}]}, [], "backend"),
        ("POST", "/v1/events", f'{{"user": "{CANARY}"'.encode(), [], "backend"),
        ("POST", "/v1/events", {**alarm, "role": CANARY}, [("Idempotency-Key", "1")], "control"),
        ("POST", "/v1/events", {**alarm, "reason": CANARY}, [("Idempotency-Key", "1")], "control"),
        ("POST", "/v1/events", alarm, [], "backend"),
        ("POST", "/v1/events", event, [("Idempotency-Key", far)], "backend"),
        ("POST", "/v1/events", event, [], CANARY),
        ("POST", "/v1/seen", {**event, "at": far}, [], "backend"),
        ("POST", "/v1/seen", {**event, "seen": [event]}, [], "backend"),
        ("POST", f"/v1/events?{CANARY}={CANARY}", event, [], "backend"),
        ("POST", f"/v1/{CANARY}", event, [], "backend"),
        ("POST", f"/v1/users/{CANARY}/rest", event, [], "rest"),
        ("DELETE", f"/v1/users/{CANARY}/rest", None, [("Cookie", CANARY), ("X-Hansi", CANARY)], "rest"),
        ("DELETE", f"/v1/users/{CANARY}%00/rest", None, [], "rest"),
        ("GET", f"/v1/users/{CANARY}/rest", None, [("Support-Code", CANARY)], "support"),
        ("GET", f"/v1/users/{CANARY}/explain", None, [("Support-Code", CANARY)], "support"),
        ("POST", f"/v1/users/{CANARY}/link", None, [], "rest"),
        ("POST", "/v1/me/token", {"link": CANARY}, [], "rest"),
        *(("POST", "/v1/me/token", body, [], "rest") for body in ({far: 1}, {"link": [far]}, {"link": 1, far: far})),
        ("GET", f"/v1/users/{CANARY}/devices/{CANARY}", None, [], "devices"),
        ("DELETE", f"/v1/users/{CANARY}/devices/{CANARY}", None, [], "devices"),
        ("DELETE", f"/v1/users/{CANARY}/rest", None, [("If-Match", f'"{CANARY}"')], "rest"),
        ("PUT", f"/v1/users/{CANARY}/devices/{CANARY}%0a", {**APNS}, [], "devices"),
        *(("PUT", DEVICE, {**APNS, name: far}, [], "devices") for name in ("platform", "app", "token", far)),
        ("PUT", REST, {"timezone": CANARY}, [], "rest"),
        ("PUT", REST, {far: CANARY}, [], "rest"),
        ("PUT", REST, {"windows": CANARY, "overrides": {CANARY: CANARY}}, [], "rest"),
        *(
            ("PUT", REST, {"windows": [{**window, name: [far]}]}, [], "rest")
            for name in ("kind", "start", "duration_minutes", "id", "label", far)
        ),
        ("PUT", REST, {"windows": [{**window, "start": far}]}, [], "rest"),
        ("PUT", REST, {"overrides": [{"kind": far}, {"kind": "rest", "start": far, "end": far}]}, [], "rest"),
        ("PUT", REST, NIGHT, [("If-Match", CANARY)], "rest"),
    ]  # fmt: skip


async def test_no_error_repeats_what_came_in(house: House, autojump_clock: MockClock) -> None:
    """Errors are logged by whoever receives them: they must not become the place where a user id stands."""
    said: list[Answer] = []
    for method, target, body, headers, key in with_canaries():
        said.append(await house.ask(method, target, body, key=key, headers=headers))
        assert said[-1].status >= 400, (method, target, body)
    said.append(await house.ask("POST", "/v1/events", b"{}", key="backend", form=f"text/{CANARY}"))
    for raw in (
        f"{CANARY} / HTTP/1.1\r\nHost: {CANARY}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: {CANARY}\r\nHost: {CANARY}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\n{CANARY} : {CANARY}\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {CANARY}\r\n\r\n",
        f"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {CANARY}\r\n\r\n",
        f"GET / HTTP/1.1\r\nHost: a\r\nX: {CANARY * 1000}\r\n\r\n",
        f"GET /{CANARY} HTTP/9.{CANARY}\r\nHost: a\r\n\r\n",
    ):
        said += [await house.connect().ask(raw.encode())]
    for answer in said:
        assert "hansi" not in (repr(answer.headers) + answer.body.decode()).lower()
    assert {answer.status for answer in said} >= {400, 401, 403, 404, 405, 415, 422, 431}
    assert all(answer.header("content-type") == "application/problem+json" for answer in said)


# --- whatever comes

NAMES = st.sampled_from(
    ["user", "users", "class", "at", "ttl", "role", "reason", "events", "seen", "platform", "app", "token", "timezone",
     "windows", "overrides", "kind", "start", "end", "duration_minutes", "label", CANARY + " "],
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4),
    st.sampled_from(
        [CANARY, "anna", "alarm", "message", "dispatch", "incident", "apns", "none", "ios", TOKEN, "cron", "once",
         "rest", "reachable", "0 22 * * *", "2026-11-24T21:55:00Z", "2026-11-24T21:55", "Europe/Berlin", 480, NOON,
         NOON + 1, 10**400]
    ),
)  # fmt: skip
JSON_LIKE = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=5)),
    max_leaves=15,
)
ONLY_MSGPACK = st.one_of(
    st.binary(max_size=5),
    st.integers(-(2**63), 2**64 - 1),
    st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4)),
    st.builds(msgpack.Timestamp, st.integers(-(2**60), 2**60)),
)
MSGPACK_LIKE = st.recursive(
    st.one_of(LEAVES.filter(lambda v: not isinstance(v, int) or -(2**63) <= v < 2**64), ONLY_MSGPACK),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(NAMES, st.binary(max_size=3), st.integers(0, 9)), inner, max_size=5),
    ),
    max_leaves=15,
)
CONTENT = st.one_of(
    JSON_LIKE.map(lambda value: (JSON, PACK[JSON](value))),
    MSGPACK_LIKE.map(lambda value: (MSGPACK, PACK[MSGPACK](value))),
    st.tuples(st.sampled_from([JSON, MSGPACK]), st.binary(max_size=40)),
)
CALLS = st.tuples(
    st.sampled_from([(method, target, scope) for method, target, _, scope in ROUTES]),
    CONTENT,
    st.dictionaries(
        st.sampled_from([b"idempotency-key", b"if-match", b"if-none-match", b"support-code"]),
        st.one_of(st.sampled_from([b"k", b"*", b'"1"', b'"2"']), st.binary(max_size=5)),
        max_size=2,
    ),
)
KEY_FOR: Mapping[Scope, str] = {
    Scope.EVENTS: "control",
    Scope.DEVICES: "devices",
    Scope.REST: "rest",
    Scope.SUPPORT: "support",
}


@given(st.lists(CALLS, min_size=1, max_size=12))
@settings(max_examples=50)
def test_no_body_is_a_fault_of_ours(
    calls: list[tuple[tuple[str, str, Scope], tuple[str, bytes], dict[bytes, bytes]]],
) -> None:
    """Whatever is sent to whichever route in whichever order: an answer a client can act on, and balanced books."""

    async def main() -> None:
        async with open_house() as house:
            await house.register("anna")
            for (method, target, scope), (form, content), headers in calls:
                name, value = bearer(KEY_FOR[scope])
                fields = {**headers, name.lower().encode(): value.encode(), b"content-type": form.encode()}
                answer = await house.router(Request(method.encode(), target.encode(), fields, content))
                assert answer.status in (200, 201, 202, 204, 304, 400, 403, 404, 412, 413, 422)
                assert answer.status < 400 or CANARY.encode() not in answer.body
                assert house.failures == []
            assert house.people.books.balance(house.people.pending()) == []

    trio.run(main, clock=MockClock(autojump_threshold=0))


@given(st.binary(max_size=40), st.sampled_from([b"GET", b"PUT", b"DELETE", b"POST"]), st.binary(max_size=30))
@settings(max_examples=60)
def test_no_path_is_a_fault_of_ours(path: bytes, method: bytes, authorization: bytes) -> None:
    async def main() -> None:
        async with open_house() as house:
            for prefix in (b"/", b"/v1/users/", b"/v1/users/anna/devices/"):
                for suffix in (b"", b"/rest", b"/devices/phone"):
                    target = prefix + path + suffix
                    for value in (authorization, bearer("rest")[1].encode(), bearer("devices")[1].encode()):
                        answer = await house.router(Request(method, target, {b"authorization": value}, b""))
                        assert answer.status in (401, 403, 404, 405, 415, 422)

    trio.run(main, clock=MockClock(autojump_threshold=0))
