"""Sessions: who begins one, how long it is good, what ends it, and that none can be begun where everybody asks."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from relay.core.passes import Passes, PassKind
from relay.doors.door import event_door
from relay.doors.http1 import Request, Response
from relay.doors.keys import Keys
from relay.doors.sessions import for_the_web
from relay.store.port import StoreError
from schedules import parse
from tests.relay.doors.house import NIGHT, NOON, House, open_house, tenant, usual_keys
from tests.relay.doors.http_client import JSON, Field

MINUTE = 60.0


async def ask_web(
    house: House, method: str, path: str, body: object = None, vouched: tuple[str, ...] = ("north", "south")
) -> Response:
    """One request on the officers' door's own socket."""
    router = event_door(
        Keys([]), house.engine, house.clock.now, lambda owner: house.records[owner.name], parse,
        house.failures.append, for_the_web(vouched),
    )  # fmt: skip
    content = b"" if body is None else msgspec.json.encode(body)
    return await router(Request(method.encode(), path.encode(), {b"content-type": JSON.encode()}, content))


def told(answer: Response) -> Any:  # noqa: ANN401 (whatever the answer holds)
    return msgspec.json.decode(answer.body)


async def link(house: House, user: str = "anna") -> str:
    return str((await house.ask("POST", f"/v1/users/{user}/link", key="rest")).json["link"])


async def begin(house: House, user: str = "anna", owner: str = "north") -> Field:
    answer = await ask_web(house, "POST", "/v1/door/session", {"tenant": owner, "user": user})
    assert answer.status == 201
    return ("Authorization", f"Bearer {told(answer)['session']}")


async def status(house: House, officer: Field, method: str = "GET", what: str = "devices") -> int:
    return (await house.ask(method, f"/v1/me/{what}", headers=[officer])).status


async def sessions(house: House, officer: Field) -> list[dict[str, Any]]:
    answer = await house.ask("GET", "/v1/me/sessions", headers=[officer])
    assert answer.status == 200
    return list(answer.json["sessions"])


async def test_a_link_is_changed_for_a_session_once_and_that_is_good_where_a_token_is(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna")
    secret = await link(house)
    answer = await ask_web(house, "POST", "/v1/me/session", {"link": secret})
    session = told(answer)["session"]
    assert (answer.status, told(answer)) == (201, {"session": session, "idle": 1800, "expires_in": 43_200})
    assert (b"cache-control", b"no-store") in answer.headers
    officer = ("Authorization", f"Bearer {session}")
    assert (await house.ask("PUT", "/v1/me/rest", NIGHT, headers=[officer])).status == 201
    assert (await house.ask("GET", "/v1/me/rest", headers=[officer])).json == NIGHT
    again = await ask_web(house, "POST", "/v1/me/session", {"link": secret})
    assert (again.status, told(again)["type"]) == (403, "/problems/link")


async def test_whom_nobody_knows_is_told_from_a_bad_link_by_nothing(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    bad = await ask_web(house, "POST", "/v1/me/session", {"link": "x" * 43})
    assert bad.status == 403
    for owner, user in (("north", "nobody"), ("south", "anna"), ("north", ""), ("north", "x" * 300), ("north", "\n")):
        answer = await ask_web(house, "POST", "/v1/door/session", {"tenant": owner, "user": user})
        assert (answer.status, answer.body, answer.headers) == (403, bad.body, bad.headers)
    assert house.people.passes.by_key == {}


@pytest.mark.parametrize(
    "body", [{}, {"user": "anna"}, {"tenant": "north", "user": 5}, {"tenant": None, "user": "anna"}]
)
async def test_what_names_nobody_is_refused_by_its_paths(house: House, autojump_clock: MockClock, body: object) -> None:
    answer = await ask_web(house, "POST", "/v1/door/session", body)
    assert (answer.status, told(answer)["type"]) == (422, "/problems/validation")


async def test_where_no_provider_vouches_a_link_is_the_only_way_in(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    anna, secret = {"tenant": "north", "user": "anna"}, await link(house)
    answer = await ask_web(house, "POST", "/v1/door/session", anna, vouched=("south",))
    assert (answer.status, told(answer)["type"]) == (403, "/problems/link")
    assert (await ask_web(house, "POST", "/v1/me/session", {"link": secret}, vouched=())).status == 201


@pytest.mark.parametrize("path", ["/v1/me/session", "/v1/door/session"])
async def test_at_the_door_that_everybody_reaches_no_session_is_begun(
    house: House, autojump_clock: MockClock, path: str
) -> None:
    await house.register("anna")
    for body in ({"link": await link(house)}, {"tenant": "north", "user": "anna"}):
        answer = await house.ask("POST", path, body, key="rest")
        assert (answer.status, answer.json["type"]) == (404, "/problems/not-found")
    assert b"/session" not in (await house.ask("GET", "/v1/openapi.json")).body.replace(b"/v1/me/sessions", b"")


async def test_a_session_is_one_of_its_tenant_only(autojump_clock: MockClock) -> None:
    north, south = tenant("north"), tenant("south")
    async with open_house(tenants=[north, south], keys=[*usual_keys(north), *usual_keys(south, "s-")]) as house:
        await house.register("anna")
        await house.register("anna", key="s-devices")
        await house.ask("PUT", "/v1/users/anna/rest", NIGHT, key="rest")
        assert await status(house, await begin(house, "anna", "north"), what="rest") == 200
        assert await status(house, await begin(house, "anna", "south"), what="rest") == 404


async def test_a_session_that_is_not_used_ends_and_asking_keeps_it(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await begin(house)
    commits = house.store.commits
    for _ in range(3):
        await trio.sleep(29 * MINUTE)
        assert await status(house, officer) == 200
    await trio.sleep(30 * MINUTE)
    assert await status(house, officer) == 401
    assert house.store.commits == commits, "asking writes nothing"


async def test_those_that_ended_for_want_of_use_make_room_before_one_that_is_used(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna")
    used = await begin(house)
    await trio.sleep(MINUTE)
    for _ in range(4):
        await begin(house)
    for _ in range(3):
        await trio.sleep(20 * MINUTE)
        assert await status(house, used) == 200
    await begin(house)
    assert await status(house, used) == 200


async def test_a_session_ends_after_twelve_hours_however_much_it_is_used(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna")
    officer = await begin(house)
    for _ in range(47):
        await trio.sleep(15 * MINUTE)
        assert await status(house, officer) == 200
    await trio.sleep(15 * MINUTE)
    assert await status(house, officer) == 401


async def test_uses_are_noted_in_one_commit_and_a_restart_forgets_those_after_it(
    house: House, autojump_clock: MockClock
) -> None:
    for user in ("anna", "bert"):
        await house.register(user)
    officers = [await begin(house, user) for user in ("anna", "bert")]
    await trio.sleep(20 * MINUTE)
    for officer in officers:
        assert await status(house, officer) == 200
    commits = house.store.commits
    await house.engine.note_uses()
    assert house.store.commits == commits + 1
    await house.engine.note_uses()
    assert house.store.commits == commits + 1, "nothing is to be noted"
    await trio.sleep(20 * MINUTE)
    assert await status(house, officers[0]) == 200
    house.people.passes = Passes(house.store.load().passes)
    await trio.sleep(10 * MINUTE - 1)
    assert await status(house, officers[0]) == 200
    await trio.sleep(1)
    assert await status(house, officers[1]) == 401


async def test_a_store_that_fails_costs_no_use(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await begin(house)
    await trio.sleep(MINUTE)
    await status(house, officer)
    house.store.fail_next = StoreError("disk full")
    await house.engine.note_uses()
    assert house.failures == []
    await trio.sleep(1)
    await house.engine.note_uses()
    (known,) = house.store.load().passes.values()
    assert (known.kind, known.noted) == (PassKind.SESSION, NOON + MINUTE)


async def test_an_officer_sees_what_is_open_and_ends_the_others(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.register("bert")
    token = await house.officer()
    await trio.sleep(MINUTE)
    mine, other = await begin(house), await begin(house)
    bert = await begin(house, "bert")
    await link(house)
    await trio.sleep(MINUTE)
    assert await status(house, other) == 200
    await trio.sleep(MINUTE)
    session = {"kind": "session", "begun_at": NOON + 60, "expires_at": NOON + 60 + 43_200}
    assert await sessions(house, mine) == [
        {**session, "used_at": NOON + 180, "this": True},
        {**session, "used_at": NOON + 120, "this": False},
        {"kind": "token", "begun_at": NOON, "used_at": NOON, "expires_at": NOON + 30 * 86_400, "this": False},
    ]
    assert await status(house, mine, "DELETE", "sessions") == 204
    assert [known["this"] for known in await sessions(house, mine)] == [True]
    assert [await status(house, one) for one in (token, other, bert)] == [401, 401, 200]
    kinds = sorted(known.kind for known in house.people.passes.by_key.values())
    assert kinds == [PassKind.LINK, PassKind.SESSION, PassKind.SESSION]


async def test_what_has_ended_is_not_shown(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await begin(house)
    await trio.sleep(30 * MINUTE)
    assert len(await sessions(house, await begin(house))) == 1


@pytest.mark.parametrize("is_session", [True, False])
async def test_whatever_asks_may_end_itself_and_no_other(
    house: House, autojump_clock: MockClock, is_session: bool
) -> None:
    await house.register("anna")
    pair = [await begin(house), await house.officer()]
    ended, other = pair if is_session else pair[::-1]
    assert await status(house, ended, "DELETE", "token") == 204
    assert [await status(house, one) for one in (ended, other)] == [401, 200]


async def test_sessions_go_with_their_person(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await begin(house)
    await house.ask("DELETE", "/v1/users/anna", key="devices")
    assert await status(house, officer) == 401
    assert house.people.passes.by_key == {}


async def test_no_key_reads_or_ends_sessions(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await begin(house)
    for key in ("backend", "devices", "rest", "support"):
        for method in ("GET", "DELETE"):
            assert (await house.ask(method, "/v1/me/sessions", key=key)).status == 401
    assert len(house.people.passes.by_key) == 1
