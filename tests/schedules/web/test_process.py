"""The process: what it is told, what it says, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

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


async def test_an_exception_that_ends_it_is_told_by_kind_and_place() -> None:
    """Here there is no standard input at all, from the first moment on."""
    command = ["sh", "-c", 'exec "$0" -m schedules.web <&-', sys.executable]
    with trio.fail_after(PATIENCE):
        ended = await trio.run_process(command, capture_stdout=True, capture_stderr=True, check=False, cwd=ROOT)
    assert_failed(ended.returncode, ended.stdout, ended.stderr, "AttributeError")


async def test_of_a_group_of_exceptions_the_first_is_told(tmp_path: Path) -> None:
    """Its standard input, a connection, is reset while it serves, and so ends all that runs beside."""
    listener = await trio.open_tcp_listeners(0, host="127.0.0.1")
    ours = await trio.testing.open_stream_to_socket_listener(listener[0])
    theirs = await listener[0].accept()
    with trio.fail_after(PATIENCE):
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "schedules.web"],
            stdin=theirs.socket.fileno(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
        )  # fmt: skip
        await theirs.aclose()
        assert process.stdout is not None
        assert process.stderr is not None
        made = Door(process)
        async with listener[0], process.stdout, process.stderr:
            try:
                await ours.send_all(json.dumps(settings(tmp_path)).encode() + b"\n")
                assert (await made.event())["event"] == "ready"
                ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                await ours.aclose()
                line = json.dumps(await made.event()).encode()
                assert_failed(
                    await made.wait(), line, bytes(await process.stderr.receive_some()), "BrokenResourceError"
                )
            finally:
                process.kill()


def assert_failed(code: int, told: bytes, printed: bytes, kind: str) -> None:
    event = json.loads(told)
    place = event.pop("place")
    assert event == {"event": "failed", "level": "error", "kind": kind}
    assert re.fullmatch(r"schedules\.web\.__main__:\d+", place)
    assert (code, printed) == (1, b"")


async def test_an_address_in_use_is_told(tmp_path: Path) -> None:
    async with door(settings(tmp_path)) as first:
        (address,) = (await first.event())["listen"]
        async with door(settings(tmp_path, listen=[address])) as second:
            event = await second.event()
            assert event["event"] == "cannot_serve"
            assert await second.wait() == 1
