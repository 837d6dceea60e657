"""The process: what it is told, what it says, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

pytestmark = pytest.mark.processes

ROOT = Path(__file__).parent.parent.parent.parent
PATIENCE = 30.0


class Door:
    """A running process."""

    def __init__(self, process: trio.Process) -> None:
        self.process = process
        self._rest = b""

    async def event(self) -> dict[str, Any]:
        """The next line that it says."""
        assert self.process.stdout is not None
        while b"\n" not in self._rest:
            part = await self.process.stdout.receive_some(4096)
            assert part, "it said nothing more"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        found = json.loads(line)
        assert isinstance(found, dict)
        return found

    async def wait(self) -> int:
        return await self.process.wait()


@asynccontextmanager
async def door(settings: object, *, line_end: bytes = b"\n") -> AsyncIterator[Door]:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "schedules.web"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    with trio.fail_after(PATIENCE):
        try:
            assert process.stdin is not None
            await process.stdin.send_all(json.dumps(settings).encode() + line_end)
            yield Door(process)
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
            assert process.stdin is not None
            assert process.stdout is not None
            await process.stdin.aclose()
            await process.stdout.aclose()


def settings(tmp_path: Path, **more: object) -> dict[str, object]:
    return {
        "socket": str(tmp_path / "door.sock"), "listen": ["127.0.0.1:0"], "base_url": "http://localhost:8081",
        "oidc": [], "grace_seconds": 5, **more,
    }  # fmt: skip


async def ask(address: str, path: str, host: str) -> bytes:
    name, _, port = address.rpartition(":")
    stream = await trio.open_tcp_stream(name, int(port))
    async with stream:
        await stream.send_all(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        answer = b""
        while part := await stream.receive_some(65_536):
            answer += part
    return answer


async def test_it_says_when_it_listens_and_serves_and_ends_with_a_signal(tmp_path: Path) -> None:
    async with door(settings(tmp_path)) as made:
        ready = await made.event()
        assert ready["event"] == "ready"
        (address,) = ready["listen"]
        assert b"location: /de/" in await ask(address, "/", "localhost:8081")
        assert (await ask(address, "/", "elsewhere")).startswith(b"HTTP/1.1 421")
        made.process.send_signal(signal.SIGTERM)
        assert await made.wait() == 0


async def test_it_ends_when_whoever_started_it_is_gone(tmp_path: Path) -> None:
    async with door(settings(tmp_path)) as made:
        await made.event()
        assert made.process.stdin is not None
        await made.process.stdin.aclose()
        assert await made.wait() == 0


async def test_without_a_relay_there_is_a_page_that_says_so(tmp_path: Path) -> None:
    async with door(settings(tmp_path)) as made:
        (address,) = (await made.event())["listen"]
        name, _, port = address.rpartition(":")
        stream = await trio.open_tcp_stream(name, int(port))
        async with stream:
            await stream.send_all(
                b"GET /en/ HTTP/1.1\r\nHost: localhost:8081\r\nCookie: feierabend=me.x\r\nConnection: close\r\n\r\n"
            )
            answer = await stream.receive_some(65_536)
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 5" in answer


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"socket": "/s"}, "listen"),
        ({"base_url": "http://ruhe.example"}, "base_url must be https"),
        ({"base_url": "https://ruhe.example/page"}, "base_url must be"),
        ({"listen": []}, "listen must"),
        ({"listen": ["localhost:80"]}, "127.0.0.1:8081"),
    ],
)
async def test_settings_that_cannot_be_used_are_told(tmp_path: Path, given: dict[str, object], why: str) -> None:
    told = settings(tmp_path) | given if "socket" not in given else given
    async with door(told) as made:
        event = await made.event()
        assert event["event"] == "settings_rejected"
        assert why in event["why"]
        assert await made.wait() == 1


async def test_an_address_in_use_is_told(tmp_path: Path) -> None:
    async with door(settings(tmp_path)) as first:
        (address,) = (await first.event())["listen"]
        async with door(settings(tmp_path, listen=[address])) as second:
            event = await second.event()
            assert event["event"] == "cannot_serve"
            assert await second.wait() == 1
