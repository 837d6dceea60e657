"""The stream door of a real process: what was acknowledged is there after SIGKILL, and the client goes on by itself."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from relay.client_stream import Stream
from tests.e2e.installation import Installation, install, register
from tests.e2e.phones import Sightings, fake_apns, token
from tests.e2e.processes import PATIENCE, running
from tests.e2e.test_readme import README

pytestmark = pytest.mark.processes

BATCH = ["anna", "bert"] * 250


class Backend:
    """Sends without a pause until it is told to end, on a thread of its own."""

    def __init__(self, address: str, key: str) -> None:
        self._address, self._key = address, key
        self._end, self._ended = threading.Event(), threading.Event()
        self.sent = self.acknowledged = 0

    def run(self) -> None:
        with Stream(self._address, self._key, pauses=[0.0, *[0.05] * 400]) as relay:
            while not self._end.is_set():
                for _ in range(20):
                    relay.send(BATCH)
                    self.sent += len(BATCH)
                self.acknowledged += relay.flush().accepted
        self._ended.set()

    async def until(self, acknowledged: int) -> None:
        """What a thread counts is told to nobody: look."""
        with trio.fail_after(PATIENCE):
            while self.acknowledged < acknowledged:  # noqa: ASYNC110
                await trio.sleep(0.01)

    async def end(self) -> None:
        """Send nothing more, and wait for the last acknowledgement."""
        self._end.set()
        await trio.to_thread.run_sync(self._ended.wait, PATIENCE)


async def accepted(relay: Installation) -> float:
    """Notices in the books."""
    metrics = await relay.metrics()
    return metrics["feierabend_notices_total", "message", "accepted"]


async def test_every_acknowledged_event_is_there_after_a_kill(tmp_path: Path) -> None:
    async with fake_apns(tmp_path / "apple") as apple:
        relay, seen = install(tmp_path), Sightings(apple.journal)
        relay.configure(apple.port, apple.credentials)
        with relay.config.open("a") as config:
            config.write('[stream]\nlisten = ["unix:events.sock", "127.0.0.1:0"]\n')
        backend = Backend(f"unix:{tmp_path / 'events.sock'}", relay.backend)
        async with trio.open_nursery() as nursery:
            async with relay.serving() as process, relay.backend_client() as http:
                await register(http, "anna", token(1))
                await register(http, "bert", token(2))
                nursery.start_soon(trio.to_thread.run_sync, backend.run)
                await backend.until(20_000)
                process.kill()
                await process.ended()
                acknowledged = backend.acknowledged
            async with relay.serving() as process:
                assert await accepted(relay) >= acknowledged
                await backend.until(acknowledged + 20_000)
                await backend.end()
                assert await accepted(relay) >= backend.sent
                assert backend.acknowledged == backend.sent
                await seen.of(token(2))
                process.terminate()
                assert await process.ended() == 0
                assert "anna" not in "\n".join(process.lines)
        assert not (tmp_path / "events.sock").exists()


async def test_the_example_of_the_readme_talks_to_a_relay() -> None:
    (example,) = re.findall(r"^```python stream\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    async with running("dev", "--port", "0") as trial:
        await trial.line("Ctrl-C ends")
        said = "\n".join(trial.lines)
        (address,) = re.findall(r"streams at (\S+)\.", said)
        (key, *_) = re.findall(r"Bearer (backend\.[^']+)'", said)
        source = example.replace("127.0.0.1:8082", address).replace("backend.…", key)
        done = await trio.run_process([sys.executable, "-c", source], capture_stdout=True, check=False)
        assert done.returncode == 0, done.stdout.decode()
        assert lines(done.stdout) == ["0 taken, 3 without a phone", "1 receipts"]


def lines(said: bytes) -> Sequence[str]:
    return said.decode().splitlines()
