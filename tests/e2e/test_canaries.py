"""P8, P13 and I6: what comes in is found nowhere else, but for the token in the path of its wakeup.

Every field a client can fill holds a string that occurs nowhere else. Then everything a relay lets out or leaves behind
is searched for them: log, metrics, answers, what goes to Apple, and the database's files.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from relay.simulators.apns import FakeApns
from relay.simulators.certificates import Authority, provider_key
from relay.simulators.commands import KEY_ID, TEAM_ID, TOPIC
from relay.simulators.provider_token import TeamKey
from tests.e2e.client import Client, client
from tests.e2e.installation import Installation, install
from tests.e2e.phones import POLL
from tests.e2e.processes import PATIENCE
from tests.e2e.tap import Tap

pytestmark = pytest.mark.processes

USER, RESTER, HEIR = "canary-user-0f4be1", "canary-rester-77ac02", "canary-heir-93e05b"
DEVICE = "canary-device-5d0c93"
LABEL, RULE, KEY = "canary-label-b81e64", "canary-rule-1a9f35", "canary-key-c602d6"
ROLE, REASON, CLASS, MEMBER = (
    "canary-role-940b17",
    "canary-reason-3e7d28",
    "canary-class-f15a49",
    "canary-member-26c8e0",
)
SECRET, FIELD, PATH, JUNK = "canary-secret-8b70d1", "canary-field-4c91f2", "canary-path-e3a6b3", "canary-junk-6d25c4"
WORDS = (USER, RESTER, HEIR, DEVICE, LABEL, RULE, KEY, ROLE, REASON, CLASS, MEMBER, SECRET, FIELD, PATH, JUNK)
WELL, DEAD, RESTING = (hashlib.sha256(name.encode()).hexdigest() for name in ("well", "dead", "resting"))
TOKENS = (WELL, DEAD, RESTING)
SHORTEST_PREFIX = 8
"""Digits of a token that must not be found either (P13)."""


def forms(word: str) -> Iterator[bytes]:
    """A string as it may lie somewhere: as it is, encoded, or under a hash that anybody can compute."""
    raw = word.encode()
    yield from (raw, raw.upper(), raw[::-1], word.encode("utf-16-le"), raw.hex().encode(), raw.hex().upper().encode())
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + raw)
        yield encoded[4 if shift else 0 : -4]
    for algorithm in ("md5", "sha1", "sha256"):
        digest = hashlib.new(algorithm, raw)
        yield from (digest.digest(), digest.hexdigest().encode())


def forms_of_a_token(token: str) -> Iterator[bytes]:
    yield from forms(token)
    yield bytes.fromhex(token)
    for start in range(len(token) - SHORTEST_PREFIX + 1):
        yield token[start : start + SHORTEST_PREFIX].encode()


NEEDLES = {word: [*forms(word)] for word in WORDS} | {token: [*forms_of_a_token(token)] for token in TOKENS}


def found(haystack: bytes, secrets: Sequence[str] = ()) -> list[str]:
    """Names of the canaries in it; and which of these secrets, which the relay has made, by their number."""
    needles = NEEDLES | {f"secret {n}": [*forms(secret)] for n, secret in enumerate(secrets)}
    return [name for name, some in needles.items() if any(needle in haystack for needle in some)]


async def test_canaries_are_found_nowhere(tmp_path: Path) -> None:
    """Nothing but the token in `:path`: not in a log, metric, answer or file, and nothing else at Apple."""
    secrets: list[str] = []
    installation = install(tmp_path)
    async with apple_in_this_process(tmp_path) as (apns, port, taps):
        installation.configure(port, tmp_path)
        async with installation.serving() as relay:
            async with installation.backend_client() as backend, installation.settings_client() as settings:
                answers = [
                    *await good_requests(backend, settings),
                    *await bad_requests(installation, backend, settings),
                    *await passes(installation, settings, secrets),
                ]
            apns.registry.unregistered[DEAD] = time.time() + 60
            answers += await an_event_for_a_dead_phone(installation)
            answers += [(await ask_ops(installation, path)) for path in ("/metrics", "/readyz", f"/{PATH}")]
            files = contents(installation)

    to_apple = b"".join(tap.received for tap in taps)
    for token in (WELL, DEAD):
        assert b"/3/device/" + token.encode() in to_apple
        to_apple = to_apple.replace(b"/3/device/" + token.encode(), b"")
    assert len(secrets) == 5
    assert found(to_apple, secrets) == []
    log = "\n".join(relay.lines)
    assert log.count("support_code_used") == 2
    assert found(log.encode(), secrets) == []
    assert [(found(answer, secrets), answer) for answer in answers if found(answer, secrets)] == []
    for name, content in (files | contents(installation)).items():
        assert found(content, secrets) == [], name


@asynccontextmanager
async def apple_in_this_process(folder: Path) -> AsyncIterator[tuple[FakeApns, int, list[Tap]]]:
    """The fake, on real TLS, with everything that it receives kept."""
    private, public = provider_key()
    authority = Authority("127.0.0.1")
    (folder / "AuthKey.p8").write_bytes(private)
    (folder / "ca.pem").write_bytes(authority.pem)
    key = TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=public)
    apns = FakeApns({KEY_ID: key}, {TOPIC}, time.time)
    taps: list[Tap] = []

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        await stream.do_handshake()
        taps.append(Tap(stream))
        await apns.serve_stream(taps[-1])

    async with trio.open_nursery() as nursery:
        context = authority.server_context()
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1", https_compatible=True)
        await nursery.start(trio.serve_listeners, serve, listeners)
        inner = listeners[0].transport_listener
        assert isinstance(inner, trio.SocketListener)
        yield apns, inner.socket.getsockname()[1], taps
        nursery.cancel_scope.cancel()


async def good_requests(backend: Client, settings: Client) -> list[bytes]:
    """Everything a client may say, said right. The rester's event stays pending."""
    rest = {
        "windows": [{"kind": "cron", "start": "0 0 * * *", "duration_minutes": 1440, "id": RULE, "label": LABEL}],
        "overrides": [{"kind": "rest", "start": "2027-01-01T00:00", "end": "2027-01-02T00:00", "label": LABEL}],
    }
    phones = [(USER, DEVICE, WELL), (RESTER, DEVICE, RESTING)]
    return [
        await told(settings, 201, "PUT", f"/v1/users/{RESTER}/rest?confirm=never-reachable", rest),
        *[
            await told(backend, 201, "PUT", f"/v1/users/{user}/devices/{device}", phone(token))
            for user, device, token in phones
        ],
        await told(backend, 202, "POST", "/v1/events", {"users": [USER, RESTER]}, {"idempotency-key": KEY}),
        await told(backend, 202, "POST", "/v1/seen", {"user": USER}),
        await told(backend, 200, "GET", f"/v1/users/{USER}/devices/{DEVICE}"),
    ]


async def bad_requests(installation: Installation, backend: Client, settings: Client) -> list[bytes]:
    """Every way to be refused, with a canary in the part that is wrong."""
    event, alarm = {"user": USER}, {"user": USER, "class": "alarm", "role": ROLE, "reason": REASON}
    windows = {"windows": [{"kind": JUNK, "label": LABEL}, {"kind": "cron", "start": JUNK, "duration_minutes": JUNK}]}
    answers = [
        await told(backend, status, method, path, body, headers)
        for status, method, path, body, headers in (
            (422, "POST", "/v1/events", alarm, {"idempotency-key": KEY}),
            (422, "POST", "/v1/events", event | {"class": CLASS}, None),
            (422, "POST", "/v1/events", event | {MEMBER: JUNK}, None),
            (422, "POST", "/v1/events", {"events": [event | {"at": JUNK}, event | {"ttl": JUNK}, JUNK]}, None),
            (422, "POST", "/v1/events", event, {"idempotency-key": KEY}),
            (422, "POST", "/v1/events", event, {"idempotency-key": f"{KEY} {JUNK}"}),
            (422, "POST", f"/v1/events?{PATH}={JUNK}", event, None),
            (400, "POST", "/v1/events", f'{{"user": "{USER}", {JUNK}'.encode(), None),
            (400, "POST", "/v1/events", JUNK.encode(), {"content-type": "application/msgpack"}),
            (415, "POST", "/v1/events", event, {"content-type": f"application/{JUNK}"}),
            (404, "POST", f"/v1/{PATH}", event, None),
            (404, "GET", f"/v1/users/{PATH}/devices/{DEVICE}", None, None),
            (404, "DELETE", f"/v1/users/{USER}/devices/{PATH}", None, None),
            (404, "GET", f"/v1/alarms/{PATH}", None, None),
            (405, "DELETE", "/v1/events", event, {FIELD: JUNK}),
            (422, "PUT", f"/v1/users/{USER}/devices/{DEVICE}", phone(JUNK) | {"app": JUNK}, None),
            (422, "PUT", f"/v1/users/{USER}/devices/{DEVICE}", {"platform": JUNK}, None),
            (422, "PUT", f"/v1/users/{PATH}%00/devices/{DEVICE}", phone(WELL), None),
            (403, "PUT", f"/v1/users/{USER}/rest", windows, None),
            (431, "POST", "/v1/events", event, {FIELD: JUNK * 2_000}),
            (400, "POST", "/v1/events", event, {f"{FIELD} {JUNK}": JUNK}),
        )
    ]
    answers += [
        await told(settings, 422, "PUT", f"/v1/users/{USER}/rest", windows),
        await told(settings, 422, "PUT", f"/v1/users/{RESTER}/rest", {"windows": []}, {"if-match": JUNK}),
        await told(settings, 412, "PUT", f"/v1/users/{RESTER}/rest", {"windows": []}, {"if-match": '"999"'}),
        await told(settings, 403, "POST", "/v1/events", event),
    ]
    for key in (f"backend.{SECRET}", f"{SECRET}.{SECRET}", SECRET):
        async with client(installation.door, key) as stranger:
            answers.append(await told(stranger, 401, "POST", "/v1/events", event, {FIELD: JUNK}))
    return answers


async def passes(installation: Installation, settings: Client, secrets: list[str]) -> list[bytes]:
    """Link, token and code, used and misused; adds them to `secrets`, the code in both ways to write it.

    Of the answers those are left out that are for who has them: a secret, a rest, a device.
    """
    link = (await settings.ask("POST", f"/v1/users/{RESTER}/link")).json()["link"]
    async with client(installation.door) as anybody:
        token = (await anybody.ask("POST", "/v1/me/token", {"link": link})).json()["token"]
        answers = [
            await told(anybody, 403, "POST", "/v1/me/token", {"link": link}),
            await told(anybody, 403, "POST", "/v1/me/token", {"link": JUNK}),
            await told(anybody, 422, "POST", "/v1/me/token", {"link": link, MEMBER: JUNK}),
            await told(anybody, 400, "POST", "/v1/me/token", f'{{"link": "{link}", {JUNK}'.encode()),
            await told(anybody, 401, "GET", "/v1/me/rest", headers={"authorization": f"Bearer me.{SECRET}"}),
            await told(anybody, 401, "GET", "/v1/me/rest", headers={"authorization": f"Basic {token}"}),
        ]
    path = f"/v1/users/{RESTER}/explain"
    async with client(installation.door, token) as officer, installation.support_client() as support:
        code = (await officer.ask("POST", "/v1/me/support")).json()["code"]
        secrets += [link, token, token.removeprefix("me."), code, code.replace(" ", "")]
        for target, spelt in ((path, code), (f"/v1/users/{RESTER}/rest", code.replace(" ", ""))):
            shown = await support.ask("GET", target, headers={"support-code": spelt})
            assert (shown.status, LABEL.encode() in shown.body) == (200, True)
        without = (await support.ask("GET", path)).body
        assert found(without, secrets) == [DEVICE]
        answers += [
            await told(support, 403, "GET", path, headers={"support-code": JUNK}),
            await told(support, 403, "GET", f"/v1/users/{RESTER}/rest", headers={"support-code": JUNK}),
            await told(support, 403, "GET", f"/v1/users/{PATH}/rest", headers={"support-code": code}),
            await told(support, 403, "PUT", f"/v1/users/{RESTER}/rest", {JUNK: JUNK}, {"support-code": code}),
            await told(officer, 200, "GET", "/v1/me/support"),
            await told(officer, 422, "PUT", "/v1/me/rest", {"windows": [{"kind": JUNK, "label": LABEL}]}),
            await told(officer, 401, "GET", path, headers={"support-code": code}),
            await told(officer, 204, "DELETE", "/v1/me/support"),
            await told(officer, 204, "DELETE", "/v1/me/token"),
            await told(officer, 401, "DELETE", "/v1/me/token"),
        ]
    return answers


async def told(
    asking: Client, status: int, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
) -> bytes:
    """Ask, expect a status, return everything that was answered."""
    answer = await asking.ask(method, path, body, headers)
    assert answer.status == status, (path, body, answer)
    return repr(answer.headers).encode() + answer.body


def phone(token: str) -> dict[str, str]:
    return {"platform": "apns", "app": "ios", "token": token}


async def an_event_for_a_dead_phone(installation: Installation) -> list[bytes]:
    """Its end leaves a record for the backend, which holds the backend's own ids."""
    path = f"/v1/users/{HEIR}/devices/{JUNK}"
    async with installation.backend_client() as backend:
        answers = [
            await told(backend, 201, "PUT", path, phone(DEAD)),
            await told(backend, 202, "POST", "/v1/events", {"user": HEIR}),
        ]
        with trio.fail_after(PATIENCE):
            while True:
                if (await backend.ask("GET", path)).status == 404:
                    return answers
                await trio.sleep(POLL)


async def ask_ops(installation: Installation, path: str) -> bytes:
    async with client(installation.ops) as operator:
        return (await operator.ask("GET", path)).body


def contents(installation: Installation) -> dict[str, bytes]:
    """The database and what SQLite lays beside it."""
    beside = installation.folder.glob(f"{installation.database.name}*")
    return {path.name: path.read_bytes() for path in beside if path.is_file()}


def test_the_search_finds_what_is_there() -> None:
    """A search that finds nothing must be able to find something."""
    for haystack in (
        f"user={USER}".encode(),
        base64.b64encode(f"ab{LABEL}cd".encode()),
        json.dumps({"x": hashlib.sha256(KEY.encode()).hexdigest()}).encode(),
        WELL[20:28].encode(),
        b"\x00" + bytes.fromhex(DEAD) + b"\x00",
    ):
        assert len(found(haystack)) == 1, haystack
