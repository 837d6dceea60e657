"""FCM's quotas, kept before Google has to say so: of the project and of each device."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.devices import Device, Platform
from relay.core.flight import Flight
from relay.core.people import Person
from relay.core.private import DeviceKey, TokenHash, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.tenants import Tenant
from relay.lanes.quota import DEVICE_BURST, PER_DEVICE, ROOMY, SHORTEST, SMALLEST, WORTH_IT, Quota
from tests.relay.lanes.google import Google, android
from tests.relay.world import CLASSES, app, tenant, virtual, world

USER = UserKey(b"u" * 16)
TENANT = Tenant(name="t", pseudonyms=Pseudonyms(b"m" * 32, "t"), apps={"android": Platform.FCM})
MINUTE, HOUR = 60.0, 3600.0


def flight(number: int = 0) -> Flight:
    device = Device(DeviceKey(b"%16d" % number), USER, "android", Platform.FCM, TokenHash(USER), b"", registered_at=0.0)
    return Flight(Person(TENANT, USER, b""), device, urgent=False)


def most_within(instants: list[float], window: float) -> int:
    """The most there are in any window of that length."""
    first = most = 0
    for index, instant in enumerate(instants):
        while instants[first] <= instant - window:
            first += 1
        most = max(most, index - first + 1)
    return most


@given(st.lists(st.tuples(st.sampled_from((0.0, 0.001, 0.5, 7.0, 60.0)), st.integers(1, 3000)), max_size=60))
def test_no_minute_has_more_than_the_project_may_send(steps: list[tuple[float, int]]) -> None:
    quota, now = Quota(6_000), 0.0
    sent: list[float] = []
    for pause, wanted in steps:
        now += pause
        count = min(quota.allowance(now, wanted), wanted)
        for number in range(count):
            sent += [now] * len(quota.pass_on([flight(len(sent) + number)], now))
    assert most_within(sent, MINUTE) <= 6_000


@given(st.lists(st.sampled_from((0.01, 0.1, 0.26, 0.7, 30.0, 120.0)), min_size=1, max_size=8))
def test_a_device_never_gets_more_than_240_a_minute_and_5000_an_hour(pauses: list[float]) -> None:
    """Whatever the rhythm, as soon as one is through the next is wanted."""
    quota, now = Quota(600_000), 0.0
    sent: list[float] = []
    for step in range(9_000):
        now += pauses[step % len(pauses)]
        if now > 3 * HOUR:
            break
        quota.allowance(now, 1)
        wanted = [flight()] if not quota.held else quota.due(now)
        sent += [now] * len(quota.pass_on(wanted, now))
    assert most_within(sent, MINUTE) <= 240
    assert most_within(sent, HOUR) <= 5_000


def test_a_held_wakeup_is_due_when_one_more_may_leave() -> None:
    quota = Quota(600_000)
    quota.allowance(0.0, 1)
    assert len(quota.pass_on([flight() for _ in range(DEVICE_BURST)], 0.0)) == DEVICE_BURST
    late = flight()
    assert quota.pass_on([late, flight(1)], 0.0) != [late]
    assert (quota.held, quota.due_at) == (1, PER_DEVICE)
    assert quota.due(PER_DEVICE - 0.001) == []
    assert quota.due(PER_DEVICE) == [late]
    assert quota.pass_on([late], PER_DEVICE) == [late]


def test_alarms_find_a_twentieth_of_the_bucket_that_the_others_leave() -> None:
    quota = Quota(60_000)
    assert quota.allowance(0.0, 2_000) == 950
    quota.pass_on([flight(n) for n in range(950)], 0.0)
    assert quota.allowance(0.0, 2_000) == 0
    assert quota.wait(0.0, 2_000) > 0
    assert quota.allowance(0.0, 2_000, urgent=20) == 20
    assert quota.allowance(0.0, 2_000, urgent=80) == 50


@given(st.integers(SMALLEST, 300_000), st.integers(1, 5_000), st.floats(0.0, 1e9))
@example(rate=10**7, waiting=5_000, began=0.0)
@example(rate=23_181, waiting=45, began=0.0)
def test_an_empty_bucket_is_asked_again_when_it_holds_a_write_or_all_that_wait(
    rate: int, waiting: int, began: float
) -> None:
    """So a release is no trickle, a single one does not wait for others, and the wait that is told is long enough."""
    quota = Quota(rate)
    quota.pass_on([flight(n) for n in range(quota.allowance(began, 10**9))], began)
    now, waits = began, 0
    while (wait := quota.wait(now, waiting)) > 0:
        assert quota.allowance(now, waiting) == 0
        now += wait
        waits += 1
    assert waits <= 3
    assert quota.allowance(now, waiting) >= min(waiting, WORTH_IT, int(rate / 120))
    assert now - began <= 1.0 + waits * SHORTEST


def test_what_is_known_of_devices_is_forgotten_when_it_does_not_matter_any_more() -> None:
    quota = Quota(6_000_000)
    for second in range(100):
        quota.allowance(float(second), 1)
        quota.pass_on([flight(second * 1_000 + n) for n in range(1_000)], float(second))
        assert quota.devices <= 2 * ROOMY + 1_000


# --- through the relay


@virtual
async def test_a_flood_of_alarms_to_one_phone_is_slowed_before_google_says_so() -> None:
    """The simulator counts 240 a minute and 5,000 an hour for each phone; no attempt is counted against it."""
    made = Google()
    classes = tuple(replace(c, rate_per_hour=100_000) if c.pierces else c for c in CLASSES)
    of = replace(tenant(app(), android()), classes=classes)
    async with world(of, serve={"android": made.fcm.serve_stream}, post=lambda _app: made.post) as w:
        await w.register("anna", app="android", platform=Platform.FCM)
        await w.register("bert", app="android", platform=Platform.FCM)
        await w.pass_time(1)
        for _ in range(1_000):
            await w.alarm("anna")
            await w.pass_time(0.1)
        anna = [entry.t for entry in made.requests]
        assert {entry.status for entry in made.requests} == {200}
        assert most_within(anna, MINUTE) <= 240
        gaps = [after - before for before, after in pairwise(anna[-20:])]
        assert gaps == pytest.approx([PER_DEVICE] * 19, abs=0.11)
        began = w.now
        await w.alarm("bert")
        await w.pass_time(1)
        assert any(entry.t - began < 0.1 and entry.token != made.requests[0].token for entry in made.requests)
        await w.pass_time(MINUTE)
        assert all(phone.attempt == 0 for phone in w.person("anna").phones)
        assert w.account.get("pending", 0) == 0


@virtual
async def test_a_release_that_is_larger_than_the_quota_takes_as_long_as_the_quota_says() -> None:
    made = Google()
    of = tenant(app(), replace(android(), rate_per_minute=1_200))
    async with world(of, serve={"android": made.fcm.serve_stream}, post=lambda _app: made.post) as w:
        users = [f"user{number}" for number in range(100)]
        for user in users:
            await w.register(user, app="android", platform=Platform.FCM)
        await w.pass_time(1)
        await w.post(*users)
        await w.pass_time(2)
        assert 40 <= len(made.requests) <= 60
        await w.alarm(users[0])
        began = w.now
        await w.pass_time(0.01)
        assert made.requests[-1].t - began < 0.01, "an alarm overtakes"
        await w.pass_time(4)
        assert {entry.status for entry in made.requests} == {200}
        assert most_within([entry.t for entry in made.requests], MINUTE) >= 100
        assert w.account.get("pending", 0) == 0
