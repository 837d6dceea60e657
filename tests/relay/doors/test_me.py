"""Link, token, support code: how an officer comes by his own, what he may do with it, and who else may look."""

from __future__ import annotations

import base64
import itertools
from dataclasses import replace

import pytest
import structlog
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.core.passes import PassKind
from relay.doors.http1 import Request
from relay.engine import MOST_BYPASSES
from relay.store.port import StoreError
from tests.relay.doors.house import NIGHT, NOON, NOON_REST, Held, House, open_house, tenant, usual_keys
from tests.relay.doors.http_client import JSON, PACK, Answer, Field

REST = "/v1/users/anna/rest"
LOOKS = [("rest", REST), ("explain", "/v1/users/anna/explain")]


async def link(house: House, user: str = "anna") -> str:
    answer = await house.ask("POST", f"/v1/users/{user}/link", key="rest")
    assert answer.status == 201
    return str(answer.json["link"])


async def redeem(house: House, secret: str) -> Answer:
    return await house.ask("POST", "/v1/me/token", {"link": secret})


async def look(house: House, code: str | None, target: str = REST) -> Answer:
    headers = [] if code is None else [("Support-Code", code)]
    return await house.ask("GET", target, key="support", headers=headers)


async def mine(house: House, officer: Field, method: str = "GET", what: str = "rest", body: object = None) -> Answer:
    return await house.ask(method, f"/v1/me/{what}", body, headers=[officer])


# --- links and tokens


async def test_a_link_is_changed_for_a_token_and_the_token_is_the_officers(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna")
    given = await house.ask("POST", "/v1/users/anna/link", key="rest")
    assert (given.status, given.json.keys(), given.json["expires_in"]) == (201, {"link", "expires_in"}, 600)
    token = await redeem(house, given.json["link"])
    assert (token.status, token.json.keys(), token.json["expires_in"]) == (201, {"token", "expires_in"}, 30 * 86_400)
    for answer in (given, token):
        assert answer.header("cache-control") == "no-store"
    secrets = [given.json["link"], token.json["token"].removeprefix("me.")]
    assert [len(base64.urlsafe_b64decode(secret + "=")) for secret in secrets] == [32, 32]
    officer = ("Authorization", f"Bearer {token.json['token']}")
    assert (await mine(house, officer, "PUT", body=NIGHT)).status == 201
    assert (await mine(house, officer)).json == NIGHT


@pytest.mark.parametrize("made", ["used", "expired", "unknown", "empty", "a token", "a code"])
async def test_a_link_that_is_not_good_is_refused_in_the_same_words(
    house: House, autojump_clock: MockClock, made: str
) -> None:
    await house.register("anna")
    secret = await link(house)
    if made in ("used", "a token"):
        answer = await redeem(house, secret)
        secret = answer.json["token"].removeprefix("me.") if made == "a token" else secret
    if made == "a code":
        secret = (await house.code(await house.officer()))[1].replace(" ", "")
    if made == "expired":
        await trio.sleep(600)
    secret = {"unknown": "x" * 43, "empty": ""}.get(made, secret)
    before = house.store.commits
    answer = await redeem(house, secret)
    assert (answer.status, answer.json) == (
        403,
        {"type": "/problems/link", "title": "The link is not valid, or not any more", "status": 403},
    )
    assert house.store.commits == before


async def test_of_two_who_have_one_link_one_gets_the_token(autojump_clock: MockClock) -> None:
    """Both wait for one commit."""
    held = Held()
    async with open_house(executor=held) as house:
        held.release()
        await house.register("anna")
        secret = await link(house)
        held.gate = trio.Event()
        answers: list[Answer] = []

        async def ask() -> None:
            answers.append(await redeem(house, secret))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.register, "zoe")
            await wait_all_tasks_blocked()
            nursery.start_soon(ask)
            nursery.start_soon(ask)
            await wait_all_tasks_blocked()
            assert answers == []
            held.release()
        assert sorted(answer.status for answer in answers) == [201, 403]


async def test_a_commit_that_fails_uses_up_no_link(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    secret = await link(house)
    house.store.fail_next = StoreError("disk full")
    assert (await redeem(house, secret)).status == 503
    assert (await redeem(house, secret)).status == 201


async def test_who_is_not_known_gets_no_link(house: House, autojump_clock: MockClock) -> None:
    answer = await house.ask("POST", "/v1/users/nobody/link", key="rest")
    assert (answer.status, answer.json["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize("body", [{}, {"link": 5}, {"link": None}, {"token": "x"}, {"link": "x", "more": 1}, []])
async def test_a_body_without_a_link_is_refused_with_its_paths(
    house: House, autojump_clock: MockClock, body: object
) -> None:
    answer = await house.ask("POST", "/v1/me/token", body)
    assert (answer.status, answer.json["type"]) == (422, "/problems/validation")


async def test_a_token_ends_with_its_days_with_its_logout_and_with_its_person(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna")
    await house.register("bert")
    old, other, bert = await house.officer(), await house.officer(), await house.officer("bert")
    assert (await mine(house, other, "DELETE", "token")).status == 204
    assert (await mine(house, other, what="devices")).status == 401
    assert (await mine(house, old, what="devices")).status == 200
    await house.ask("DELETE", "/v1/users/bert", key="devices")
    await house.register("bert")
    assert (await mine(house, bert, what="devices")).status == 401
    autojump_clock.jump(30 * 86_400 - 1)
    assert (await mine(house, old, what="devices")).status == 200
    autojump_clock.jump(1)
    assert (await mine(house, old, what="devices")).status == 401


async def test_of_an_eleventh_token_the_first_ends(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    tokens = []
    for _ in range(11):
        tokens.append(await house.officer())
        await trio.sleep(1)
    statuses = [(await mine(house, token, what="devices")).status for token in tokens]
    assert statuses == [401, *[200] * 10]


async def test_tokens_and_codes_outlive_a_restart_as_hashes_only(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await house.officer()
    code = await house.code(officer)
    loaded = house.store.load()
    assert loaded.passes == house.people.passes.by_key
    assert len(loaded.passes) == 2
    digits = code[1].replace(" ", "")
    for secret in (officer[1].removeprefix("Bearer me."), code[1], digits):
        assert secret not in repr(loaded) + repr(house.people.passes.by_key)


async def test_an_officer_sees_his_own_devices_and_nothing_of_others(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await trio.sleep(1)
    await house.ask("PUT", "/v1/users/anna/devices/pc", {"platform": "none"}, key="devices")
    await house.register("bert", "secret")
    answer = await mine(house, await house.officer(), what="devices")
    assert answer.json == {
        "devices": [
            {"device": "phone", "platform": "apns", "app": "ios", "registered_at": NOON, "wake": "follow"},
            {"device": "pc", "platform": "none", "app": "", "registered_at": NOON + 1, "wake": "follow"},
        ]
    }


# --- the officer's rest: as for a service, but his own


async def test_the_officers_rest_has_versions_conditions_and_confirmation(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna")
    officer = await house.officer()
    assert (await mine(house, officer)).status == 404
    assert (await mine(house, officer, "DELETE")).status == 404
    first = await mine(house, officer, "PUT", body=NIGHT)
    assert (first.status, first.header("etag")) == (201, f'"{first.json["version"]}"')
    second = await house.ask("PUT", REST, NOON_REST, key="rest")
    stale = [officer, ("If-Match", first.header("etag") or "")]
    for method, body in (("PUT", NIGHT), ("DELETE", None)):
        answer = await house.ask(method, "/v1/me/rest", body, headers=stale)
        assert (answer.status, answer.header("etag")) == (412, second.header("etag"))
    known = await house.ask("GET", "/v1/me/rest", headers=[officer, ("If-None-Match", second.header("etag") or "")])
    assert known.status == 304
    always = {"windows": [{"kind": "cron", "start": "0 0 * * *", "duration_minutes": 1440}]}
    answer = await mine(house, officer, "PUT", body=always)
    assert (answer.status, answer.json["type"]) == (409, "/problems/confirmation")
    assert (await mine(house, officer, "PUT", "rest?confirm=never-reachable", always)).status == 200
    assert (await mine(house, officer, "PUT", body={"windows": 5})).paths == ["windows"]
    assert (await mine(house, officer, "DELETE")).status == 204
    assert (await house.read_rest()).status == 404


async def test_who_is_deleted_while_he_saves_does_not_come_back(autojump_clock: MockClock) -> None:
    """Both in one commit: the person is gone, and the document with it."""
    held = Held()
    async with open_house(executor=held) as house:
        held.release()
        await house.register("anna")
        officer = await house.officer()
        held.gate = trio.Event()
        answers: list[Answer] = []

        async def ask(method: str, target: str, body: object, key: str | None, headers: list[Field]) -> None:
            answers.append(await house.ask(method, target, body, key=key, headers=headers))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.register, "zoe")
            await wait_all_tasks_blocked()
            nursery.start_soon(ask, "DELETE", "/v1/users/anna", None, "devices", [])
            await wait_all_tasks_blocked()
            nursery.start_soon(ask, "PUT", "/v1/me/rest", NIGHT, None, [officer])
            nursery.start_soon(ask, "POST", "/v1/me/support", None, None, [officer])
            await wait_all_tasks_blocked()
            held.release()
        assert sorted(answer.status for answer in answers) == [204, 404, 404]
        assert house.person("anna") is None
        assert house.people.passes.by_key == {}


# --- support codes


@pytest.mark.parametrize(("what", "target"), LOOKS)
async def test_a_code_shows_the_rest_for_a_quarter_of_an_hour_and_each_look_is_told(
    house: House, autojump_clock: MockClock, what: str, target: str
) -> None:
    await house.register("anna")
    await house.ask("PUT", REST, NIGHT, key="rest")
    officer = await house.officer()
    answer = await mine(house, officer, "POST", "support")
    assert (answer.status, answer.json["expires_in"]) == (201, 900)
    code = answer.json["code"]
    assert len(code) == 9
    assert code[4] == " "
    assert (code[:4] + code[5:]).isdigit()
    assert (await mine(house, officer, what="support")).json == {"visits": [], "until": NOON + 900}
    for number, spelt in enumerate((code, code.replace(" ", ""), f" {code[0]} {code[1:]} ")):
        await trio.sleep(1)
        commits = house.store.commits
        answer = await look(house, spelt, target)
        assert answer.status == 200
        assert ("rest" in answer.json) if what == "explain" else answer.json == NIGHT
        assert house.store.commits == commits + 1
        told = (await mine(house, officer, what="support")).json["visits"]
        assert told == [{"at": NOON + 1 + n, "key": "support", "what": what} for n in range(number, -1, -1)]
    await trio.sleep(896.999)
    assert (await look(house, code, target)).status == 200
    await trio.sleep(0.001)
    assert (await look(house, code, target)).status == 403
    support = (await mine(house, officer, what="support")).json
    assert (support["until"], len(support["visits"])) == (None, 4)


WAYS = ["none", "empty", "wrong", "letters", "expired", "ended", "replaced", "another's", "of nobody", "of a rest only"]


@pytest.mark.parametrize(("what", "target"), LOOKS)
@pytest.mark.parametrize("way", WAYS)
async def test_without_a_good_code_the_answer_is_the_same_whatever_is_the_matter(
    house: House, autojump_clock: MockClock, way: str, what: str, target: str
) -> None:
    if way not in ("of nobody", "of a rest only"):
        await house.register("anna")
    if way not in ("of nobody", "wrong", "letters"):
        await house.ask("PUT", REST, NIGHT, key="rest")
    code = "1234 5678"
    if house.person("anna") is not None and way != "of a rest only":
        officer = await house.officer()
        code = (await house.code(officer))[1]
        if way == "expired":
            await trio.sleep(900)
        if way == "ended":
            assert (await mine(house, officer, "DELETE", "support")).status == 204
        if way == "replaced":
            await house.code(officer)
    if way == "another's":
        await house.register("bert")
        code = (await house.code(await house.officer("bert")))[1]
    shown = {"none": None, "empty": "", "wrong": _other(code), "letters": "abcd\xe4"}.get(way, code)
    if (shown or "") == "" and what == "explain":
        return  # that is told without a code: see test_explain.py
    answer = await look(house, shown, target)
    title = "The support code is missing or not valid, or not any more"
    expected = {"type": "/problems/support-code", "title": title, "status": 403}
    assert (answer.status, answer.json) == (403, expected)
    assert [visit for user in house.people.by_key for visit in house.store.visits(user, 10)] == []


def _other(code: str) -> str:
    return f"{(int(code.replace(' ', '')) + 1) % 10**8:08}"


async def test_after_five_wrong_codes_the_right_one_has_ended_and_the_operator_is_told_once(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna")
    officer = await house.officer()
    _, code = await house.code(officer)
    wrong = _other(code)
    with structlog.testing.capture_logs() as lines:
        answers = [await look(house, code)]
        for _, target in [*LOOKS, *LOOKS, LOOKS[0]]:
            answers.append(await look(house, wrong, target))
        answers.append(await look(house, code))
    assert [answer.status for answer in answers] == [404, *[403] * 6]
    assert len({answer.body for answer in answers[1:]}) == 1
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("support_code_used", "info"),
        ("support_code_ended", "warning"),
    ]
    assert lines[0] == {
        "event": "support_code_used", "log_level": "info", "tenant": "north", "caller": "support", "what": "rest",
    }  # fmt: skip
    assert (await mine(house, officer, what="support")).json["until"] is None
    assert (await look(house, (await house.code(officer))[1], LOOKS[1][1])).status == 200


async def test_no_record_no_answer(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    _, code = await house.code(await house.officer())
    for _, target in LOOKS:
        house.store.fail_next = StoreError("disk full")
        with structlog.testing.capture_logs() as lines:
            answer = await look(house, code, target)
        assert (answer.status, lines) == (503, [])
        assert b"rest" not in answer.body
    anna = house.tenants["north"].pseudonyms.user("anna")
    assert list(house.store.visits(anna, 10)) == []


async def test_a_key_without_the_scope_is_refused_before_its_code_is_looked_at(
    house: House, autojump_clock: MockClock
) -> None:
    """No try is counted: else who may not ask could end somebody's code."""
    await house.register("anna")
    officer = await house.officer()
    _, code = await house.code(officer)
    for key, _ in itertools.product(("backend", "control", "devices", "rest"), range(6)):
        answer = await house.ask("GET", REST, key=key, headers=[("Support-Code", _other(code))])
        assert (answer.status, answer.json["type"]) == (403, "/problems/forbidden")
    assert (await look(house, code, LOOKS[1][1])).status == 200


async def test_visits_go_with_their_person_and_stay_ninety_days(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await house.officer()
    assert (await look(house, (await house.code(officer))[1], LOOKS[1][1])).status == 200
    anna = house.tenants["north"].pseudonyms.user("anna")
    house.store.purge(NOON + 90 * 86_400, 100)
    assert len(house.store.visits(anna, 10)) == 1
    await house.ask("DELETE", "/v1/users/anna", key="devices")
    await house.register("anna")
    assert (await mine(house, await house.officer(), what="support")).json == {"visits": [], "until": None}


async def test_two_tenants_share_neither_codes_nor_officers(autojump_clock: MockClock) -> None:
    """The same person in both, and the same code, as it happens."""
    north, south = tenant("north"), tenant("south")
    async with open_house(tenants=[north, south], keys=[*usual_keys(north), *usual_keys(south, "s-")]) as house:
        await house.register("anna")
        await house.register("anna", key="s-devices")
        await house.ask("PUT", REST, NIGHT, key="rest")
        officer = await house.officer()
        _, code = await house.code(officer)
        answer = await house.ask("GET", REST, key="s-support", headers=[("Support-Code", code)])
        assert answer.status == 403
        other = await house.officer("anna", "s-")
        assert [(await mine(house, one)).status for one in (officer, other)] == [200, 404]
        (own,) = (known for known in house.people.passes.by_key.values() if known.kind is PassKind.SUPPORT)
        key = south.pseudonyms.pass_key(PassKind.SUPPORT, code.replace(" ", ""), south.pseudonyms.user("anna"))
        house.people.passes.update({key: replace(own, user=south.pseudonyms.user("anna"))})
        answer = await house.ask("GET", "/v1/users/anna/explain", key="s-support", headers=[("Support-Code", code)])
        assert (answer.status, answer.json["rest"]["resting"]) == (200, False)
        assert (await mine(house, officer, what="support")).json["visits"] == []


# --- whatever comes

ASKED = st.tuples(
    st.sampled_from(["GET", "PUT", "POST", "DELETE"]),
    st.sampled_from(["rest", "token", "support", "explain", "devices"]),
    st.one_of(st.sampled_from([{}, NIGHT, {"link": "x"}, {"link": [1]}]).map(PACK[JSON]), st.binary(max_size=30)),
    st.sampled_from([b"", b"Bearer me.x", b"Bearer me.\xff", b"Basic me.x", b"the officer"]),
)


@given(st.lists(ASKED, max_size=15))
@settings(max_examples=40)
def test_nothing_an_officer_or_anybody_sends_is_a_fault_of_ours(calls: list[tuple[str, str, bytes, bytes]]) -> None:
    async def main() -> None:
        async with open_house() as house:
            await house.register("anna")
            token = (await house.officer())[1].encode()
            for method, what, content, authorization in calls:
                value = token if authorization == b"the officer" else authorization
                fields = {b"authorization": value, b"content-type": JSON.encode()}
                answer = await house.router(Request(method.encode(), f"/v1/me/{what}".encode(), fields, content))
                assert answer.status in (200, 201, 204, 400, 401, 403, 404, 405, 422)

    trio.run(main, clock=MockClock(autojump_threshold=0))


# --- what pierced the rest


async def alarm(house: House, number: int, *users: str, reason: str = "incident") -> None:
    body = {"class": "alarm", "role": "dispatch", "reason": reason, "users": list(users)}
    assert (await house.post(body, key="control", idempotency_key=f"k-{number}")).status == 202


async def test_an_officer_is_shown_what_went_out_to_him_in_spite_of_rest_and_nothing_else(
    house: House, autojump_clock: MockClock
) -> None:
    for user in ("anna", "bert"):
        await house.register(user)
    anna, bert = await house.officer(), await house.officer("bert")
    await alarm(house, 1, "anna", "bert")
    await trio.sleep(60)
    await alarm(house, 2, "bert")
    await alarm(house, 3, "anna", reason="evacuation")
    await house.post({"user": "anna"})
    told = (await mine(house, anna, what="bypasses")).json
    assert told == {
        "bypasses": [
            {"at": NOON + 60, "class": "alarm", "role": "dispatch", "reason": "evacuation"},
            {"at": NOON, "class": "alarm", "role": "dispatch", "reason": "incident"},
        ]
    }
    assert [b["at"] for b in (await mine(house, bert, what="bypasses")).json["bypasses"]] == [NOON + 60, NOON]


async def test_at_most_two_hundred_of_them_the_newest(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await house.officer()
    for number in range(MOST_BYPASSES + 5):
        await trio.sleep(1)
        await alarm(house, number, "anna")
    told = (await mine(house, officer, what="bypasses")).json["bypasses"]
    assert (len(told), told[0]["at"]) == (MOST_BYPASSES, NOON + MOST_BYPASSES + 5)


async def test_what_is_sealed_with_a_key_that_is_gone_is_about_nobody(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await house.officer()
    await alarm(house, 1, "anna")
    whole = house.store.bypasses[0].sealed
    for sealed in (b"", b"x", whole[:-1] + bytes([whole[-1] ^ 1])):
        house.store.bypasses[0] = replace(house.store.bypasses[0], sealed=sealed)
        assert (await mine(house, officer, what="bypasses")).json == {"bypasses": []}


async def test_no_key_reads_them(house: House, autojump_clock: MockClock) -> None:
    for key in ("backend", "control", "rest", "support"):
        assert (await house.ask("GET", "/v1/me/bypasses", key=key)).status == 401
