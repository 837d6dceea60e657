"""`feierabend hold`, `resume` and `holds` against a relay that runs, as an operator types them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import trio

from tests.e2e.installation import Installation, install, post, register
from tests.e2e.phones import Sightings, fake_apns, token
from tests.e2e.processes import ROOT

pytestmark = pytest.mark.processes


async def feierabend(relay: Installation, *arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "relay", arguments[0], "--config", str(relay.config), *arguments[1:]]
    done = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_an_operator_holds_looks_and_resumes(tmp_path: Path) -> None:
    async with fake_apns(tmp_path / "apple") as apple:
        relay, seen = install(tmp_path), Sightings(apple.journal)
        relay.configure(apple.port, apple.credentials)
        status, _, said = await feierabend(relay, "holds")
        assert (status, "is the relay running?" in said) == (1, True)
        async with relay.serving() as process, relay.backend_client() as backend:
            await register(backend, "anna", token(1))
            status, said, _ = await feierabend(
                relay, "hold", "--reason", "new firewall", "--for", "2h", "--lane", "ios"
            )
            assert status == 0
            assert said.startswith("held: lane ios, until 20")
            await post(backend, "anna")
            status, said, _ = await feierabend(relay, "holds")
            assert status == 0
            assert (len(said.splitlines()), said.count("lane ios"), said.count("new firewall")) == (2, 2, 2)
            assert seen.look() == []
            status, _, said = await feierabend(relay, "resume", "--reason", "done", "--class", "message")
            assert (status, said) == (1, "feierabend: nothing is held that fits; see feierabend holds\n")
            status, said, _ = await feierabend(relay, "resume", "--reason", "done", "--lane", "ios")
            assert (status, said) == (0, "1 ended; what waits leaves now\n")
            await seen.of(token(1))
            status, _, said = await feierabend(relay, "hold", "--reason", "x", "--for", "2h", "--class", "alarms")
            assert (status, said.split(":")[0]) == (1, "class")
            status, _, said = await feierabend(relay, "hold", "--reason", "x", "--for", "soon")
            assert (status, "must be a number and a unit" in said) == (2, True)
            process.terminate()
            assert await process.ended() == 0
        assert not (tmp_path / "relay.db.sock").exists()
