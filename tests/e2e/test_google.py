"""Android with real processes: `serve` and `fake fcm`, TLS between them, access tokens from its token endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from bench.ports import free_port
from tests.e2e.client import Client
from tests.e2e.installation import install, post
from tests.e2e.phones import Sightings, fake_fcm

pytestmark = pytest.mark.processes

WINDOW = 200
"""Good answers after which one bad token is believed to be just that."""


def android(user: str) -> str:
    """The registration token of somebody's phone."""
    return f"{user}-android-phone-0000000000:APA91b" + "Zz0_-" * 20


async def register(backend: Client, users: Iterable[str]) -> None:
    """Give each of them an Android phone."""
    listed = {
        user: {"devices": {"pixel": {"platform": "fcm", "app": "android", "token": android(user)}}} for user in users
    }
    answer = await backend.ask("PUT", "/v1/devices", {"users": listed})
    assert answer.status == 200, answer


async def test_an_event_is_a_wakeup_at_google_with_an_access_token_from_its_token_endpoint(tmp_path: Path) -> None:
    relay = install(tmp_path)
    async with fake_fcm(tmp_path / "google") as google:
        relay.configure_android(google.port, google.credentials)
        async with relay.serving() as process, relay.backend_client() as backend:
            await register(backend, ["anna"])
            await post(backend, "anna")
            await Sightings(google.journal).of(android("anna"))
            process.terminate()
            assert await process.ended() == 0
    (entry,) = [json.loads(line) for line in google.journal.read_text().splitlines()]
    fields = {name: (value, form) for name, value, form in entry["fields"]}
    assert fields["authorization"] == ("Bearer ya29.fake-00000001", "never")
    assert fields[":path"][0] == "/v1/projects/feierabend-fake/messages:send"
    assert "anna" not in json.dumps({**entry, "token": ""})


async def test_what_was_acknowledged_and_not_sent_survives_a_kill(tmp_path: Path) -> None:
    """In its first life the relay does not reach Google: the kill falls between the 202 and the wakeup."""
    relay, sightings = install(tmp_path), Sightings()
    async with fake_fcm(tmp_path / "google") as google:
        sightings.also(google.journal)
        relay.configure_android(free_port(), google.credentials)
        async with relay.serving() as process, relay.backend_client() as backend:
            await register(backend, ["anna", "berta"])
            await post(backend, "anna")
            process.kill()
            await process.ended()
        assert not sightings.look()
        relay.configure_android(google.port, google.credentials)
        async with relay.serving():
            await sightings.of(android("anna"))
    assert {seen.token for seen in sightings.all} == {android("anna")}


async def test_a_phone_that_is_gone_is_told_to_the_backend(tmp_path: Path) -> None:
    relay = install(tmp_path)
    async with fake_fcm(tmp_path / "google", "--unregistered", android("gone")) as google:
        relay.configure_android(google.port, google.credentials)
        sightings = Sightings(google.journal)
        async with relay.serving(), relay.backend_client() as backend:
            others = [f"user{number}" for number in range(WINDOW)]
            await register(backend, ["gone", *others])
            await post(backend, "gone")
            await sightings.until(lambda: [seen.status for seen in sightings.all] == [404])
            answer = await backend.ask("POST", "/v1/events", {"users": others})
            assert answer.status == 202, answer
            (device,) = await told(backend)
            assert (device["user"], device["device"]) == ("gone", "pixel")
            assert (device["why"], device["reason"]) == ("dead", "UNREGISTERED")


async def told(backend: Client) -> list[dict[str, object]]:
    """What the feedback says, as soon as it says anything."""
    answer = await backend.ask("GET", "/v1/feedback?wait=30")
    assert answer.status == 200, answer
    devices = answer.json()["devices"]
    assert isinstance(devices, list)
    return devices
