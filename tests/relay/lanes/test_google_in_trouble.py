"""Everything that the simulated Google can be made to do wrong, and that a wakeup gets through it all (virtual time).

What must hold for each: nothing is lost, no device is deleted that is not dead, and the fake finds nothing to blame in
how the relay behaved (leaving `google` checks that).
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from email.utils import formatdate
from random import Random
from typing import Final

import pytest
import trio

from relay.core.batch import Parting
from relay.core.breaker import State
from relay.core.devices import Platform
from relay.lanes.lane import LaneStatistics
from relay.lanes.session import ANSWER
from relay.simulators.fcm_answer import Answer, fcm_error, plain, quota_exceeded, token_expired
from relay.simulators.injections import bimodal, log_normal
from relay.simulators.oauth import FakeOauth
from tests.relay.lanes.google import NOON, Google, google
from tests.relay.world import World, token_of, virtual

HTML: Final = b"<!DOCTYPE html><html><title>Error</title></html>"
PAGE: Final = (("content-type", "text/html; charset=UTF-8"),)
HALF: Final = b'{"error":{"co'
SOON: Final = 5.0
"""Seconds within which everything goes out that nothing holds back."""


async def crowd(w: World, size: int) -> list[str]:
    users = [f"user{number}" for number in range(size)]
    for user in users:
        await w.register(user, app="android", platform=Platform.FCM)
    return users


def android(w: World) -> LaneStatistics:
    return next(lane for lane in w.relay.pool.statistics() if lane.app == "android")


def all_are_woken(w: World, g: Google, users: list[str]) -> None:
    """Every event has ended in a wakeup, every phone is still there, and the lane works."""
    woken = Counter(entry.token for entry in g.requests if entry.status == 200)
    assert woken.keys() >= {token_of(user) for user in users}
    assert w.account == {"accepted": len(users), "woken": len(users)}
    assert all(w.person(user).phones for user in users)
    assert android(w).state is State.CLOSED


# One answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """`wait`: least seconds until the phone is written to again; None: never, the answer is as good as any 200.

    `is_for_all`: others wait as long.
    """

    answer: Answer
    wait: float | None
    is_for_all: bool = False


DATE: Final = {"retry-after": formatdate(NOON + 120, usegmt=True)}
TROUBLES: Final = {
    "429": Trouble(answer=quota_exceeded("device", "x", ""), wait=60, is_for_all=True),
    "429 for seconds": Trouble(answer=quota_exceeded("device", "x", "90"), wait=90, is_for_all=True),
    "429 until a date": Trouble(answer=quota_exceeded("device", "x", DATE["retry-after"]), wait=118, is_for_all=True),
    "429 page": Trouble(answer=Answer(429, HTML, PAGE), wait=60, is_for_all=True),
    "503": Trouble(answer=fcm_error(503, "UNAVAILABLE", "x"), wait=10),
    "503 for seconds": Trouble(answer=Answer(503, b"", more={"retry-after": "30"}), wait=30),
    "503 until a date": Trouble(answer=Answer(503, b"", more=DATE), wait=118),
    "500": Trouble(answer=fcm_error(500, "INTERNAL", "x"), wait=10),
    "500 truncated": Trouble(answer=Answer(500, HALF), wait=10),
    "502 page": Trouble(answer=Answer(502, HTML, PAGE), wait=10),
    "401 expired": Trouble(answer=token_expired(), wait=0),
    "401 truncated": Trouble(answer=Answer(401, HALF), wait=0),
    "403 without a right": Trouble(answer=plain(403, "x"), wait=60, is_for_all=True),
    "403 page": Trouble(answer=Answer(403, HTML, PAGE), wait=60, is_for_all=True),
    "404 page": Trouble(answer=Answer(404, HTML, PAGE), wait=60, is_for_all=True),
    "404 truncated": Trouble(answer=Answer(404, HALF), wait=60, is_for_all=True),
    "200 empty": Trouble(answer=Answer(200, b""), wait=None),
    "200 truncated": Trouble(answer=Answer(200, b'{"na'), wait=None),
    "200 page": Trouble(answer=Answer(200, HTML, PAGE), wait=None),
    "200 of no type": Trouble(answer=Answer(200, b"{}", [("server", "x")]), wait=None),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
@virtual
async def test_one_answer_that_is_not_as_it_should_be_loses_nothing(trouble: Trouble) -> None:
    async with google() as (w, g):
        users = await crowd(w, 4)
        if trouble.answer.status == 401:
            await w.pass_time(400)  # the access token is not fresh any more
        g.fcm.injections.answers = [trouble.answer]
        await w.post(users[0])
        await w.pass_time(1)
        refused_at = g.times(token_of(users[0]))[0]
        await w.post(*users[1:])
        await w.pass_time(900)
        all_are_woken(w, g, users)
        again = g.times(token_of(users[0]))[1:]
        others = [t for user in users[1:] for t in g.times(token_of(user))]
        assert len(again) == (0 if trouble.wait is None else 1)
        assert all(t >= refused_at + (trouble.wait or 0) for t in again)
        if trouble.is_for_all:
            assert min(others) >= refused_at + (trouble.wait or 0)
        else:
            assert max(others) <= refused_at + SOON
        assert len(others) == 3


@virtual
async def test_an_error_whose_body_comes_late_is_judged_by_that_body() -> None:
    async with google() as (w, g):
        users = await crowd(w, 30)
        await w.post(*users)
        await w.pass_time(1)
        g.fcm.injections.body_delay = 5.0
        g.fcm.injections.answers.append(fcm_error(404, "UNREGISTERED", "Requested entity was not found."))
        await w.post(*users)
        await w.pass_time(60)
        feedback = w.store.feedback(w.tenant.name, 0, 10)
        assert [(f.parting, f.reason) for f in feedback] == [(Parting.DEAD, "UNREGISTERED")]
        assert sum(len(w.person(user).phones) for user in users) == 29


@virtual
async def test_an_error_whose_body_never_ends_is_judged_by_its_headers() -> None:
    """They say how long to wait; the connection, which says nothing more, is replaced."""
    async with google() as (w, g):
        users = await crowd(w, 4)
        await w.post(users[0])
        await w.pass_time(1)
        first = len(g.times(token_of(users[0])))
        g.fcm.injections.body_delay = 10 * ANSWER
        g.fcm.injections.answers.append(quota_exceeded("device", "x", "90"))
        await w.pass_time(400)
        await w.post(users[0])
        await w.pass_time(900)
        refused_at, again = g.times(token_of(users[0]))[first:]
        assert again >= refused_at + 90
        assert w.account == {"accepted": 2, "woken": 2}


# Latency


@pytest.mark.parametrize("kind", ["log-normal", "bimodal"])
@virtual
async def test_however_slow_the_answers_are_nothing_is_lost(kind: str) -> None:
    """An answer that comes too late to be waited for costs one more wakeup, no more."""
    async with google() as (w, g):
        users = await crowd(w, 300)
        spread = {
            "log-normal": log_normal(Random(1), 0.04, 0.4),
            "bimodal": bimodal(Random(1), 0.05, ANSWER + 10, 0.02),
        }
        g.fcm.injections.latency = spread[kind]
        await w.post(*users)
        await w.pass_time(300)
        all_are_woken(w, g, users)
        duplicates = len(g.requests) - len(users)
        assert duplicates == 0 if kind == "log-normal" else 0 < duplicates < 20


@virtual
async def test_one_phone_whose_answers_do_not_come_holds_nobody_up() -> None:
    async with google() as (w, g):
        users = await crowd(w, 50)
        slow = token_of(users[7])
        g.fcm.injections.delays[slow] = ANSWER + 30
        began = w.now
        await w.post(*users)
        await w.pass_time(ANSWER + 20)
        assert max(entry.t for entry in g.requests if entry.token != slow) < began + SOON
        g.fcm.injections.delays.clear()
        await w.pass_time(60)
        all_are_woken(w, g, users)


@virtual
async def test_a_connection_that_is_slow_keeps_what_is_on_it_and_loses_none() -> None:
    async with google() as (w, g):
        users = await crowd(w, 150)
        g.fcm.injections.connection_delays[1] = ANSWER - 5
        await w.post(*users)
        await w.pass_time(120)
        all_are_woken(w, g, users)
        assert len(g.requests) == len(users)


# The connection


@pytest.mark.parametrize(
    "farewell",
    [(0, b"session_timed_out"), (1, b"exceeded_max_concurrent_streams"), (2, b""), (11, b"too_many_pings")],
    ids=lambda farewell: farewell[1].decode() or "no reason",
)
@virtual
async def test_a_goaway_in_mid_flight_loses_nothing_and_doubles_nothing(farewell: tuple[int, bytes]) -> None:
    async with google() as (w, g):
        users = await crowd(w, 60)
        await w.post(users[0])
        await w.pass_time(1)
        g.fcm.injections.goaway_after = 6
        g.fcm.injections.farewell = farewell
        await w.post(*users[1:])
        await w.pass_time(30)
        all_are_woken(w, g, users)
        assert len(g.requests) == len(users)
        assert g.fcm.injections.goaway_after is None


@pytest.mark.parametrize("graceful", [True, False])
@virtual
async def test_a_goaway_while_answers_are_owed_loses_nothing_and_doubles_nothing(graceful: bool) -> None:
    async with google() as (w, g):
        users = await crowd(w, 60)
        g.fcm.injections.latency = lambda: 2.0
        await w.post(*users[:30])
        await w.pass_time(1)
        await g.fcm.goaway(b"server_shutting_down", graceful=graceful)
        await w.post(*users[30:])
        await w.pass_time(30)
        all_are_woken(w, g, users)
        assert len(g.requests) == len(users)


@virtual
async def test_a_burst_that_is_refused_is_sent_again_and_not_counted_as_tried() -> None:
    async with google() as (w, g):
        users = await crowd(w, 200)
        g.fcm.injections.most_at_once = 10
        g.fcm.injections.latency = lambda: 0.3
        await w.post(*users)
        await w.pass_time(120)
        all_are_woken(w, g, users)
        assert len(g.requests) == len(users)


@virtual
async def test_a_connection_that_is_cut_after_processing_costs_duplicates_and_no_wakeup() -> None:
    async with google() as (w, g):
        users = await crowd(w, 40)
        await w.post(users[0])
        await w.pass_time(1)
        g.fcm.injections.latency = lambda: 0.5
        g.fcm.injections.drop_after = 8
        await w.post(*users[1:])
        await w.pass_time(60)
        all_are_woken(w, g, users)
        assert len(users) < len(g.requests) <= len(users) + 8


@virtual
async def test_idle_connections_that_google_ends_are_opened_anew() -> None:
    async with google() as (w, g):
        users = await crowd(w, 2)
        await w.post(users[0])
        await w.pass_time(1000)
        await w.post(users[1])
        await w.pass_time(5)
        all_are_woken(w, g, users)


# The token endpoint


def fails(oauth: FakeOauth, kind: str) -> None:
    """Begin with that trouble."""
    injections = oauth.injections
    match kind:
        case "500":
            injections.answers = [(500, b"")] * 3
        case "503 page":
            injections.answers = [(503, HTML)] * 3
        case "200 empty":
            injections.answers = [(200, b"")] * 3
        case "invalid_grant":
            injections.answers = [(400, json.dumps({"error": "invalid_grant"}).encode())] * 3
        case "silence":
            injections.silence = True
        case "slow":
            injections.latency = lambda: 19.0
        case "drop":
            injections.drop_after = 1
        case "skew":
            oauth.skew = 900.0
        case "refused":
            oauth.are_refused = True
        case _:
            raise AssertionError(kind)


def works(oauth: FakeOauth) -> None:
    oauth.injections.silence = oauth.are_refused = False
    oauth.injections.latency = lambda: 0.0
    oauth.skew = 0.0


KINDS: Final = ("500", "503 page", "200 empty", "invalid_grant", "silence", "slow", "drop", "skew", "refused")


@pytest.mark.parametrize("kind", KINDS)
@virtual
async def test_trouble_with_the_first_access_token_delays_wakeups_and_loses_none(kind: str) -> None:
    async with google(prepare=lambda g: fails(g.oauth, kind)) as (w, g):
        users = await crowd(w, 5)
        await w.post(*users)
        await w.pass_time(120)
        works(g.oauth)
        await w.pass_time(600)
        all_are_woken(w, g, users)
        assert g.oauth.counts.most_outstanding == 1
        assert {entry.status for entry in g.requests} == ({401, 200} if kind == "refused" else {200})


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "refused"])
@virtual
async def test_trouble_with_the_next_access_token_is_not_noticed(kind: str) -> None:
    """It is fetched five minutes before the old one ends, which is time enough."""
    async with google() as (w, g):
        users = await crowd(w, 5)
        await w.pass_time(3200)
        fails(g.oauth, kind)
        await w.pass_time(200)
        began = w.now
        await w.post(*users)
        await w.pass_time(SOON)
        all_are_woken(w, g, users)
        assert {entry.status for entry in g.requests} == {200}
        assert max(entry.t for entry in g.requests) < began + SOON
        works(g.oauth)
        await w.pass_time(3600)
        assert g.oauth.counts.fetches >= 2


@virtual
async def test_a_next_access_token_that_fcm_refuses_at_once_stops_the_lane_until_there_is_a_better_one() -> None:
    async with google() as (w, g):
        users = await crowd(w, 6)
        await w.pass_time(3200)
        g.oauth.are_refused = True
        await w.pass_time(100)
        await w.post(*users[:3])
        await w.pass_time(20)
        assert (android(w).state, android(w).opened_for) == (State.OPEN, "credentials_refused")
        g.oauth.are_refused = False
        await w.post(*users[3:])
        await trio.sleep(900)
        all_are_woken(w, g, users)
