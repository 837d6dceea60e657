"""The whole relay: start, restart, drain, and what holds whatever happens."""

from __future__ import annotations

import socket
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

import schedules
from relay import service, serving, unix
from relay.clock import TrioClock, WallClock
from relay.config import Address, Config, DoorConfig, MasterKeys, OidcConfig, WebConfig
from relay.core.devices import Platform
from relay.core.errors import CannotListen, Unavailable
from relay.core.events import DAY, HOUR, NEVER, Event
from relay.core.people import REQUEST_LIFE
from relay.core.private import Private
from relay.journal import inline
from relay.service import LANES, NOTE_EVERY, PURGE_EVERY, Bound, Seams
from relay.store.memory import MemoryStore
from relay.store.port import StaleEpoch, StoreError, StoreMismatch
from tests.effort import examples
from tests.relay.world import (
    NOON,
    SECRET,
    Gate,
    World,
    app,
    configuration,
    rest_between,
    tenant,
    token_of,
    virtual,
    world,
)

MINUTE = 60.0

# --- start


@virtual
async def test_a_relay_is_ready_while_it_runs_and_its_store_works() -> None:
    async with world(running=False) as w:
        assert w.relay.ops.reasons() == ["not_running"]
        await w.begin()
        assert w.relay.ops.reasons() == []
        w.store.fail_next = StoreError("disk full")
        with pytest.raises(Unavailable):
            await w.register("anna")
        assert w.relay.ops.reasons() == ["store_fails"]
        await w.pass_time(10)
        assert w.relay.ops.reasons() == [], "nobody asks as long as it says that it fails; it must find out by itself"
        await w.register("anna")
        w.stop.set()
        await w.stopped.wait()
        assert w.relay.ops.reasons() == ["not_running"]


@virtual
async def test_a_relay_starts_and_accepts_although_its_provider_cannot_be_reached() -> None:
    async with world(running=False) as w:
        w.network.reachable = False
        await w.begin()
        await w.register("anna")
        assert (await w.post("anna")).accepted == 1
        assert w.relay.ops.reasons() == []


@virtual
async def test_a_tenant_without_apps_lists_devices_and_wakes_nobody() -> None:
    async with world(tenant()) as w:
        await w.register("anna", "pc", app="", platform=Platform.NONE)
        assert (await w.post("anna")).unknown == 1
        assert w.relay.pool.statistics() == []
        assert not w.relay.pool.is_busy
        w.stop.set()
        await w.stopped.wait()
        assert w.now == w.start


@virtual
async def test_tenants_share_nothing_but_the_process() -> None:
    """The same user, device, app and token in two tenants are two of each."""
    first, second = tenant(app(), name="north"), replace(tenant(app(), name="south"), keys=())
    async with world(first, second) as w:
        await w.register("anna")
        south = w.relay.tenants["south"]
        taken = await w.relay.engine.accept(south, [_event(w, "anna")], None)
        assert (taken.accepted, taken.unknown) == (0, 1)
        assert south.pseudonyms.user("anna") != w.key("anna")
        await w.post("anna")
        await w.pass_time(1)
        assert [lane.accepted for lane in w.relay.pool.statistics()] == [1, 0]


def _event(w: World, user: str) -> Event:
    return Event(w.tenant.classes["message"], [w.key(user)], w.now)


# --- restart


@virtual
async def test_a_new_process_sends_what_the_old_one_left_pending() -> None:
    async with world() as w:
        users = await w.crowd(30)
        await w.rest(users[0], rest_between(w.start, w.start + HOUR))
        await w.network.unplug()
        await w.post(*users)
        await w.pass_time(MINUTE)
        w.kill()
        await w.stopped.wait()
        w.network.reachable = True
        await w.pass_time(MINUTE)
        await w.restart()
        await w.pass_time(1)
        assert all(w.rang(user) == [2 * MINUTE] for user in users[1:])
        await w.pass_time(HOUR)
        assert w.rang(users[0]) == [HOUR]
        assert w.account == {"accepted": 30, "woken": 30}


@virtual
async def test_a_crash_doubles_at_most_what_was_in_flight() -> None:
    async with world() as w:
        users = await w.crowd(30)
        await w.post(users[0])
        await w.pass_time(MINUTE)
        w.fake.injections.latency = lambda: 5.0
        await w.post(*users[1:])
        await w.pass_time(1)
        in_flight = w.lane.in_flight
        await w.restart()
        await w.pass_time(MINUTE)
        assert in_flight == 29
        assert len(w.requests()) == 30 + in_flight
        assert w.account == {"accepted": 30, "woken": 30}


@virtual
async def test_a_relay_whose_store_was_taken_over_stops() -> None:
    with pytest.RaisesGroup(StaleEpoch, flatten_subgroups=True):
        async with world() as w:
            await w.register("anna")
            w.store.load()
            with pytest.raises(Unavailable):
                await w.post("anna")
            await w.stopped.wait()


@virtual
async def test_requests_are_forgotten_after_a_day_in_memory_and_in_the_store() -> None:
    async with world() as w:
        await w.register("anna")
        await w.alarm("anna")
        await w.pass_time(REQUEST_LIFE - 1)
        assert len(w.relay.people.remembered) == 1
        await w.pass_time(PURGE_EVERY + 2)
        assert w.relay.people.remembered == {}
        w.kill()
        await w.stopped.wait()
        assert w.store.load().requests == {}


@virtual
async def test_more_to_forget_than_fits_into_one_piece_is_forgotten_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "PURGE_LIMIT", 3)
    async with world() as w:
        await w.register("anna")
        for _ in range(10):
            await w.alarm("anna")
        await w.pass_time(REQUEST_LIFE + PURGE_EVERY + 1)
        w.kill()
        await w.stopped.wait()
        assert w.store.load().requests == {}


# --- drain


async def _drained(w: World) -> float:
    """Stop the relay; return how long it took."""
    began = trio.current_time()
    w.stop.set()
    await w.stopped.wait()
    return trio.current_time() - began


@virtual
async def test_an_idle_relay_stops_at_once() -> None:
    async with world(connections=3) as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(DAY)
        assert await _drained(w) == 0
        assert w.network.open_lines == []


@virtual
async def test_a_drain_waits_for_answers_and_books_them() -> None:
    async with world() as w:
        users = await w.crowd(20)
        await w.post(users[0])
        await w.pass_time(MINUTE)
        w.fake.injections.latency = lambda: 3.0
        await w.post(*users[1:])
        await w.quiet()
        assert await _drained(w) == pytest.approx(3.0)
        assert w.account == {"accepted": 20, "woken": 20}
        with pytest.raises(Unavailable):
            await w.post(users[0])


@virtual
async def test_a_drain_sends_nothing_that_is_queued_and_the_next_process_does() -> None:
    async with world(streams=1) as w:
        users = await w.crowd(10)
        w.fake.injections.latency = lambda: 1.0
        await w.post(*users)
        await w.quiet()
        assert await _drained(w) == pytest.approx(1.0)
        assert len(w.requests()) == 1
        assert w.account == {"accepted": 10, "woken": 1, "pending": 9}
        await w.restart()
        await w.pass_time(MINUTE)
        assert len(w.requests()) == 10
        assert w.account == {"accepted": 10, "woken": 10}


@pytest.mark.parametrize("grace", [10.0, 1.0, 0.0])
@pytest.mark.parametrize("trouble", ["silence", "jam", "unreachable", "hanging connect", "store fails", "store hangs"])
@virtual
async def test_a_drain_ends_within_the_grace_whoever_hangs_and_loses_nothing(trouble: str, grace: float) -> None:
    gate = Gate()
    async with world(grace=grace, connections=2, executor=gate) as w:
        users = await w.crowd(10)
        await w.post(*users)
        await w.pass_time(MINUTE)
        match trouble:
            case "silence":
                w.fake.injections.silence = True
            case "jam":
                for line in w.network.open_lines:
                    line.jam()
            case "unreachable":
                await w.network.unplug()
            case "hanging connect":
                w.network.connect_seconds = NEVER
                await w.network.unplug()
            case _:
                w.fake.injections.latency = lambda: 0.5
        await w.post(*users)
        await w.quiet()
        if trouble == "store hangs":
            gate.shut()
        gate.fails = trouble == "store fails"
        assert await _drained(w) <= grace
        assert w.account["pending"] <= 10
        gate.fails = False
        w.fake.injections.silence = False
        w.network.reachable, w.network.connect_seconds = True, 0.0
        gate.open()
        await w.restart()
        await w.pass_time(2 * MINUTE)
        assert w.account == {"accepted": 20, "woken": 20}


@virtual
async def test_lanes_are_left_when_their_part_of_the_grace_is_over() -> None:
    async with world(grace=10.0) as w:
        await w.register("anna")
        w.fake.injections.silence = True
        await w.post("anna")
        await w.quiet()
        assert 10 * LANES <= await _drained(w) <= 10 * LANES + 1


# --- over sockets


@asynccontextmanager
async def _listening(grace: float, gate: Gate) -> AsyncIterator[tuple[service.Relay, Bound, trio.Event, trio.Event]]:
    """A relay in real time with a door on loopback: (relay, where, stop, stopped)."""
    config = _on_loopback(configuration(tenant(), grace=grace))
    relay = service.Relay(config, MemoryStore(), TrioClock(NOON), Seams(executor=gate))
    stop, stopped = trio.Event(), trio.Event()

    async def run(*, task_status: trio.TaskStatus[Bound]) -> None:
        await relay.run(stop, task_status=task_status)
        stopped.set()

    async with trio.open_nursery() as nursery:
        bound = await nursery.start(run)
        with trio.fail_after(30):
            yield relay, bound, stop, stopped
        nursery.cancel_scope.cancel()


def _on_loopback(config: Config) -> Config:
    loopback = (Address("127.0.0.1", 0),)
    return replace(config, door=DoorConfig(loopback, 100, 2**20), ops=loopback)


def _request(path: str, body: bytes, *, method: str = "POST") -> bytes:
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer backend.{SECRET}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _read_all(stream: trio.abc.ReceiveStream) -> bytes:
    read = b""
    async for part in stream:
        read += part
    return read


@pytest.mark.sockets
async def test_a_crowd_at_the_door_is_let_in_within_a_few_passes_of_the_loop() -> None:
    """Not one in each: when a pass takes a tenth of a second, who has an alarm stands among them."""
    async with _listening(0.5, Gate()) as (relay, bound, _stop, _stopped):
        crowd = [socket.create_connection(bound.door[0]) for _ in range(60)]
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        assert relay.door.connections == 60
        for client in crowd:
            client.close()


@pytest.mark.sockets
async def test_clients_that_hang_do_not_keep_the_relay_from_stopping() -> None:
    """One stops in the middle of a request, one waits for a commit that hangs, one is idle."""
    gate = Gate()
    async with _listening(0.5, gate) as (relay, bound, stop, stopped):
        half, waiting, idle = [await trio.open_tcp_stream(*bound.door[0]) for _ in range(3)]
        async with half, waiting, idle:
            await half.send_all(b"POST /v1/events HTTP/1.1\r\nhost: relay\r\ncontent-le")
            await idle.send_all(_request("/v1/events", b'{"user":"anna"}'))
            assert b"202 Accepted" in await idle.receive_some(65_536)
            gate.shut()
            await waiting.send_all(_request("/v1/users/anna/devices/pc", b'{"platform":"none"}', method="PUT"))
            while relay.door.connections < 3 or not gate.waiting:
                await trio.lowlevel.checkpoint()
            stop.set()
            assert await _read_all(idle) == b""
            await stopped.wait()
            for client in (half, waiting):
                assert b" 20" not in (await _read_all(client))[:13]
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream(*bound.door[0])


@pytest.mark.sockets
async def test_a_request_that_waits_for_its_commit_is_answered_during_the_drain() -> None:
    """And operators can ask all the while: the ops port closes last."""
    gate = Gate()
    async with _listening(20.0, gate) as (_relay, bound, stop, stopped):
        client, ops = await trio.open_tcp_stream(*bound.door[0]), await trio.open_tcp_stream(*bound.ops[0])
        async with client, ops:
            await ops.send_all(b"GET /readyz HTTP/1.1\r\nhost: relay\r\n\r\n")
            assert b"200 OK" in await ops.receive_some(65_536)
            gate.shut()
            await client.send_all(_request("/v1/users/anna/devices/pc", b'{"platform":"none"}', method="PUT"))
            while not gate.waiting:
                await trio.lowlevel.checkpoint()
            stop.set()
            await trio.testing.wait_all_tasks_blocked()
            await ops.send_all(b"GET /readyz HTTP/1.1\r\nhost: relay\r\n\r\n")
            assert b"503 Service Unavailable" in await ops.receive_some(65_536)
            gate.open()
            answer = await _read_all(client)
            assert answer.startswith(b"HTTP/1.1 201 Created\r\n")
            assert b"\r\nconnection: close\r\n" in answer
            await stopped.wait()


@pytest.mark.processes
async def test_a_node_on_its_file_forgets_nothing_between_two_runs(tmp_path: Path) -> None:
    config = _on_loopback(configuration(tenant(), grace=5.0))
    config = replace(config, store=replace(config.store, path=tmp_path / "node.db"))
    answers = []
    for _ in range(2):
        stop = trio.Event()
        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                bound = await nursery.start(partial(_serve, config, stop))
                async with await trio.open_tcp_stream(*bound.door[0]) as client:
                    await client.send_all(_request("/v1/users/anna/devices/pc", b'{"platform":"none"}', method="PUT"))
                    answers.append((await client.receive_some(65_536))[:12])
                stop.set()
    assert answers == [b"HTTP/1.1 201", b"HTTP/1.1 200"]


async def _serve(config: Config, stop: trio.Event, *, task_status: trio.TaskStatus[Bound]) -> None:
    await serving.run(config, WallClock(), stop, task_status=task_status)


# --- whatever happens

USERS = ("anna", "bert", "carl")
TROUBLES = [
    (429, "TooManyRequests"), (500, "InternalServerError"), (503, "ServiceUnavailable"), (503, "Shutdown"),
    (400, "IdleTimeout"), (403, "Forbidden"), (403, "InvalidProviderToken"), (429, "TooManyProviderTokenUpdates"),
    (403, "ExpiredProviderToken"), (200, ""),
]  # fmt: skip

_user = st.sampled_from(USERS)
_step = st.one_of(
    st.tuples(st.just("post"), st.lists(_user, min_size=1, max_size=3)),
    st.tuples(st.just("roster"), _user),
    st.tuples(st.just("alarm"), st.just("anna")),
    st.tuples(st.just("seen"), _user),
    st.tuples(st.just("rest"), st.tuples(_user, st.integers(0, 300), st.integers(20, 2000))),
    st.tuples(st.just("no rest"), _user),
    st.tuples(st.just("refresh"), _user),
    st.tuples(st.just("new token"), _user),
    st.tuples(st.just("trouble"), st.lists(st.sampled_from(TROUBLES), min_size=1, max_size=6)),
    st.tuples(st.just("latency"), st.sampled_from([0.0, 0.3, 4.0])),
    st.tuples(st.just("silence"), st.booleans()),
    st.tuples(st.just("streams"), st.sampled_from([0, 1, 2, 1000])),
    st.tuples(st.just("goaway"), st.none()),
    st.tuples(st.just("cut"), st.none()),
    st.tuples(st.just("jam"), st.none()),
    st.tuples(st.just("unplug"), st.none()),
    st.tuples(st.just("plug"), st.none()),
    st.tuples(st.just("crash"), st.none()),
    st.tuples(st.just("time"), st.sampled_from([0.1, 1.0, 4.9, 7.0, 31.0, 90.0, 400.0])),
)


@dataclass(slots=True)
class _Diary:
    """What the test did, for comparing with what the provider saw. Instants in UTC seconds."""

    posts: list[tuple[float, str, str]] = field(default_factory=list)
    """(when, user, class)"""
    seen: dict[str, float] = field(default_factory=dict)
    rests: dict[str, list[tuple[float, Mapping[str, object]]]] = field(default_factory=dict)
    """user → documents, each with the instant from which it was in force"""
    tokens: dict[str, tuple[float, int]] = field(default_factory=dict)
    """user → (since when, generation) of the token the phone has now"""

    def rested(self, user: str, instant: float) -> bool:
        """Whether the user surely rested: an edit in the same instant leaves it open."""
        document: Mapping[str, object] = {}
        for since, edited in self.rests.get(user, []):
            if since == instant:
                return False
            if since < instant:
                document = edited
        return schedules.state(document, datetime.fromtimestamp(instant, UTC)).resting


async def _do(w: World, diary: _Diary, what: str, arg: object) -> None:
    match what, arg:
        case "post", list() as users:
            await w.post(*users)
            diary.posts += [(w.now, user, "message") for user in users]
        case ("roster" | "alarm") as name, str(user):
            await w.post(user, event_class=name)
            diary.posts.append((w.now, user, name))
        case "seen", str(user):
            await w.seen(user)
            diary.seen[user] = w.now
        case "rest", (str(user), int(start), int(length)):
            begin = int(w.now) + start
            document = rest_between(begin, begin + length)
            await w.rest(user, document)
            diary.rests.setdefault(user, []).append((w.now, document))
        case "no rest", str(user):
            if diary.rests.get(user):
                await w.rest(user, {})
                diary.rests[user].append((w.now, {}))
        case "refresh", str(user):
            await w.register(user, generation=diary.tokens[user][1])
        case "new token", str(user):
            diary.tokens[user] = w.now, diary.tokens[user][1] + 1
            await w.register(user, generation=diary.tokens[user][1])
        case "trouble", list() as answers:
            w.fake.injections.answers += answers
        case "latency", float(seconds):
            w.fake.injections.latency = lambda: seconds
        case "silence", bool(silent):
            w.fake.injections.silence = silent
        case "streams", int(streams):
            await w.fake.set_streams(streams)
        case "goaway", _:
            await w.fake.goaway()
        case "cut", _:
            for line in w.network.open_lines:
                await line.cut()
        case "jam", _:
            for line in w.network.open_lines:
                line.jam()
        case "unplug", _:
            await w.network.unplug()
        case "plug", _:
            w.network.reachable = True
        case "crash", _:
            await w.restart()
        case "time", float(seconds):
            await w.pass_time(seconds)
        case _:
            raise AssertionError((what, arg))


@settings(max_examples=examples(60))
@given(st.lists(_step, max_size=30), st.integers(1, 3))
@virtual
async def test_nothing_is_lost_nobody_is_woken_in_rest_and_the_books_balance(
    steps: list[tuple[str, object]], connections: int
) -> None:
    diary = _Diary()
    async with world(connections=connections, seed=len(steps)) as w:
        for user in USERS:
            await w.register(user)
            diary.tokens[user] = w.now - 1, 0
        for what, arg in steps:
            await _do(w, diary, what, arg)
            assert w.relay.people.books.balance(w.relay.people.pending()) == []
        for what, arg in _healing():
            await _do(w, diary, what, arg)
        w.fake.injections.answers.clear()
        await w.pass_time(2 * HOUR)

        assert "pending" not in w.account
        assert w.relay.dispatcher.next_due() == NEVER
        assert not w.relay.pool.is_busy
        assert not any(person.flights or person.slots for person in w.relay.people.by_key.values())
        for at, user, name in diary.posts:
            since, generation = diary.tokens[user]
            if since < at and (name == "alarm" or diary.seen.get(user, 0.0) < at):
                token = token_of(user, generation=generation)
                assert any(e.t >= at - 0.001 for e in w.wakeups() if e.token == token), (at - w.start, user)
        for entry in w.requests():
            owner = w.owner(entry)
            if diary.rested(owner, entry.t):
                alarms = [at for at, user, name in diary.posts if user == owner and name == "alarm"]
                assert any(at <= entry.t + 0.001 <= at + HOUR + 1 for at in alarms), (entry.t - w.start, owner)


def _healing() -> list[tuple[str, object]]:
    """Everything is well again."""
    nobody: list[tuple[str, object]] = [("no rest", user) for user in USERS]
    return [*nobody, ("silence", False), ("latency", 0.0), ("streams", 1000), ("plug", None)]


VOUCHING = OidcConfig(
    tenant="example", name="Konto", issuer="https://id.example", client_id="f", client_secret=None, user_claim="sub",
    acr_values=(), amr=(), scopes=("openid",), ca_file=None,
)  # fmt: skip


@pytest.mark.processes
async def test_the_officers_door_has_a_socket_of_its_own_that_drains(tmp_path: Path) -> None:
    """What serves the pages is another process (test_web.py); here it is one that does nothing."""
    web = WebConfig(
        listen=(), base_url="http://localhost", oidc=(VOUCHING,), socket=tmp_path / "relay.db.door.sock",
        trusted_proxies=(), login_attempts=30,
    )  # fmt: skip
    async with world(running=False) as w:
        seams = replace(w._seams, web=(sys.executable, "-c", "import sys; sys.stdin.read()"))
        w.relay = service.Relay(replace(w.config, web=web), w.store, w.clock, seams)
        await w.begin()
        assert stat.S_IMODE(web.socket.stat().st_mode) == 0o600
        asked = partial(trio.to_thread.run_sync, unix.ask, web.socket, "POST", "/v1/door/session")
        status, told = await asked({"tenant": "example", "user": "anna"})
        assert (status, told["type"]) == (403, "/problems/link")
        await w.register("anna")
        status, told = await asked({"tenant": "example", "user": "anna"})
        assert (status, told["session"][:3]) == (201, "me.")
        w.stop.set()
        await w.stopped.wait()
        assert not web.socket.exists()


@virtual
async def test_a_drain_writes_down_when_sessions_were_used_and_a_crash_costs_five_minutes_at_most() -> None:
    secret = Private("s" * 43)
    async with world() as w:
        await w.register("anna")
        await w.relay.engine.begin("example", Private("anna"), secret)

        async def used() -> float:
            """As a new process knows it; asking is a use, so the store is asked."""
            await w.restart()
            (known,) = w.relay.people.passes.by_key.values()
            return known.noted - w.start

        await w.pass_time(100)
        assert w.relay.engine.officer(secret, w.now) is not None
        await w.pass_time(NOTE_EVERY - 101)
        assert await used() == -w.start, "killed before anybody wrote it down"
        await w.pass_time(10)
        assert w.relay.engine.officer(secret, w.now) is not None
        commits = w.store.commits
        await w.pass_time(NOTE_EVERY)
        assert w.store.commits == commits + 1
        assert await used() == NOTE_EVERY + 9
        await w.pass_time(60)
        assert w.relay.engine.officer(secret, w.now) is not None
        w.stop.set()
        await w.stopped.wait()
        assert await used() == 2 * NOTE_EVERY + 69


# --- what is wrong at start


@virtual
async def test_the_wrong_master_key_is_said_at_start() -> None:
    """And not at the first wakeup: another key that seals, and another first key, which names people."""
    async with world() as w:
        await w.register("anna")
    store, config = w.store, w.config
    for masters in (MasterKeys({1: b"x" * 32}, 1, 1), MasterKeys({2: b"x" * 32, **config.store.masters.keys}, 2, 1)):
        wrong = replace(config, store=replace(config.store, masters=masters))
        with pytest.raises(StoreMismatch, match="master key"):
            service.Relay(wrong, store, TrioClock(NOON))


@pytest.mark.sockets
async def test_an_address_that_is_taken_is_named() -> None:
    (taken,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with taken:
        address = Address("127.0.0.1", taken.socket.getsockname()[1])
        config = replace(configuration(tenant(), grace=1.0), ops=(address,))
        relay = service.Relay(config, MemoryStore(), TrioClock(NOON), Seams(executor=inline))
        with pytest.RaisesGroup(pytest.RaisesExc(CannotListen, match=f"cannot listen on {address}: ")):
            await relay.run(trio.Event())


class TwoAddresses(trio.abc.HostnameResolver):
    """As where `localhost` is 127.0.0.1 and ::1."""

    async def getaddrinfo(self, *_: object, **__: object) -> Any:  # noqa: ANN401
        await trio.lowlevel.checkpoint()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.1", "127.0.0.2")]

    async def getnameinfo(self, *_: object) -> Any:  # noqa: ANN401
        raise AssertionError("nobody asks")


@pytest.mark.sockets
async def test_a_name_may_stand_for_several_addresses() -> None:
    trio.socket.set_custom_hostname_resolver(TwoAddresses())
    listeners = await service.opened(Address("here", 0))
    assert [service.name_of(each)[0] for each in listeners] == ["127.0.0.1", "127.0.0.2"]
    for each in listeners:
        await each.aclose()
