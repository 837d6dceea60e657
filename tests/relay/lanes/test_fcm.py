"""FCM as a provider: the bytes of a request, and the reading of an answer."""

from __future__ import annotations

import json

import pytest

from relay.core.devices import Device, Platform
from relay.core.flight import Flight
from relay.core.life import LADDER
from relay.core.people import Person
from relay.core.private import DeviceKey, TokenHash, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.tenants import Tenant
from relay.core.verdicts import Action, Scope
from relay.lanes.fcm import LONGEST_WAIT, Fcm, messages
from relay.wire import Answer
from relay.wire.template import BlockWriter
from tests.relay.lanes.google import NOON, PROJECT, TOKEN, fetched

KEY = UserKey(b"u" * 16)
TENANT = Tenant(name="t", pseudonyms=Pseudonyms(b"m" * 32, "t"), apps={"android": Platform.FCM})


def _flight(life: int = 300) -> Flight:
    device = Device(DeviceKey(KEY), KEY, "android", Platform.FCM, TokenHash(KEY), b"", registered_at=0.0)
    flight = Flight(Person(TENANT, KEY, b""), device, urgent=False)
    flight.life = life
    return flight


def _provider() -> Fcm:
    return Fcm(PROJECT, fetched())


def _error(status: str, code: str = "", message: str = "", **more: object) -> bytes:
    kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
    details: list[object] = [{"@type": kind, "errorCode": code}] if code else []
    details += [more] if more else []
    error = {"code": 0, "message": message, "status": status, "details": details}
    return json.dumps({"error": error}).encode()


@pytest.mark.parametrize("life", [0, *LADDER])
def test_a_message_says_nothing_but_token_and_life(life: int) -> None:
    """P6: data of one empty member, high priority, no notification, no collapse key."""
    body = _provider().request(_flight(life), TOKEN, NOON).body
    assert json.loads(body) == {
        "message": {"token": TOKEN, "data": {"w": ""}, "android": {"priority": "HIGH", "ttl": f"{life}s"}},
        "validate_only": False,
    }


def test_messages_of_one_life_differ_in_the_token_only() -> None:
    provider = _provider()
    one, other = (provider.request(_flight(), token, NOON).body for token in (TOKEN, TOKEN[::-1]))
    assert one.replace(TOKEN.encode(), b"") == other.replace(TOKEN[::-1].encode(), b"")


def test_the_header_block_is_the_same_for_tokens_of_one_length() -> None:
    """P4: path, content type and length are a byte or two; only authorization is spelt out, and never indexed."""
    provider = _provider()
    writer = BlockWriter(provider.template())
    blocks = [writer.block(provider.request(_flight(), TOKEN[:-1] + end, NOON)) for end in "ABC"]
    assert blocks[1] == blocks[2]
    assert len(blocks[1]) < 60


def test_the_path_is_the_projects() -> None:
    template = _provider().template()
    assert (b":path", f"/v1/projects/{PROJECT}/messages:send".encode()) in template.constant
    assert _provider().request(_flight(), TOKEN, NOON).path == b""


def test_all_steps_of_the_ladder_are_built_at_start() -> None:
    assert messages().keys() == {0, *LADDER}


INVALID = "The registration token is not a valid FCM registration token"
VERDICTS = [
    (400, _error("INVALID_ARGUMENT", "INVALID_ARGUMENT", INVALID), Action.SUSPECT, Scope.DEVICE),
    (400, _error("INVALID_ARGUMENT", "INVALID_ARGUMENT", "", fieldViolations=[]), Action.GIVE_UP, Scope.MESSAGE),
    (400, _error("INVALID_ARGUMENT", message="Invalid JSON payload"), Action.GIVE_UP, Scope.MESSAGE),
    (401, _error("UNAUTHENTICATED", reason="ACCESS_TOKEN_EXPIRED"), Action.NEW_TOKEN, Scope.CONNECTION),
    (401, _error("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"), Action.STOP, Scope.LANE),
    (403, _error("PERMISSION_DENIED", "SENDER_ID_MISMATCH"), Action.SUSPECT, Scope.DEVICE),
    (403, _error("PERMISSION_DENIED"), Action.STOP, Scope.LANE),
    (404, _error("NOT_FOUND", "UNREGISTERED"), Action.SUSPECT, Scope.DEVICE),
    (404, _error("NOT_FOUND"), Action.STOP, Scope.LANE),
    (404, b"<html>Not Found</html>", Action.STOP, Scope.LANE),
    (429, _error("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"), Action.PAUSE, Scope.LANE),
    (429, b"", Action.PAUSE, Scope.LANE),
    (500, _error("INTERNAL", "INTERNAL"), Action.LATER, Scope.SERVICE),
    (503, _error("UNAVAILABLE", "UNAVAILABLE"), Action.LATER, Scope.SERVICE),
    (502, b"<html>", Action.LATER, Scope.SERVICE),
    (503, b'{"error":{"sta', Action.LATER, Scope.SERVICE),
    (200, b"", Action.ACCEPTED, Scope.DEVICE),
    (418, b"", Action.GIVE_UP, Scope.MESSAGE),
]


@pytest.mark.parametrize(("status", "body", "action", "scope"), VERDICTS)
def test_an_answer_means_what_firebase_says(status: int, body: bytes, action: Action, scope: Scope) -> None:
    """The table of error codes; what is no JSON of Google's is judged by its status alone."""
    verdict = _provider().judge(Answer(None, status, body), NOON).verdict
    assert (verdict.action, verdict.scope) == (action, scope)


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"error":7}', b'{"error":{"details":7}}', b"[" * 100_000, b"\xff"])
def test_a_body_that_is_no_error_of_googles_has_no_reason(body: bytes) -> None:
    assert _provider().judge(Answer(None, 503, body), NOON).reason == "status_503"


def test_only_words_reach_logs_and_metrics() -> None:
    for word in ("a b", "x" * 41, "user@example.org", 7, None):
        body = json.dumps({"error": {"status": word, "details": [{"errorCode": word}]}}).encode()
        assert _provider().judge(Answer(None, 500, body), NOON).reason == "status_500"


WAITS = [
    (429, b"7", 7.0),
    (429, b"Tue, 24 Nov 2026 11:02:30 GMT", 150.0),
    (429, b"Tue, 24 Nov 2026 10:00:00 GMT", 60.0),
    (429, b"soon", 60.0),
    (429, b"", 60.0),
    (503, b"120", 120.0),
    (503, b"-1", 0.0),
    (503, b"999999999999", LONGEST_WAIT),
    (503, b"", 0.0),
]


@pytest.mark.parametrize(("status", "value", "wait"), WAITS)
def test_retry_after_is_read_as_seconds_and_as_a_date(status: int, value: bytes, wait: float) -> None:
    """A 429 without one, or with one in the past, is a minute."""
    headers = ((b"retry-after", value),) if value else ()
    assert _provider().judge(Answer(None, status, b"", headers), NOON).wait == wait


def test_without_an_access_token_nothing_is_ready() -> None:
    provider = _provider()
    assert provider.is_ready(NOON)
    assert not provider.is_ready(NOON + 3600)
