"""Whatever schemathesis thinks of, from the OpenAPI document, against a relay that runs: nothing but described answers.

It makes bodies, ids, parameters and header fields that fit the description and that do not. Judged are the status, the
content type and the shape of every answer; a 5xx is none that is described, but for 503, which is ours.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import msgpack
import pytest
import schemathesis
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)

from bench.ports import free_port
from relay.client import Call, Client
from relay.config_reader import master_line
from relay.doors.keys import new_key
from relay.doors.openapi import document
from relay.simulators.certificates import provider_key
from tests.e2e.processes import ROOT
from tests.effort import examples

pytestmark = pytest.mark.processes

ENDS = {("DELETE", "/v1/me/token"), ("DELETE", "/v1/me")}
"""What ends the token with which it is asked."""
KEYS = {
    "backend": "events, alarms, devices, admin",
    "settings": "rest, support",
}


def _impatient(told: dict[str, Any]) -> dict[str, Any]:
    """The description, but that nobody waits long for feedback."""
    (wait,) = (p for p in told["paths"]["/v1/feedback"]["get"]["parameters"] if p["name"] == "wait")
    wait["schema"]["maximum"] = 0.125
    return told


@schemathesis.serializer("application/msgpack")
def _packed(_context: object, value: object) -> bytes:
    try:
        return bytes(msgpack.packb(value))
    except OverflowError:
        return b"\xc1"  # an integer that MessagePack cannot say; this byte is none of it either


SCHEMA = schemathesis.openapi.from_dict(_impatient(document()))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class Running:
    def __init__(self, url: str, keys: dict[str, str]) -> None:
        self.url = url
        self._keys = keys
        self._token = self.token()

    def token(self, user: str = "anna") -> str:
        """Of an officer who exists."""
        with Client(self.url, self._keys["backend"]) as backend:
            backend.put_device(user, "phone", platform="apns", app="ios", token=secrets.token_hex(32))
        with Client(self.url, self._keys["settings"]) as settings:
            link = settings.link(user).link
            given = settings.send(Call("POST", "/v1/me/token", {"link": link}))
        return str(given["token"])

    def authorization(self, method: str, path: str, described: str) -> str | None:
        """By what the description of an operation says; a token that may end by it is somebody else's, each time."""
        if described.startswith("Needs a token"):
            return f"Bearer {self.token('bert') if (method, path) in ENDS else self._token}"
        if not described.startswith("Scope "):
            return None
        scope = described.removeprefix("Scope ").rstrip(".")
        return next(f"Bearer {self._keys[name]}" for name, scopes in KEYS.items() if scope in scopes)


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder, door = tmp_path_factory.mktemp("relay"), free_port()
    keys = {name: new_key(name) for name in KEYS}
    (folder / "AuthKey.p8").write_bytes(provider_key()[0])
    (folder / "master").touch(0o600)
    (folder / "master").write_text(master_line(0))
    configuration = _configuration(door, {name: digest for name, (_, digest) in keys.items()})
    (folder / "feierabend.toml").write_text(configuration)
    command = [sys.executable, "-m", "relay", "serve", "--config", str(folder / "feierabend.toml")]
    log = (folder / "log").open("w")
    process = subprocess.Popen(command, cwd=ROOT, stderr=log, env={**os.environ})
    try:
        _wait_for(folder / "log")
        url = f"http://127.0.0.1:{door}"
        yield Running(url, {name: key for name, (key, _) in keys.items()})
        assert process.poll() is None, (folder / "log").read_text()
        assert "request_failed" not in (folder / "log").read_text()
    finally:
        process.terminate()
        assert process.wait(20) == 0
        log.close()


def _configuration(door: int, digests: dict[str, str]) -> str:
    """A relay whose provider nobody can reach: what the door says does not hang on it."""
    keys = "".join(
        f'[[tenants.keys]]\nid = "{name}"\nsha256 = "{digests[name]}"\nscopes = {scopes.split(", ")}\n'
        for name, scopes in KEYS.items()
    )
    classes = "".join(
        f'[[tenants.classes]]\nname = "{name}"\nroles = ["role"]\nreasons = ["reason"]\n'
        for name in ("alarm", "control")
    )
    return f"""
[store]
path = "relay.db"
key_file = "master"
[door]
listen = ["127.0.0.1:{door}"]
[ops]
listen = ["127.0.0.1:0"]
[[tenants]]
name = "city"
{keys}
[[tenants.apps]]
name = "ios"
topic = "de.example"
team_id = "ABCDE12345"
key_id = "FGHIJ67890"
key_file = "AuthKey.p8"
endpoint = "127.0.0.1:{free_port()}"
{classes}"""


def _wait_for(log: Path) -> None:
    for _ in range(600):
        if "relay_started" in log.read_text():
            return
        subprocess.run(["sleep", "0.05"], check=True)
    raise AssertionError(log.read_text())


@SCHEMA.parametrize()
@hypothesis.settings(max_examples=examples(9), deadline=None, derandomize=True)
def test_every_answer_is_one_that_is_described(relay: Running, case: schemathesis.Case[Any]) -> None:
    raw = case.operation.definition.raw
    authorization = relay.authorization(case.method, case.path, raw.get("description", ""))
    headers = {} if authorization is None else {"authorization": authorization}
    case.call_and_validate(base_url=relay.url, headers=headers, checks=CHECKS)
