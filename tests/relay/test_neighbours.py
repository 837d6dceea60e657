"""What goes between nodes: once, fresh, whole, and to whoever has the person."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import msgpack
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from relay.clock import TrioClock
from relay.core.devices import Registration
from relay.core.editing import Replaced
from relay.core.errors import Elsewhere
from relay.core.private import UserKey
from relay.core.seal import Seals
from relay.core.tenants import Tenant
from relay.doors.http1 import Request, Response
from relay.neighbours import ANSWER, ASK, FRESH, PATIENCE, NodeDoor
from relay.store.port import LEASE
from tests.relay.core.scene import tenant as tenant_of
from tests.relay.nodes import Node, Nodes, nodes
from tests.relay.world import APP, NOON, virtual

USERS = tuple(f"officer-{n}" for n in range(6))
SEALS = Seals({1: b"m" * 32}, 1)
US = 7
"""Number of the node that is asked."""
PUT = ("request", b"PUT", b"/v1/x", [(b"a", b"b")], b"body")


# --- the door


class Engine:
    """Of a node that has none of the people."""

    async def put_devices_here(self, tenant: Tenant, listed: Mapping[UserKey, Sequence[Registration]]) -> Replaced:
        raise Elsewhere(next(iter(listed)))


class House:
    """A node's door, and how often something was done behind it."""

    def __init__(self) -> None:
        self.clock = TrioClock(NOON)
        self.done = 0
        self.answer = Response(200, b"fine", b"text/plain", ((b"etag", b'"7"'),))
        self.failures: list[BaseException] = []
        self.door = self.with_tenants()

    def with_tenants(self, *names: str) -> NodeDoor:
        tenants = {name: tenant_of(name) for name in names}
        return NodeDoor(US, SEALS, self.clock, self.here, Engine(), tenants, self.failures.append)

    async def here(self, request: Request) -> Response:
        assert request == Request(b"PUT", b"/v1/x", {b"a": b"b"}, b"body")
        await trio.lowlevel.checkpoint()
        self.done += 1
        return self.answer

    def question(
        self, seals: Seals = SEALS, *, age: float = 0.0, label: bytes = ASK, nonce: bytes = b"n" * 16, node: int = US,
        content: Sequence[object] = PUT,
    ) -> bytes:  # fmt: skip
        return seals.seal(label, msgpack.packb([node, self.clock.now() - age, nonce, *content]))

    async def ask(self, body: bytes) -> Response:
        return await self.door(Request(b"POST", b"/", {}, body))

    async def refuses(self, body: bytes) -> bool:
        before = self.done
        answer = await self.ask(body)
        return answer.status == 401 and self.done == before


@virtual
async def test_an_answer_is_sealed_for_its_question_and_is_whole() -> None:
    house = House()
    question = house.question()
    answer = await house.ask(question)
    assert (answer.status, house.done) == (200, 1)
    found = msgpack.unpackb(SEALS.open(ANSWER + question[1:13], answer.body))
    assert found == [200, b"fine", b"text/plain", [[b"etag", b'"7"']]]


@virtual
async def test_a_message_is_good_once() -> None:
    house = House()
    question = house.question()
    assert not await house.refuses(question)
    for _ in range(5):
        assert await house.refuses(question)
        await trio.sleep(FRESH / 2)
    assert not await house.refuses(house.question(nonce=b"o" * 16))


@pytest.mark.parametrize("age", [-FRESH, FRESH])
def test_a_message_is_good_for_half_a_minute_whosever_clock_is_ahead(age: float) -> None:
    @virtual
    async def run() -> None:
        house = House()
        assert await house.refuses(house.question(age=age * 1.01))
        question = house.question(age=age * 0.99, nonce=b"o" * 16)
        assert not await house.refuses(question)
        for _ in range(100):
            await trio.sleep(1)
            assert await house.refuses(question), "as long as it is fresh it is known"

    run()


@virtual
async def test_what_comes_from_the_future_is_not_taken_when_that_is_there() -> None:
    """Its sender was told no, and has perhaps told its client so."""
    house = House()
    question = house.question(age=-4 * FRESH)
    for _ in range(12):
        assert await house.refuses(question)
        await trio.sleep(FRESH / 2)


@virtual
async def test_a_message_of_somebody_with_another_key_is_refused() -> None:
    house = House()
    assert await house.refuses(house.question(Seals({1: b"x" * 32}, 1)))
    assert await house.refuses(house.question(Seals({2: b"m" * 32}, 2)))
    assert await house.refuses(b"")
    assert await house.refuses(SEALS.seal(ASK, b"\xc1"))
    assert await house.refuses(SEALS.seal(ASK, msgpack.packb(7)))
    assert await house.refuses(SEALS.seal(ASK, msgpack.packb([])))


@virtual
async def test_an_answer_is_no_question() -> None:
    house = House()
    assert await house.refuses(house.question(label=ANSWER + bytes(12)))
    answer = await house.ask(house.question())
    assert await house.refuses(answer.body)


@given(st.data())
@virtual
async def test_a_message_that_was_altered_is_refused(data: st.DataObject) -> None:
    house = House()
    question = bytearray(house.question())
    at, by = data.draw(st.integers(0, len(question) - 1)), data.draw(st.integers(1, 255))
    question[at] ^= by
    assert await house.refuses(bytes(question))
    assert await house.refuses(bytes(question[:at]))
    assert await house.refuses(bytes(question) + b"\x00")


@virtual
async def test_what_is_not_here_is_asked_for_again() -> None:
    house = House()
    house.door = house.with_tenants("city")
    assert (await house.ask(house.question(content=["devices", "city", [[b"u" * 16, []]]]))).status == 204


@virtual
async def test_people_of_a_tenant_that_is_not_configured_here_yet_are_asked_for_again() -> None:
    house = House()
    assert (await house.ask(house.question(content=["devices", "city", [[b"u" * 16, []]]]))).status == 204
    assert not house.failures


@virtual
async def test_a_message_for_another_node_is_refused() -> None:
    """Also one for the same machine, before it was started anew: it has forgotten what it has seen."""
    house = House()
    assert await house.refuses(house.question(node=US - 1))
    assert not await house.refuses(house.question())


@pytest.mark.parametrize(
    "content",
    [
        ["request"],
        ["request", b"PUT", b"/v1/x", 7, b"body"],
        ["devices", "city"],
        ["devices", "city", [[b"u" * 16, [["of", "another", "version"]]]]],
        ["something new"],
    ],
)
def test_a_message_of_another_version_costs_nobody_else_anything(content: list[object]) -> None:
    @virtual
    async def run() -> None:
        house = House()
        house.door = house.with_tenants("city")
        assert (await house.ask(house.question(content=content))).status == 500
        assert len(house.failures) == 1
        assert not await house.refuses(house.question(nonce=b"o" * 16))

    run()


@virtual
async def test_what_a_node_that_leaves_cannot_do_is_asked_for_again() -> None:
    """Its next owner can. One that stays says so itself."""
    house = House()
    house.answer = Response(503)
    assert (await house.ask(house.question(nonce=b"1" * 16))).status == 200
    house.door.is_leaving = True
    assert (await house.ask(house.question(nonce=b"2" * 16))).status == 204


# --- who asks


class Post:
    """Between two nodes: everything that was asked, and what shall be answered instead, first of all."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self.asked: list[bytes] = []
        self.answered: list[tuple[int, bytes]] = []
        self.instead: list[tuple[int, bytes]] = []
        node.intercept = self

    async def __call__(self, other: Node, body: bytes) -> tuple[int, bytes]:
        self.asked.append(body)
        if self.instead:
            await trio.lowlevel.checkpoint()
            return self.instead.pop(0)
        self.answered.append(await self._node.post(other, body))
        return self.answered[-1]


async def edited(n: Nodes, node: Node, user: str) -> Response:
    answer = await n.ask(node, "PUT", f"/v1/users/{user}/rest", {"windows": []}, key="settings")
    assert answer is not None
    return answer


@virtual
async def test_the_answer_of_whoever_has_somebody_is_handed_on_as_it_is() -> None:
    async with nodes(2, *USERS) as n:
        one, two = n.living
        post = Post(one)
        user = n.of(two)[0]
        answer = await edited(n, one, user)
        assert answer.status == 201
        assert [name for name, _ in answer.headers if name == b"etag"]
        again = await edited(n, two, user)
        assert again.status == 200
        assert len(post.asked) == 1
        assert user.encode() not in post.asked[0], "between nodes nothing can be read"


@virtual
async def test_an_answer_to_another_question_is_none() -> None:
    async with nodes(2, *USERS) as n:
        one, two = n.living
        post = Post(one)
        user = n.of(two)[0]
        first = await edited(n, one, user)
        post.instead += [post.answered[0], (200, post.asked[0]), (200, b""), (200, SEALS.seal(ANSWER, b"")), (401, b"")]
        again = await edited(n, one, user)
        assert len(post.asked) == 1 + 5 + 1
        assert (first.status, again.status) == (201, 200)
        assert len(set(post.asked)) == len(post.asked)


@virtual
async def test_what_lies_between_nodes_cannot_be_sent_again() -> None:
    async with nodes(2, *USERS) as n:
        one, two = n.living
        post = Post(one)
        user = n.of(two)[0]
        answer = await n.ask(one, "DELETE", f"/v1/users/{user}")
        assert answer is not None
        assert answer.status == 204
        await n.register(user)
        status, _ = await one.post(two, post.asked[0])
        assert status == 401
        await n.post(two, user)
        await n.pass_time(1)
        assert len(n.rang(user)) == 1


@virtual
async def test_an_attempt_ends_when_somebody_else_has_the_person() -> None:
    async with nodes(2, *USERS) as n:
        one, two = n.living
        user = n.of(two)[0]
        two.pause()
        began = trio.current_time()
        answer = await edited(n, one, user)
        assert answer.status == 201
        assert LEASE - 1 < trio.current_time() - began < LEASE + 2
        assert user in n.of(one)
        two.go_on()
        await n.pass_time(1)
        assert two.ended.is_set()


@virtual
async def test_who_asks_for_somebody_who_is_just_moving_waits() -> None:
    async with nodes(1, *USERS) as n:
        (one,) = n.living
        two = await n.start()
        two.answering["loader"] = 2.0
        answers: list[Response] = []

        async def ask(node: Node, user: str) -> None:
            answers.append(await edited(n, node, user))

        with trio.fail_after(5):
            while len(one.owned) == 64:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.01)
        began = trio.current_time()
        moving = [user for user in USERS if user not in n.of(one)]
        assert moving
        async with trio.open_nursery() as nursery:
            for user in moving:
                nursery.start_soon(ask, one, user)
                nursery.start_soon(ask, two, user)
        assert {answer.status for answer in answers} == {200, 201}
        assert trio.current_time() - began > 2


@pytest.mark.parametrize("state", ["cut", "silent"])
def test_who_cannot_be_reached_is_waited_for_some_seconds(state: str) -> None:
    @virtual
    async def run() -> None:
        async with nodes(2, *USERS) as n:
            one, two = n.living
            user = n.of(two)[0]
            n.way(one, two).set(state)
            began = trio.current_time()
            answer = await edited(n, one, user)
            assert answer.status == 503
            assert dict(answer.headers)[b"retry-after"] == b"2"
            assert trio.current_time() - began == pytest.approx(PATIENCE, abs=0.01)
            device = {"platform": "apns", "app": APP, "token": "a" * 64}
            listed = await n.ask(one, "PUT", "/v1/devices", {"users": {user: {"devices": {"phone": device}}}})
            assert listed is not None
            assert listed.status == 503
            assert dict(listed.headers)[b"retry-after"] == b"2"
            assert trio.current_time() - began == pytest.approx(2 * PATIENCE, abs=0.1)
            n.mend()
            assert (await edited(n, one, user)).status in (200, 201)

    run()


@virtual
async def test_lists_of_devices_are_kept_by_whoever_has_each_person() -> None:
    async with nodes(3, *USERS) as n:
        listed: dict[str, object] = {user: {"devices": {}} for user in USERS}
        answer = await n.ask(n.living[1], "PUT", "/v1/devices", {"users": listed})
        assert answer is not None
        assert json.loads(answer.body) == {"created": 0, "refreshed": 0, "deleted": len(USERS)}


@virtual
async def test_what_the_database_is_needed_for_is_refused_at_once_without_it() -> None:
    async with nodes(2, *USERS) as n:
        one, two = n.living
        one.way.set("cut")
        answer = await n.ask(one, "POST", "/v1/events", {"user": n.of(two)[0]})
        assert answer is not None
        assert answer.status == 503
        assert dict(answer.headers)[b"retry-after"] == b"5"
