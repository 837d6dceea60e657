"""Credential files that change while the relay runs: S8, and what happens when the new file is no good."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
import structlog.testing
import trio

from relay.core.breaker import State
from relay.lanes.watching import EVERY
from relay.simulators.certificates import provider_key
from relay.simulators.provider_token import TeamKey
from tests.relay.lanes.google import NOON, account
from tests.relay.lanes.test_oauth import scene
from tests.relay.world import KEY_ID, TEAM_ID, World, app, signing_key, tenant, virtual, world

NEW_ID = "NEWKEY0001"


class Folder:
    """Where the key lies: a link to a file named as Apple names it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.link = path / "apns.p8"
        self.pem, self.public = provider_key()
        self.put(KEY_ID, signing_key()[0])

    def put(self, key_id: str, pem: bytes) -> None:
        """Write a key, and point the link to it."""
        target = self.path / f"AuthKey_{key_id}.p8"
        target.write_bytes(pem)
        fresh = self.path / "fresh"
        fresh.symlink_to(target)
        os.replace(fresh, self.link)

    def rotate(self) -> None:
        self.put(NEW_ID, self.pem)


@asynccontextmanager
async def rotating(folder: Folder, connections: int = 2) -> AsyncIterator[World]:
    """A world whose key comes from the folder; Apple knows the next key as well."""
    configured = replace(app(connections=connections), key_file=folder.link, key_id_is_fixed=False)
    keys = {NEW_ID: TeamKey(team_id=TEAM_ID, key_id=NEW_ID, public_pem=folder.public)}
    async with world(tenant(configured), keys=keys) as w:
        yield w


def key_ids(w: World) -> list[str]:
    """Of the keys that signed the requests, in order."""
    tokens = [entry.value(b"authorization").removeprefix(b"bearer ") for entry in w.requests()]
    return [jwt.get_unverified_header(token)["kid"] for token in tokens]


@virtual
async def _rotates(folder: Folder) -> None:
    async with rotating(folder) as w:
        users = await w.crowd(20)
        w.fake.injections.latency = lambda: 5.0
        await w.pass_time(EVERY - 1)
        await w.alarm(*users)
        folder.rotate()
        await w.pass_time(0.5)
        for _ in range(20):
            await w.alarm(*users)
            await w.pass_time(1.0)
        await w.pass_time(30)
        ids, connections = key_ids(w), [entry.connection for entry in w.requests()]
        assert {ids[0], ids[-1]} == {KEY_ID, NEW_ID}
        assert len(set(zip(connections, ids, strict=True))) == len(set(connections)) >= 2
        assert {entry.status for entry in w.requests()} == {200}
        assert len(w.network.open_lines) == 2
        assert w.account.get("pending", 0) == 0


def test_a_new_key_is_used_by_new_connections_while_the_old_ones_drain(tmp_path: Path) -> None:
    """S8: no connection carries tokens of two keys, and nothing waits or is lost."""
    _rotates(Folder(tmp_path))


BAD = {
    "is gone": lambda folder: folder.link.unlink(),
    "is empty": lambda folder: folder.put(NEW_ID, b""),
    "is half written": lambda folder: folder.put(NEW_ID, folder.pem[:100]),
    "is another key under the same id": lambda folder: folder.put(KEY_ID, folder.pem),
}


@virtual
async def _keeps(folder: Folder, what: str) -> None:
    with structlog.testing.capture_logs() as lines:
        async with rotating(folder) as w:
            await w.register("anna")
            await w.pass_time(EVERY + 1)
            BAD[what](folder)
            await w.pass_time(5 * EVERY)
            await w.alarm("anna")
            await w.pass_time(1)
            assert key_ids(w) == [KEY_ID]
            assert len(w.network.lines) == 2
            rejected = [line for line in lines if line["event"] == "credential_rejected"]
            assert [(line["app"], line["log_level"]) for line in rejected] == [("ios", "error")]
            assert "PRIVATE" not in str(rejected)
            assert "BEGIN" not in str(rejected)
            folder.link.unlink(missing_ok=True)
            folder.rotate()
            await w.pass_time(EVERY + 5)
            await w.alarm("anna")
            await w.pass_time(1)
            assert key_ids(w)[-1] == NEW_ID


@pytest.mark.parametrize("what", BAD)
def test_a_file_that_is_no_good_changes_nothing_is_named_once_and_the_next_good_one_is_used(
    tmp_path: Path, what: str
) -> None:
    _keeps(Folder(tmp_path), what)


@virtual
async def _mends(folder: Folder) -> None:
    async with rotating(folder, connections=1) as w:
        w.fake.injections.answers = [(403, "InvalidProviderToken")]
        await w.register("anna")
        await w.alarm("anna")
        await w.pass_time(EVERY / 2)
        assert (w.lane.state, w.lane.opened_for) == (State.OPEN, "InvalidProviderToken")
        folder.rotate()
        await w.pass_time(EVERY)
        assert w.lane.state is State.CLOSED
        assert key_ids(w) == [KEY_ID, NEW_ID]
        assert w.account == {"accepted": 1, "woken": 1}


def test_a_lane_that_stands_still_for_its_key_goes_on_as_soon_as_there_is_another(tmp_path: Path) -> None:
    """Not at its next probe, which may be five minutes away."""
    _mends(Folder(tmp_path))


# --- Google


@virtual
async def test_another_service_account_earns_its_token_before_it_is_used() -> None:
    async with scene() as s:
        successor = replace(account(), private_key_id="key-2")
        s.endpoint.fail = lambda: (400, b'{"error":"invalid_grant"}')
        s.token.renew(successor)
        await trio.sleep(2)
        assert s.bearer == b"Bearer ya29.1"
        s.endpoint.fail = None
        await trio.sleep(120)
        assert s.bearer != b"Bearer ya29.1"
        kids = [jwt.get_unverified_header(form["assertion"])["kid"] for form in s.endpoint.forms]
        assert kids[:3] == ["key-1", "key-2", "key-1"]
        assert kids[-1] == "key-2"


@virtual
async def test_an_account_that_comes_while_a_token_is_being_fetched_is_not_forgotten() -> None:
    async with scene() as s:
        s.token.renew(replace(account(), private_key_id="key-2"))
        await trio.sleep(0.1)
        s.token.renew(replace(account(), private_key_id="key-3"))
        await trio.sleep(2)
        kids = [jwt.get_unverified_header(form["assertion"])["kid"] for form in s.endpoint.forms]
        assert kids == ["key-1", "key-2", "key-3"]


@virtual
async def test_an_account_of_another_project_is_not_taken() -> None:
    async with scene() as s:
        with pytest.raises(ValueError, match="another project"):
            s.token.renew(replace(account(), project_id="other"))
        assert s.token.bearer(NOON + 10) == b"Bearer ya29.1"
