"""Addresses of a provider: which comes next, and what the connections of a lane teach about them."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from relay.lanes.addresses import ASIDE, Addresses
from relay.lanes.dialer import RIVAL
from relay.lanes.link import CONNECT, LONGEST_WAIT
from tests.relay.world import virtual, world

FOUR = ["17.0.0.1", "17.0.0.2", "17.0.0.3"]
SIX = ["2620::1", "2620::2"]


def test_families_take_turns_and_the_lookup_decides_within_each() -> None:
    assert Addresses().order(SIX + FOUR, 0.0) == ["2620::1", "17.0.0.1", "2620::2", "17.0.0.2", "17.0.0.3"]
    assert Addresses().order(FOUR + FOUR, 0.0) == FOUR


def test_the_address_with_the_fewest_connections_comes_first() -> None:
    addresses = Addresses()
    for _ in range(5):
        addresses.opened(addresses.order(FOUR, 0.0)[0])
    assert addresses.order(FOUR, 0.0)[0] == FOUR[2]
    addresses.closed(FOUR[0])
    addresses.closed(FOUR[0])
    assert addresses.order(FOUR, 0.0)[0] == FOUR[0]


def test_an_address_that_failed_comes_last_for_five_minutes() -> None:
    addresses = Addresses()
    addresses.failed(FOUR[0], 10.0)
    assert addresses.order(FOUR, 10.0 + ASIDE - 1) == [FOUR[1], FOUR[2], FOUR[0]]
    assert addresses.order(FOUR, 10.0 + ASIDE) == FOUR


def test_a_connection_to_an_address_takes_it_back() -> None:
    addresses = Addresses()
    addresses.failed(FOUR[0], 0.0)
    addresses.opened(FOUR[0])
    addresses.closed(FOUR[0])
    assert addresses.order(FOUR, 1.0) == FOUR


events = st.lists(st.tuples(st.sampled_from(("opened", "closed", "failed")), st.sampled_from(FOUR + SIX)))


@given(events, st.lists(st.sampled_from(FOUR + SIX), min_size=1))
def test_no_address_is_ever_lost_and_those_aside_come_last_the_earliest_first(
    steps: list[tuple[str, str]], found: list[str]
) -> None:
    addresses, open_ones, until = Addresses(), Counter[str](), dict[str, float]()
    now = 0.0
    for what, address in steps:
        now += 40.0
        if what == "opened":
            addresses.opened(address)
            open_ones[address] += 1
            until.pop(address, None)
        elif what == "failed":
            addresses.failed(address, now)
            until[address] = now + ASIDE
        elif open_ones[address]:
            addresses.closed(address)
            open_ones[address] -= 1
    ordered = addresses.order(found, now)
    assert sorted(ordered) == sorted(set(found))
    good = [a for a in ordered if until.get(a, 0.0) <= now]
    assert ordered[: len(good)] == good
    assert [open_ones[a] for a in good] == sorted(open_ones[a] for a in good)
    assert ordered[len(good) :] == sorted(ordered[len(good) :], key=lambda a: until[a])


# --- through the relay


@virtual
async def test_the_connections_of_a_lane_are_spread_over_the_addresses() -> None:
    async with world(connections=6, running=False) as w:
        w.network.addresses = FOUR
        await w.begin()
        await w.pass_time(1)
        assert Counter(line.address for line in w.network.open_lines) == dict.fromkeys(FOUR, 2)


@virtual
async def test_an_address_that_refuses_costs_nothing_and_is_not_asked_again_for_five_minutes() -> None:
    async with world(connections=2, running=False) as w:
        w.network.addresses = FOUR
        w.network.refusing = {FOUR[0]}
        await w.begin()
        await w.pass_time(0.5)
        assert w.network.tried == FOUR
        for _ in range(4):
            await w.pass_time(LONGEST_WAIT + 5)
            await w.network.open_lines[0].cut()
        await w.pass_time(1)
        assert FOUR[0] not in w.network.tried[1:]
        assert len(w.network.open_lines) == 2
        await w.pass_time(ASIDE)
        w.network.refusing.clear()
        await w.network.open_lines[0].cut()
        await w.pass_time(1)
        assert w.network.tried[-1] == FOUR[0]


@virtual
async def test_an_address_that_swallows_everything_gets_a_rival_after_a_second_and_is_put_aside() -> None:
    async with world(connections=2, running=False) as w:
        w.network.addresses = [SIX[0], *FOUR]
        w.network.swallowing = {SIX[0]}
        await w.begin()
        await w.register("anna")
        await w.alarm("anna")
        await w.pass_time(3)
        assert w.rang("anna") == [RIVAL]
        assert w.network.tried == [SIX[0], FOUR[0], FOUR[1]]


@virtual
async def test_when_nothing_answers_the_attempt_ends_in_time_and_none_is_left_behind() -> None:
    async with world(running=False) as w:
        w.network.addresses = SIX + FOUR
        w.network.swallowing = set(SIX + FOUR)
        await w.begin()
        await w.pass_time(CONNECT + 0.1)
        assert w.network.tried == [SIX[0], FOUR[0], SIX[1], FOUR[1]]
        assert w.network.most_at_once == 4
        w.network.swallowing.clear()
        await w.pass_time(2)
        assert w.network.tried[4:] == [FOUR[2]], "the one that was not tried yet"
        assert w.network.open_lines[0].address == FOUR[2]


@virtual
async def test_the_address_of_a_connection_that_was_lost_soon_is_put_aside() -> None:
    async with world(running=False) as w:
        w.network.addresses = FOUR
        await w.begin()
        await w.pass_time(5)
        await w.network.open_lines[0].cut()
        await w.pass_time(5)
        await w.network.open_lines[0].cut()
        await w.pass_time(5)
        assert w.network.tried == FOUR


@virtual
async def test_the_name_is_looked_up_anew_for_each_connection() -> None:
    async with world(running=False) as w:
        w.network.addresses = FOUR[:1]
        await w.begin()
        await w.pass_time(LONGEST_WAIT)
        w.network.addresses = FOUR[1:2]
        await w.network.open_lines[0].cut()
        await w.pass_time(1)
        assert w.network.tried == FOUR[:2]
