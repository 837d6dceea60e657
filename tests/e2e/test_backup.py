"""`feierabend backup` and `restore` as an operator types them: under load, and then a restored relay that is held."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio
import trio.lowlevel

from tests.e2e.client import Client
from tests.e2e.installation import Installation, install, post, register
from tests.e2e.phones import Sightings, fake_apns, token
from tests.e2e.processes import ROOT

pytestmark = pytest.mark.processes


async def feierabend(relay: Installation, *arguments: str | Path) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "relay", arguments[0], "--config", str(relay.config), *map(str, arguments[1:])]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def alarm(backend: Client, user: str) -> None:
    body = {"user": user, "class": "alarm", "role": "dispatch", "reason": "incident"}
    answer = await backend.ask("POST", "/v1/events", body, {"idempotency-key": f"alarm-{user}"})
    assert answer.status == 202, answer


async def test_a_backup_under_load_and_a_restore_that_is_held(tmp_path: Path) -> None:
    backup, load, busy = tmp_path / "backup.db", trio.CancelScope(), trio.Event()
    posted = 0
    async with fake_apns(tmp_path / "apple") as apple:
        relay, seen = install(tmp_path), Sightings(apple.journal)
        relay.configure(apple.port, apple.credentials)

        async def keep_posting() -> None:
            """Several a second, each acknowledged."""
            nonlocal posted
            async with relay.backend_client() as another:
                with load:
                    while True:
                        await post(another, "load")
                        posted += 1
                        if posted == 20:
                            busy.set()

        async with relay.serving() as process, relay.backend_client() as backend, trio.open_nursery() as nursery:
            for number, user in enumerate(("load", "anna", "bert")):
                await register(backend, user, token(number))
            nursery.start_soon(keep_posting)
            await busy.wait()
            before = posted
            status, said, errors = await feierabend(relay, "backup", backup)
            assert (status, errors) == (0, "")
            assert said.startswith(f"{backup}: 3 people, as of 20")
            assert posted > before, "events were taken meanwhile"
            load.cancel()
            await register(backend, "carl", token(3))
            assert (await backend.ask("DELETE", "/v1/users/anna")).status == 204
            status, _, errors = await feierabend(relay, "backup", backup)
            assert (status, errors) == (1, f"feierabend: {backup}: is there already; nothing was written\n")
            status, _, errors = await feierabend(relay, "restore", backup)
            assert (status, errors) == (1, "feierabend: the database file is in use by another process\n")
            process.terminate()
            assert await process.ended() == 0

        status, said, errors = await feierabend(relay, "restore", backup)
        assert (status, errors) == (0, "")
        assert "restored: 3 people, as of 20" in said
        assert "erased since, and again: 1\n" in said
        assert "only alarms and orders leave" in said

        seen.look()
        async with relay.serving() as process, relay.backend_client() as backend:
            told = await backend.ask("POST", "/v1/events", {"users": ["load", "anna", "bert", "carl"]})
            assert told.json() == {"accepted": 2, "unknown": 2}
            await alarm(backend, "bert")
            await seen.of(token(2))
            _, said, _ = await feierabend(relay, "holds")
            assert said.startswith("held: everything but alarms and orders, until 20")
            assert "by restore: restored from a backup of 20" in said
            woken = dict(seen.by_token)
            status, said, _ = await feierabend(relay, "resume", "--reason", "the backend has compared its devices")
            assert (status, said) == (0, "1 ended; what waits leaves now\n")
            await seen.of(token(0), times=len(woken.get(token(0), ())) + 1)
            assert not {token(1), token(3)} & {entry.token for entry in seen.all}
            assert len([entry for entry in seen.all if entry.token == token(2)]) <= 2
            process.terminate()
            assert await process.ended() == 0


async def test_a_restore_without_the_erasures_must_be_meant(tmp_path: Path) -> None:
    async with fake_apns(tmp_path / "apple") as apple:
        relay = install(tmp_path)
        relay.configure(apple.port, apple.credentials)
        status, _, errors = await feierabend(relay, "backup", tmp_path / "backup.db")
        assert (status, errors) == (1, f"feierabend: {relay.database}: there is no database\n")
        async with relay.serving() as process, relay.backend_client() as backend:
            await register(backend, "anna", token(1))
            process.terminate()
            assert await process.ended() == 0
        status, said, _ = await feierabend(relay, "backup", tmp_path / "backup.db")
        assert (status, "1 people" in said) == (0, True)
        (tmp_path / "other").write_text("no database")
        status, _, errors = await feierabend(relay, "restore", tmp_path / "other")
        assert (status, errors) == (1, "feierabend: the file is not a database\n")
        (tmp_path / "relay.db.erased").unlink()
        status, _, errors = await feierabend(relay, "restore", tmp_path / "backup.db")
        assert status == 1
        assert "put relay.db.erased beside the database, or restore it all the same by --whatever-was-erased" in errors
        status, said, _ = await feierabend(relay, "restore", "--whatever-was-erased", tmp_path / "backup.db")
        assert (status, "restored: 1 people" in said) == (0, True)
