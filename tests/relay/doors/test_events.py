"""POST /v1/events and POST /v1/seen over HTTP, with the real working set behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.core.batch import Bypass
from relay.core.events import DEFAULT_CLASSES, NEVER, EventClass
from relay.doors.keys import Scope
from relay.store.port import StoreError
from tests.relay.doors.house import NOON, Held, House, api_key, bearer, open_house, tenant, usual_keys
from tests.relay.doors.http_client import JSON, MSGPACK, PACK, Answer, chunked, request

ALARM_BODY = {"user": "anna", "class": "alarm", "role": "dispatch", "reason": "incident"}


# --- what is taken


@pytest.mark.parametrize("form", [JSON, MSGPACK])
@pytest.mark.parametrize(
    ("body", "accepted", "unknown", "anna", "bert"),
    [
        ({"user": "anna"}, 1, 0, 1, 0),
        ({"users": ["anna"]}, 1, 0, 1, 0),
        ({"users": ["anna", "bert"]}, 2, 0, 1, 1),
        ({"users": ["anna", "nobody", "bert", "pc-only"]}, 2, 2, 1, 1),
        ({"users": ["anna", "anna", "bert", "anna"]}, 4, 0, 3, 1),
        ({"user": "nobody"}, 0, 1, 0, 0),
        ({"user": "pc-only"}, 0, 1, 0, 0),
        ({"user": "Anna"}, 0, 1, 0, 0),
        ({"events": [{"user": "anna"}, {"users": ["anna", "bert"]}, {"user": "nobody"}]}, 3, 1, 2, 1),
        ({"events": [{"user": "anna", "class": "message", "at": NOON, "ttl": 60}]}, 1, 0, 1, 0),
        ({"events": [{"user": "anna"}, {"user": "bert"}, {"user": "anna", "ttl": 9}, {"user": "x"}]}, 3, 1, 2, 1),
        ({"user": "anna", "users": None, "class": None, "at": None, "ttl": None, "events": None}, 1, 0, 1, 0),
    ],
)
async def test_the_answer_counts_notices_and_recipients_with_nobody_to_wake(
    house: House, autojump_clock: MockClock, form: str, body: object, accepted: int, unknown: int, anna: int, bert: int
) -> None:
    """A recipient who stands twice is counted twice and pending once per notice; nobody to wake is no error."""
    await house.register("anna")
    await house.register("bert")
    await house.ask("PUT", "/v1/users/pc-only/devices/pc", {"platform": "none"}, key="devices")
    answer = await house.post(body, form=form)
    assert (answer.status, answer.json) == (202, {"accepted": accepted, "unknown": unknown})
    assert (house.pending("anna"), house.pending("bert")) == (anna, bert)
    assert house.account().accepted == accepted
    assert house.people.books.balance(house.people.pending()) == []


async def test_a_user_whose_last_phone_has_left_is_unknown(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.ask("DELETE", "/v1/users/anna/devices/phone", key="devices")
    assert (await house.post({"user": "anna"})).json == {"accepted": 0, "unknown": 1}


async def test_every_class_of_the_tenant_has_its_own_slot(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.post({"events": [{"user": "anna"}, {"user": "anna", "class": "roster"}]})
    assert (house.pending("anna", "message"), house.pending("anna", "roster")) == (1, 1)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (NOON - 60, NOON - 60),
        (int(NOON) - 60, NOON - 60),
        (NOON - 60.5, NOON - 60.5),
        ("2026-11-24T11:59:00Z", NOON - 60),
        ("2026-11-24T12:59:00+01:00", NOON - 60),
        (0, 0.0),
        (NOON + 300, NOON + 300),
        (None, NOON),
    ],
)
@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_the_instant_of_an_event_is_its_own_or_its_arrival(
    house: House, autojump_clock: MockClock, form: str, at: object, expected: float
) -> None:
    await house.register("anna")
    assert (await house.post({"user": "anna", "at": at}, form=form)).status == 202
    person = house.person("anna")
    assert person is not None
    assert person.slots["message"].last_at == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, NEVER),
        ({"ttl": 60}, NOON + 60),
        ({"ttl": 0.5}, NOON + 0.5),
        ({"ttl": 28 * 86400}, NOON + 28 * 86400),
        ({"ttl": 60, "at": NOON - 30}, NOON + 30),
        ({"ttl": 60, "at": "2026-11-24T11:59:30Z"}, NOON + 30),
    ],
)
async def test_a_message_lives_from_its_own_instant(
    house: House, autojump_clock: MockClock, fields: dict[str, object], expected: float
) -> None:
    await house.register("anna")
    await house.post({"user": "anna", **fields})
    person = house.person("anna")
    assert person is not None
    assert person.slots["message"].expires_at == expected


async def test_as_many_recipients_as_the_limit_are_taken_in_one_commit(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    commits = house.store.commits
    half = [{"users": ["anna"] * 12_500}, {"users": [f"u{index}" for index in range(12_500)]}]
    answer = await house.post({"events": half})
    assert (answer.status, answer.json) == (202, {"accepted": 12_500, "unknown": 12_500})
    assert house.pending("anna") == 12_500
    assert house.store.commits == commits + 1


@pytest.mark.parametrize(
    "body",
    [
        {"users": ["anna"] * 25_001},
        {"events": [{"user": "anna"}] * 25_001},
        {"events": [{"users": ["anna"] * 25_000}, {"user": "anna"}]},
    ],
)
async def test_more_recipients_than_the_limit_are_refused_whole(
    house: House, autojump_clock: MockClock, body: object
) -> None:
    await house.register("anna")
    before = house.snapshot()
    answer = await house.post(body, form=MSGPACK)
    assert (answer.status, answer.json["type"]) == (413, "/problems/too-large")
    assert house.snapshot() == before


LARGE = b'{"user":"anna"' + b" " * (4 * 2**20 - 15) + b"}"


async def test_a_body_may_have_four_mebibytes(house: House, autojump_clock: MockClock) -> None:
    """Declared or chunked; one byte more is 413, and nothing of it was taken."""
    await house.register("anna")
    assert len(LARGE) == 4 * 2**20
    fields = [bearer("backend"), ("Content-Type", JSON)]
    pieces = [LARGE[start : start + 2**19] for start in range(0, len(LARGE), 2**19)]
    statuses = []
    for data in (
        request("POST", "/v1/events", LARGE, fields),
        chunked("POST", "/v1/events", pieces, fields),
        request("POST", "/v1/events", LARGE + b" ", fields),
        chunked("POST", "/v1/events", [*pieces, b" "], fields),
    ):
        client = house.connect()
        statuses.append((await client.ask(data)).status)
        await client.aclose()
    assert statuses == [202, 202, 413, 413]
    assert house.pending("anna") == 2


# --- what is refused

FAULTS: list[tuple[object, list[str]]] = [
    ({}, ["user"]),
    ({"user": None}, ["user"]),
    ({"user": "anna", "users": ["bert"]}, ["user"]),
    ({"users": []}, ["users"]),
    ({"user": "anna", "class": "unheard"}, ["class"]),
    ({"user": "anna", "class": ""}, ["class"]),
    ({"user": "anna", "at": "yesterday"}, ["at"]),
    ({"user": "anna", "at": "2026-11-24T12:00:00"}, ["at"]),
    ({"user": "anna", "at": -1}, ["at"]),
    ({"user": "anna", "at": NOON + 301}, ["at"]),
    ({"user": "anna", "at": 1e300}, ["at"]),
    ({"user": "anna", "at": NOON * 1000}, ["at"]),
    ({"user": "anna", "ttl": 0}, ["ttl"]),
    ({"user": "anna", "ttl": -5}, ["ttl"]),
    ({"user": "anna", "ttl": 28 * 86400 + 1}, ["ttl"]),
    ({"user": "anna", "ttl": 1e300}, ["ttl"]),
    ({"user": "anna", "ttl": "60"}, ["ttl"]),
    ({"user": "anna", "ttl": True}, ["ttl"]),
    ({"user": "anna", "role": "dispatch"}, ["role"]),
    ({"user": "anna", "reason": "incident"}, ["reason"]),
    ({"user": "anna", "Class": "message"}, ["Class"]),
    ({"user": "anna", "seen": []}, ["seen"]),
    ({"events": []}, ["events"]),
    ({"events": [{"user": "anna"}, {"events": [{"user": "anna"}]}]}, ["events[1].events"]),
    ({"events": [{"user": "anna"}, {}, {"users": []}, {"user": "anna", "class": "x", "at": -1}]},
     ["events[1].user", "events[2].users", "events[3].class"]),
    ({"events": [{"user": "anna", "at": -1, "ttl": 0, "role": "x"}]},
     ["events[0].at", "events[0].ttl", "events[0].role"]),
    *(({"events": [{"user": "anna"}], name: value}, [name]) for name, value in
      {"user": "anna", "users": ["anna"], "class": "alarm", "at": NOON, "ttl": 5, "role": "x", "reason": "x"}.items()),
]  # fmt: skip


@pytest.mark.parametrize(("body", "paths"), FAULTS, ids=lambda value: str(value)[:60])
@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_a_faulty_request_is_refused_whole_with_every_path(
    house: House, autojump_clock: MockClock, form: str, body: object, paths: list[str]
) -> None:
    """The first event may be right: nothing of the request is taken."""
    await house.register("anna")
    before = house.snapshot()
    answer = await house.post(body, form=form)
    assert (answer.status, answer.json["type"]) == (422, "/problems/validation")
    assert answer.paths == paths
    assert house.snapshot() == before


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["at", "ttl"])
async def test_numbers_without_a_value_are_refused(
    house: House, autojump_clock: MockClock, name: str, value: float
) -> None:
    """MessagePack can say them."""
    answer = await house.post({"user": "anna", name: value}, form=MSGPACK)
    assert (answer.status, answer.paths) == (422, [name])


@pytest.mark.parametrize("item", [{"user": "anna", "class": "x"}, {"user": 5}])
async def test_a_hundred_faults_are_listed_and_no_more(house: House, autojump_clock: MockClock, item: object) -> None:
    answer = await house.post({"events": [item] * 500})
    name = "class" if isinstance(item, dict) and "class" in item else "user"
    assert answer.paths == [f"events[{index}].{name}" for index in range(100)]


@pytest.mark.parametrize(
    ("content", "content_type", "status", "kind"),
    [
        (b"{", JSON, 400, "malformed"),
        (b"", JSON, 400, "malformed"),
        (b"\xc1", MSGPACK, 400, "malformed"),
        (b'{"user":"anna"}', MSGPACK, 400, "malformed"),
        (b'{"user":"anna"}', "text/plain", 415, "media-type"),
        (b"user=anna", "application/x-www-form-urlencoded", 415, "media-type"),
    ],
)
async def test_what_cannot_be_read(
    house: House, autojump_clock: MockClock, content: bytes, content_type: str, status: int, kind: str
) -> None:
    await house.register("anna")
    before = house.snapshot()
    answer = await house.ask("POST", "/v1/events", content, key="backend", form=content_type)
    assert (answer.status, answer.json["type"]) == (status, f"/problems/{kind}")
    assert house.snapshot() == before


async def test_without_a_content_type_nothing_is_guessed(house: House, autojump_clock: MockClock) -> None:
    answer = await house.connect().ask(request("POST", "/v1/events", b'{"user":"anna"}', [bearer("backend")]))
    assert answer.status == 415


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "user": st.sampled_from(["anna", "nobody", "", 5, None]),
            "users": st.one_of(st.none(), st.lists(st.sampled_from(["anna", "bert", ""]), max_size=3)),
            "class": st.sampled_from(["message", "roster", "alarm", "x", None]),
            "at": st.sampled_from([NOON, NOON - 5, NOON + 1e6, "2026-11-24T11:00:00Z", "x", True, None]),
            "ttl": st.sampled_from([60, 0, 0.5, "x", None]),
            "x": st.just(1),
        },
    )
)
@settings(max_examples=40)
def test_json_and_messagepack_are_answered_alike(body: Mapping[str, Any]) -> None:
    def outcome(form: str) -> tuple[int, bytes, int, int]:
        async def main() -> tuple[int, bytes, int, int]:
            async with open_house() as house:
                await house.register("anna")
                answer = await house.post(body, form=form)
                return answer.status, answer.body, house.pending("anna", "message"), house.pending("anna", "roster")

        return trio.run(main, clock=MockClock(autojump_threshold=0))

    assert outcome(JSON) == outcome(MSGPACK)


# --- Idempotency-Key


@pytest.mark.parametrize("body", [{"user": "anna"}, {"users": ["anna", "nobody"]}])
async def test_a_repeated_request_has_the_same_answer_and_is_booked_once(
    house: House, autojump_clock: MockClock, body: object
) -> None:
    await house.register("anna")
    first = await house.post(body, idempotency_key="k-1")
    before = house.snapshot()
    again = await house.post(body, idempotency_key="k-1")
    assert (again.status, again.body) == (first.status, first.body)
    assert house.snapshot()[0] == before[0]
    assert house.account().accepted == 1


async def test_the_same_body_is_the_same_request_however_its_type_is_spelled(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna")
    content = PACK[JSON]({"user": "anna"})
    for form in (JSON, "application/JSON; charset=utf-8"):
        answer = await house.post(content, form=form, idempotency_key="k-1")
        assert (answer.status, answer.json) == (202, {"accepted": 1, "unknown": 0})
    assert house.pending("anna") == 1


async def test_a_repeated_request_has_the_first_answer_although_the_world_has_changed(
    house: House, autojump_clock: MockClock
) -> None:
    first = await house.post({"user": "anna"}, idempotency_key="k-1")
    await house.register("anna")
    again = await house.post({"user": "anna"}, idempotency_key="k-1")
    assert first.json == again.json == {"accepted": 0, "unknown": 1}
    assert house.pending("anna") == 0


async def test_another_body_under_the_same_key_is_refused(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.post({"user": "anna"}, idempotency_key="k-1")
    before = house.snapshot()
    for body, form in (({"user": "bert"}, JSON), ({"user": "anna", "ttl": 5}, JSON), ({"user": "anna"}, MSGPACK)):
        answer = await house.post(body, form=form, idempotency_key="k-1")
        assert (answer.status, answer.json["type"]) == (422, "/problems/idempotency")
    assert house.snapshot() == before


async def test_a_refused_request_does_not_use_up_its_key(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    assert (await house.post({"user": "anna", "ttl": 0}, idempotency_key="k-1")).status == 422
    assert (await house.post({"user": "anna"}, idempotency_key="k-1")).status == 202


async def test_a_key_is_forgotten_after_a_day(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.post({"user": "anna"}, idempotency_key="k-1")
    began = house.clock.now()
    autojump_clock.jump(86_390)
    await house.post({"user": "anna"}, idempotency_key="k-1")
    assert house.pending("anna") == 1
    autojump_clock.jump(began + 86_400 - house.clock.now())
    assert (await house.post({"users": ["anna", "bert"]}, idempotency_key="k-1")).status == 202
    assert house.pending("anna") == 2


async def test_the_same_key_of_another_api_key_is_another_request(autojump_clock: MockClock) -> None:
    north = tenant()
    keys = [*usual_keys(north), api_key("second", north, Scope.EVENTS)]
    async with open_house(tenants=[north], keys=keys) as house:
        await house.register("anna")
        await house.post({"user": "anna"}, idempotency_key="k-1")
        await house.post({"user": "anna"}, idempotency_key="k-1", key="second")
        assert house.pending("anna") == 2
        assert (await house.post({"users": ["anna"]}, idempotency_key="k-1", key="control")).status == 202


async def concurrently(house: House, held: Held, bodies: list[object], **headers: str) -> list[Answer]:
    """Post all in one commit: while another commit is held, they gather behind it."""
    answers: list[Answer | None] = [None] * len(bodies)

    async def ask(index: int, body: object) -> None:
        answers[index] = await house.post(body, **headers)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(house.post, {"user": "zoe"})
        await wait_all_tasks_blocked()
        for index, body in enumerate(bodies):
            nursery.start_soon(ask, index, body)
        await wait_all_tasks_blocked()
        assert answers == [None] * len(bodies)
        commits = house.store.commits
        held.release()
    assert house.store.commits == commits + 2
    return [answer for answer in answers if answer is not None]


async def test_the_same_request_twice_in_one_commit_is_booked_once(autojump_clock: MockClock) -> None:
    held = Held()
    async with open_house(executor=held) as house:
        await registered(house, held)
        answers = await concurrently(house, held, [{"user": "anna"}] * 3, idempotency_key="k-1")
        assert [(answer.status, answer.json["accepted"]) for answer in answers] == [(202, 1)] * 3
        assert house.pending("anna") == 1


async def test_two_bodies_under_one_key_in_one_commit(autojump_clock: MockClock) -> None:
    """One is taken, the other refused, and the refusal does not harm the one."""
    held = Held()
    async with open_house(executor=held) as house:
        await registered(house, held)
        bodies: list[object] = [{"user": "anna"}, {"users": ["anna", "anna"]}]
        answers = await concurrently(house, held, bodies, idempotency_key="k-1")
        assert sorted(answer.status for answer in answers) == [202, 422]
        assert house.pending("anna") == next(a.json["accepted"] for a in answers if a.status == 202)


async def registered(house: House, held: Held) -> None:
    """Register phones through an executor that is held, and hold it again."""
    held.release()
    await house.register("anna")
    await house.register("zoe")
    held.gate = trio.Event()


@pytest.mark.parametrize("value", ["a b", "ä", "x" * 256, "a\tb"])
async def test_an_idempotency_key_is_visible_ascii_of_at_most_255(
    house: House, autojump_clock: MockClock, value: str
) -> None:
    answer = await house.post({"user": "anna"}, idempotency_key=value)
    assert (answer.status, answer.paths) == (422, ["header.Idempotency-Key"])


@pytest.mark.parametrize("value", ["x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "!"])
async def test_what_may_be_an_idempotency_key(house: House, autojump_clock: MockClock, value: str) -> None:
    assert (await house.post({"user": "anna"}, idempotency_key=value)).status == 202


async def test_an_idempotency_key_is_not_kept_in_clear(house: House, autojump_clock: MockClock) -> None:
    """The backend may have put anything into it."""
    await house.post({"user": "anna"}, idempotency_key="kanarienvogel")
    (kept,) = house.people.remembered
    assert b"kanarien" not in kept


# --- classes that pierce rest


async def test_an_alarm_is_taken_and_leaves_its_record(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    body = {**ALARM_BODY, "user": None, "users": ["anna", "nobody"]}
    answer = await house.post(body, key="control", idempotency_key="k-1")
    (receipt,) = house.people.receipts
    assert (answer.status, answer.json) == (202, {"accepted": 1, "unknown": 1, "receipt": receipt.hex()})
    name = house.tenants["north"].pseudonyms.user
    (record,) = house.store.bypasses
    assert replace(record, sealed=b"") == Bypass(
        "north", "alarm", house.clock.now(), "control", "dispatch", "incident", 2, over_rate=False
    )
    woken = [
        user for user in ("anna", "bert", "nobody") if house.records["north"].is_recipient(name(user), record.sealed)
    ]
    assert woken == ["anna", "nobody"]
    assert house.pending("anna", "alarm") == 1


async def test_an_alarm_needs_the_scope_alarms(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    before = house.snapshot()
    for body in (ALARM_BODY, {"events": [{"user": "anna"}, ALARM_BODY]}):
        answer = await house.post(body, key="backend", idempotency_key="k-1")
        assert (answer.status, answer.json["type"]) == (403, "/problems/forbidden")
    assert house.snapshot() == before


@pytest.mark.parametrize(
    ("fields", "key", "paths"),
    [
        ({}, None, ["header.Idempotency-Key"]),
        ({}, "", ["header.Idempotency-Key"]),
        ({"role": None}, "k", ["role"]),
        ({"reason": None}, "k", ["reason"]),
        ({"role": "Dispatch"}, "k", ["role"]),
        ({"role": ""}, "k", ["role"]),
        ({"reason": "because I say so"}, "k", ["reason"]),
        ({"role": "janitor", "reason": "fun"}, None, ["role", "reason", "header.Idempotency-Key"]),
    ],
)
async def test_an_alarm_needs_role_reason_and_idempotency_key(
    house: House, autojump_clock: MockClock, fields: dict[str, object], key: str | None, paths: list[str]
) -> None:
    """Codes from configured lists, never free text; everything that is missing is said at once."""
    await house.register("anna")
    before = house.snapshot()
    headers = {} if key is None else {"idempotency_key": key}
    answer = await house.post({**ALARM_BODY, **fields}, key="control", **headers)
    assert (answer.status, answer.paths) == (422, paths)
    assert house.snapshot() == before


async def test_a_class_that_pierces_some_rest_needs_them_too_and_is_recorded(autojump_clock: MockClock) -> None:
    """And is no alarm for all that: no receipt."""
    roster = EventClass(
        name="roster", through=frozenset({"free"}), roles=frozenset({"planner"}), reasons=frozenset({"change"})
    )
    north = replace(tenant(), classes={c.name: c for c in (*DEFAULT_CLASSES, roster)})
    async with open_house(tenants=[north]) as house:
        await house.register("anna")
        plain = await house.post({"user": "anna", "class": "roster"}, key="control", idempotency_key="k-1")
        assert (plain.status, plain.paths) == (422, ["role", "reason"])
        body = {"user": "anna", "class": "roster", "role": "planner", "reason": "change"}
        assert (await house.post(body, key="backend", idempotency_key="k-1")).status == 403
        answer = await house.post(body, key="control", idempotency_key="k-1")
        assert (answer.status, answer.json) == (202, {"accepted": 1, "unknown": 0})
        (record,) = house.store.bypasses
        assert (record.event_class, record.role, record.reason) == ("roster", "planner", "change")


async def test_a_class_has_its_own_cap_on_recipients(house: House, autojump_clock: MockClock) -> None:
    before = house.snapshot()
    users = [f"u{index}" for index in range(21)]
    body = {**ALARM_BODY, "user": None}
    answer = await house.post({**body, "users": users}, key="control", idempotency_key="k-1")
    assert (answer.status, answer.json["type"]) == (413, "/problems/too-large")
    assert house.snapshot() == before
    answer = await house.post({**body, "users": users[:20]}, key="control", idempotency_key="k-1")
    assert answer.status == 202


async def test_alarms_over_the_rate_are_flagged_and_never_refused(house: House, autojump_clock: MockClock) -> None:
    """Per role, and within an hour: a wrong refusal costs more than a wrong ring."""

    async def alarm(number: int, role: str = "dispatch") -> bool:
        body = {**ALARM_BODY, "role": role}
        answer = await house.post(body, key="control", idempotency_key=f"{role}-{number}")
        assert answer.status == 202
        return house.store.bypasses[-1].over_rate

    assert [await alarm(number) for number in range(5)] == [False, False, False, True, True]
    assert await alarm(0, role="duty") is False
    autojump_clock.jump(3601)
    assert await alarm(5) is False
    assert len(house.store.bypasses) == 7


async def test_the_events_of_one_request_count_for_the_rate_as_well(house: House, autojump_clock: MockClock) -> None:
    await house.post({"events": [ALARM_BODY] * 5}, key="control", idempotency_key="k-1")
    assert [bypass.over_rate for bypass in house.store.bypasses] == [False, False, False, True, True]


async def test_a_repeated_alarm_leaves_no_second_record(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    for _ in range(3):
        assert (await house.post(ALARM_BODY, key="control", idempotency_key="k-1")).status == 202
    assert len(house.store.bypasses) == 1
    assert house.pending("anna", "alarm") == 1


async def test_the_record_of_an_alarm_is_written_in_the_commit_that_accepts_it(
    house: House, autojump_clock: MockClock
) -> None:
    """Neither without the other: not when the commit fails, and not in a commit of its own."""
    await house.register("anna")
    house.store.fail_next = StoreError("disk full")
    answer = await house.post(ALARM_BODY, key="control", idempotency_key="k-1")
    assert answer.status == 503
    assert house.store.bypasses == []
    assert house.pending("anna", "alarm") == 0
    commits = house.store.commits
    assert (await house.post(ALARM_BODY, key="control", idempotency_key="k-1")).status == 202
    assert house.store.commits == commits + 1
    assert len(house.store.bypasses) == 1


async def test_a_plain_event_leaves_no_record(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.post({"user": "anna"}, key="control", idempotency_key="k-1")
    assert house.store.bypasses == []


# --- seen


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ({"user": "anna", "at": NOON}, 0),
        ({"user": "anna"}, 0),
        ({"user": "anna", "at": None}, 0),
        ({"user": "anna", "at": "2026-11-24T12:00:00Z"}, 0),
        ({"user": "anna", "at": "2026-11-24T13:00:00+01:00"}, 0),
        ({"user": "anna", "at": NOON - 0.001}, 1),
        ({"user": "bert"}, 1),
        ({"seen": [{"user": "bert"}, {"user": "anna", "at": NOON}]}, 0),
        ({"seen": [{"user": "anna", "at": NOON - 60}]}, 1),
        ({"seen": [{"user": "nobody"}]}, 1),
        ({"seen": []}, 1),
    ],
)
@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_seen_cancels_what_is_not_newer(
    house: House, autojump_clock: MockClock, form: str, body: object, left: int
) -> None:
    await house.register("anna")
    await house.post({"user": "anna", "at": NOON})
    answer = await house.ask("POST", "/v1/seen", body, key="backend", form=form)
    assert (answer.status, answer.json) == (202, {})
    assert house.pending("anna") == left
    assert house.account().cancelled == 1 - left
    assert house.people.books.balance(house.people.pending()) == []


async def test_seen_never_cancels_an_alarm(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.post(ALARM_BODY, key="control", idempotency_key="k-1")
    await house.ask("POST", "/v1/seen", {"user": "anna"}, key="backend")
    assert house.pending("anna", "alarm") == 1


@pytest.mark.parametrize(
    ("body", "paths"),
    [
        ({}, ["body"]),
        ({"at": NOON}, ["body"]),
        ({"user": "anna", "seen": [{"user": "anna"}]}, ["body"]),
        ({"at": NOON, "seen": [{"user": "anna"}]}, ["body"]),
        ({"user": "anna", "at": "x"}, ["at"]),
        ({"user": "anna", "at": NOON + 301}, ["at"]),
        ({"user": "anna", "at": -1}, ["at"]),
        ({"user": "anna", "class": "message"}, ["class"]),
        ({"user": ""}, ["user"]),
        ({"seen": [{"user": "anna", "at": "x"}, {"user": "anna"}, {"user": "bert", "at": -5}]},
         ["seen[0].at", "seen[2].at"]),
        ({"seen": [{"user": "anna"}, {"at": 5}, {"user": "a", "ttl": 5}]}, ["seen[1].user", "seen[2].ttl"]),
        ({"user": "anna", "active_for": 0}, ["active_for"]),
        ({"user": "anna", "active_for": -1}, ["active_for"]),
        ({"user": "anna", "active_for": 120.001}, ["active_for"]),
        ({"user": "anna", "active_for": "60"}, ["active_for"]),
        ({"user": "anna", "at": -1, "active_for": 121}, ["at", "active_for"]),
        ({"active_for": 5, "seen": [{"user": "anna"}]}, ["body"]),
        ({"seen": [{"user": "anna", "active_for": 5}, {"user": "bert", "active_for": 500}]}, ["seen[1].active_for"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_a_faulty_mark_is_refused_whole_with_every_path(
    house: House, autojump_clock: MockClock, form: str, body: object, paths: list[str]
) -> None:
    await house.register("anna")
    await house.post({"user": "anna"})
    before = house.snapshot()
    answer = await house.ask("POST", "/v1/seen", body, key="backend", form=form)
    assert (answer.status, answer.paths) == (422, paths)
    assert house.snapshot() == before


@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_who_reads_on_elsewhere_is_known_by_the_arrival_of_the_request(
    house: House, autojump_clock: MockClock, form: str
) -> None:
    """Not by `at`: that is when the message was read, by the backend's clock."""
    for user in ("anna", "bert", "carl"):
        await house.register(user)
    marks = [{"user": "anna", "at": NOON - 60, "active_for": 120}, {"user": "bert", "active_for": 0.5}]
    marks += [{"user": "anna", "active_for": 30}, {"user": "carl", "active_for": None}]
    assert (await house.ask("POST", "/v1/seen", {"seen": marks}, key="backend", form=form)).status == 202
    persons = [house.person(user) for user in ("anna", "bert", "carl")]
    assert [p and p.active_until for p in persons] == [NOON + 120, NOON + 0.5, 0.0]
    await house.ask("POST", "/v1/seen", {"user": "carl", "active_for": 1}, key="backend", form=form)
    assert [p and p.active_until for p in persons] == [NOON + 120, NOON + 0.5, NOON + 1]


async def test_active_for_does_not_go_with_events(house: House, autojump_clock: MockClock) -> None:
    assert (await house.post({"user": "anna", "active_for": 5})).paths == ["active_for"]


async def test_as_many_marks_as_recipients(house: House, autojump_clock: MockClock) -> None:
    marks = [{"user": "anna"}] * 25_000
    assert (await house.ask("POST", "/v1/seen", {"seen": marks}, key="backend", form=MSGPACK)).status == 202
    marks.append({"user": "anna"})
    assert (await house.ask("POST", "/v1/seen", {"seen": marks}, key="backend", form=MSGPACK)).status == 413


# --- the commit comes first


@pytest.mark.parametrize("target", ["/v1/events", "/v1/seen"])
async def test_nothing_is_answered_before_the_commit(target: str, autojump_clock: MockClock) -> None:
    """I1: 202 means it is on the disk. However long that takes."""
    held = Held()
    async with open_house(executor=held) as house, trio.open_nursery() as nursery:
        await registered(house, held)
        answers: list[Answer] = []

        async def ask() -> None:
            answers.append(await house.ask("POST", target, {"user": "anna"}, key="backend"))

        held.release()
        await house.post({"user": "anna"})
        held.gate = trio.Event()
        before, pending = house.snapshot(), house.pending("anna")
        nursery.start_soon(ask)
        await trio.sleep(600)
        assert answers == []
        assert house.snapshot() == before
        held.release()
        await wait_all_tasks_blocked()
        assert [answer.status for answer in answers] == [202]
        assert house.pending("anna") == pending + (1 if target == "/v1/events" else -1)


async def test_a_commit_that_fails_is_answered_503_and_nothing_is_taken(
    house: House, autojump_clock: MockClock
) -> None:
    """With a word when to come back; the next attempt is booked once."""
    await house.register("anna")
    before = house.snapshot()
    house.store.fail_next = StoreError("disk full")
    answer = await house.post({"user": "anna"}, idempotency_key="k-1")
    assert (answer.status, answer.json["type"]) == (503, "/problems/unavailable")
    assert int(answer.header("retry-after") or "0") >= 1
    assert b"disk" not in answer.body
    assert house.snapshot() == before
    assert (await house.post({"user": "anna"}, idempotency_key="k-1")).status == 202
    assert house.pending("anna") == 1


async def test_a_relay_that_is_closing_answers_503(house: House, autojump_clock: MockClock) -> None:
    house.journal.close()
    answer = await house.post({"user": "anna"})
    assert (answer.status, answer.header("retry-after") is not None) == (503, True)


def crowd(size: int) -> list[str]:
    """Anna, and others that nobody knows: a commit costs by people."""
    return ["anna", *(f"u{number}" for number in range(size - 1))]


async def test_while_too_much_waits_what_can_be_no_alarm_is_refused_unread(autojump_clock: MockClock) -> None:
    """It is not even JSON. With an Idempotency-Key it is read: it may hold an alarm."""
    held = Held()
    async with open_house(executor=held) as house, trio.open_nursery() as nursery:
        await registered(house, held)
        nursery.start_soon(house.post, {"user": "zoe"})
        await wait_all_tasks_blocked()
        assert (await house.post(b"no JSON")).status == 400
        for _ in range(20):  # the last one has no room
            nursery.start_soon(partial(house.post, {"users": crowd(5_000)}, form=MSGPACK))
        await wait_all_tasks_blocked()
        for path in ("/v1/events", "/v1/seen"):
            answer = await house.ask("POST", path, b"no JSON", key="backend")
            assert answer.status == 429
            assert int(answer.header("retry-after") or "0") >= 1
        assert (await house.post(b"no JSON", idempotency_key="k-1")).status == 400
        held.release()
        await wait_all_tasks_blocked()
        assert (await house.post(b"no JSON")).status == 400


async def test_when_too_much_waits_the_answer_is_429_but_alarms_still_have_room(autojump_clock: MockClock) -> None:
    held = Held()
    async with open_house(executor=held) as house, trio.open_nursery() as nursery:
        await registered(house, held)
        answers: list[Answer] = []

        async def flood() -> None:
            answers.append(await house.post({"users": crowd(25_000)}, form=MSGPACK))

        async def alarm() -> None:
            answers.append(await house.post(ALARM_BODY, key="control", idempotency_key="k-1"))

        nursery.start_soon(house.post, {"user": "zoe"})
        await wait_all_tasks_blocked()
        for _ in range(5):
            nursery.start_soon(flood)
        await wait_all_tasks_blocked()
        nursery.start_soon(alarm)
        await wait_all_tasks_blocked()
        # 25,001 wait for each of them, of 100,000 that may: the fourth and fifth have no room.
        assert [(answer.status, answer.json["type"]) for answer in answers] == [(429, "/problems/overloaded")] * 2
        assert all(int(answer.header("retry-after") or "0") >= 1 for answer in answers)
        held.release()
        await wait_all_tasks_blocked()
        assert sorted(answer.status for answer in answers) == [202] * 4 + [429] * 2
        assert house.pending("anna") == 3
        assert house.pending("anna", "alarm") == 1


async def test_a_client_that_hangs_up_before_its_answer_is_still_booked(autojump_clock: MockClock) -> None:
    """It may have been taken: with an Idempotency-Key the client can ask again and learn it."""
    held = Held()
    async with open_house(executor=held) as house:
        await registered(house, held)
        client = house.connect()
        fields = [bearer("backend"), ("Content-Type", JSON), ("Idempotency-Key", "k-1")]
        await client.send(request("POST", "/v1/events", PACK[JSON]({"user": "anna"}), fields))
        await wait_all_tasks_blocked()
        await trio.aclose_forcefully(client.stream)
        held.release()
        await wait_all_tasks_blocked()
        assert (await house.post({"user": "anna"}, idempotency_key="k-1")).json == {"accepted": 1, "unknown": 0}
        assert house.pending("anna") == 1
