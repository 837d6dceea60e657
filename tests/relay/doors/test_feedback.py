"""GET /v1/feedback over HTTP: which devices to forget, at least once, in order, and a cursor that does not lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.core import settling
from relay.core.batch import Parting
from relay.core.draft import Draft
from relay.engine import MOST_FEEDBACK
from relay.journal import inline
from relay.store.port import StoreError
from tests.relay.doors.house import NOON, OTHER_TOKEN, TOKEN, House, bearer, open_house, tenant, usual_keys
from tests.relay.doors.http_client import Answer, request

DAY = 86_400.0
NOTHING = {"devices": [], "after": 0}


async def ask(house: House, query: str = "", *, key: str = "devices") -> Answer:
    return await house.ask("GET", f"/v1/feedback{query}", key=key)


async def bury(house: House, user: str, owner: str = "north", reason: str = "Unregistered") -> None:
    """The provider says that somebody's only phone is dead."""
    person = house.people.by_key[house.tenants[owner].pseudonyms.user(user)]
    (found,) = person.devices.values()
    await house.journal.edit(person.tenant, lambda draft: settling.part(draft, person, found, Parting.DEAD, reason))


async def bury_some(house: House, count: int) -> None:
    """Many at once, each under a name of its own."""
    for number in range(count):
        await house.register(f"user{number}")

    def draw(draft: Draft) -> None:
        for person in list(house.people.by_key.values()):
            for device in person.devices.values():
                settling.part(draft, person, device, Parting.DEAD, "Unregistered")

    await house.journal.edit(house.tenants["north"], draw)


def seqs(answer: Answer) -> list[int]:
    assert answer.status == 200, answer.body
    return [device["seq"] for device in answer.json["devices"]]


async def test_a_dead_an_evicted_and_a_moved_device_are_told_under_the_backends_own_ids(
    autojump_clock: MockClock,
) -> None:
    async with open_house(tenants=[tenant(device_limit=1)]) as house:
        await house.register("anna", "phone")
        await bury(house, "anna", reason="ExpiredToken")
        await trio.sleep(7)
        await house.register("anna", "first")
        await house.register("anna", "second", token=TOKEN)
        await house.register("bert", "third", token=TOKEN)
        answer = await ask(house, "?after=0")
        assert answer.json == {
            "devices": [
                {"seq": 1, "user": "anna", "device": "phone", "why": "dead", "reason": "ExpiredToken", "at": NOON},
                {
                    "seq": 2,
                    "user": "anna",
                    "device": "first",
                    "why": "evicted",
                    "reason": "device_limit",
                    "at": NOON + 7,
                },
                {"seq": 3, "user": "anna", "device": "second", "why": "moved", "reason": "token_moved", "at": NOON + 7},
            ],
            "after": 3,
        }
        assert (await ask(house, "?after=2")).json["devices"] == answer.json["devices"][2:]
        assert (await ask(house, "?after=3")).json == {"devices": [], "after": 3}


async def test_what_was_read_can_be_read_again(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await bury(house, "anna")
    assert [seqs(await ask(house, query)) for query in ("", "?after=0", "?after=0", "")] == [[1]] * 4


async def test_a_device_that_its_owner_deleted_is_not_told(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await house.ask("DELETE", "/v1/users/anna/devices/phone", key="devices")
    assert (await ask(house)).json == NOTHING


async def test_an_answer_holds_at_most_500_and_its_cursor_leads_to_the_rest(
    house: House, autojump_clock: MockClock
) -> None:
    assert MOST_FEEDBACK == 500
    await bury_some(house, 501)
    first = await ask(house, "?after=0&wait=30")
    assert (seqs(first), first.json["after"]) == ([*range(1, 501)], 500)
    assert seqs(await ask(house, "?after=500")) == [501]


async def test_tenants_are_told_of_their_own(autojump_clock: MockClock) -> None:
    owners = [tenant("north"), tenant("south")]
    keys = [*usual_keys(owners[0]), *usual_keys(owners[1], "s-")]
    async with open_house(tenants=owners, keys=keys) as house:
        await house.register("anna")
        await house.register("carl", key="s-devices")
        await bury(house, "carl", owner="south")
        await bury(house, "anna")
        assert [(d["user"], d["seq"]) for d in (await ask(house)).json["devices"]] == [("anna", 2)]
        assert [(d["user"], d["seq"]) for d in (await ask(house, key="s-devices")).json["devices"]] == [("carl", 1)]


# --- the cursor


async def test_a_cursor_before_what_was_purged_is_told_where_to_go_on(house: House, autojump_clock: MockClock) -> None:
    """Reading on from it would skip what is gone, and nobody would notice."""
    for user in ("anna", "bert", "carl"):
        await house.register(user)
    await bury(house, "anna")
    await bury(house, "bert")
    await trio.sleep(DAY)
    await bury(house, "carl")
    house.store.purge(NOON + 30 * DAY + 1, 100)
    for query in ("?after=0", "?after=1", "?after=1&wait=30"):
        began = trio.current_time()
        answer = await ask(house, query)
        assert (answer.status, answer.json["type"], answer.json["restart"]) == (410, "/problems/cursor-expired", 2)
        assert trio.current_time() == began
    assert seqs(await ask(house, "?after=2")) == [3]
    assert seqs(await ask(house)) == [3], "who has no cursor has missed nothing"


async def test_without_a_cursor_an_empty_answer_has_one_to_go_on_from(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await bury(house, "anna")
    house.store.purge(NOON + 30 * DAY + 1, 100)
    answer = await ask(house)
    assert answer.json == {"devices": [], "after": 1}
    assert (await ask(house, "?after=1")).json == {"devices": [], "after": 1}


async def test_what_is_purged_of_others_expires_no_cursor(autojump_clock: MockClock) -> None:
    owners = [tenant("north"), tenant("south")]
    async with open_house(tenants=owners, keys=[*usual_keys(owners[0]), *usual_keys(owners[1], "s-")]) as house:
        await house.register("carl", key="s-devices")
        await bury(house, "carl", owner="south")
        house.store.purge(NOON + 30 * DAY + 1, 100)
        assert (await ask(house, "?after=0")).json == NOTHING
        assert (await ask(house, "?after=0", key="s-devices")).status == 410


@pytest.mark.parametrize("after", [2, 10**17])
async def test_a_cursor_beyond_the_newest_is_of_a_database_that_is_no_more(
    house: House, autojump_clock: MockClock, after: int
) -> None:
    """Restored from a backup: the next numbers will be given a second time, to other devices."""
    await house.register("anna")
    await bury(house, "anna")
    answer = await ask(house, f"?after={after}&wait=30")
    assert (answer.status, answer.json["restart"]) == (410, 0)
    assert seqs(await ask(house, "?after=0")) == [1]


async def test_a_cursor_of_another_tenants_number_is_no_error(autojump_clock: MockClock) -> None:
    """Numbers are given across tenants; what is known of them is not told."""
    owners = [tenant("north"), tenant("south")]
    async with open_house(tenants=owners, keys=[*usual_keys(owners[0]), *usual_keys(owners[1], "s-")]) as house:
        await house.register("carl", key="s-devices")
        await bury(house, "carl", owner="south")
        assert (await ask(house, "?after=1")).json == {"devices": [], "after": 1}


async def test_ids_that_do_not_open_are_passed_over_and_counted(house: House, autojump_clock: MockClock) -> None:
    for user in ("anna", "bert"):
        await house.register(user)
    person = house.person("anna")
    assert person is not None
    (device,) = person.devices.values()
    broken = replace(device, sealed=device.sealed[:-1] + bytes([device.sealed[-1] ^ 1]))
    await house.journal.edit(
        person.tenant, lambda draft: settling.part(draft, person, broken, Parting.DEAD, "Unregistered")
    )
    answer = await ask(house, "?wait=30")
    assert answer.json == {"devices": [], "after": 1}, "the cursor goes on, or it would be met for ever"
    await bury(house, "bert")
    assert seqs(await ask(house)) == [2]
    assert house.engine.unreadable_feedback == 2


# --- waiting


async def test_a_request_that_waits_is_answered_with_the_commit(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    began, answers = trio.current_time(), []

    async def wait() -> None:
        answers.append((await ask(house, "?after=0&wait=30"), trio.current_time() - began))

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(wait)
        await trio.sleep(12)
        assert answers == []
        await bury(house, "anna")
    assert [(seqs(answer), waited) for answer, waited in answers] == [([1], 12)] * 3


@pytest.mark.parametrize(("wait", "seconds"), [("0", 0), ("1.5", 1.5), ("30", 30)])
async def test_waiting_ends_when_its_time_is_over(
    house: House, autojump_clock: MockClock, wait: str, seconds: float
) -> None:
    began = trio.current_time()
    assert (await ask(house, f"?wait={wait}&after=0")).json == NOTHING
    assert trio.current_time() - began == seconds


async def test_commits_without_feedback_and_those_of_others_end_no_waiting(autojump_clock: MockClock) -> None:
    """And nobody reads the store again for them."""
    owners = [tenant("north"), tenant("south")]
    async with open_house(tenants=owners, keys=[*usual_keys(owners[0]), *usual_keys(owners[1], "s-")]) as house:
        reads = []
        feedback = house.journal.feedback
        await house.register("carl", key="s-devices")

        async def counted(*asked: object) -> object:
            reads.append(trio.current_time())
            return await feedback(*asked)  # type: ignore[arg-type]

        house.journal.feedback = counted  # type: ignore[method-assign, assignment]
        began = trio.current_time()

        async def disturb() -> None:
            await trio.sleep(5)
            await house.register("anna")
            await bury(house, "carl", owner="south")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(disturb)
            assert (await ask(house, "?after=0&wait=20")).json == NOTHING
        assert reads == [began, began + 20]


async def test_what_is_committed_while_the_store_is_read_is_not_overlooked(autojump_clock: MockClock) -> None:
    """The read saw nothing, and the commit came before the waiting began."""
    async with open_house() as house:
        await house.register("anna")
        late = False

        async def slow(read: Callable[[], None]) -> None:
            nonlocal late
            read()
            if not late:
                late = True
                await bury(house, "anna")

        house.journal._read = slow
        began = trio.current_time()
        assert seqs(await ask(house, "?after=0&wait=30")) == [1]
        assert trio.current_time() == began


async def test_draining_answers_those_who_wait(house: House, autojump_clock: MockClock) -> None:
    began, answers = trio.current_time(), []

    async def wait() -> None:
        answers.append((await ask(house, "?after=0&wait=30"), trio.current_time() - began))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.sleep(3)
        house.server.drain()
    [(answer, waited)] = answers
    assert (answer.json, answer.header("connection"), waited) == (NOTHING, "close", 3)


async def test_after_draining_began_nobody_waits(house: House, autojump_clock: MockClock) -> None:
    client = house.connect()
    await client.send(b"GET /v1/feedback?after=0&wait=30 HTTP/1.1\r\nHost: relay\r\n")
    await wait_all_tasks_blocked()
    house.server.drain()
    began = trio.current_time()
    await client.send(b"Authorization: Bearer devices.secret-of-devices\r\n\r\n")
    answer = await client.answer()
    assert answer is not None
    assert (answer.json, trio.current_time() - began) == (NOTHING, 0)
    await client.aclose()


async def test_a_client_that_goes_away_while_it_waits_leaves_nothing_behind(
    house: House, autojump_clock: MockClock
) -> None:
    client = house.connect()
    await client.send(request("GET", "/v1/feedback?wait=30", headers=[bearer("devices")]))
    await wait_all_tasks_blocked()
    await client.aclose()
    await trio.sleep(31)
    assert house.server.connections == 0


async def test_a_store_that_cannot_be_read_is_503(house: House, autojump_clock: MockClock) -> None:
    async def broken(_read: Callable[[], None]) -> None:
        await trio.lowlevel.checkpoint()
        raise StoreError("no")

    house.journal._read = broken
    answer = await ask(house)
    assert (answer.status, answer.header("retry-after")) == (503, "5")
    house.journal._read = inline
    assert (await ask(house)).json == NOTHING


# --- parameters


@pytest.mark.parametrize(
    ("query", "paths"),
    [
        ("?after=", ["query.after"]),
        ("?after=-1", ["query.after"]),
        ("?after=1.0", ["query.after"]),
        ("?after=%2B1", ["query.after"]),
        ("?after=%D9%A3", ["query.after"]),
        ("?after=1234567890123456789", ["query.after"]),
        ("?wait=31", ["query.wait"]),
        ("?wait=30.001", ["query.wait"]),
        ("?wait=-1", ["query.wait"]),
        ("?wait=nan", ["query.wait"]),
        ("?wait=1e1", ["query.wait"]),
        ("?wait", ["query.wait"]),
        ("?after=x&wait=x", ["query.after", "query.wait"]),
        ("?after=1&after=1", ["query.after"]),
        ("?After=1", ["query"]),
        ("?after=1&limit=5", ["query"]),
        ("?after=1&", ["query"]),
        ("?&after=1", ["query"]),
        ("?after%3D1", ["query"]),
    ],
)
async def test_parameters_are_read_strictly(
    house: House, autojump_clock: MockClock, query: str, paths: list[str]
) -> None:
    """A misspelt `after` that is passed over would read everything again, at each poll."""
    answer = await ask(house, query)
    assert (answer.status, answer.paths) == (422, paths)


async def test_percent_encoding_and_order_do_not_matter(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    await bury(house, "anna")
    assert seqs(await ask(house, "?wait=%30&after=%30")) == [1]


async def test_a_device_that_was_refreshed_or_has_a_new_token_has_not_left(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna", token=TOKEN)
    await house.register("anna", token=TOKEN)
    await house.register("anna", token=OTHER_TOKEN)
    assert (await ask(house)).json == NOTHING
