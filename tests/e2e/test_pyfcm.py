"""A second opinion on what we send to Google: pyfcm as shipped, with its own transport, account handling and HTTP/1.1.

Nothing of it is replaced: the fake FCM is named by the attribute that holds Google's address, the token endpoint by the
service account file, the certificate by the variable that `requests` reads.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from pyfcm import FCMNotification
from pyfcm.errors import (
    AuthenticationError,
    FCMNotRegisteredError,
    FCMSenderIdMismatchError,
    FCMServerError,
    InvalidDataError,
)

from relay import serving
from relay.clock import WallClock
from relay.config_file import read
from relay.core import verdicts
from relay.core.verdicts import Action
from relay.doors.keys import new_key
from relay.lanes.fcm import _error
from relay.simulators.commands import PROJECT
from relay.simulators.fcm_answer import Answer, fcm_error, plain
from relay.simulators.journal import Entry
from relay.simulators.stage import HOST, Script, Stage, put_up
from tests.e2e.client import client
from tests.e2e.processes import PATIENCE

pytestmark = pytest.mark.sockets

OURS, THEIRS, GONE = (f"{name}-phone-00000000000:APA91b" + "Zz0_-" * 20 for name in ("aaaa", "bbbb", "cccc"))
WAKEUP: dict[str, Any] = {"data_payload": {"w": ""}, "android_config": {"priority": "HIGH", "ttl": "604800s"}}


@asynccontextmanager
async def staged(folder: Path, backend: str = "0" * 64) -> AsyncIterator[Stage]:
    """Simulated providers; what plays there ends with the block."""
    async with trio.open_nursery() as nursery:
        script = Script(now=time.time, backend=backend, settings=new_key("settings")[1])
        with trio.fail_after(PATIENCE):
            yield await put_up(nursery, folder, script)
        nursery.cancel_scope.cancel()


def sender(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> FCMNotification:
    folder = stage.config.parent
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder / "ca.pem"))
    made = FCMNotification(service_account_file=str(folder / "service-account.json"), project_id=PROJECT)
    made.FCM_END_POINT_BASE = f"https://{HOST}:{stage.fcm_port}/v1/projects"
    return made


async def ours(stage: Stage, key: str) -> Entry:
    """The wakeup of one event, sent by the whole relay."""
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        bound = await nursery.start(partial(serving.run, read(stage.config), WallClock(), stop))
        async with client(bound.door[0][1], key) as backend:
            device = {"platform": "fcm", "app": "android", "token": OURS}
            assert (await backend.ask("PUT", "/v1/users/anna/devices/pixel", device)).status == 201
            assert (await backend.ask("POST", "/v1/events", {"user": "anna"})).status == 202
        while not stage.fcm.journal.entries:  # noqa: ASYNC110 (a journal tells nobody)
            await trio.sleep(0.01)
        stop.set()
    return stage.fcm.journal.entries[0]


async def test_what_pyfcm_sends_and_what_we_send_is_the_same_body_and_both_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, digest = new_key("backend")
    async with staged(tmp_path, digest) as stage:
        first = await ours(stage, key)
        answer = await trio.to_thread.run_sync(partial(sender(stage, monkeypatch).notify, fcm_token=THEIRS, **WAKEUP))
        assert answer["name"].startswith(f"projects/{PROJECT}/messages/")
        second = stage.fcm.journal.entries[1]
    assert (first.status, second.status) == (200, 200)
    assert (first.token, second.token) == (OURS, THEIRS)
    assert second.body.replace(THEIRS.encode(), OURS.encode()) == first.body
    for name in (b":method", b":path", b"content-type", b"content-length"):
        assert first.value(name) == second.value(name) != b""
    assert not stage.fcm.journal.violations
    assert stage.oauth.counts.fetches == 2


async def test_pyfcm_understands_what_the_fake_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with staged(tmp_path) as stage:
        stage.fcm.registry.unregistered.add(GONE)
        pyfcm = sender(stage, monkeypatch)
        with pytest.raises(FCMNotRegisteredError):
            await trio.to_thread.run_sync(partial(pyfcm.notify, fcm_token=GONE, **WAKEUP))
        with pytest.raises(InvalidDataError, match="TTL must be"):
            await trio.to_thread.run_sync(
                partial(pyfcm.notify, fcm_token=THEIRS, android_config={"ttl": "9999999s"}, data_payload={"w": ""})
            )
        assert (await trio.to_thread.run_sync(partial(pyfcm.notify, fcm_token=THEIRS, **WAKEUP)))["name"]
    assert [entry.status for entry in stage.fcm.journal.entries] == [404, 400, 200]
    assert stage.fcm.journal.connections == 1, "it keeps its connection"


HTML = [("content-type", "text/html; charset=UTF-8")]
SAME = ""
READINGS: list[tuple[Answer, type[Exception] | None, Action, str]] = [
    (fcm_error(404, "UNREGISTERED", "Requested entity was not found."), FCMNotRegisteredError, Action.SUSPECT, SAME),
    (fcm_error(403, "SENDER_ID_MISMATCH", "SenderId mismatch"), FCMSenderIdMismatchError, Action.SUSPECT, SAME),
    (fcm_error(400, "INVALID_ARGUMENT", "Invalid JSON payload"), InvalidDataError, Action.GIVE_UP, SAME),
    (fcm_error(500, "INTERNAL", "Internal error encountered."), FCMServerError, Action.LATER, SAME),
    (plain(403, "The caller does not have permission"), FCMSenderIdMismatchError, Action.STOP,
     "a right that our account lacks is taken for a token of another project: whoever deletes on it deletes them all"),
    (Answer(404, b"<html>Not Found</html>", HTML), FCMNotRegisteredError, Action.STOP,
     "a wrong address or project is taken for a dead token: whoever deletes on it deletes them all"),
    (plain(404, "Requested entity was not found."), FCMNotRegisteredError, Action.STOP,
     "the same, with Google's own body: only an FcmError speaks of a token"),
    (fcm_error(400, "INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"),
     InvalidDataError, Action.SUSPECT, "a bad token is taken for a bad message: it is asked again for ever"),
    (fcm_error(401, "THIRD_PARTY_AUTH_ERROR", "Auth error from APNS or Web Push Service"), AuthenticationError,
     Action.STOP, "the reason is lost: it is not our account that is wrong"),
    (Answer(200, b""), FCMServerError, Action.ACCEPTED,
     "a message that was taken is sent again: the status says that it was taken"),
]  # fmt: skip
"""An answer, what pyfcm raises (None: nothing), what our lane does, and why they differ."""


async def test_pyfcm_reads_every_answer_as_we_do_or_it_is_told_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deletes = {FCMNotRegisteredError, FCMSenderIdMismatchError}
    async with staged(tmp_path) as stage:
        pyfcm = sender(stage, monkeypatch)
        for answer, raises, action, why in READINGS:
            stage.fcm.injections.answers = [answer]
            raised = None
            try:
                await trio.to_thread.run_sync(partial(pyfcm.notify, fcm_token=THEIRS, **WAKEUP))
            except Exception as error:
                raised = type(error)
            assert raised is raises, answer
            _status, code, is_about_token = _error(answer.body)
            ours = verdicts.fcm(answer.status, code, is_about_token=is_about_token).action
            assert ours is action, answer
            if not why:
                assert (raised in deletes) == (ours in (Action.SUSPECT, Action.DEAD)), "a difference without a reason"
