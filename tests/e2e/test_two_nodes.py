"""Two nodes on one database: each answers for everybody, one of them wakes each phone, and either may go."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import pytest
import trio

from bench.postgres import Cluster, cluster, emptied
from relay.auditing import Tally, verify
from relay.clock import WallClock
from relay.config_file import read
from relay.core.chain import Notary
from relay.store.postgres_chain import begin
from relay.store.postgres_connection import connect
from relay.store.postgres_evidence import evidence
from relay.store.postgres_migrating import migrate
from tests.e2e.client import Client, NoAnswer, NotSent, client
from tests.e2e.installation import MASTER, TENANT, Installation, install, post, register, set_rest
from tests.e2e.nodes import Node, node
from tests.e2e.phones import Sightings, fake_apns, token
from tests.e2e.processes import PATIENCE, Child

pytestmark = [pytest.mark.processes, pytest.mark.needs("postgres")]
MANY = 24
"""People: so many are never all of one node."""
USERS = [f"officer-{n}" for n in range(MANY)]
AT_REST = {"kind": "dates", "from": str(date.today() - timedelta(2)), "to": str(date.today() + timedelta(2))}
BURIED = 5.0
"""Seconds within which the people of a node that has died are taken over."""


@pytest.fixture(scope="module")
def server() -> Iterator[Cluster]:
    with cluster("fsync = off") as made:
        migrate(made.url)
        yield made


@dataclass
class Pair:
    """Two nodes that serve, with a client of each."""

    server: Cluster
    installation: Installation
    nodes: tuple[Node, Node]
    children: list[Child]
    clients: list[Client]
    sightings: Sightings

    async def woken(self, user: str, times: int = 1) -> None:
        await self.sightings.of(token(USERS.index(user)), times)

    async def each_has_half(self) -> None:
        for child in self.children:
            await child.line('"partitions": 32')


@asynccontextmanager
async def pair(folder: Path, server: Cluster) -> AsyncIterator[Pair]:
    emptied(server.url)
    installation = install(folder)
    with connect(server.url, None, "test") as db:
        begin(db, Notary(MASTER))
    async with fake_apns(folder) as apns:
        installation.configure(apns.port, apns.credentials, posts_seen=True)
        nodes = (node(installation, "one", server.url), node(installation, "two", server.url))
        async with nodes[0].serving() as first, nodes[0].backend() as at_first:
            for n, user in enumerate(USERS):
                await register(at_first, user, token(n))
            async with nodes[1].serving() as second, nodes[1].backend() as at_second:
                clients = [at_first, at_second]
                made = Pair(server, installation, nodes, [first, second], clients, Sightings(apns.journal))
                await second.line("partitions_adopted")
                yield made
                for child in (first, second):
                    if child.process.returncode is None:
                        child.terminate()
                        assert await child.ended() == 0


async def test_it_does_not_matter_which_node_is_asked(tmp_path: Path, server: Cluster) -> None:
    async with pair(tmp_path, server) as two:
        first, second = two.clients
        for n, user in enumerate(USERS):
            await post(two.clients[n % 2], user)
        for user in USERS:
            await two.woken(user)
        async with two.nodes[0].settings() as at_first, two.nodes[1].settings() as at_second:
            for n, user in enumerate(USERS):
                await set_rest((at_first, at_second)[n % 2], user, AT_REST)
            links = [
                (await settings.ask("POST", f"/v1/users/{user}/link")).json()["link"]
                for user, settings in zip(USERS[:6], [at_first, at_second] * 3, strict=True)
            ]
        for n, link in enumerate(links):
            answer = await two.clients[n % 2].ask("POST", "/v1/me/token", {"link": link})
            assert answer.status == 201, answer
            mine = {"authorization": f"Bearer {answer.json()['token']}"}
            for each in two.clients:
                assert (await each.ask("GET", "/v1/me/rest", headers=mine)).json()["windows"] == [AT_REST]
            wrong = {"authorization": f"Bearer {answer.json()['token']}x"}
            assert (await second.ask("GET", "/v1/me/rest", headers=wrong)).status == 401
        everybody = {"users": USERS, "class": "alarm", "role": "dispatch", "reason": "incident"}
        key = {"idempotency-key": "once-and-for-all"}
        answers = [await each.ask("POST", "/v1/events", everybody, key) for each in (first, second, first)]
        assert {answer.body for answer in answers} == {answers[0].body}, "asked again, at whichever node: the same"
        assert answers[0].json()["accepted"] == MANY
        for user in USERS:
            await two.woken(user, 2)
        receipt = answers[0].json()["receipt"]
        with trio.fail_after(PATIENCE):  # another process tells nobody
            while (totals := (await second.ask("GET", f"/v1/alarms/{receipt}")).json())["handed_over"] < MANY:  # noqa: ASYNC110
                await trio.sleep(0.05)
        assert totals == {"recipients": MANY, "handed_over": MANY, "no_device": 0, "failing": 0, "pending": 0}
        for n, each in enumerate(two.clients):
            alarm = {**everybody, "users": USERS[:1]}
            assert (await each.ask("POST", "/v1/events", alarm, {"idempotency-key": f"node-{n}"})).status == 202
            await two.woken(USERS[0], 3 + n)
        assert audited(two) == {"": Tally(links=1), TENANT: Tally(links=3, found=3)}
        listed: dict[str, object] = {"users": {user: {"devices": {}} for user in USERS}}
        answer = await second.ask("PUT", "/v1/devices", listed)
        assert answer.json() == {"created": 0, "refreshed": 0, "deleted": MANY}
        for n, user in enumerate(USERS):
            assert (await two.clients[n % 2].ask("DELETE", f"/v1/users/{user}")).status == 204
            assert (await two.clients[1 - n % 2].ask("DELETE", f"/v1/users/{user}")).status == 404
        assert sorted(map(len, two.sightings.by_token.values()))[-2:] == [2, 4]


def audited(two: Pair) -> dict[str, Tally]:
    """Under the key of the configuration that the nodes have."""
    with evidence(two.server.url, None) as found:
        return verify(found, read(two.nodes[0].config).store.masters.notary(), WallClock().now())


@pytest.mark.thorough
async def test_a_token_that_moves_to_somebody_of_another_node_is_told_to_the_backend(
    tmp_path: Path, server: Cluster
) -> None:
    async with pair(tmp_path, server) as two:
        first, second = two.clients
        for n, user in enumerate(USERS):
            await register(two.clients[n % 2], f"new-{user}", token(n))
        told: set[str] = set()
        with trio.fail_after(PATIENCE):
            while len(told) < MANY:
                answer = await second.ask("GET", "/v1/feedback?wait=5")
                assert [parted["seq"] for parted in answer.json()["devices"]] == sorted(
                    parted["seq"] for parted in answer.json()["devices"]
                )
                told = {parted["user"] for parted in answer.json()["devices"] if parted["why"] == "moved"}
        assert told == set(USERS)
        for user in USERS:
            answer = await first.ask("POST", "/v1/events", {"user": user})
            assert answer.json() == {"accepted": 0, "unknown": 1}


async def test_who_dies_is_replaced_and_nothing_acknowledged_is_lost(tmp_path: Path, server: Cluster) -> None:
    async with pair(tmp_path, server) as two:
        two.children[0].kill()
        died = trio.current_time()
        for user in USERS:
            await post(two.clients[1], user)
        assert trio.current_time() < died + 1, "events are taken though nobody has those people"
        async with two.nodes[1].settings() as settings:
            for user in USERS:
                await set_rest(settings, user, AT_REST)
        assert trio.current_time() < died + BURIED + 1
        with trio.fail_after(PATIENCE):
            while not any('"partitions": 32' in line for line in two.children[1].lines[3:]):  # noqa: ASYNC110
                await trio.sleep(0.05)
        await post(two.clients[1], USERS[0])


@pytest.mark.thorough
async def test_a_node_that_was_stopped_wakes_nobody_who_rests_by_now_and_ends(tmp_path: Path, server: Cluster) -> None:
    async with pair(tmp_path, server) as two:
        await two.each_has_half()
        stopped, other = two.children
        os.kill(stopped.process.pid, signal.SIGSTOP)
        for user in USERS:
            await post(two.clients[1], user)  # those of the stopped node wait for who takes them over
        async with two.nodes[1].settings() as settings:
            for user in USERS:
                await set_rest(settings, user, AT_REST)
        two.sightings.look()
        before = {phone: len(times) for phone, times in two.sightings.by_token.items()}
        for user in USERS:
            await post(two.clients[1], user)
        os.kill(stopped.process.pid, signal.SIGCONT)
        assert await stopped.ended() == 1
        plain = [line for line in stopped.lines if not line.startswith("{")]
        assert plain == ["feierabend: another process has taken over this store"]
        await trio.sleep(1)
        two.sightings.look()
        assert {phone: len(times) for phone, times in two.sightings.by_token.items()} == before
        assert other.process.returncode is None


@pytest.mark.thorough
async def test_both_live_through_a_restart_of_the_database(tmp_path: Path, server: Cluster) -> None:
    async with pair(tmp_path, server) as two:
        server.stop("immediate")
        for each in two.clients:
            answer = await each.ask("POST", "/v1/events", {"user": USERS[0]})
            assert answer.status == 503, answer
            assert int(answer.headers["retry-after"]) >= 1
        await trio.sleep(4)
        server.start()
        for n, user in enumerate(USERS):
            with trio.fail_after(PATIENCE):
                while (answer := await two.clients[n % 2].ask("POST", "/v1/events", {"user": user})).status != 202:
                    assert answer.status == 503, answer
                    await trio.sleep(0.2)
        for user in USERS:
            await two.woken(user)
        assert [child.process.returncode for child in two.children] == [None, None]


@pytest.mark.thorough
async def test_a_rolling_restart_fails_no_request(tmp_path: Path, server: Cluster) -> None:
    """Each node in turn ends and starts again, while both kinds of requests go to whichever is open."""
    async with pair(tmp_path, server) as two, trio.open_nursery() as nodes:
        enough, over = trio.Event(), trio.Event()
        posted: dict[str, int] = dict.fromkeys(USERS, 0)

        async def ask(turn: int) -> None:
            number = 0
            while not enough.is_set():
                user = USERS[(number * 7 + turn) % MANY]
                await ask_whoever_is_open(two, user)
                posted[user] += 1
                number += 1

        async with trio.open_nursery() as clients:
            for turn in range(4):
                clients.start_soon(ask, turn)
            for index in (0, 1):
                await trio.sleep(1)
                two.children[index].terminate()
                assert await two.children[index].ended() == 0
                await trio.sleep(1)
                two.children[index] = await nodes.start(keep, two.nodes[index], over)
            await trio.sleep(1)
            enough.set()
        assert min(posted.values()) > 10
        for user in USERS:
            await two.woken(user)
        over.set()


async def keep(of: Node, over: trio.Event, *, task_status: trio.TaskStatus[Child]) -> None:
    """A node that was started again."""
    async with of.serving() as child:
        task_status.started(child)
        await over.wait()
        child.terminate()
        assert await child.ended() == 0


async def ask_whoever_is_open(two: Pair, user: str) -> None:
    """One event and one edit. A node that closes its door is not asked any more; what is answered must be a success."""

    async def ask(method: str, path: str, body: object, key: str) -> int:
        while True:
            for each in two.nodes:
                async with client(each.door, key) as made:
                    try:
                        return (await made.ask(method, path, body)).status
                    except (NotSent, NoAnswer):
                        continue
            await trio.sleep(0.01)

    assert await ask("POST", "/v1/events", {"user": user}, two.installation.backend) == 202
    body = {"windows": [{"kind": "dates", "from": "2045-01-01", "to": "2045-01-02"}]}  # nobody rests now
    assert await ask("PUT", f"/v1/users/{user}/rest", body, two.installation.settings) in (200, 201)
