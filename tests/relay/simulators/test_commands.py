"""`feierabend fake apns`, `fake fcm`, `fake sink` and `fake proxy`, as processes of their own and over real TLS."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from click.testing import CliRunner
from h2.settings import SettingCodes

from relay.simulators.commands import KEY_ID, TEAM_ID, TOPIC, fake
from tests.relay.simulators.assertions import FORM, assertion, form, loaded
from tests.relay.simulators.h2_client import Client
from tests.relay.simulators.messages import message, send
from tests.relay.simulators.wakeups import BODY, DEVICE, SigningKey, wakeup

PATIENCE = 30.0
"""Seconds for a process to start, or to end; on a busy machine."""
LIMIT = SettingCodes.MAX_CONCURRENT_STREAMS


class Running:
    """A simulator that has said where it listens."""

    def __init__(self, process: trio.Process, lines: AsyncIterator[str]) -> None:
        self._process = process
        self._lines = lines
        self.said: dict[str, Any] = {}

    async def line(self) -> dict[str, Any]:
        line = json.loads(await anext(self._lines))
        assert isinstance(line, dict)
        return line

    @property
    def trust(self) -> ssl.SSLContext:
        """The certificate is that of its first line."""
        return ssl.create_default_context(cafile=str(self.said["ca"]))

    async def connect(self) -> Client:
        """So is the address."""
        host, _, port = str(self.said["listening"]).rpartition(":")
        assert host == "127.0.0.1"
        context = self.trust
        context.set_alpn_protocols(["h2"])
        stream = await trio.open_ssl_over_tcp_stream(host, int(port), https_compatible=True, ssl_context=context)
        client = Client(stream)
        await client.start()
        return client

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> dict[str, Any]:
        """Its last line. It must be the last, and the process must exit 0."""
        self._process.send_signal(number)
        last = await self.line()
        assert [line async for line in self._lines] == []
        assert await self._process.wait() == 0
        return last


async def lines_of(stream: trio.abc.ReceiveStream) -> AsyncIterator[str]:
    buffer = b""
    async for data in stream:
        *lines, buffer = (buffer + bytes(data)).split(b"\n")
        for line in lines:
            yield line.decode()
    assert not buffer


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[Running]:
    command = [sys.executable, "-m", "relay", "fake", *arguments]
    with trio.fail_after(PATIENCE):
        process = await trio.lowlevel.open_process(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        assert process.stdout is not None
        try:
            found = Running(process, lines_of(process.stdout))
            found.said = await found.line()
            yield found
        finally:
            process.kill()
            await process.wait()
            await process.stdout.aclose()


def bearer(credentials: Path) -> str:
    key = SigningKey(TEAM_ID, KEY_ID, private_pem=(credentials / "AuthKey.p8").read_bytes())
    return key.token(int(time.time()))


@pytest.mark.processes
async def test_a_fake_apns_runs_as_a_process(tmp_path: Path) -> None:
    """With the credentials it has made, a client gets a 200; the journal has a line for each request."""
    journal = tmp_path / "journal"
    options = ("--credentials", str(tmp_path / "new" / "folder"), "--journal", str(journal), "--limit", "observed")
    async with running("apns", *options, "--streams", "7") as simulator:
        client = await simulator.connect()
        assert client.settings[0][LIMIT] == 7
        token = bearer(tmp_path / "new" / "folder")
        headers = wakeup(token, apns_topic=TOPIC)
        assert (await client.ask(headers, BODY)).verdict == (200, "")
        assert (await client.ask(wakeup(token, apns_topic="x"), BODY)).verdict == (400, "TopicDisallowed")
        assert (await client.ask(wakeup("x", apns_topic=TOPIC), BODY)).verdict == (403, "InvalidProviderToken")
        totals = await simulator.stop()
        await trio.aclose_forcefully(client.stream)
    assert totals.pop("unanswered") in (0, 1), "stopped within a second of its answer, or not"
    assert totals == {
        "requests": 3,
        "by_status": {"200": 1, "400": 1, "403": 1},
        "violations": {},
        "connections": 1,
        "tokens": 1,
    }
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [(line["status"], line["reason"], line["token"]) for line in lines] == [
        (200, "", DEVICE),
        (400, "TopicDisallowed", DEVICE),
        (403, "InvalidProviderToken", DEVICE),
    ]


@pytest.mark.processes
async def test_a_fake_fcm_runs_as_a_process_with_its_token_endpoint(tmp_path: Path) -> None:
    """With the service account it has made, a client gets an access token, and with that a 200."""
    journal = tmp_path / "journal"
    options = ("--credentials", str(tmp_path / "new" / "folder"), "--journal", str(journal), "--streams", "7")
    async with running("fcm", *options, "--token-life", "600", "--bulk-peak", "0.5") as simulator:
        account = json.loads(await trio.Path(simulator.said["service_account"]).read_text())
        assert account["type"] == "service_account"
        assert account["token_uri"] == f"https://{simulator.said['token_listening']}/token"
        assert tmp_path / "new" / "folder" / "service-account.json" == Path(simulator.said["service_account"])
        claims = {"iss": account["client_email"], "aud": account["token_uri"]}
        key = loaded(account["private_key"].encode())
        token = assertion(int(time.time()), key=key, kid=account["private_key_id"], **claims)
        async with httpx.AsyncClient(verify=simulator.trust) as web:
            answer = await web.post(account["token_uri"], content=form(token), headers={"content-type": FORM})
        assert answer.status_code == 200
        assert answer.json()["expires_in"] == 600
        client = await simulator.connect()
        assert client.settings[0][LIMIT] == 7
        path = f"/v1/projects/{account['project_id']}/messages:send"
        assert (await client.ask(send(answer.json()["access_token"], path=path), message())).status == 200
        assert (await client.ask(send("another", path=path), message())).status == 401
        totals = await simulator.stop()
        await trio.aclose_forcefully(client.stream)
    violations = totals.pop("violations")
    assert [*violations] == ["ramp_too_steep"], "one in two seconds after a minute, and nothing like it before"
    assert totals.pop("unanswered") in (0, 1), "stopped within a second of its answer, or not"
    assert totals == {
        "requests": 2,
        "by_status": {"200": 1, "401": 1},
        "connections": 1,
        "tokens": 1,
        "oauth": {"exchanges": 1, "fetches": 1, "most_outstanding": 1},
    }
    assert [json.loads(line)["status"] for line in journal.read_text().splitlines()] == [200, 401]


@pytest.mark.processes
async def test_a_sink_runs_as_a_process(tmp_path: Path) -> None:
    """SIGINT ends it as SIGTERM does."""
    async with running("sink", "--credentials", str(tmp_path), "--dead-every", "2", "--streams", "9") as simulator:
        client = await simulator.connect()
        assert client.settings[0][LIMIT] == 9
        verdicts = [(await client.ask(wakeup("anything"), BODY)).verdict for _ in range(4)]
        assert verdicts == [(200, ""), (410, "Unregistered")] * 2
        await trio.aclose_forcefully(client.stream)
        assert await simulator.stop(signal.SIGINT) == {"requests": 4, "dead": 2, "connections": 1}


@pytest.mark.processes
async def test_a_sink_notes_arrivals_before_it_answers(tmp_path: Path) -> None:
    """On the clock that all processes share; what has no device in its path is counted."""
    stamps = tmp_path / "stamps"
    async with running("sink", "--credentials", str(tmp_path), "--stamps", str(stamps)) as simulator:
        client = await simulator.connect()
        began = time.monotonic_ns()
        assert (await client.ask(wakeup("anything"), BODY)).status == 200
        [line] = stamps.read_text().splitlines()
        ended = time.monotonic_ns()
        assert (await client.ask([(":method", "POST"), (":path", "/elsewhere")], BODY)).status == 200
        await trio.aclose_forcefully(client.stream)
        assert await simulator.stop() == {"requests": 2, "dead": 0, "connections": 1, "unread": 1}
    token, instant = line.split()
    assert token == DEVICE
    assert began < int(instant) < ended


@pytest.mark.parametrize("command", ["apns", "fcm", "sink", "proxy"])
@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "localhost", "example.org", ""])
def test_simulators_listen_on_loopback_only(tmp_path: Path, command: str, host: str) -> None:
    """By address: what a name stands for is not in our hands. Nothing is written before."""
    result = CliRunner().invoke(fake, [command, "--host", host, "--credentials", str(tmp_path / "folder")])
    assert result.exit_code == 2
    assert "must be a loopback address" in result.output
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize("command", ["apns", "fcm", "sink"])
def test_simulators_want_to_know_where_their_credentials_go(command: str) -> None:
    result = CliRunner().invoke(fake, [command])
    assert result.exit_code == 2
    assert "--credentials" in result.output


@pytest.mark.sockets
@pytest.mark.parametrize("command", ["apns", "fcm", "sink", "proxy"])
def test_an_address_that_is_taken_is_told_in_one_line(tmp_path: Path, command: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = CliRunner().invoke(fake, [command, "--port", str(port), "--credentials", str(tmp_path)])
    assert (result.exit_code, result.stderr) == (1, f"Error: 127.0.0.1:{port}: Address already in use\n")


@pytest.mark.parametrize("command", ["apns", "fcm", "sink", "proxy"])
def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path, command: str) -> None:
    (tmp_path / "file").touch()
    result = CliRunner().invoke(fake, [command, "--credentials", str(tmp_path / "file" / "folder")])
    assert (result.exit_code, result.stderr) == (1, f"Error: {tmp_path}/file/folder: Not a directory\n")


@pytest.mark.parametrize(
    "options",
    [("apns", "--port", "65536"), ("proxy", "--port", "-1"), ("fcm", "--token-port", "70000"),
     ("apns", "--control", "-1"), ("apns", "--refuse", "10.0.0.1"), ("fcm", "--blackhole", "example.org"),
     ("apns", "--latency-ms", "nan"), ("sink", "--latency-ms", "-1"), ("proxy", "--pace", "nan"),
     ("proxy", "--pace", "-0.1"), ("proxy", "--pace", "inf"), ("proxy", "--status", "200")],
    ids=" ".join,
)  # fmt: skip
def test_an_option_that_is_out_of_range_is_named_and_nothing_is_made(tmp_path: Path, options: tuple[str, ...]) -> None:
    result = CliRunner().invoke(fake, [*options, "--credentials", str(tmp_path / "folder")])
    assert result.exit_code == 2
    assert f"Invalid value for '{options[1]}'" in result.stderr
    assert not (tmp_path / "folder").exists()
