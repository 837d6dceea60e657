"""Several nodes at work on one database: what is acknowledged, who is woken, and what becomes of the books."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.doors.http1 import Request
from tests.effort import examples
from tests.relay.nodes import Node, Nodes, nodes
from tests.relay.world import virtual

USERS = tuple(f"officer-{n}" for n in range(6))
MOST = 4
"""Nodes that live at a time."""


@virtual
async def test_it_does_not_matter_which_node_is_asked() -> None:
    async with nodes(2, *USERS) as n:
        for number, user in enumerate(USERS):
            await n.post(n.living[number % 2], user)
        await n.pass_time(1)
        for user in USERS:
            assert len(n.rang(user)) == 1
        await n.alarm(n.living[0], *USERS)
        await n.pass_time(2)
        await n.judge_receipts()
        await n.finish()
        assert set(n.statuses) <= {200, 201, 202}


@virtual
async def test_a_trace_is_with_the_node_that_has_its_person_and_any_node_tells_of_it() -> None:
    """Role and reason too, of an alarm that another node has taken."""
    async with nodes(2, *USERS) as n:
        one, other = n.living
        anna = n.of(other)[0]
        link = await n.ask(one, "POST", f"/v1/users/{anna}/link", key="settings")
        assert link is not None
        token = await n.ask(one, "POST", "/v1/me/token", {"link": json.loads(link.body)["link"]})
        assert token is not None
        headers = {b"authorization": b"Bearer " + json.loads(token.body)["token"].encode()}

        async def asked(method: bytes, status: int = 200) -> Any:  # noqa: ANN401 (JSON)
            answer = await one.answer(lambda relay: relay.door, Request(method, b"/v1/me/trace", headers, b""))
            assert answer is not None
            assert answer.status == status, answer.body
            return json.loads(answer.body) if answer.body else None

        await asked(b"PUT")
        await n.alarm(one, anna)
        await n.pass_time(2)
        (entry,) = (await asked(b"GET"))["entries"]
        assert (entry["what"], entry["by"]) == ("handed_over", [{"role": "dispatch", "reason": "incident"}])
        assert [len(node.relay.people.traces.open) for node in (one, other) if node.relay is not None] == [0, 1]
        await other.drain()
        await n.pass_time(5)
        assert (await asked(b"GET"))["since"] is None, "it does not move along"
        await asked(b"DELETE", 204)
        await n.finish()


@virtual
async def test_a_confirmation_does_not_overtake_an_order_that_another_node_has_taken() -> None:
    """Whoever has the person may not have fetched it yet; it would be open, and sent anew for weeks."""
    async with nodes(2, *USERS) as n:
        for number in range(10):
            one, other = n.living
            anna = n.of(other)[0]
            body = {"user": anna, "class": "control", "role": "administration", "reason": "device_lost"}
            taken = await n.ask(one, "POST", "/v1/events", body, key="admin", once=f"order-{number}")
            assert taken is not None
            assert json.loads(taken.body)["accepted"] == 1
            assert await n.ask(other, "POST", "/v1/confirmed", {"user": anna}, key="admin") is not None
            await n.pass_time(1)
            assert n.database.snapshot().slots == {}
        assert set(n.statuses) == {202}


# --- random histories


@dataclass(frozen=True)
class Step:
    what: str
    which: int
    user: int
    seconds: float


ORDINARY = ("post", "post", "post", "alarm", "seen", "rest", "reach", "time", "time", "join", "drain")
FAULTS = ("kill", "pause", "go on", "cut off", "silence", "slow", "part", "mend")


def steps(*whats: str) -> st.SearchStrategy[list[Step]]:
    step = st.builds(
        Step, st.sampled_from(whats), st.integers(0, MOST - 1), st.integers(0, len(USERS) - 1),
        st.sampled_from([0.0, 0.003, 0.1, 0.7, 1.0, 2.5, 4.0, 9.0]),
    )  # fmt: skip
    return st.lists(step, max_size=25)


async def play(n: Nodes, history: list[Step]) -> None:
    async with trio.open_nursery() as requests:
        for step in history:
            living = n.living
            if not living:
                await n.start()
                continue
            node, other = living[step.which % len(living)], living[step.user % len(living)]
            user = USERS[step.user]
            n.say(f"-- {step}")
            await do(n, requests, step, node, other, user)
        await n.heal()
    await n.finish()
    await n.judge_receipts()


async def do(n: Nodes, requests: trio.Nursery, step: Step, node: Node, other: Node, user: str) -> None:
    match step.what:
        case "post":
            requests.start_soon(n.post, node, user)
        case "alarm":
            requests.start_soon(n.alarm, node, user, USERS[step.which])
        case "seen":
            requests.start_soon(n.seen, node, user)
        case "rest" | "reach":
            requests.start_soon(n.set_rest, node, user, step.what == "rest")
        case "time":
            await n.pass_time(step.seconds)
        case "join":
            if len(n.living) < MOST:
                await n.start()
        case "drain":
            if len(n.living) > 1:
                node.is_draining = True
                requests.start_soon(node.drain)
        case _:
            fault(n, step, node, other)


def fault(n: Nodes, step: Step, node: Node, other: Node) -> None:
    n.faults += 1
    match step.what:
        case "kill":
            node.kill()
        case "pause":
            node.pause()
        case "go on":
            for each in n.all:
                each.go_on()
        case "cut off":
            node.way.set("cut")
        case "silence":
            node.way.set("silent")
        case "slow":
            node.way.seconds = (0.0, step.seconds / 4)
        case "part":
            n.way(node, other).set("cut" if step.seconds < 1 else "silent")
        case "mend":
            n.mend()


@settings(max_examples=examples(40))
@given(steps(*ORDINARY), st.integers(1, 3))
@virtual
async def test_while_nothing_fails_nobody_is_woken_twice_and_no_request_fails(history: list[Step], count: int) -> None:
    async with nodes(count, *USERS, seed=len(history)) as n:
        await play(n, history)
        assert set(n.statuses) <= {200, 201, 202}


@settings(max_examples=examples(60))
@given(steps(*ORDINARY, *FAULTS), st.integers(1, 3))
@virtual
async def test_whatever_fails_nothing_is_lost_and_nobody_is_woken_in_rest(history: list[Step], count: int) -> None:
    async with nodes(count, *USERS, seed=len(history)) as n:
        await play(n, history)
