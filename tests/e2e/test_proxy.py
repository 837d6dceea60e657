"""The only way out is a proxy: a relay that wakes phones at Apple's and Google's own names, over real sockets and TLS.

The proxy's resolver knows these three names and no others, and leads them to the simulators; the relay has no override
but for who is to be trusted. Google's token is fetched the same way.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import structlog
import trio

from bench.ports import free_port
from relay import cold_http, serving
from relay.clock import WallClock
from relay.config_file import read
from relay.doors.keys import new_key
from relay.lanes.proxy import Proxy
from relay.simulators.apns import FakeApns
from relay.simulators.certificates import Authority, account_key, provider_key
from relay.simulators.commands import ACCOUNT, ACCOUNT_KEY_ID, KEY_ID, PROJECT, TEAM_ID, TOPIC
from relay.simulators.fcm import FakeFcm
from relay.simulators.oauth import Account, FakeOauth, account_file
from relay.simulators.oauth_server import OauthServer
from relay.simulators.provider_token import TeamKey
from relay.simulators.proxy import FakeProxy, Fault, Faults, open_on_loopback
from relay.wire import ConnectionLost
from tests.e2e.client import client
from tests.e2e.processes import PATIENCE, running
from tests.listening import LOOPBACK, listen

pytestmark = pytest.mark.sockets

APPLE, GOOGLE, TOKENS = "api.push.apple.com", "fcm.googleapis.com", "oauth2.googleapis.com"
SECRET = "relay:s3cret"
IPHONE, PIXEL = "ab" * 32, "pixel-phone-0000000000000:APA91b" + "Zz0_-" * 20


@dataclass(frozen=True, slots=True)
class Outside:
    """What lies behind the proxy."""

    folder: Path
    apns: FakeApns
    fcm: FakeFcm
    oauth: FakeOauth
    proxy: FakeProxy
    port: int

    def configure(self, backend: str = "0" * 64) -> Path:
        credentials = self.folder / "proxy-credentials"
        credentials.touch(0o600)
        credentials.write_text(SECRET)
        (self.folder / "master").touch(0o600)
        (self.folder / "master").write_text("0:" + "A" * 43 + "=\n")
        path = self.folder / "feierabend.toml"
        path.write_text(f"""
[store]
path = "relay.db"
key_file = "master"
[door]
listen = ["{LOOPBACK}:0"]
[ops]
listen = ["{LOOPBACK}:0"]
[proxy]
url = "http://{LOOPBACK}:{self.port}"
credentials_file = "proxy-credentials"
[[tenants]]
name = "force"
[[tenants.keys]]
id = "backend"
sha256 = "{backend}"
scopes = ["events", "devices"]
[[tenants.apps]]
name = "ios"
topic = "{TOPIC}"
team_id = "{TEAM_ID}"
key_id = "{KEY_ID}"
key_file = "AuthKey.p8"
ca_file = "ca.pem"
connections = 1
[[tenants.apps]]
name = "android"
provider = "fcm"
service_account_file = "service-account.json"
ca_file = "ca.pem"
connections = 1
""")
        return path


@asynccontextmanager
async def outside(folder: Path) -> AsyncIterator[Outside]:
    authority, (signing, public) = Authority(APPLE, GOOGLE, TOKENS), provider_key()
    private, account_public = account_key()
    account = Account(client_email=ACCOUNT, key_id=ACCOUNT_KEY_ID, public_pem=account_public)
    oauth = FakeOauth([account], time.time)
    oauth.token_uri = f"https://{TOKENS}/token"
    fcm = FakeFcm(PROJECT, oauth.is_good, time.time)
    apns = FakeApns({KEY_ID: TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=public)}, {TOPIC}, time.time)
    (folder / "ca.pem").write_bytes(authority.pem)
    (folder / "AuthKey.p8").write_bytes(signing)
    (folder / "service-account.json").write_text(account_file(account, PROJECT, private, oauth.token_uri))
    async with trio.open_nursery() as nursery:
        names = {
            f"{APPLE}:443": (LOOPBACK, await listen(nursery, apns.serve_stream, authority.server_context())),
            f"{GOOGLE}:443": (LOOPBACK, await listen(nursery, fcm.serve_stream, authority.server_context())),
            f"{TOKENS}:443": (
                LOOPBACK, await listen(nursery, OauthServer(oauth).serve_stream, authority.server_context("http/1.1"))
            ),
        }  # fmt: skip

        async def known(host: str, port: int) -> trio.abc.Stream:
            if (host, port) not in names.values():
                raise OSError("nothing else leads out")
            return await trio.open_tcp_stream(host, port)

        proxy = FakeProxy(known, SECRET, names)
        with trio.fail_after(PATIENCE):
            yield Outside(folder, apns, fcm, oauth, proxy, await listen(nursery, proxy.serve_stream))
        nursery.cancel_scope.cancel()
    assert not proxy.violations
    assert not apns.journal.violations
    assert not fcm.journal.violations


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110 (neither a journal nor a log tells anybody)
        await trio.sleep(0.01)


async def test_both_are_reached_by_their_own_names_and_the_token_endpoint_too(tmp_path: Path) -> None:
    key, digest = new_key("backend")
    async with outside(tmp_path) as there, trio.open_nursery() as nursery:
        stop = trio.Event()
        bound = await nursery.start(partial(serving.run, read(there.configure(digest)), WallClock(), stop))
        async with client(bound.door[0][1], key) as backend:
            for device, platform, app, token in (("i", "apns", "ios", IPHONE), ("p", "fcm", "android", PIXEL)):
                registered = {"platform": platform, "app": app, "token": token}
                assert (await backend.ask("PUT", f"/v1/users/anna/devices/{device}", registered)).status == 201
            assert (await backend.ask("POST", "/v1/events", {"user": "anna"})).status == 202
        await until(lambda: bool(there.apns.journal.entries and there.fcm.journal.entries))
        stop.set()
    assert [entry.status for entry in (*there.apns.journal.entries, *there.fcm.journal.entries)] == [200, 200]
    assert {asked.target for asked in there.proxy.asked} == {f"{name}:443" for name in (APPLE, GOOGLE, TOKENS)}
    assert {asked.status for asked in there.proxy.asked} == {200}


@pytest.mark.parametrize(
    ("faults", "credentials", "word"),
    [(Faults(), "relay:new", "proxy_refuses_credentials"), (Faults(status=502), SECRET, "proxy_status_502")],
)
async def test_what_the_proxy_refuses_is_called_so_for_both_and_for_the_token(
    tmp_path: Path, faults: Faults, credentials: str, word: str
) -> None:
    async with outside(tmp_path) as there:
        there.proxy.faults, there.proxy.credentials = faults, credentials
        with structlog.testing.capture_logs() as lines:
            async with trio.open_nursery() as nursery:
                stop = trio.Event()
                await nursery.start(partial(serving.run, read(there.configure()), WallClock(), stop))
                await until(lambda: len({line.get("app") for line in lines if "failed" in line["event"]}) >= 3)
                stop.set()
    failed = [line for line in lines if line["event"] in ("connect_failed", "token_exchange_failed")]
    assert {line["reason"] for line in failed} == {word}
    assert {line["event"] for line in failed} == {"connect_failed", "token_exchange_failed"}
    assert "s3cret" not in str(lines)


FAULTS = {
    "proxy_silent": Faults(fault=Fault.SILENCE),
    "proxy_speaks_no_http": Faults(fault=Fault.GARBAGE),
    "proxy_status_504": Faults(status=504),
}


@pytest.mark.parametrize("word", [*FAULTS, "proxy_unreachable"])
async def test_a_token_that_the_proxy_keeps_from_us_is_its_fault(word: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_http, "ANSWER", 0.2)
    async with trio.open_nursery() as nursery:
        fake = FakeProxy(open_on_loopback)
        fake.faults = FAULTS.get(word, Faults())
        port = free_port() if word == "proxy_unreachable" else await listen(nursery, fake.serve_stream)
        post = cold_http.form_poster(None, proxy=Proxy(LOOPBACK, port))
        with trio.fail_after(PATIENCE), pytest.raises(ConnectionLost) as lost:
            await post("https://oauth2.googleapis.com/token", {})
        assert lost.value.reason == word
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("uri", ["https://[::1/token", "https://a..b/token", "https://xn--a/token"])
async def test_an_address_that_is_none_is_no_answer(uri: str) -> None:
    """httpx, idna and the resolver have errors of their own for that; any of them would end the relay."""
    with pytest.raises(OSError, match=r"^(InvalidURL|UnicodeError|InvalidCodepoint)$"):
        await cold_http.form_poster(None)(uri, {})


@pytest.mark.processes
async def test_the_simulated_proxy_is_a_process_that_leads_to_others_on_this_machine_only(tmp_path: Path) -> None:
    async with running("fake", "proxy", "--credentials", tmp_path) as process, trio.open_nursery() as nursery:

        async def echo(stream: trio.abc.Stream) -> None:
            await stream.send_all(b"here")

        port = await listen(nursery, echo)
        said = json.loads(await process.line("listening"))
        host, _, at = said["listening"].rpartition(":")
        asked = {f"{LOOPBACK}:{port}": b"200", "192.0.2.1:443": b"502"}
        for target, status in asked.items():
            async with await trio.open_tcp_stream(host, int(at)) as stream:
                await stream.send_all(
                    f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
                    "Proxy-Authorization: Basic cmVsYXk6ZmFrZS1wYXNzd29yZA==\r\n\r\n".encode()
                )
                answer = b""
                while data := await stream.receive_some():
                    answer += data
                assert answer.startswith(b"HTTP/1.1 " + status)
                assert answer.endswith(b"here") == (status == b"200")
        assert (tmp_path / "proxy-credentials").read_text() == "relay:fake-password\n"
        nursery.cancel_scope.cancel()
