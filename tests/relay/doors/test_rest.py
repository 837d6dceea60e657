"""PUT, GET and DELETE of rest documents over HTTP, with the real rules behind."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.store.port import StoreError
from schedules import RuleError, parse
from tests.relay.doors.house import NIGHT, NOON, NOON_REST, Held, House, open_house, tenant, usual_keys
from tests.relay.doors.http_client import JSON, MSGPACK, PACK, Answer

TARGET = "/v1/users/anna/rest"
WHOLE: dict[str, object] = {
    "timezone": "Europe/Berlin",
    "windows": [
        {"kind": "cron", "start": "0 22 * * 1-5", "duration_minutes": 480, "id": "w1", "label": "Nächte"},
        {"kind": "once", "start": "2026-12-21T00:00", "end": "2027-01-04T00:00"},
    ],
    "overrides": [{"kind": "reachable", "start": "2026-11-24T18:00", "end": "2026-11-25T08:00"}],
}


async def put(house: House, document: object, form: str = JSON, **headers: str) -> Answer:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await house.ask("PUT", TARGET, document, key="rest", form=form, headers=fields)


async def get(house: House, **headers: str) -> Answer:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await house.read_rest("anna", fields)


async def delete(house: House, **headers: str) -> Answer:
    fields = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return await house.ask("DELETE", TARGET, key="rest", headers=fields)


async def test_the_first_put_creates_and_the_next_replaces(house: House, autojump_clock: MockClock) -> None:
    """201, then 200; each answer carries the version in the body and as ETag."""
    first, second = await put(house, NIGHT), await put(house, NOON_REST)
    assert (first.status, second.status) == (201, 200)
    for answer in (first, second):
        assert answer.header("etag") == f'"{answer.json["version"]}"'
    assert second.json["version"] > first.json["version"]
    assert (await get(house)).json == NOON_REST


ALL_DAY = {"kind": "cron", "start": "0 0 * * *", "duration_minutes": 1440}


@pytest.mark.parametrize(
    "overrides", [[], [{"kind": "reachable", "start": "2026-12-01T12:00Z", "end": "2026-12-01T12:00:59Z"}]]
)
async def test_a_plan_without_a_reachable_minute_in_five_weeks_must_be_confirmed(
    house: House, autojump_clock: MockClock, overrides: list[object]
) -> None:
    """R10. Mostly a slip, and one that nobody would notice: nothing rings, and no error is seen."""
    document = {"windows": [ALL_DAY], "overrides": overrides}
    before = house.snapshot()
    answer = await put(house, document)
    assert (answer.status, answer.json["type"], answer.json["confirm"]) == (
        409,
        "/problems/confirmation",
        "never-reachable",
    )
    assert "35 days" in answer.json["detail"]
    assert house.snapshot() == before
    confirmed = await house.ask("PUT", f"{TARGET}?confirm=never-reachable", document, key="rest")
    assert confirmed.status == 201
    assert (await get(house)).json == document


async def test_a_plan_with_a_reachable_minute_needs_no_confirmation(house: House, autojump_clock: MockClock) -> None:
    minute = {"kind": "reachable", "start": "2026-12-28T12:00Z", "end": "2026-12-28T12:01Z"}
    assert (await put(house, {"windows": [ALL_DAY], "overrides": [minute]})).status == 201
    later = {"kind": "reachable", "start": "2027-01-04T12:00Z", "end": "2027-01-04T12:01Z"}
    assert (await put(house, {"windows": [ALL_DAY], "overrides": [later]})).status == 409


async def test_only_this_can_be_confirmed(house: House, autojump_clock: MockClock) -> None:
    for value in ("", "yes", "never-reachable%20"):
        answer = await house.ask("PUT", f"{TARGET}?confirm={value}", NIGHT, key="rest")
        assert (answer.status, answer.paths) == (422, ["query.confirm"])


async def test_after_a_delete_a_put_creates_again_and_versions_never_return(
    house: House, autojump_clock: MockClock
) -> None:
    """A version that came back would let an old If-Match overwrite a new document."""
    first = await put(house, NIGHT)
    assert (await delete(house)).status == 204
    again = await put(house, NIGHT)
    assert again.status == 201
    assert again.json["version"] > first.json["version"]


@pytest.mark.parametrize("form", [JSON, MSGPACK])
@pytest.mark.parametrize("document", [{}, NIGHT, WHOLE])
async def test_a_document_comes_back_as_it_was_put(
    house: House, autojump_clock: MockClock, form: str, document: object
) -> None:
    """Ids, labels, the order of windows, and what was left out: it is the officer's own text."""
    kept = await put(house, document, form)
    answer = await get(house)
    assert (answer.status, answer.json) == (200, document)
    assert answer.header("etag") == kept.header("etag")
    assert answer.header("content-type") == "application/json"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("made", ["nothing", "a device", "another user's document", "a document that was deleted"])
async def test_without_a_document_there_is_nothing(
    house: House, autojump_clock: MockClock, method: str, made: str
) -> None:
    if made == "a device":
        await house.register("anna")
    elif made == "another user's document":
        await house.ask("PUT", "/v1/users/bert/rest", NIGHT, key="rest")
    elif made == "a document that was deleted":
        await put(house, NIGHT)
        await delete(house)
    answer = await get(house) if method == "GET" else await delete(house)
    assert (answer.status, answer.json["type"]) == (404, "/problems/not-found")


# --- conditions


@pytest.mark.parametrize("condition", ['"{}"', 'W/"{}"', "*", '"0", "{}"', '"0",W/"{}" , "x"', ' "{}" '])
async def test_who_has_the_document_is_not_sent_it_again(
    house: House, autojump_clock: MockClock, condition: str
) -> None:
    version = (await put(house, NIGHT)).json["version"]
    answer = await get(house, if_none_match=condition.format(version))
    assert (answer.status, answer.body, answer.header("etag")) == (304, b"", f'"{version}"')


@pytest.mark.parametrize("condition", ['"0"', "{}", '"x"', "", '""', '"{}', '"{}0"'])
async def test_who_has_another_version_is_sent_the_document(
    house: House, autojump_clock: MockClock, condition: str
) -> None:
    version = (await put(house, NIGHT)).json["version"]
    answer = await get(house, if_none_match=condition.format(version))
    assert (answer.status, answer.json) == (200, NIGHT)


async def test_a_change_under_the_current_version_is_taken(house: House, autojump_clock: MockClock) -> None:
    first = await put(house, NIGHT)
    second = await put(house, WHOLE, if_match=first.header("etag") or "")
    assert second.status == 200
    third = await put(house, NOON_REST, if_match="*")
    assert third.status == 200
    assert (await delete(house, if_match=third.header("etag") or "")).status == 204


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_change_under_an_old_version_is_refused_with_the_current_one(
    house: House, autojump_clock: MockClock, method: str
) -> None:
    """412, and what somebody else wrote meanwhile stands."""
    old = await put(house, NIGHT)
    current = await put(house, WHOLE)
    before = house.snapshot()
    body = NOON_REST if method == "PUT" else None
    headers = [("If-Match", old.header("etag") or "")]
    answer = await house.ask(method, TARGET, body, key="rest", headers=headers)
    assert (answer.status, answer.json["type"]) == (412, "/problems/version")
    assert answer.header("etag") == current.header("etag")
    assert house.snapshot() == before


@pytest.mark.parametrize("condition", ["*", '"1"', '"999999999999999999"'])
async def test_a_condition_on_a_document_that_does_not_exist_is_not_met(
    house: House, autojump_clock: MockClock, condition: str
) -> None:
    answer = await put(house, NIGHT, if_match=condition)
    assert (answer.status, answer.header("etag")) == (412, None)
    assert (await get(house)).status == 404


async def test_the_first_document_can_be_asked_to_be_the_first(house: House, autojump_clock: MockClock) -> None:
    """Of two that were made where there was none, the second is refused, with the version of the first."""
    first = await put(house, NIGHT, if_none_match="*")
    assert first.status == 201
    before = house.snapshot()
    for answer in (await put(house, WHOLE, if_none_match="*"), await delete(house, if_none_match=" * ")):
        assert (answer.status, answer.json["type"]) == (412, "/problems/version")
        assert answer.header("etag") == first.header("etag")
    assert house.snapshot() == before


@pytest.mark.parametrize("headers", [{"if_none_match": '"7"'}, {"if_none_match": "*", "if_match": "*"}])
async def test_a_change_knows_no_other_if_none_match(
    house: House, autojump_clock: MockClock, headers: dict[str, str]
) -> None:
    answer = await put(house, NIGHT, **headers)
    assert (answer.status, answer.paths) == (422, ["header.If-None-Match"])
    assert (await get(house)).status == 404


@pytest.mark.parametrize("condition", ["7", '"x"', '"7', 'W/"7"', '"-7"', '"7", "8"', '"1234567890123456789"', "**"])
@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_a_condition_that_is_no_etag_of_ours_is_refused(
    house: House, autojump_clock: MockClock, method: str, condition: str
) -> None:
    """Ignoring it would overwrite what it was meant to protect."""
    await put(house, NIGHT)
    body = WHOLE if method == "PUT" else None
    answer = await house.ask(method, TARGET, body, key="rest", headers=[("If-Match", condition)])
    assert (answer.status, answer.paths) == (422, ["header.If-Match"])
    assert (await get(house)).json == NIGHT


async def test_of_two_changes_under_one_version_in_one_commit_one_is_taken(autojump_clock: MockClock) -> None:
    held = Held()
    async with open_house(executor=held) as house:
        held.release()
        etag = (await put(house, NIGHT)).header("etag") or ""
        held.gate = trio.Event()
        answers: list[Answer] = []

        async def change(document: object) -> None:
            answers.append(await put(house, document, if_match=etag))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(house.register, "zoe")
            await wait_all_tasks_blocked()
            nursery.start_soon(change, WHOLE)
            nursery.start_soon(change, NOON_REST)
            await wait_all_tasks_blocked()
            assert answers == []
            held.release()
        assert sorted(answer.status for answer in answers) == [200, 412]
        assert len({answer.header("etag") for answer in answers}) == 1
        current = await get(house)
        assert current.header("etag") == answers[0].header("etag")


# --- what is refused

BAD: list[object] = [
    {"timezone": "Europe/Atlantis"},
    {"timezone": "../../etc/passwd"},
    {"timezone": 5, "windows": {}, "overrides": "x", "sleep": True},
    {"windows": [{"kind": "cron"}, {"kind": "weekly"}, {"kind": "once", "start": "x", "end": "y"}, 5]},
    {"windows": [{"kind": "cron", "start": "* * * * *", "duration_minutes": 0}], "timezone": "Mars"},
    {"windows": [{"kind": "cron", "start": "0 22 30 2 *", "duration_minutes": 480, "colour": "red"}]},
    {"windows": [{"kind": "once", "start": "2026-12-21T00:00", "end": "2026-12-20T00:00", "label": "x" * 201}]},
    {
        "overrides": [
            {"kind": "reachable"},
            {"kind": "sleepy", "start": 1},
            {"kind": "rest", "start": "2026-02-30T00:00"},
        ]
    },
    {"windows": [{"kind": "cron", "start": "0 22 * * *", "duration_minutes": 10**30}]},
    {"windows": [{"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}] * 31},
]


def faults(document: object) -> list[str]:
    with pytest.raises(RuleError) as caught:
        parse(document)  # type: ignore[arg-type]
    return [problem.path for problem in caught.value.problems]


@pytest.mark.parametrize("document", BAD, ids=lambda value: str(value)[:50])
async def test_every_fault_of_a_document_is_listed_and_nothing_changes(
    house: House, autojump_clock: MockClock, document: object
) -> None:
    await put(house, NIGHT)
    before = house.snapshot()
    answer = await put(house, document)
    assert (answer.status, answer.json["type"]) == (422, "/problems/validation")
    assert answer.paths == faults(document)
    assert house.snapshot() == before


async def test_of_very_many_faults_a_hundred_are_listed(house: House, autojump_clock: MockClock) -> None:
    document = {
        "windows": [{"kind": "cron", "start": "x", "duration_minutes": 0, "a": 1, "b": 2}] * 30,
        "overrides": [{"kind": "rest", "a": 1}] * 50,
    }
    answer = await put(house, document)
    assert len(faults(document)) > 100
    assert answer.paths == faults(document)[:100]


@pytest.mark.parametrize("value", [[], "x", 5, None, [NIGHT]])
@pytest.mark.parametrize("form", [JSON, MSGPACK])
async def test_what_is_no_object_is_no_document(
    house: House, autojump_clock: MockClock, form: str, value: object
) -> None:
    answer = await house.ask("PUT", TARGET, PACK[form](value), key="rest", form=form)
    assert (answer.status, answer.paths) == (422, ["document"])


@pytest.mark.parametrize(
    ("content", "form", "status"),
    [
        (b"{", JSON, 400),
        (b"", JSON, 400),
        (b"\xc1", MSGPACK, 400),
        (b"{}", "text/plain", 415),
        (b"[" * 60_000, JSON, 400),
    ],
)
async def test_what_cannot_be_read(
    house: House, autojump_clock: MockClock, content: bytes, form: str, status: int
) -> None:
    assert (await house.ask("PUT", TARGET, content, key="rest", form=form)).status == status


async def test_a_document_has_at_most_64_kibibytes(house: House, autojump_clock: MockClock) -> None:
    fits = b"{" + b" " * 65_534 + b"}"
    assert (await put(house, fits)).status == 201
    answer = await put(house, fits + b" ")
    assert (answer.status, answer.json["type"]) == (413, "/problems/too-large")


async def test_a_commit_that_fails_changes_no_document(house: House, autojump_clock: MockClock) -> None:
    await put(house, NIGHT)
    before = house.snapshot()
    for method, body in (("PUT", WHOLE), ("DELETE", None)):
        house.store.fail_next = StoreError("disk full")
        answer = await house.ask(method, TARGET, body, key="rest")
        assert (answer.status, answer.header("retry-after") is not None) == (503, True)
        assert house.snapshot() == before


# --- what it is for


async def test_an_event_waits_for_the_end_of_the_rest_and_goes_when_the_rest_is_deleted(
    house: House, autojump_clock: MockClock
) -> None:
    """Noon to four in Berlin: the notice is due at three o'clock UTC and up to five minutes later."""
    await house.register("anna")
    await put(house, NOON_REST)
    await house.post({"user": "anna"})
    person = house.person("anna")
    assert person is not None
    assert NOON + 3 * 3600 <= person.slots["message"].due_at < NOON + 3 * 3600 + 300
    await delete(house)
    assert person.slots["message"].due_at <= house.clock.now()


async def test_a_document_lies_sealed_in_the_store(house: House, autojump_clock: MockClock) -> None:
    """I6: neither its words nor the user's name."""
    await put(
        house, {"windows": [{"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480, "label": "kanarie"}]}
    )
    stored = repr(house.store.load()) + repr([record.sealed for record in house.store.load().rests.values()])
    for word in ("kanarie", "anna", "duration"):
        assert word not in stored


async def test_two_tenants_do_not_share_documents(autojump_clock: MockClock) -> None:
    """The same user id in both: neither sees, changes or deletes the other's."""
    north, south = tenant("north"), tenant("south")
    async with open_house(tenants=[north, south], keys=[*usual_keys(north), *usual_keys(south, "s-")]) as house:
        etag = (await put(house, NIGHT)).header("etag") or ""
        assert (await house.read_rest(owner="south", prefix="s-")).status == 404
        assert (await house.ask("DELETE", TARGET, key="s-rest")).status == 404
        answer = await house.ask("PUT", TARGET, WHOLE, key="s-rest", headers=[("If-Match", etag)])
        assert answer.status == 412
        assert (await house.ask("PUT", TARGET, WHOLE, key="s-rest")).status == 201
        assert (await get(house)).json == NIGHT
