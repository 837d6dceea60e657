"""Judgement: what a lane does with each answer of the provider, and with itself."""

from __future__ import annotations

from itertools import pairwise

import jwt
import pytest

from relay.core import verdicts
from relay.core.batch import Parting
from relay.core.brake import PATIENCE, WINDOW
from relay.core.breaker import FAILURES, State
from relay.core.events import DAY, HOUR
from relay.core.pacing import LONGEST_RETRY
from relay.lanes.credentials import LIFE
from relay.lanes.health import BUGS, PAUSE
from relay.lanes.lane import KINDS, OTHER
from tests.relay.lanes.peer import Arrival, Peer, Talk, accept
from tests.relay.world import APP, NOON, TENANT, World, rest_between, token_of, virtual, world

PROBE = 300.0
"""Seconds between two probes of a lane that is stopped."""

MALFORMED = [
    (400, "BadCollapseId"), (400, "BadExpirationDate"), (400, "BadMessageId"), (400, "BadPriority"),
    (400, "DuplicateHeaders"), (400, "InvalidPushType"), (400, "PayloadEmpty"), (400, "MissingDeviceToken"),
    (404, "BadPath"), (405, "MethodNotAllowed"), (413, "PayloadTooLarge"),
]  # fmt: skip
STOPS = [
    (400, "BadTopic"), (400, "MissingTopic"), (400, "TopicDisallowed"), (403, "InvalidProviderToken"),
    (403, "MissingProviderToken"), (403, "BadEnvironmentKeyIdInToken"), (403, "BadEnvironmentKeyInToken"),
    (403, "Forbidden"), (403, "BadCertificate"), (403, "BadCertificateEnvironment"),
]  # fmt: skip
RECONNECTS = [(400, "IdleTimeout"), (403, "UnrelatedKeyIdInToken"), (503, "Shutdown")]
LATERS = [(429, "TooManyRequests"), (500, "InternalServerError"), (503, "ServiceUnavailable")]
SUSPECTS = [(400, "BadDeviceToken"), (400, "DeviceTokenNotForTopic")]
OTHERS = [
    (403, "ExpiredProviderToken"), (410, "Unregistered"), (410, "ExpiredToken"), (429, "TooManyProviderTokenUpdates"),
]  # fmt: skip


def _partings(w: World) -> list[tuple[Parting, str]]:
    """What the backend is told of devices."""
    return [(record.parting, record.reason) for record in w.store.feedback(TENANT, 0, 1000)]


def _statuses(w: World, user: str | None = None) -> list[int]:
    return [entry.status for entry in w.requests(user)]


def test_every_documented_answer_has_a_test_here() -> None:
    assert sorted(MALFORMED + STOPS + RECONNECTS + LATERS + SUSPECTS + OTHERS) == sorted(verdicts.APNS)


# --- our own mistakes


@pytest.mark.parametrize(("status", "reason"), [*MALFORMED, (400, "NeverHeardOf"), (418, "Teapot"), (302, "Moved")])
@virtual
async def test_a_malformed_request_is_never_sent_again_and_costs_no_device(status: int, reason: str) -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(status, reason)]
        await w.post("anna")
        await w.pass_time(DAY)
        assert _statuses(w) == [status]
        assert w.account == {"accepted": 1, "undeliverable": 1}
        assert w.lane.answers == {reason: 1}
        assert w.lane.state is State.CLOSED
        assert _partings(w) == []
        await w.post("anna")
        await w.pass_time(1)
        assert w.rang("anna") == [DAY]


@virtual
async def test_a_bug_at_one_device_does_not_keep_the_other_from_being_woken() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        w.fake.injections.answers = [(400, "BadPriority")]
        await w.post("anna")
        await w.pass_time(DAY)
        assert _statuses(w) == [400, 200]
        assert w.account == {"accepted": 1, "woken": 1}


@virtual
async def test_when_every_request_is_malformed_the_lane_stops_and_keeps_the_rest() -> None:
    """The bug is ours and in all of them: it must not empty the books."""
    async with world() as w:
        users = await w.crowd(100)
        w.fake.injections.answers = [(400, "BadCollapseId")] * 100
        await w.post(*users)
        await w.pass_time(PROBE - 1)
        assert (w.lane.state, w.lane.opened_for) == (State.OPEN, "BadCollapseId")
        assert w.account == {"accepted": 100, "undeliverable": BUGS, "pending": 100 - BUGS}
        first = len(w.requests())
        await w.pass_time(HOUR)
        assert len(w.requests()) - first == HOUR / PROBE
        assert w.account == {"accepted": 100, "undeliverable": BUGS, "pending": 100 - BUGS}
        w.fake.injections.answers.clear()
        await w.pass_time(2 * PROBE)
        assert w.account == {"accepted": 100, "undeliverable": BUGS, "woken": 100 - BUGS}


# --- the lane is wrong


@pytest.mark.parametrize(("status", "reason"), STOPS)
@virtual
async def test_a_wrong_lane_stops_keeps_everything_and_probes_every_five_minutes(status: int, reason: str) -> None:
    async with world() as w:
        users = await w.crowd(5)
        w.fake.injections.answers = [(status, reason)] * 3
        await w.post(*users)
        await w.pass_time(PROBE - 1)
        assert _statuses(w) == [status]
        assert (w.lane.state, w.lane.opened_for) == (State.OPEN, reason)
        assert w.account == {"accepted": 5, "pending": 5}
        await w.post(*users)
        await w.until(w.start + 2 * PROBE - 1)
        assert _statuses(w) == [status] * 2
        await w.until(w.start + 2 * PROBE + 1)
        assert _statuses(w) == [status] * 3
        await w.until(w.start + 3 * PROBE + 1)
        assert (w.lane.state, w.lane.opened_for) == (State.CLOSED, "")
        assert w.account == {"accepted": 10, "woken": 5, "merged": 5}
        assert all(person.phones[0].attempt == 0 for person in w.relay.people.by_key.values())
        assert _partings(w) == []


@virtual
async def test_a_probe_that_does_not_leave_is_followed_by_another() -> None:
    """The first in the queue rests by the time of the probe; the lane must not wait for an answer to it for ever."""
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start + 60, w.start + DAY))
        w.fake.injections.answers = [(403, "Forbidden")]
        await w.post("anna")
        await w.quiet()
        await w.register("bert")
        await w.post("bert")
        await w.pass_time(PROBE + 1)
        assert w.requests("anna") == w.requests("anna")[:1]
        assert w.rang("bert") == [PROBE]
        assert w.lane.state is State.CLOSED


@virtual
async def test_a_probe_that_the_provider_refuses_to_process_is_followed_by_another() -> None:
    refusing = True

    async def reply(talk: Talk, arrival: Arrival) -> None:
        if arrival.stream == 1 and talk.number == 0:
            await talk.answer(1, status=403, body=b'{"reason":"Forbidden"}')
        elif refusing:
            await talk.goaway(0)
        else:
            await talk.answer(arrival.stream)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(PROBE + 10)
        assert len(peer.arrivals) > 1
        refusing = False
        await w.pass_time(PROBE)
        assert w.account == {"accepted": 1, "woken": 1}


@virtual
async def test_a_probe_that_is_due_waits_quietly_for_room() -> None:
    """A connection that may open nothing must not spin until it may (the virtual clock would stand still)."""
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(403, "Forbidden")]
        await w.post("anna")
        await w.pass_time(10)
        await w.fake.set_streams(0)
        await w.pass_time(2 * PROBE)
        assert _statuses(w) == [403]
        await w.fake.set_streams(1)
        await w.pass_time(1)
        assert _statuses(w) == [403, 200]


@virtual
async def test_late_answers_of_a_stopped_lane_do_not_start_it_again() -> None:
    """Requests that were in flight when the lane was stopped: accepted ones, and failures of the service."""
    async with world() as w:
        users = await w.crowd(4)
        await w.post(users[0])
        await w.pass_time(60)
        delays = iter([1.0, 2.0, 3.0, 0.0])
        w.fake.injections.latency = lambda: next(delays)
        w.fake.injections.answers = [(403, "Forbidden"), (200, ""), (500, "InternalServerError")]
        await w.post(*users[1:])
        await w.pass_time(10)
        await w.post(users[0])
        await w.pass_time(PROBE - 20)
        assert len(w.requests()) == 4
        assert (w.lane.state, w.lane.opened_for) == (State.OPEN, "Forbidden")
        w.fake.injections.latency = lambda: 0.0
        await w.pass_time(60)
        assert w.account == {"accepted": 5, "woken": 5}


# --- the connection is wrong


@pytest.mark.parametrize(("status", "reason"), RECONNECTS)
@virtual
async def test_a_spoilt_connection_is_replaced_and_the_wakeup_sent_again_at_once(status: int, reason: str) -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.post("anna")
        await w.pass_time(HOUR / 2)
        w.fake.injections.answers = [(status, reason)]
        await w.post("anna")
        await w.pass_time(1)
        assert w.rang("anna") == [0, 0, HOUR / 2, HOUR / 2]
        assert [entry.connection for entry in w.requests()][-1] == 2
        assert len(w.network.open_lines) == 1
        assert all(phone.attempt == 0 for phone in w.person("anna").phones)
        assert w.lane.state is State.CLOSED


@virtual
async def test_a_connection_that_is_spoilt_from_the_start_is_not_replaced_in_a_loop() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(503, "Shutdown")] * 5
        await w.post("anna")
        await w.pass_time(120)
        assert len(w.rang("anna")) == 1
        gaps = [after - before for before, after in pairwise(w.network.attempts)]
        assert len(gaps) == 5
        assert gaps[0] == 0 or gaps[0] >= 0.5
        assert gaps[2] > gaps[1] > 0
        assert gaps[4] > gaps[3]


# --- the provider is in trouble


@pytest.mark.parametrize(("status", "reason"), [*LATERS, (500, "Odd"), (502, ""), (429, "Odd"), (504, "Odd")])
@virtual
async def test_a_busy_provider_is_asked_again_after_ten_to_fifteen_seconds_then_later_and_later(
    status: int, reason: str
) -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(status, reason)] * 3
        await w.post("anna")
        await w.pass_time(1)
        assert w.person("anna").phones[0].attempt == 1
        await w.pass_time(DAY)
        instants = [entry.t - w.start for entry in w.requests()]
        gaps = [after - before for before, after in pairwise(instants)]
        assert len(gaps) == 3
        for gap, least in zip(gaps, (10, 20, 40), strict=True):
            assert least <= gap <= least * 1.5 + 0.01
        assert w.account == {"accepted": 1, "woken": 1}
        assert w.person("anna").phones[0].attempt == 0


@virtual
async def test_retries_grow_to_a_bound_and_are_spread_by_chance() -> None:
    async with world() as w:
        await w.register("anna")
        await w.register("bert")
        w.fake.registry.rate = 0
        await w.post("anna", "bert", event_class="message")
        await w.pass_time(12 * HOUR)
        for user in ("anna", "bert"):
            instants = [entry.t for entry in w.requests(user)]
            gaps = [after - before for before, after in pairwise(instants)]
            assert len(gaps) > 30
            for gap, step in zip(gaps, [10.0 * 2**n for n in range(len(gaps))], strict=True):
                assert min(step, LONGEST_RETRY) <= gap <= min(step, LONGEST_RETRY) * 1.5 + 0.01
        first, second = ([entry.t for entry in w.requests(user)] for user in ("anna", "bert"))
        assert first[1] != second[1]


@virtual
async def test_back_off_outlives_a_restart_and_new_events_do_not_shorten_it() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(503, "ServiceUnavailable")] * 3
        await w.post("anna")
        await w.pass_time(60)
        assert _statuses(w) == [503, 503, 503]
        not_before = w.person("anna").phones[0].not_before
        await w.restart()
        phone = w.person("anna").phones[0]
        assert (phone.attempt, phone.not_before) == (3, not_before)
        await w.post("anna")
        await w.alarm("anna")
        await w.until(not_before - 0.01)
        assert len(w.requests()) == 3
        await w.pass_time(0.02)
        assert _statuses(w) == [503, 503, 503, 200]


@virtual
async def test_one_device_in_back_off_does_not_hold_the_others() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        w.fake.registry.rate = 1000
        w.fake.injections.answers = [(429, "TooManyRequests")]
        await w.post("anna")
        await w.pass_time(5)
        assert len(w.rang("anna")) == 1
        await w.pass_time(15)
        assert len(w.rang("anna")) == 2
        assert w.account == {"accepted": 1, "woken": 1}


@virtual
async def test_many_failures_in_a_row_open_the_breaker_and_one_probe_follows_the_pause() -> None:
    """Sixty failures of one moment pause the lane for the first step, not for one step each."""
    async with world() as w:
        users = await w.crowd(60)
        await w.post(users[0])
        await w.pass_time(60)
        w.fake.injections.latency = lambda: 0.05
        w.fake.injections.answers = [(500, "InternalServerError")] * 62
        began = w.now
        await w.post(*users)
        await w.pass_time(1)
        assert len(w.requests()) == 61
        assert (w.lane.state, w.lane.opened_for) == (State.OPEN, "InternalServerError")
        await w.until(began + 10)
        assert len(w.requests()) == 61
        await w.until(began + 16)
        assert _statuses(w)[61:] == [500]
        await w.until(began + 29)
        assert len(w.requests()) == 62
        await w.until(began + 60)
        assert _statuses(w)[62] == 500
        await w.until(began + 69)
        assert len(w.requests()) == 63
        await w.pass_time(60)
        assert w.lane.state is State.CLOSED
        assert w.account == {"accepted": 61, "woken": 61}


@virtual
async def test_a_long_outage_costs_a_few_probes_and_everything_is_sent_after_it() -> None:
    """S4: no storm while it lasts, no loss when it ends."""
    async with world() as w:
        users = await w.crowd(200)
        w.fake.injections.answers = [(503, "ServiceUnavailable")] * 10_000
        await w.post(*users)
        await w.pass_time(60)
        sent = len(w.requests())
        assert sent <= 100
        await w.pass_time(4 * 60)
        assert len(w.requests()) - sent <= 6
        w.fake.injections.answers.clear()
        await w.pass_time(HOUR)
        assert w.account == {"accepted": 200, "woken": 200}
        assert all(len(w.rang(user)) == 1 for user in users)


@virtual
async def test_failures_between_successes_never_add_up() -> None:
    async with world() as w:
        users = await w.crowd(FAILURES + 5)
        for user in users:
            w.fake.injections.answers = [(500, "InternalServerError")]
            await w.post(user)
            await w.pass_time(1)
            assert w.lane.state is State.CLOSED
            await w.post(user)
            await w.pass_time(60)
        assert w.account == {"accepted": 50, "woken": 25, "merged": 25}


# --- dead tokens


@pytest.mark.parametrize("reason", ["Unregistered", "ExpiredToken"])
@virtual
async def test_a_token_that_died_after_its_registration_is_dropped_and_the_backend_told(reason: str) -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.pass_time(100)
        dead = w.fake.registry.unregistered if reason == "Unregistered" else w.fake.registry.expired
        dead[token_of("anna")] = w.now
        await w.post("anna")
        await w.pass_time(DAY)
        assert sorted(_statuses(w)) == [200, 410]
        assert w.rang("anna", "phone") == []
        assert w.person("anna").devices.keys() == {w.device_key("anna", "tablet")}
        [record] = w.store.feedback(TENANT, 0, 10)
        assert (record.parting, record.reason, record.at) == (Parting.DEAD, reason, w.start + 100)
        ids = w.records.open_device_ids(w.key("anna"), w.device_key("anna"), record.sealed)
        assert [private.reveal() for private in ids] == ["anna", "phone"]
        assert w.account == {"accepted": 1, "woken": 1}
        assert w.lane.state is State.CLOSED


@virtual
async def test_the_last_device_that_dies_makes_the_notice_undeliverable() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.registry.unregistered[token_of("anna")] = w.now + 1
        await w.post("anna", "anna")
        await w.pass_time(1)
        assert w.account == {"accepted": 2, "undeliverable": 2}
        assert (await w.post("anna")).unknown == 1


@virtual
async def test_a_token_that_died_before_its_registration_is_kept_and_tried_again_in_peace() -> None:
    """S6. It was registered anew since then; Apple will know in a while."""
    async with world() as w:
        await w.register("anna")
        w.fake.registry.unregistered[token_of("anna")] = w.start - 10
        await w.post("anna")
        await w.pass_time(9)
        assert _statuses(w) == [410]
        assert _partings(w) == []
        await w.pass_time(60)
        assert 2 <= len(w.requests()) <= 4
        w.fake.registry.unregistered.clear()
        await w.pass_time(DAY)
        assert len(w.rang("anna")) == 1
        assert w.account == {"accepted": 1, "woken": 1}


@virtual
async def test_death_of_a_token_that_was_replaced_meanwhile_does_not_touch_the_new_one() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.registry.unregistered[token_of("anna")] = w.now + 1
        w.fake.injections.latency = lambda: 5.0
        await w.post("anna")
        await w.pass_time(2)
        await w.register("anna", generation=1)
        await w.pass_time(60)
        assert [(entry.token, entry.status) for entry in w.requests()] == [
            (token_of("anna"), 410), (token_of("anna", generation=1), 200),
        ]  # fmt: skip
        assert _partings(w) == []
        assert w.account == {"accepted": 1, "woken": 1}


@virtual
async def test_death_of_a_token_that_was_refreshed_meanwhile_is_not_believed() -> None:
    """The phone has registered the same token again after the wakeup left."""
    async with world() as w:
        await w.register("anna")
        w.fake.registry.unregistered[token_of("anna")] = w.now + 1
        w.fake.injections.latency = lambda: 5.0
        await w.post("anna")
        await w.pass_time(2)
        await w.register("anna")
        w.fake.registry.unregistered.clear()
        await w.pass_time(60)
        assert _statuses(w) == [410, 200]
        assert _partings(w) == []
        assert w.account == {"accepted": 1, "woken": 1}


@pytest.mark.parametrize("reason", ["BadDeviceToken", "DeviceTokenNotForTopic"])
@virtual
async def test_one_bad_token_among_many_good_ones_is_dropped(reason: str) -> None:
    async with world() as w:
        users = await w.crowd(WINDOW + 50)
        bad = users[5]
        registry = w.fake.registry
        (registry.wrong_environment if reason == "BadDeviceToken" else registry.wrong_topic).add(token_of(bad))
        await w.post(*users)
        await w.pass_time(PATIENCE + 1)
        assert _partings(w) == [(Parting.DEAD, reason)]
        assert w.person(bad).devices == {}
        assert len(w.requests(bad)) == 1
        assert w.account == {"accepted": len(users), "woken": len(users) - 1, "undeliverable": 1}
        assert w.lane.state is State.CLOSED


@virtual
async def test_one_bad_token_on_a_quiet_lane_is_judged_after_half_a_minute() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.registry.wrong_environment.add(token_of("anna"))
        await w.post("anna")
        await w.pass_time(PATIENCE - 1)
        assert _partings(w) == []
        assert w.account == {"accepted": 1, "pending": 1}
        await w.pass_time(2)
        assert _partings(w) == [(Parting.DEAD, "BadDeviceToken")]


@pytest.mark.parametrize("reason", ["BadDeviceToken", "DeviceTokenNotForTopic"])
@virtual
async def test_when_all_tokens_are_bad_the_lane_stops_and_none_is_dropped(reason: str) -> None:
    """S5: our environment or topic is wrong, not 300 phones."""
    async with world() as w:
        users = await w.crowd(300)
        everybody = {token_of(user) for user in users}
        registry = w.fake.registry
        (registry.wrong_environment if reason == "BadDeviceToken" else registry.wrong_topic).update(everybody)
        await w.post(*users)
        await w.pass_time(60)
        first = len(w.requests())
        assert first <= 200
        assert (w.lane.state, w.lane.opened_for) == (State.OPEN, reason)
        await w.pass_time(3 * HOUR)
        assert _partings(w) == []
        assert all(w.person(user).phones for user in users)
        assert w.account == {"accepted": 300, "pending": 300}
        probes = len(w.requests()) - first
        assert 30 <= probes <= 3 * HOUR / PROBE + 1
        really_bad = {w.requests()[-1].token}
        registry.wrong_environment &= really_bad
        registry.wrong_topic &= really_bad
        await w.pass_time(3 * PROBE)
        assert w.account == {"accepted": 300, "woken": 299, "undeliverable": 1}
        assert _partings(w) == [(Parting.DEAD, reason)]


@virtual
async def test_what_was_under_way_when_the_lane_stopped_for_bad_tokens_is_not_dropped_either() -> None:
    """Three late answers are few for a brake that has begun anew, and were once taken for three dead phones."""
    async with world() as w:
        users = await w.crowd(60)
        await w.post(users[0])
        await w.pass_time(10)
        w.fake.registry.wrong_environment.update(token_of(user) for user in users)
        w.fake.injections.delays = {token_of(user): 3.0 for user in users[1:4]}
        await w.post(*users[1:])
        await w.pass_time(2)
        assert (w.lane.state, w.lane.in_flight) == (State.OPEN, 3)
        await w.pass_time(60)
        assert _partings(w) == []
        w.fake.registry.wrong_environment.clear()
        await w.pass_time(3 * PROBE)
        assert w.account == {"accepted": 60, "woken": 60}


# --- provider tokens


@virtual
async def test_a_young_provider_token_called_expired_means_a_wrong_clock_and_is_not_replaced() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(403, "ExpiredProviderToken")]
        await w.post("anna")
        await w.pass_time(PROBE - 1)
        assert len(w.requests()) == 1
        assert (w.lane.state, w.lane.opened_for) == (State.OPEN, "clock_is_wrong")
        await w.pass_time(2)
        assert _statuses(w) == [403, 200]
        assert len({entry.value(b"authorization") for entry in w.requests()}) == 1


@virtual
async def test_an_old_provider_token_called_expired_is_replaced_once_for_all_that_were_in_flight() -> None:
    async with world(connections=2) as w:
        users = await w.crowd(30)
        await w.post(*users[:2])
        await w.pass_time(20 * 60)
        w.fake.injections.latency = lambda: 0.2
        w.fake.injections.answers = [(403, "ExpiredProviderToken")] * 30
        await w.post(*users)
        await w.pass_time(20)
        tokens = [entry.value(b"authorization") for entry in w.requests()]
        assert len(set(tokens)) == 2
        assert w.lane.state is State.CLOSED
        assert w.account == {"accepted": 32, "woken": 32}
        spoilt = {entry.connection for entry in w.requests() if entry.status == 403}
        again = [entry for entry in w.requests() if entry.value(b"authorization") == tokens[-1]]
        assert not spoilt & {entry.connection for entry in again}
        assert all(phone.attempt == 0 for user in users for phone in w.person(user).phones)


@virtual
async def test_too_many_token_updates_are_answered_with_the_token_before_and_then_with_patience() -> None:
    """Where that one is refused too, nothing is sent for five minutes, and none is ever minted."""
    async with world(start=NOON // LIFE * LIFE + 60) as w:
        users = await w.crowd(3)
        w.fake.injections.answers = [(429, "TooManyProviderTokenUpdates")] * 2
        await w.post(*users)
        await w.pass_time(PAUSE - 1)
        assert len(w.requests()) == 2
        assert (w.lane.state, w.lane.opened_for) == (State.OPEN, "TooManyProviderTokenUpdates")
        await w.pass_time(10)
        assert w.account == {"accepted": 3, "woken": 3}
        newer, older = dict.fromkeys(entry.value(b"authorization") for entry in w.requests())
        assert [claims(token)["iat"] for token in (newer, older)] == [NOON // LIFE * LIFE, (NOON // LIFE - 1) * LIFE]


@virtual
async def test_too_many_token_updates_pause_the_lane_when_the_token_before_is_over() -> None:
    async with world(start=NOON // LIFE * LIFE + 1260) as w:
        users = await w.crowd(3)
        w.fake.injections.answers = [(429, "TooManyProviderTokenUpdates")]
        await w.post(*users)
        await w.pass_time(PAUSE - 1)
        assert len(w.requests()) == 1
        await w.pass_time(5)
        assert w.account == {"accepted": 3, "woken": 3}
        assert len({entry.value(b"authorization") for entry in w.requests()}) == 1


def claims(authorization: bytes) -> dict[str, int]:
    content: dict[str, int] = jwt.decode(authorization.removeprefix(b"bearer "), options={"verify_signature": False})
    return content


# --- odd answers


@pytest.mark.parametrize("status", [201, 202, 204])
@virtual
async def test_any_success_counts_as_accepted(status: int) -> None:
    async def reply(talk: Talk, arrival: Arrival) -> None:
        await talk.answer(arrival.stream, status=status)

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(DAY)
        assert len(peer.arrivals) == 1
        assert w.account == {"accepted": 1, "woken": 1}
        assert w.lane.accepted == 1


@pytest.mark.parametrize("body", [b"<html>no</html>", b"[]", b'{"reason":7}', b'{"reason":"a b"}', b"{", b"\xff"])
@virtual
async def test_a_body_that_is_not_apples_is_judged_by_its_status(body: bytes) -> None:
    statuses = iter([503, 200])

    async def reply(talk: Talk, arrival: Arrival) -> None:
        status = next(statuses)
        await talk.answer(arrival.stream, status=status, body=body if status != 200 else b"")

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(60)
        assert w.account == {"accepted": 1, "woken": 1}
        assert w.lane.answers == {"status_503": 1}


@virtual
async def test_the_words_of_a_provider_do_not_fill_the_statistics() -> None:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = iter([a + b for a in letters for b in letters])

    async def reply(talk: Talk, arrival: Arrival) -> None:
        await talk.answer(arrival.stream, status=400, body=b'{"reason":"%s"}' % next(words).encode())

    peer = Peer(reply)
    async with world(serve={APP: peer.serve}) as w:
        users = await w.crowd(120)
        for start in range(0, 120, 10):
            peer.reply = reply
            await w.post(*users[start : start + 10])
            await w.pass_time(60)
            peer.reply = accept
            await w.alarm(users[0])
            await w.pass_time(60)
        assert len(w.lane.answers) == KINDS + 1
        assert sum(w.lane.answers.values()) == 120
        assert w.lane.answers[OTHER] == 120 - KINDS


@virtual
async def test_a_device_whose_seal_does_not_open_is_given_up_and_harms_nobody_else() -> None:
    async with world() as w:
        await w.register("anna")
        await w.register("bert")
        broken, whole = w.person("anna"), w.person("bert")
        [phone] = broken.phones
        object.__setattr__(phone, "sealed", whole.phones[0].sealed)
        await w.post("anna", "bert")
        await w.pass_time(60)
        assert w.requests("anna") == []
        assert w.rang("bert") == [0]
        assert w.account == {"accepted": 2, "woken": 1, "undeliverable": 1}


# --- alarms first


@virtual
async def test_an_alarm_leaves_with_the_next_write_whatever_is_queued() -> None:
    """I5: thousands of releases wait for four streams."""
    async with world(streams=4) as w:
        users = await w.crowd(5_000)
        await w.register("anna")
        w.fake.injections.latency = lambda: 0.1
        await w.post(*users)
        await w.pass_time(5)
        assert w.lane.queued > 4_700
        before = len(w.requests())
        await w.alarm("anna")
        await w.quiet()
        assert (w.lane.queued_urgent, len(w.requests()) - before) == (1, 0)
        await w.pass_time(0.11)
        assert w.lane.queued_urgent == 0
        [rang] = w.wakeups("anna")
        assert w.requests().index(rang) < before + 4


@virtual
async def test_an_alarm_for_a_queued_device_overtakes_its_own_message_and_rings_once() -> None:
    async with world(streams=1) as w:
        users = await w.crowd(40)
        w.fake.injections.latency = lambda: 1.0
        await w.post(*users)
        await w.quiet()
        assert (w.lane.queued, w.lane.in_flight) == (39, 1)
        last = _last_in_line(w)
        await w.alarm(last)
        await w.quiet()
        assert (w.lane.queued, w.lane.queued_urgent) == (39, 1)
        await w.pass_time(1.5)
        assert w.rang(last) == [1]
        assert (w.lane.queued, w.lane.queued_urgent, w.lane.in_flight) == (38, 0, 1)
        await w.pass_time(60)
        assert (w.lane.queued, w.lane.in_flight) == (0, 0)
        assert len(w.requests()) == 40
        assert w.account == {"accepted": 41, "woken": 41}


@virtual
async def test_alarms_for_everybody_queued_leave_nothing_doubled_behind() -> None:
    async with world(streams=1) as w:
        users = await w.crowd(40)
        w.fake.injections.latency = lambda: 1.0
        await w.post(*users)
        await w.quiet()
        await w.alarm(*users)
        await w.alarm(*users)
        await w.quiet()
        assert (w.lane.queued, w.lane.queued_urgent) == (40, 40), "of the one in flight too"
        await w.pass_time(120)
        assert (w.lane.queued, w.lane.queued_urgent, w.lane.in_flight) == (0, 0, 0)
        assert len(w.requests()) == 41, "the one in flight at the time of the alarm is woken again"
        assert not w.relay.pool.is_busy
        await w.post(*users)
        await w.pass_time(120)
        assert len(w.requests()) == 81


def _last_in_line(w: World) -> str:
    """Somebody whose wakeup is queued and will not leave soon."""
    [lane] = w.relay.pool._lanes.values()
    flight = lane._queue._others[-1]
    return next(user for user in (f"user{n}" for n in range(100)) if w.key(user) == flight.person.key)
