"""The stream door on the real journal, in virtual time: order, refusals, what it does when nothing can be taken."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.core.events import Event
from relay.doors import stream, stream_intake
from relay.doors.keys import Scope
from relay.waiting import MAX_WAITING
from tests.relay.doors.house import api_key, open_house, tenant, usual_keys
from tests.relay.doors.http_client import MSGPACK
from tests.relay.doors.streams import Streams, Talk, hello, packed, streaming
from tests.relay.world import Gate

ALARM = {"class": "alarm", "role": "dispatch", "reason": "incident"}


@asynccontextmanager
async def gated(connections: int = 8) -> AsyncIterator[tuple[Streams, Gate]]:
    """Streams, and the door of the store's thread."""
    gate = Gate()
    async with open_house(executor=gate) as house, streaming(house, connections=connections) as streams:
        yield streams, gate


@asynccontextmanager
async def under_way() -> AsyncIterator[tuple[Streams, Gate, Talk]]:
    """A stream whose first message, `[1, ["anna"]]`, is at the store, and stays there while the gate is shut."""
    async with gated() as (streams, gate):
        await streams.people("anna")
        talk = await streams.open()
        gate.shut()
        await talk.say([1, ["anna"]])
        await wait_all_tasks_blocked()
        yield streams, gate, talk


@pytest.fixture
async def streams(autojump_clock: MockClock) -> AsyncIterator[Streams]:
    assert trio.lowlevel.current_clock() is autojump_clock
    async with open_house() as house, streaming(house) as opened:
        yield opened


# --- events, and their answers


async def test_an_acknowledged_message_is_committed(autojump_clock: MockClock, streams: Streams) -> None:
    await streams.people("anna", "bert")
    talk = await streams.open()
    await talk.say([1, ["anna", "bert", "anna", "nobody"]])
    assert await talk.hear() == [1, 3, 1]
    assert streams.house.pending("anna") == 2
    assert streams.house.pending("bert") == 1


async def test_messages_that_come_during_a_commit_are_one_commit_and_one_answer(autojump_clock: MockClock) -> None:
    async with gated() as (streams, gate):
        await streams.people("anna")
        talk = await streams.open()
        gate.shut()
        await talk.say([10, ["anna"]])
        await wait_all_tasks_blocked()
        before = streams.house.store.commits
        for number in range(11, 60):
            await talk.say([number, ["anna", {"user": "anna", "class": "roster"}]])
        await wait_all_tasks_blocked()
        gate.open()
        assert await talk.hear() == [10, 1, 0]
        assert await talk.hear() == [59, 98, 0]
        assert streams.house.store.commits == before + 2
        assert streams.house.pending("anna") == 50
        assert streams.house.pending("anna", "roster") == 49


async def test_nothing_is_said_before_the_commit(autojump_clock: MockClock) -> None:
    async with gated() as (streams, gate):
        await streams.people("anna")
        talk = await streams.open()
        gate.shut()
        await talk.say([1, ["anna"]])
        with trio.move_on_after(60):
            await talk.hear()
            pytest.fail("it was answered")
        gate.open()
        assert await talk.hear() == [1, 1, 0]


async def test_an_item_is_what_an_event_of_http_is(autojump_clock: MockClock, streams: Streams) -> None:
    await streams.people("anna", "bert")
    talk = await streams.open()
    now = streams.house.clock.now()
    await talk.say([1, [{"users": ["anna", "bert"], "ttl": 60, "at": now - 5}, {"user": "bert"}]])
    assert await talk.hear() == [1, 3, 0]
    person = streams.house.person("anna")
    assert person is not None
    assert (person.slots["message"].last_at, person.slots["message"].expires_at) == (now - 5, now + 55)


@pytest.mark.parametrize(
    "events",
    [
        [], [""], ["a" * 257], ["a\n"], [{"user": ""}], [{"user": "anna", "class": "nonsense"}], [{}], [{"users": []}],
        [{"user": "anna", "users": ["bert"]}], [{"user": "anna", "ttl": 0}], [{"user": "anna", "at": "soon"}],
        [{"user": "anna", "at": 4e9}], [{"user": "anna", "device": "phone"}], [{"user": "anna", "role": "dispatch"}],
        [{"user": "anna", "what": 1}], [{"user": "anna", **ALARM}], [{"users": ["a"] * 25_001}], [1],
        [{"user": "anna", "class": "roster"}, {"user": "anna", "reason": "x"}],
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", ["backend", "control"])
async def test_what_is_wrong_is_told_as_http_tells_it(
    autojump_clock: MockClock, streams: Streams, events: list[object], key: str
) -> None:
    talk = await streams.open(key)
    before = streams.house.snapshot()
    await talk.say([1, events])
    number, problem = await talk.hear()
    assert number == 1
    assert await talk.hear() == [1, 0, 0]
    assert streams.house.snapshot() == before, "nothing of it was taken"
    over_http = (await streams.house.post({"events": events}, key=key, form=MSGPACK)).json
    if "errors" in over_http and any(isinstance(event, str | int) for event in events):
        over_http["errors"] = [  # HTTP knows no bare ids
            {"path": "events[0]", "sentence": problem["errors"][0]["sentence"]}
        ]
    for error in over_http.get("errors", []):
        error["path"] = error["path"].replace("header.Idempotency-Key", "idempotency_key")
    assert problem == over_http


async def test_a_refused_message_is_named_before_the_answer_that_covers_it(autojump_clock: MockClock) -> None:
    async with under_way() as (streams, gate, talk):
        await talk.say([2, ["anna"]], [3, ["anna", ""]], [4, ["anna"]], [5, "anna"], [6, ["x"]])
        await wait_all_tasks_blocked()
        gate.open()
        assert await talk.hear() == [1, 1, 0]
        (third, problem), (fifth, other), last = await talk.hear_up_to(6)
        assert (third, problem["status"], [error["path"] for error in problem["errors"]]) == (3, 422, ["events[1]"])
        assert (fifth, other["status"]) == (5, 422)
        assert last == [6, 2, 1]
        assert streams.house.pending("anna") == 3


async def test_too_many_recipients_are_refused_and_the_stream_goes_on(
    autojump_clock: MockClock, streams: Streams
) -> None:
    talk = await streams.open()
    await talk.say([1, ["a"] * 25_001], [2, ["a"] * 25_000])
    (number, problem), *_, answer = await talk.hear_up_to(2)
    assert (number, problem["status"]) == (1, 413)
    assert answer == [2, 0, 25_000]


# --- alarms


async def test_an_alarm_has_a_receipt_and_counts_once(autojump_clock: MockClock, streams: Streams) -> None:
    await streams.people("anna")
    talk = await streams.open("control")
    alarm = [{"user": "anna", **ALARM}]
    await talk.say([1, alarm, "key-1"])
    number, accepted, unknown, receipts = await talk.hear()
    assert (number, accepted, unknown, list(receipts)) == (1, 1, 0, [1])
    totals = (await streams.house.ask("GET", f"/v1/alarms/{receipts[1]}", key="control")).json
    assert (totals["recipients"], totals["pending"]) == (1, 1)
    again = await streams.open("control")
    await again.say([77, alarm, "key-1"], [78, [{"user": "bert", **ALARM}], "key-1"])
    (refused, problem), answer = await again.hear_up_to(78)
    assert (refused, problem["type"]) == (78, "/problems/idempotency")
    assert answer == [78, 1, 0, {77: receipts[1]}]
    assert streams.house.pending("anna", "alarm") == 1
    assert len(streams.house.store.bypasses) == 1


async def test_an_alarm_needs_the_scope_and_a_key_that_is_one(autojump_clock: MockClock, streams: Streams) -> None:
    alarm = [{"user": "anna", **ALARM}]
    talk = await streams.open()
    await talk.say([1, alarm, "k"])
    assert (await talk.hear())[1]["status"] == 403
    talk = await streams.open("control")
    await talk.say([1, alarm], [2, alarm, ""], [3, alarm, "a b"], [4, alarm, "k" * 256])
    *refused, answer = await talk.hear_up_to(4)
    assert [(number, p["status"], p["errors"][0]["path"]) for number, p in refused] == [
        (number, 422, "idempotency_key") for number in (1, 2, 3, 4)
    ]
    assert answer == [4, 0, 0]


async def test_an_alarm_overtakes_what_its_stream_has_said_before(autojump_clock: MockClock) -> None:
    async with gated() as (streams, gate):
        await streams.people("anna", "bert")
        talk = await streams.open("control")
        gate.shut()
        await talk.say([1, ["anna"]])  # at the store
        await wait_all_tasks_blocked()
        await talk.say([2, ["anna"] * 20_000])  # gathered
        await talk.say([3, [{"user": "bert", **ALARM}], "k"])
        await wait_all_tasks_blocked()
        assert streams.house.journal.statistics().waiting == 2, "the alarm stands before the commit, and nobody else"
        gate.open()
        assert await talk.hear() == [1, 1, 0]
        number, accepted, unknown, receipts = await talk.hear()
        assert (number, accepted, unknown, list(receipts)) == (3, 20_001, 0, [3])


async def test_many_keys_wait_for_their_commit_and_no_more_are_read(autojump_clock: MockClock) -> None:
    async with gated() as (streams, gate):
        await streams.people("anna")
        talk = await streams.open()
        gate.shut()
        await talk.say([0, ["anna"]])  # at the store
        await wait_all_tasks_blocked()
        more = stream.KEYED + 10
        await talk.say(*([number, ["anna"], f"k{number}"] for number in range(1, more)))
        await wait_all_tasks_blocked()
        assert streams.house.journal.statistics().waiting == stream.KEYED * 2
        gate.open()
        heard = await talk.hear_up_to(more - 1)
        assert sum(answer[1] for answer in heard) == more
        assert streams.house.pending("anna") == more


# --- what ends a stream


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ({"stream": 1, "key": "backend.wrong"}, 401),
        ({"stream": 1, "key": "nobody.secret"}, 401),
        ({"stream": 1, "key": "ä\n"}, 401),
        (hello("devices"), 403),
        (hello("rest"), 403),
        ({"stream": 2, "key": "backend.x"}, 400),
        ([1, ["anna"]], 400),
        ("x" * 2_000, 413),
    ],
)
async def test_who_may_not_is_told_so(autojump_clock: MockClock, streams: Streams, first: object, status: int) -> None:
    talk = streams.connect()
    await talk.say(first, [1, ["anna"]])
    (refused,) = await talk.rest()
    assert (refused["refused"], refused["status"]) == (status, status)
    assert refused["title"]


async def test_a_silent_one_is_not_waited_for(autojump_clock: MockClock, streams: Streams) -> None:
    talk = streams.connect()
    began = trio.current_time()
    (refused,) = await talk.rest()
    assert refused["refused"] == 400
    assert trio.current_time() - began < stream.HELLO_SECONDS + stream.LINGER + 1


@pytest.mark.parametrize("nonsense", [b"\xc1", packed([9, ["a"]]), packed("x"), packed([4, ["a"]])])
async def test_nonsense_ends_the_stream_after_what_came_before_is_acknowledged(
    autojump_clock: MockClock, streams: Streams, nonsense: bytes
) -> None:
    await streams.people("anna")
    talk = await streams.open()
    await talk.stream.send_all(packed([3, ["anna"]], [4, ["anna"]]) + nonsense + packed([5, ["anna"]]))
    answer, refused = await talk.rest()
    assert answer == [4, 2, 0]
    assert refused["refused"] == 400
    assert streams.house.pending("anna") == 2


async def test_a_message_of_more_than_four_mebibytes_ends_it(autojump_clock: MockClock, streams: Streams) -> None:
    talk = await streams.open()
    async with trio.open_nursery() as nursery:

        async def flood() -> None:
            try:
                await talk.stream.send_all(b"\x92\x01\xdd\x7f\xff\xff\xff" + b"\xa1a" * (2**21 + 50_000))
            except trio.BrokenResourceError:
                pass

        nursery.start_soon(flood)
        (refused,) = await talk.rest()
        assert refused["refused"] == 413
        nursery.cancel_scope.cancel()


async def test_who_ends_his_side_still_hears_everything(autojump_clock: MockClock) -> None:
    async with under_way() as (_streams, gate, talk):
        await talk.stream.send_all(packed([2, ["anna"]], [3, ["anna"]])[:-1])
        await talk.stream.send_eof()
        await wait_all_tasks_blocked()
        gate.open()
        assert await talk.rest() == [[1, 1, 0], [2, 1, 0]]


async def test_a_client_that_goes_away_harms_nobody(autojump_clock: MockClock) -> None:
    async with gated() as (streams, gate):
        await streams.people("anna")
        talk, other = await streams.open(), await streams.open()
        gate.shut()
        await talk.say([1, ["anna"]])
        await wait_all_tasks_blocked()
        await trio.aclose_forcefully(talk.stream)
        await wait_all_tasks_blocked()
        await other.say([1, ["anna"]])
        gate.open()
        assert await other.hear() == [1, 1, 0]
        assert streams.house.pending("anna") == 2, "what was at the store is committed"
        assert streams.door.connections == 1


async def test_there_are_so_many_streams_and_no_more(autojump_clock: MockClock) -> None:
    async with gated(connections=2) as (streams, _gate):
        first, _second = await streams.open(), await streams.open()
        (refused,) = await streams.connect().rest()
        assert refused["refused"] == 503
        await first.aclose()
        await wait_all_tasks_blocked()
        await streams.open()


# --- when nothing can be taken


async def test_while_the_store_is_away_it_waits_and_then_goes_on(autojump_clock: MockClock) -> None:
    async with gated() as (streams, gate):
        await streams.people("anna")
        talk = await streams.open("control")
        gate.fails = True
        await talk.say([1, ["anna", "anna"]], [2, [{"user": "anna", **ALARM}], "k"])
        assert await talk.hear() == ["wait", 5, "unavailable"]
        with trio.move_on_after(30):
            pytest.fail(f"it said {await talk.hear()}")
        assert streams.house.pending("anna") == 0
        gate.fails = False
        number, accepted, unknown, receipts = await talk.hear()
        assert (number, accepted, unknown, list(receipts)) == (2, 3, 0, [2])
        assert streams.house.pending("anna") == 2
        gate.fails = True
        await talk.say([3, ["anna"]])
        assert await talk.hear() == ["wait", 5, "unavailable"], "said once each time"
        gate.fails = False
        assert await talk.hear() == [3, 1, 0]


async def test_while_the_room_is_full_it_waits_and_http_is_refused(autojump_clock: MockClock) -> None:
    async with gated() as (streams, gate):
        await streams.people("anna")
        talk = await streams.open()
        gate.shut()
        house = streams.house
        north = house.tenants["north"]
        users = [north.pseudonyms.user(user) for user in ["anna", *map(str, range(MAX_WAITING - 2))]]
        event = Event(north.classes["message"], users, house.clock.now())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(house.engine.accept, north, [event], None))  # at the store
            await wait_all_tasks_blocked()
            nursery.start_soon(partial(house.engine.accept, north, [event], None))  # fills the room
            await wait_all_tasks_blocked()
            await talk.say([1, ["anna"]])
            told = await talk.hear()
            assert (told[0], told[2]) == ("wait", "overloaded")
            assert (await house.post({"user": "anna"})).status == 429
            gate.open()
            assert await talk.hear() == [1, 1, 0]


async def test_beyond_two_groups_nothing_is_read(autojump_clock: MockClock) -> None:
    """What a backend sends then stays in its kernel and ours: nothing grows here."""
    async with under_way() as (streams, gate, talk):
        size, numbers = 1_000, range(2, 102)
        await talk.say(*([number, [f"u{number}-{index}" for index in range(size)]] for number in numbers))
        await wait_all_tasks_blocked()
        (opened,) = streams.door._open
        assert opened._frames.kept > 0, "there is more to read"
        assert opened._frames.kept <= stream.READ
        gate.open()
        heard = await talk.hear_up_to(numbers[-1])
        assert heard[0] == [1, 1, 0]
        sizes = [answer[2] for answer in heard[1:]]
        assert sum(sizes) == size * len(numbers)
        assert max(sizes) <= stream_intake.PEOPLE + size


async def test_many_events_for_few_people_are_one_large_group(autojump_clock: MockClock) -> None:
    async with under_way() as (streams, gate, talk):
        for number in range(2, 5):
            await talk.say([number, ["anna"] * 25_000])
        await wait_all_tasks_blocked()
        assert streams.house.journal.statistics().waiting == 0
        gate.open()
        assert await talk.hear() == [1, 1, 0]
        assert await talk.hear() == [4, 75_000, 0]
        assert streams.house.pending("anna") == 75_001


async def test_who_never_reads_is_disconnected_and_the_others_go_on(
    autojump_clock: MockClock, streams: Streams
) -> None:
    await streams.people("anna")
    deaf = streams.connect(lockstep=True)
    await deaf.say(hello())
    assert (await deaf.hear())["stream"] == 1
    await deaf.say([1, ["anna"]])
    await wait_all_tasks_blocked()
    other = await streams.open()
    await other.say([1, ["anna"]])
    assert await other.hear() == [1, 1, 0]
    await trio.sleep(stream.ANSWER_SECONDS + 1)
    assert streams.door.connections == 1


async def test_streams_of_one_tenant_leave_room_for_requests(autojump_clock: MockClock) -> None:
    """However many streams there are: of each tenant one group stands before the commit, of all two."""
    north, south = tenant(), tenant("south")
    gate = Gate()
    async with (
        open_house(tenants=[north, south], executor=gate) as house,
        streaming(house, [*usual_keys(north), api_key("other", south, Scope.EVENTS)]) as streams,
    ):
        await streams.people("anna")
        gate.shut()
        talks = [await streams.open() for _ in range(5)] + [await streams.open("other")]
        for number, talk in enumerate(talks):
            await talk.say([1, ["anna", *(f"u{number}-{index}" for index in range(14_999))]])
            await wait_all_tasks_blocked()
        assert house.journal.statistics().waiting == 15_001, "one is at the store, one waits"
        answers: list[int] = []
        async with trio.open_nursery() as nursery:

            async def post() -> None:
                answers.append((await house.post({"user": "anna"})).status)

            nursery.start_soon(post)
            await wait_all_tasks_blocked()
            gate.open()
        assert answers == [202]
        for talk in talks[:-1]:
            assert await talk.hear() == [1, 1, 14_999]
        assert await talks[-1].hear() == [1, 0, 15_000]


# --- the end


async def test_a_drain_acknowledges_what_was_taken_and_ends(autojump_clock: MockClock) -> None:
    async with gated() as (streams, gate):
        await streams.people("anna")
        talk, idle, silent = await streams.open("control"), await streams.open(), streams.connect()
        await wait_all_tasks_blocked()
        gate.shut()
        await talk.say([1, ["anna"]])
        await wait_all_tasks_blocked()
        await talk.say([2, ["anna"]], [3, [{"user": "anna", **ALARM}], "k"])
        await wait_all_tasks_blocked()
        streams.door.drain()
        await talk.say([4, ["anna"]])
        await wait_all_tasks_blocked()
        assert await idle.rest() == []
        assert await silent.rest() == []
        gate.open()
        first, second = await talk.rest()
        assert (first, second[:3]) == ([1, 1, 0], [3, 2, 0])
        await streams.ended.wait()
        assert streams.house.pending("anna") == 2


async def test_nothing_said_shows_in_what_is_told(autojump_clock: MockClock, streams: Streams) -> None:
    """Values are never repeated: an answer must not become the place where an id is logged."""
    canary = "canary-3f81"
    talk = await streams.open("control")
    wrong = [canary, {"user": canary, "class": canary, "role": canary, "device": canary, "at": canary}, {canary: 1}]
    await talk.say([1, wrong, canary], [2, [canary, ""]], [3, [{"user": canary, **ALARM, "role": canary}], canary])
    heard = repr(await talk.hear_up_to(3))
    await talk.say({"stream": 1, canary: canary})
    heard += repr(await talk.rest())
    refusing = streams.connect()
    await refusing.say({"stream": 1, "key": f"{canary}.{canary}"})
    heard += repr(await refusing.rest())
    assert canary not in heard
    assert heard.count("status") >= 4


# --- however it is cut

MESSAGE = st.sampled_from([["anna"], ["bert", "anna"], ["x"], [], [{"user": "anna", "class": "roster"}], ["anna", ""]])


@given(
    st.lists(MESSAGE, min_size=1, max_size=12), st.lists(st.integers(0, 400), max_size=12), st.integers(0, 1_000_000)
)
@settings(max_examples=15, deadline=None)
def test_however_it_arrives_all_that_is_right_counts_once(
    messages: list[list[object]], places: list[int], first: int
) -> None:
    data = packed(*([first + index, events] for index, events in enumerate(messages)))
    edges = sorted({0, len(data), *(place % len(data) for place in places)})

    async def play() -> None:
        async with open_house() as house, streaming(house) as streams:
            await streams.people("anna", "bert")
            talk = await streams.open()
            for a, b in itertools.pairwise(edges):
                await talk.stream.send_all(data[a:b])
                await wait_all_tasks_blocked()
            heard = await talk.hear_up_to(first + len(messages) - 1)
            check(messages, first, heard, streams)

    trio.run(play, clock=MockClock(autojump_threshold=0))


def check(messages: list[list[object]], first: int, heard: list[list[object]], streams: Streams) -> None:
    good = [events for events in messages if events and "" not in events]
    wrong = [first + index for index, events in enumerate(messages) if not events or "" in events]
    refused = [answer for answer in heard if isinstance(answer[1], dict)]
    answers = [answer for answer in heard if not isinstance(answer[1], dict)]
    assert [answer[0] for answer in refused] == wrong
    assert [answer[0] for answer in heard] == sorted(answer[0] for answer in heard)  # type: ignore[type-var]
    count = sum(event != "x" for events in good for event in events)
    assert sum(answer[1] for answer in answers) == count  # type: ignore[misc]
    assert sum(answer[2] for answer in answers) == sum(events.count("x") for events in good)  # type: ignore[misc]
    in_books = [streams.house.account(name).accepted for name in ("message", "roster")]
    assert sum(in_books) == count
