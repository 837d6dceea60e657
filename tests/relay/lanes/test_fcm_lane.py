"""The way to FCM, with the real relay, the strict fake and the fake token endpoint (virtual time)."""

from __future__ import annotations

import json
from itertools import pairwise

from relay.core.batch import Parting
from relay.core.breaker import State
from relay.core.devices import Platform
from relay.lanes.lane import LaneStatistics
from relay.simulators.fcm import RetryAfter
from relay.simulators.fcm_answer import Answer, fcm_error, plain
from tests.relay.lanes.google import Google, google
from tests.relay.world import World, rest_between, virtual

ANDROID = {"app": "android", "platform": Platform.FCM}
UNAVAILABLE = fcm_error(503, "UNAVAILABLE", "The service is currently unavailable.")


async def _crowd(w: World, size: int) -> list[str]:
    users = [f"user{number}" for number in range(size)]
    for user in users:
        await w.register(user, app="android", platform=Platform.FCM)
    return users


def _lane(w: World) -> LaneStatistics:
    return next(lane for lane in w.relay.pool.statistics() if lane.app == "android")


def _accepted(g: Google) -> int:
    return sum(entry.status == 200 for entry in g.requests)


@virtual
async def test_an_event_is_one_wakeup_for_each_phone_whoever_made_it() -> None:
    async with google() as (w, g):
        await w.register("anna", "iphone")
        await w.register("anna", "pixel", "tablet", app="android", platform=Platform.FCM)
        await w.post("anna")
        await w.pass_time(2)
        assert (len(w.requests()), _accepted(g), len(g.requests)) == (1, 2, 2)
        assert w.account == {"accepted": 1, "woken": 1}
        assert g.oauth.counts.fetches == 1


@virtual
async def test_wakeups_tell_google_nothing() -> None:
    """P6: whoever rests and whoever does not, the bytes differ in token and life, header names and order in nothing."""
    async with google() as (w, g):
        users = await _crowd(w, 4)
        await w.rest(users[1], rest_between(w.now + 2 * 3600, w.now + 9 * 3600))
        await w.rest(users[2], rest_between(w.now - 3600, w.now + 60))
        await w.post(*users)
        await w.pass_time(120)
        assert _accepted(g) == 4
        shapes = set()
        for entry in g.requests:
            message = json.loads(entry.body)["message"]
            life = message["android"]["ttl"]
            shapes.add(entry.body.replace(message["token"].encode(), b"").replace(life.encode(), b""))
            assert life in {"0s", "300s", "900s", "3600s", "14400s", "43200s", "604800s"}
        assert len(shapes) == 1
        assert len({tuple(name for name, _ in entry.headers) for entry in g.requests}) == 1
        assert all("never" in entry.forms for entry in g.requests)


@virtual
async def test_rest_holds_for_android_as_well() -> None:
    async with google() as (w, g):
        (anna,) = await _crowd(w, 1)
        await w.rest(anna, rest_between(w.now - 60, w.now + 3600))
        await w.post(anna)
        await w.pass_time(3500)
        assert not g.requests
        await w.pass_time(101)
        assert _accepted(g) == 1


@virtual
async def test_a_token_that_is_gone_is_buried_and_the_backend_told() -> None:
    """One among many; held for half a minute first, for many would be our own mistake."""
    async with google() as (w, g):
        users = await _crowd(w, 30)
        await w.post(*users)
        await w.pass_time(1)
        g.fcm.injections.answers.append(fcm_error(404, "UNREGISTERED", "Requested entity was not found."))
        await w.post(*users)
        await w.pass_time(60)
        feedback = w.store.feedback(w.tenant.name, 0, 10)
        assert [(f.parting, f.reason) for f in feedback] == [(Parting.DEAD, "UNREGISTERED")]
        assert sum(len(w.person(user).phones) for user in users) == 29


@virtual
async def test_a_project_that_knows_none_of_our_tokens_stops_the_lane_and_deletes_nothing() -> None:
    async with google() as (w, g):
        users = await _crowd(w, 120)
        g.fcm.injections.answers = [fcm_error(403, "SENDER_ID_MISMATCH", "SenderId mismatch")] * 120
        await w.post(*users)
        await w.pass_time(60)
        assert (_lane(w).state, _lane(w).opened_for) == (State.OPEN, "SENDER_ID_MISMATCH")
        assert all(w.person(user).phones for user in users)
        g.fcm.injections.answers.clear()
        g.fcm.journal.violations.clear()  # by then a probe repeats what was refused: it cannot know better


@virtual
async def test_a_quota_that_is_used_up_stops_the_bucket_and_not_the_item() -> None:
    """S11: no request for a minute, no attempt counted, and then everything goes out."""
    async with google() as (w, g):
        users = await _crowd(w, 40)
        await w.post(users[0])
        await w.pass_time(1)
        g.fcm.injections.answers = [Answer(429, b"", reason="QUOTA_EXCEEDED")]
        refused_at = w.now
        await w.post(*users[1:])
        await w.pass_time(1)
        sent = len(g.requests)
        await w.pass_time(57)
        assert len(g.requests) == sent
        await w.pass_time(30)
        assert _accepted(g) == 40
        assert min(entry.t for entry in g.requests[sent:]) >= refused_at + 60
        assert all(phone.attempt == 0 for user in users for phone in w.person(user).phones)


@virtual
async def test_a_token_that_is_gone_is_buried_also_while_the_quota_is_used_up() -> None:
    """The lane waits then, but not because we are wrong; asked again after the wait, Google would object."""
    async with google() as (w, g):
        users = await _crowd(w, 40)
        await w.post(users[0])
        await w.pass_time(1)
        gone = fcm_error(404, "UNREGISTERED", "Requested entity was not found.")
        g.fcm.injections.answers = [Answer(429, b"", reason="QUOTA_EXCEEDED"), gone]
        await w.post(*users[1:])
        await w.pass_time(50)
        assert [(f.parting, f.reason) for f in w.store.feedback(w.tenant.name, 0, 10)] == [
            (Parting.DEAD, "UNREGISTERED")
        ]
        await w.pass_time(60)
        assert (len(g.requests), _accepted(g)) == (41, 39)


@virtual
async def test_retry_after_is_the_least_that_is_waited() -> None:
    async with google() as (w, g):
        (anna,) = await _crowd(w, 1)
        g.fcm.injections.answers = [Answer(503, b"", reason="UNAVAILABLE", more={"retry-after": "120"})]
        await w.post(anna)
        await w.pass_time(119)
        assert len(g.requests) == 1
        await w.pass_time(10)
        assert [entry.status for entry in g.requests] == [503, 200]


@virtual
async def test_a_service_in_trouble_is_retried_with_growing_pauses_never_under_ten_seconds() -> None:
    async with google() as (w, g):
        (anna,) = await _crowd(w, 1)
        g.fcm.injections.answers = [UNAVAILABLE] * 4
        await w.post(anna)
        await w.pass_time(600)
        times = [entry.t for entry in g.requests]
        pauses = [after - before for before, after in pairwise(times)]
        assert len(pauses) == 4
        assert pauses == sorted(pauses)
        assert pauses[0] >= 10


@virtual
async def test_an_access_token_that_ends_early_is_replaced_and_nothing_is_lost() -> None:
    async with google() as (w, g):
        users = await _crowd(w, 20)
        await w.post(users[0])
        await w.pass_time(400)
        g.oauth.revoke(g.requests[-1].value(b"authorization").decode().removeprefix("Bearer "))
        await w.post(*users)
        await w.pass_time(120)
        assert w.account["woken"] + w.account.get("merged", 0) == w.account["accepted"]
        assert g.oauth.counts.fetches == 2
        assert _lane(w).state is State.CLOSED


@virtual
async def test_while_there_is_no_access_token_wakeups_wait_and_apple_is_not_touched() -> None:
    """S12, I5: the lane has nothing to authorise with; the other one sends."""
    async with google(is_down=True) as (w, g):
        await w.register("anna", "iphone")
        await w.register("anna", "pixel", app="android", platform=Platform.FCM)
        await w.post("anna")
        await w.pass_time(300)
        assert (len(w.requests()), len(g.requests)) == (1, 0)
        g.is_down = False
        await w.pass_time(61)
        assert _accepted(g) == 1


@virtual
async def test_a_right_that_is_missing_stops_the_lane_and_keeps_every_device() -> None:
    async with google() as (w, g):
        users = await _crowd(w, 5)
        g.fcm.is_permitted = False
        await w.post(*users)
        await w.pass_time(30)
        assert (_lane(w).state, _lane(w).opened_for) == (State.OPEN, "PERMISSION_DENIED")
        g.fcm.is_permitted = True
        await w.pass_time(400)
        assert _accepted(g) == 5
        assert all(w.person(user).phones for user in users)


@virtual
async def test_more_than_a_hundred_at_a_time_wait_for_a_stream() -> None:
    """100 streams on each connection; one more would cost the connection."""
    async with google() as (w, g):
        users = await _crowd(w, 500)
        g.fcm.injections.latency = lambda: 0.3
        await w.post(*users)
        await w.pass_time(30)
        assert _accepted(g) == 500


@virtual
async def test_a_page_of_a_proxy_is_judged_by_its_status() -> None:
    async with google() as (w, g):
        (anna,) = await _crowd(w, 1)
        g.fcm.injections.answers = [Answer(502, b"<html>Bad Gateway</html>"), plain(500, "internal")]
        await w.post(anna)
        await w.pass_time(200)
        assert [entry.status for entry in g.requests] == [502, 500, 200]
        assert g.fcm.retry_after is RetryAfter.NONE
