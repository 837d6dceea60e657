"""`feierabend explain`: sentences on standard output; of what fails one line on standard error, and no secret."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest
import structlog
import trio
from click.testing import CliRunner, Result

from relay.cli import main
from tests.relay.doors.house import NOON_REST, House, bearer, open_house
from tests.relay.doors.test_door import on_loopback

KEY = bearer("support")[1].removeprefix("Bearer ")


def explain(*arguments: str, key: str | None = KEY) -> Result:
    return CliRunner().invoke(main, ["explain", *arguments], env={"FEIERABEND_KEY": key})


async def explained(url: str, *arguments: str, key: str | None = KEY) -> Result:
    """The command, while the door answers."""
    return await trio.to_thread.run_sync(partial(explain, "--url", url, *arguments, key=key))


async def a_rest(house: House) -> str:
    """Anna rests, something waits, and she has read out a code."""
    await house.register("anna")
    await house.ask("PUT", "/v1/users/anna/rest", NOON_REST, key="rest")
    await house.post({"user": "anna"})
    return (await house.code(await house.officer()))[1]


def failed(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("feierabend: ")
    assert KEY not in line
    return line


@pytest.mark.sockets
async def test_it_speaks_of_devices_lanes_and_store_and_with_a_code_of_the_rest() -> None:
    async with open_house() as house, on_loopback(house) as (_, url):
        code = await a_rest(house)
        without = await explained(url, "anna")
        assert (without.exit_code, without.stderr) == (0, "")
        assert without.stdout == "Geräte, Wege zu den Anbietern und Speicher sind in Ordnung.\n"
        with structlog.testing.capture_logs():  # of the house, which is in this process
            told = await explained(url, "anna", "--code", code, "--lang", "en")
        assert told.exit_code == 0
        lines = told.stdout.splitlines()
        assert lines[:2] == [
            "All is well as far as devices, lanes and store go.", "Rest until today 16:00 because of: night rest.",
        ]  # fmt: skip
        assert lines[2].startswith("message: 1 waiting since today 13:00; kept back by the rest until today 16:0")
        assert len(lines) == 3


@pytest.mark.sockets
async def test_the_key_may_stand_in_a_file_which_goes_first(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    async with open_house() as house, on_loopback(house) as (_, url):
        await house.register("anna")
        assert (await explained(url, "anna", "--key-file", str(file), key="wrong.key")).exit_code == 0
        assert (await explained(url, "anna", "--key-file", str(file), key=None)).exit_code == 0


@pytest.mark.sockets
async def test_what_the_relay_refuses_is_said_in_one_line() -> None:
    async with open_house() as house, on_loopback(house) as (_, url):
        await a_rest(house)
        backend = bearer("backend")[1].removeprefix("Bearer ")
        assert "403 The API key does not have the scope" in failed(await explained(url, "anna", key=backend))
        assert "401 The API key or token is missing or not valid" in failed(await explained(url, "anna", key="a.b"))
        refused = failed(await explained(url, "anna", "--code", "12 34"))
        assert refused == "feierabend: 403 The support code is missing or not valid, or not any more"


@pytest.mark.parametrize(
    ("arguments", "key", "said"),
    [
        (["anna"], None, "no API key: name a file by --key-file, or set FEIERABEND_KEY"),
        (["anna"], "  ", "no API key: name a file by --key-file, or set FEIERABEND_KEY"),
        (["anna"], "schlüssel", "no API key: name a file by --key-file, or set FEIERABEND_KEY"),
        (["anna", "--url", "http://127.0.0.1:1"], KEY, "no answer from http://127.0.0.1:1 (ConnectError)"),
        (["anna", "--url", "nonsense"], KEY, "no answer from nonsense (UnsupportedProtocol)"),
        (["anna", "--url", "http://[::"], KEY, "no answer from http://[:: (InvalidURL)"),
        (["anna", "--code", "ä"], KEY, "the user or the code holds what is no text"),
        ([os.fsdecode(b"\xff")], KEY, "the user or the code holds what is no text"),
    ],
)
def test_what_cannot_even_be_asked_is_said_in_one_line(arguments: list[str], key: str | None, said: str) -> None:
    assert failed(explain(*arguments, key=key)) == f"feierabend: {said}"


def test_a_key_cannot_be_given_where_everybody_sees_it() -> None:
    """And the help says why."""
    assert explain("anna", "--key", KEY).exit_code == 2
    shown = " ".join(explain("--help").stdout.split())
    assert "every user of this machine can see the options of a running command" in shown
