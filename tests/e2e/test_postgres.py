"""The relay on PostgreSQL, with real processes: what holds on a file holds here, also while the server is away."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, LiteralString

import psycopg
import pytest
import trio

from bench.postgres import Cluster, cluster
from relay.store.postgres_migrating import migrate
from tests.e2e.client import Answer, Client, client
from tests.e2e.installation import Installation, install, post, register, set_rest
from tests.e2e.phones import POLL, Provider, Sightings, fake_apns, token
from tests.e2e.processes import PATIENCE, ROOT

pytestmark = [pytest.mark.processes, pytest.mark.needs("postgres")]

CLIENTS: Final = 6
EACH: Final = 25
"""Users for whom each client posts, one after the other, each once: so each has one wakeup."""
IN_THE_MIDDLE: Final = CLIENTS * EACH // 3
"""Events that are acknowledged before the server goes away."""
WAITS: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def feierabend(relay: Installation, *arguments: str | Path) -> tuple[int, str, str]:
    """`feierabend ARGUMENTS --config …`: (exit code, said, errors)."""
    command = [sys.executable, "-m", "relay", *map(str, arguments), "--config", str(relay.config)]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def now_and_for_days() -> dict[str, object]:
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    return {
        "kind": "once",
        "start": (now - timedelta(days=2)).isoformat(),
        "end": (now + timedelta(days=9)).isoformat(),
    }


def put_up(folder: Path, apple: Provider, database: str | None) -> Installation:
    relay = install(folder, database)
    relay.configure(apple.port, apple.credentials)
    return relay


async def alarm(backend: Client, user: str) -> None:
    body = {"user": user, "class": "alarm", "role": "dispatch", "reason": "incident"}
    answer = await backend.ask("POST", "/v1/events", body, {"idempotency-key": f"alarm-{user}"})
    assert answer.status == 202, answer


async def readiness(relay: Installation) -> tuple[int, list[str]]:
    async with client(relay.ops) as operator:
        answer = await operator.ask("GET", "/readyz")
    return answer.status, answer.json()["reasons"]


async def until(relay: Installation, status: int) -> list[str]:
    """The reasons, when it is ready, or is not."""
    with trio.fail_after(PATIENCE):
        while (found := await readiness(relay))[0] != status:  # noqa: ASYNC110 (another process changes)
            await trio.sleep(POLL)
    return found[1]


async def test_events_wake_and_rest_is_kept_and_a_kill_loses_nothing(tmp_path: Path, fresh: str) -> None:
    async with fake_apns(tmp_path / "apple") as apple:
        relay, seen = put_up(tmp_path, apple, fresh), Sightings(apple.journal)
        assert (await feierabend(relay, "store", "migrate"))[0] == 0
        async with relay.serving() as process, relay.backend_client() as backend:
            for number, user in enumerate(("anna", "bert", "carl")):
                await register(backend, user, token(number))
            async with relay.settings_client() as settings:
                await set_rest(settings, "bert", now_and_for_days())
            for user in ("anna", "bert"):
                await post(backend, user)
            await seen.of(token(0))
            await alarm(backend, "bert")
            await seen.of(token(1))
            await post(backend, "carl")
            process.kill()
        async with relay.serving() as process, relay.backend_client() as backend:
            await seen.of(token(2))
            assert len(seen.by_token[token(1)]) == 1, "the message to bert waits"
            async with relay.settings_client() as settings:
                assert (await settings.ask("DELETE", "/v1/users/bert/rest")).status == 204
            await seen.of(token(1), 2)
            process.terminate()
            assert await process.ended() == 0
            assert not [line for line in process.lines if "Traceback" in line]


@pytest.fixture
def own_server() -> Iterator[Cluster]:
    """One that can be stopped."""
    with cluster("fsync = off") as server:
        yield server


@pytest.mark.thorough
async def test_the_server_goes_away_under_load_and_comes_back(tmp_path: Path, own_server: Cluster) -> None:
    """503 with Retry-After meanwhile and nothing acknowledged falsely; then all goes on, in the same process.

    It goes away while a commit is under way that has not been written: a lock sees to that. The other case is
    tests/relay/store/test_postgres_doubt.py.
    """
    database = own_server.create()
    migrate(database)
    async with fake_apns(tmp_path / "apple") as apple:
        relay, seen = put_up(tmp_path, apple, database), Sightings(apple.journal)
        async with relay.serving() as process:
            load = Load(relay)
            await load.register()
            async with trio.open_nursery() as nursery:
                for number in range(CLIENTS):
                    nursery.start_soon(load.run, number)
                with trio.fail_after(PATIENCE):
                    await load.is_halfway.wait()
                await trio.to_thread.run_sync(stopped_in_a_commit, own_server, database)
                with trio.fail_after(PATIENCE):
                    await load.everybody_was_refused.wait()
                assert "store_fails" in await until(relay, 503)
                acknowledged = load.acknowledged
                for _ in range(5):
                    assert load.acknowledged == acknowledged
                    async with relay.backend_client() as backend:
                        assert (await backend.ask("POST", "/v1/events", {"user": "0-0"})).status == 503
                await trio.to_thread.run_sync(own_server.start)
                assert await until(relay, 200) == []
            assert load.acknowledged == CLIENTS * EACH
            await seen.until(lambda: seen.by_token.keys() == {token(n) for n in range(CLIENTS * EACH)})
            assert process.process.returncode is None
            process.terminate()
            assert await process.ended() == 0
            assert not [line for line in process.lines if "Traceback" in line]


def stopped_in_a_commit(server: Cluster, database: str) -> None:
    """As in a crash, while a commit waits for a lock."""
    with suppress(psycopg.OperationalError), psycopg.connect(database) as db:
        db.execute("LOCK TABLE feierabend.node IN EXCLUSIVE MODE")
        _until_somebody(database, WAITS)
        server.stop("immediate")


def _until_somebody(database: str, query: LiteralString) -> None:
    with psycopg.connect(database, autocommit=True) as db:
        while db.execute(query).fetchone() == (0,):
            db.execute("SELECT pg_sleep(0.01)")


class Load:
    """Clients that post until each of their users has an event that is acknowledged."""

    def __init__(self, relay: Installation) -> None:
        self._relay = relay
        self.acknowledged = 0
        self._refused: set[int] = set()
        self.is_halfway, self.everybody_was_refused = trio.Event(), trio.Event()

    async def register(self) -> None:
        phone = {"platform": "apns", "app": "ios"}
        users = {
            f"{number}-{which}": {"devices": {"phone": {**phone, "token": token(number * EACH + which)}}}
            for number in range(CLIENTS)
            for which in range(EACH)
        }
        async with self._relay.backend_client() as backend:
            assert (await backend.ask("PUT", "/v1/devices", {"users": users})).status == 200

    async def run(self, number: int) -> None:
        async with self._relay.backend_client() as backend:
            for which in range(EACH):
                while True:
                    answer = await backend.ask("POST", "/v1/events", {"user": f"{number}-{which}"})
                    if self._is_taken(number, answer):
                        break
                    await trio.sleep(POLL)

    def _is_taken(self, number: int, answer: Answer) -> bool:
        if answer.status == 202:
            self.acknowledged += 1
            if self.acknowledged == IN_THE_MIDDLE:
                self.is_halfway.set()
            return True
        assert answer.status == 503, answer
        assert int(answer.headers["retry-after"]) > 0
        self._refused.add(number)
        if len(self._refused) == CLIENTS:
            self.everybody_was_refused.set()
        return False


async def test_from_a_file_to_a_database(tmp_path: Path, fresh: str) -> None:
    """What waits, whom it is for and when they rest is taken along; nothing leaves before an operator says so."""
    async with fake_apns(tmp_path / "apple") as apple:
        before, seen = put_up(tmp_path, apple, None), Sightings(apple.journal)
        async with before.serving() as process, before.backend_client() as backend:
            for number, user in enumerate(("anna", "bert")):
                await register(backend, user, token(number))
            async with before.settings_client() as settings:
                await set_rest(settings, "bert", now_and_for_days())
            await post(backend, "bert")
            process.terminate()
            assert await process.ended() == 0
        relay = replace(before, store=f'postgresql = "{fresh}"')
        relay.configure(apple.port, apple.credentials)
        assert (await feierabend(relay, "store", "migrate"))[0] == 0
        status, said, errors = await feierabend(relay, "store", "copy", before.database)
        assert (status, errors) == (0, "")
        assert "records of 2 people" in said
        async with relay.serving() as process, relay.backend_client() as backend:
            await post(backend, "anna")
            await alarm(backend, "bert")
            await seen.of(token(1))
            assert [entry.token for entry in seen.all] == [token(1)]
            _, said, _ = await feierabend(relay, "holds")
            assert "by copy: copied from relay.db" in said
            status, said, _ = await feierabend(relay, "resume", "--reason", "it is the right one")
            assert (status, said) == (0, "1 ended; what waits leaves now\n")
            await seen.of(token(0))
            async with relay.settings_client() as settings:
                assert (await settings.ask("DELETE", "/v1/users/bert/rest")).status == 204
            await seen.of(token(1), 2)
            process.terminate()
            assert await process.ended() == 0
