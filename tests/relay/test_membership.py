"""Who has whose people in memory while partitions move, answers come late, and commits are in doubt."""

from __future__ import annotations

from functools import partial

import trio

from relay.core.events import NEVER
from relay.core.operating import Selection, hold
from relay.core.partitions import ALL, part_of
from tests.relay.nodes import WRITER, Node, Nodes, nodes
from tests.relay.world import virtual

USERS = tuple(f"officer-{n}" for n in range(6))


@virtual
async def test_an_answer_that_is_older_than_a_hand_over_brings_nobody_back() -> None:
    async with nodes(1, *USERS) as n:
        (one,) = n.living
        one.asking[WRITER], one.answering["keeper"] = 0.02, 1.0
        two = await n.start()
        for _ in range(100):
            await n.pass_time(0.05)
            n.look()
        assert (len(one.owned), len(two.owned)) == (32, 32)
        assert one.owned | two.owned == ALL


@virtual
async def test_what_an_operator_holds_back_stays_held_when_an_older_answer_comes() -> None:
    async with nodes(2, *USERS) as n:
        one, two = n.living
        assert one.relay is not None
        assert two.relay is not None
        assert one.relay.shared is not None
        one.answering["keeper"] = 0.5
        await n.pass_time(1)
        await one.relay.shared.membership.looked.wait()
        await n.pass_time(0.35)
        everything = Selection(None, None, None)
        await one.relay.journal.operate(partial(hold, of=everything, reason="repair", by="root", until=NEVER))
        for _ in range(40):
            await n.pass_time(0.05)
            assert one.relay.people.halts
        assert one.relay.people.halts == two.relay.people.halts


async def release_in_doubt(n: Nodes) -> tuple[Node, Node]:
    """One hands over, and is told that the commit failed; two has those people."""
    (one,) = n.living
    one.loses_next_answer = True
    two = await n.start()
    with trio.fail_after(2):
        while not two.owned:  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.01)
    return one, two


@virtual
async def test_while_it_is_in_doubt_whether_people_were_handed_over_nothing_begins_for_them() -> None:
    async with nodes(1, *USERS) as n:
        (one,) = n.living
        theirs = [user for user in USERS if part_of(n.users[user].key) < 32]
        for user in theirs:
            await n.post(one, user)
            await n.post(one, user)
        await n.pass_time(4.4)
        assert [len(n.rang(user)) for user in theirs] == [1] * len(theirs), "the other one is held for five seconds"
        one, two = await release_in_doubt(n)
        for user in theirs:
            assert await n.set_rest(two, user, True)
        before = [n.rang(user) for user in theirs]
        await n.pass_time(2)
        assert one.ended.is_set()
        assert [n.rang(user) for user in theirs] == before
