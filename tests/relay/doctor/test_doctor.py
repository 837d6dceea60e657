"""The doctor at strict fakes, over real sockets: what is wrong is named, and which of two wires is to blame.

aioapns answers in a thread of its own, pyfcm in its process as the command has it.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result

from bench.ports import free_port
from relay import cli_doctor
from relay.cli import main
from relay.cli_doctor import MADE_UP
from relay.clock import WallClock
from relay.config import Address, AnyAppConfig, AppConfig, FcmAppConfig, ProxyConfig
from relay.doctor import examine as examination
from relay.doctor import library, probe
from relay.doctor.examine import examine
from relay.doctor.second import Ask, Second, in_a_process
from relay.doctor.steps import Examined, Step
from relay.doctor.verdict import Conclusion
from relay.doctor.words import Blame
from relay.lanes import apns
from relay.lanes.oauth import ServiceAccount
from relay.simulators.apns import FakeApns, StreamLimit
from relay.simulators.certificates import Authority, account_key, provider_key
from relay.simulators.commands import ACCOUNT, ACCOUNT_KEY_ID, KEY_ID, PROJECT, TEAM_ID, TOPIC
from relay.simulators.fcm import FakeFcm
from relay.simulators.oauth import Account, FakeOauth
from relay.simulators.oauth_server import OauthServer
from relay.simulators.provider_token import TeamKey
from relay.simulators.proxy import FakeProxy, Faults, open_on_loopback
from tests.e2e.processes import PATIENCE
from tests.listening import LOOPBACK, listen

pytestmark = pytest.mark.sockets

STEPS = ["credentials", "clock", "dns", "tcp", "tls", "settings", "answer"]


@dataclass
class Scene:
    """Somebody's app, and what the doctor says of it."""

    nursery: trio.Nursery
    app: AnyAppConfig
    apns: FakeApns
    fcm: FakeFcm
    oauth: FakeOauth
    steps: list[Step] = field(default_factory=list)
    ours: Examined = field(default_factory=Examined)
    second: Second = field(default_factory=lambda: Second(""))

    async def examine(
        self, app: AnyAppConfig | None = None, *, is_made_up: bool = True, ask: Ask | None = None
    ) -> Conclusion:
        app = app or self.app
        kind = "fcm" if isinstance(app, FcmAppConfig) else "apns"
        ask = ask or (in_a_process if kind == "fcm" else in_a_thread)
        self.ours, self.second, said = await examine(
            app, MADE_UP[kind], WallClock(), self.steps.append, is_made_up=is_made_up, ask=ask
        )
        return said

    @property
    def states(self) -> dict[str, str]:
        return {step.name: step.state for step in self.steps}

    @property
    def failed(self) -> Step:
        (step,) = [step for step in self.steps if step.state == "failed"]
        return step


async def in_a_thread(question: Mapping[str, Any]) -> Mapping[str, object]:
    with trio.move_on_after(2):
        return await trio.to_thread.run_sync(library.ask, question, abandon_on_cancel=True)
    return {"failed": "no_answer"}


async def no_opinion(_: Mapping[str, Any]) -> Mapping[str, object]:
    return {"failed": "no_answer"}


async def silence(stream: trio.abc.Stream) -> None:
    """Takes what comes, and says nothing."""
    while await stream.receive_some():
        pass


@asynccontextmanager
async def scene(
    folder: Path, kind: str = "apns", *, now: Callable[[], float] = time.time, keys: Mapping[str, TeamKey] | None = None
) -> AsyncIterator[Scene]:
    """`now`: the provider's clock; `keys`: what Apple knows in the place of ours."""
    authority, (signing, public) = Authority(LOOPBACK), provider_key()
    private, account_public = account_key()
    account = Account(client_email=ACCOUNT, key_id=ACCOUNT_KEY_ID, public_pem=account_public)
    oauth = FakeOauth([account], now)
    fcm = FakeFcm(PROJECT, oauth.is_good, now)
    known = {KEY_ID: TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=public)} if keys is None else keys
    fake = FakeApns(known, {TOPIC}, now)
    ca_file = folder / "ca.pem"
    ca_file.write_bytes(authority.pem)
    async with trio.open_nursery() as nursery:
        token_port = await listen(nursery, OauthServer(oauth).serve_stream, authority.server_context("http/1.1"))
        oauth.token_uri = f"https://{LOOPBACK}:{token_port}/token"
        port = await listen(
            nursery, fake.serve_stream if kind == "apns" else fcm.serve_stream,
            authority.server_context(*(["h2"] if kind == "apns" else ["h2", "http/1.1"])),
        )  # fmt: skip
        endpoint = Address(LOOPBACK, port)
        app: AnyAppConfig = AppConfig(
            name="ios", topic=TOPIC, team_id=TEAM_ID, key_id=KEY_ID, key=signing, environment="production",
            connections=1, endpoint=endpoint, ca_file=ca_file,
        )  # fmt: skip
        if kind == "fcm":
            made = ServiceAccount(PROJECT, ACCOUNT, private.decode(), ACCOUNT_KEY_ID, oauth.token_uri)
            app = FcmAppConfig(
                name="android", account=made, connections=1, endpoint=endpoint, token_uri_is_overridden=False,
                ca_file=ca_file,
            )  # fmt: skip
        with trio.fail_after(PATIENCE):
            yield Scene(nursery, app, fake, fcm, oauth)
        nursery.cancel_scope.cancel()


async def test_all_is_well_when_only_the_made_up_device_is_unknown(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        s.apns.registry.wrong_environment.add(MADE_UP["apns"])
        said = await s.examine()
        assert (said.code, said.blame) == (0, Blame.NOBODY)
        assert s.states == dict.fromkeys(STEPS, "ok")
        assert str(s.ours.reading) == str(s.second) == "400 BadDeviceToken"
        assert not s.apns.registry.phones, "no device is touched"
        tokens = {entry.value(b"authorization") for entry in s.apns.journal.entries}
        assert len(tokens) == 1, "a second provider token of the team could make a running relay pause"
        assert (await s.examine(is_made_up=False)).blame is Blame.DEVICE_TOKEN


async def test_a_wrong_key_is_told_as_key_team_and_file(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        assert isinstance(s.app, AppConfig)
        said = await s.examine(replace(s.app, key=provider_key()[0]))
        assert (said.code, said.blame) == (1, Blame.CREDENTIALS)
        assert "InvalidProviderToken" in said.says
        assert "key_file, key_id and team_id do not belong together" in said.says
        assert "aioapns is answered the same" in said.says
        tokens = {entry.value(b"authorization") for entry in s.apns.journal.entries}
        assert len(tokens) == 2, "ours was refused, so the library signs its own"


@pytest.mark.parametrize(
    ("change", "blame"),
    [({"team_id": "OTHERTEAM1"}, Blame.CREDENTIALS), ({"key_id": "OTHERKEY01"}, Blame.CREDENTIALS),
     ({"topic": "example.other.app"}, Blame.TOPIC)],
)  # fmt: skip
async def test_a_wrong_team_key_id_or_topic_is_the_operators(
    tmp_path: Path, change: dict[str, Any], blame: Blame
) -> None:
    async with scene(tmp_path) as s:
        assert isinstance(s.app, AppConfig)
        said = await s.examine(replace(s.app, **change))
        assert (said.code, said.blame) == (1, blame)
        assert s.failed.name == "answer"


async def test_a_clock_that_is_behind_is_told_where_a_fresh_token_is_called_expired(tmp_path: Path) -> None:
    async with scene(tmp_path, now=lambda: time.time() + 7200) as s:
        said = await s.examine()
        assert (said.code, said.blame) == (1, Blame.CLOCK)
        assert "clock is behind" in said.says


async def test_a_port_at_which_nobody_listens_is_a_firewalls(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        said = await s.examine(replace(s.app, endpoint=Address(LOOPBACK, free_port())))
        assert (said.code, said.blame) == (1, Blame.NETWORK)
        assert (s.failed.name, s.states["tls"], s.states["answer"]) == ("tcp", "skipped", "skipped")
        assert re.fullmatch(r"127\.0\.0\.1 at port \d+: Connection refused; a firewall .*", s.failed.says)
        assert "aioapns came to no answer either" in said.says


async def test_a_name_that_is_not_found_is_the_name_servers(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        said = await s.examine(replace(s.app, endpoint=Address("apple.invalid", 443)))
        assert (said.code, said.blame, s.failed.name) == (1, Blame.DNS, "dns")


async def test_a_certificate_that_nobody_vouches_for_is_a_box_that_looks_into_tls(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        other = tmp_path / "other.pem"
        other.write_bytes(Authority(LOOPBACK).pem)
        said = await s.examine(replace(s.app, ca_file=other))
        assert (said.code, said.blame, s.failed.name) == (1, Blame.TLS, "tls")
        assert "ca_file" in said.says


async def test_what_agrees_to_no_http2_is_told(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        context = Authority(LOOPBACK)
        (tmp_path / "ca.pem").write_bytes(context.pem)
        port = await listen(s.nursery, trio.aclose_forcefully, context.server_context("http/1.1"))
        said = await s.examine(replace(s.app, endpoint=Address(LOOPBACK, port)))
        assert (said.code, said.blame, s.failed.name) == (1, Blame.TLS, "tls")


@pytest.mark.parametrize(
    ("credentials", "faults", "says"),
    [("relay:new", Faults(), "407"), (None, Faults(status=403), "does not let us through to 127.0.0.1")],
)
async def test_a_proxy_that_refuses_is_named(
    tmp_path: Path, credentials: str | None, faults: Faults, says: str
) -> None:
    async with scene(tmp_path) as s:
        proxy = FakeProxy(open_on_loopback, credentials)
        proxy.faults = faults
        way = ProxyConfig(Address(LOOPBACK, await listen(s.nursery, proxy.serve_stream)), "relay:s3cret")
        said = await s.examine(replace(s.app, proxy=way))
        assert (said.code, said.blame, s.failed.name) == (1, Blame.PROXY, "proxy")
        assert says in said.says
        assert "s3cret" not in f"{said} {s.steps}"


async def test_through_a_proxy_there_is_our_opinion_and_aioapns_is_said_to_have_none(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        proxy = FakeProxy(open_on_loopback, "relay:s3cret")
        way = ProxyConfig(Address(LOOPBACK, await listen(s.nursery, proxy.serve_stream)), "relay:s3cret")
        said = await s.examine(replace(s.app, proxy=way))
        assert (said.code, said.blame) == (0, Blame.NOBODY)
        assert "no second opinion of aioapns" in said.says
        assert s.states["proxy"] == "ok"


@pytest.mark.parametrize(
    ("step", "blame"),
    [("proxy", Blame.PROXY), ("tls", Blame.NETWORK), ("settings", Blame.PROVIDER), ("answer", Blame.PROVIDER)],
)
async def test_whoever_says_nothing_is_given_up_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, blame: Blame
) -> None:
    monkeypatch.setattr(probe, "PATIENCE", 0.3)
    async with scene(tmp_path) as s:
        s.apns.injections.silence = True
        app, context = s.app, None
        if step == "settings":
            authority = Authority(LOOPBACK)
            (tmp_path / "ca.pem").write_bytes(authority.pem)
            context = authority.server_context("h2")
        silent = Address(LOOPBACK, await listen(s.nursery, silence, context))
        if step == "proxy":
            app = replace(app, proxy=ProxyConfig(silent))
        elif step != "answer":
            app = replace(app, endpoint=silent)
        said = await s.examine(app, ask=no_opinion)
    assert (said.code, said.blame, s.failed.name) == (1, blame, step)
    assert s.failed.says == "nothing has come for 0.3 s"


async def test_where_the_two_differ_our_wire_is_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault is planted in what we send."""
    monkeypatch.setattr(apns, "APNS_PATH", b"/3/devices/")
    async with scene(tmp_path) as s:
        said = await s.examine()
        assert (said.code, said.blame) == (2, Blame.WIRE)
        assert "404 BadPath" in said.says
        assert "aioapns was answered 200" in said.says


async def test_a_provider_that_ends_the_connection_on_us_alone_is_our_wire_too(tmp_path: Path) -> None:
    """The first connection is ours, and is dropped before its answer; the second is the library's."""
    async with scene(tmp_path) as s:
        s.apns.injections.drop_after = 1
        said = await s.examine()
        assert (said.code, said.blame) == (2, Blame.WIRE)
        assert "the connection ended" in said.says


async def test_trouble_of_the_provider_is_not_ours(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        s.apns.injections.answers = [(503, "ServiceUnavailable")] * 2
        said = await s.examine()
        assert (said.code, said.blame) == (1, Blame.PROVIDER)


# --- Google


async def test_at_google_a_dry_run_of_both_is_taken_and_no_phone_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")  # it does not lead the library another way
    async with scene(tmp_path, "fcm") as s:
        said = await s.examine()
        assert (said.code, said.blame) == (0, Blame.NOBODY)
        assert s.states == dict.fromkeys([*STEPS[:-1], "token", "answer"], "ok")
        ours, theirs = (json.loads(entry.body) for entry in s.fcm.journal.entries)
        assert ours == theirs
        assert ours["validate_only"] is True
        assert not s.fcm.registry.phones


async def test_an_account_that_google_does_not_know_is_the_operators(tmp_path: Path) -> None:
    async with scene(tmp_path, "fcm") as s:
        assert isinstance(s.app, FcmAppConfig)
        said = await s.examine(replace(s.app, account=replace(s.app.account, private_key=account_key()[0].decode())))
        assert (said.code, said.blame, s.failed.name) == (1, Blame.CREDENTIALS, "token")
        assert "invalid_grant" in said.says


async def test_a_clock_that_is_wrong_is_measured_by_googles_dates(tmp_path: Path) -> None:
    async with scene(tmp_path, "fcm") as s:
        s.oauth.skew = 7200.0
        said = await s.examine()
        assert (said.code, said.blame, s.failed.name) == (1, Blame.CLOCK, "token")
        assert "this machine's clock is 7200 s behind Google's" in said.says or "7199 s" in said.says


async def test_at_google_both_go_through_the_proxy(tmp_path: Path) -> None:
    async with scene(tmp_path, "fcm") as s:
        proxy = FakeProxy(open_on_loopback, "relay:s3cret@:")
        way = ProxyConfig(Address(LOOPBACK, await listen(s.nursery, proxy.serve_stream)), "relay:s3cret@:")
        said = await s.examine(replace(s.app, proxy=way))
        assert (said.code, said.blame) == (0, Blame.NOBODY)
        assert s.second.reading is not None
        assert [asked.status for asked in proxy.asked if asked.target.endswith(str(way.address.port))] == []
        assert len(proxy.asked) >= 4, "token and message, of both"


async def test_what_google_ran_into_is_told_and_not_what_pyfcm_makes_of_it(tmp_path: Path) -> None:
    async with scene(tmp_path, "fcm") as s:
        assert isinstance(s.app, FcmAppConfig)
        closed = replace(s.app.account, token_uri=f"https://{LOOPBACK}:{free_port()}/token")
        said = await s.examine(replace(s.app, account=closed))
        assert (said.code, said.blame, s.failed.name) == (1, Blame.NETWORK, "token")
        assert str(s.second) == "ConnectionRefusedError"


async def test_where_no_stream_may_be_opened_it_is_said_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        s.apns.streams = 0
        s.apns.limit = StreamLimit.OBSERVED
        await s.examine()
        assert (s.failed.name, s.failed.says) == ("answer", "the provider lets us open no stream")


# --- the command


def doctor(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["doctor", *map(str, arguments)])


async def test_the_command_tells_every_step_and_ends_with_a_sentence_or_with_json(tmp_path: Path) -> None:
    async with scene(tmp_path) as s:
        assert isinstance(s.app, AppConfig)
        assert s.app.endpoint is not None
        (tmp_path / "AuthKey.p8").write_bytes(s.app.key)
        (tmp_path / "master").touch(0o600)
        (tmp_path / "master").write_text("0:" + "A" * 43 + "=\n")
        config = tmp_path / "feierabend.toml"
        config.write_text(f"""
[store]
path = "relay.db"
key_file = "master"
[[tenants]]
name = "force"
[[tenants.apps]]
name = "ios"
topic = "{TOPIC}"
team_id = "{TEAM_ID}"
key_id = "{KEY_ID}"
key_file = "AuthKey.p8"
endpoint = "{s.app.endpoint}"
ca_file = "ca.pem"
""")
        as_text = await trio.to_thread.run_sync(doctor, "--config", config, "--apns", "ios")
        as_json = await trio.to_thread.run_sync(doctor, "--config", config, "--apns", "ios", "--json")
    assert (as_text.exit_code, as_json.exit_code) == (0, 0), as_text.output
    lines = as_text.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:-2]] == [[name, "ok"] for name in ("config", *STEPS)]
    assert lines[-2].split() == ["aioapns", "200"]
    assert lines[-1].startswith("All is well")
    told = json.loads(as_json.stdout)
    assert (told["exit"], told["blame"], told["answer"]) == (0, "nobody", "200")
    assert not (tmp_path / "relay.db").exists()

    for arguments, words in {
        ("--fcm", "ios"): "there is no such app",
        ("--apns", "other"): "there is no such app",
        ("--apns", "ios", "--tenant", "other"): "there is no such app",
    }.items():
        said = doctor("--config", config, *arguments)
        assert (said.exit_code, words in said.stdout) == (2, True), said.output
    assert doctor("--config", config).exit_code == 2
    (tmp_path / "two.toml").write_text(
        config.read_text() + config.read_text().partition('key_file = "master"\n')[2].replace("force", "fire")
    )
    said = doctor("--config", tmp_path / "two.toml", "--apns", "ios")
    assert (said.exit_code, "name one by --tenant" in said.stdout) == (2, True), said.output
    (tmp_path / "AuthKey.p8").write_text("nonsense")
    said = doctor("--config", config, "--apns", "ios")
    assert said.exit_code == 2
    assert [line.split()[:2] for line in said.stdout.splitlines()[:2]] == [["config", "ok"], ["credentials", "failed"]]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\xff\xfe", "ä".encode(), b"two\nlines", b"a b", b"a" * 4097], ids=range(7)
)
def test_what_is_no_device_token_is_refused_before_anything_is_asked(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    said = doctor("--config", tmp_path / "none.toml", "--apns", "ios", "--token-file", tmp_path / "token")
    assert said.exit_code == 2
    assert "--token-file: must hold one line of 1 to 4096 visible ASCII characters" in said.stderr


def test_json_has_the_same_members_when_nothing_could_be_asked(tmp_path: Path) -> None:
    said = doctor("--config", tmp_path / "none.toml", "--apns", "ios", "--json")
    told = json.loads(said.stdout)
    assert said.exit_code == told["exit"] == 2
    assert (told["answer"], told["library"], told["blame"]) == (None, None, "configuration")


async def test_what_lies_where_the_doctor_is_called_is_not_taken_for_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be handed the key of the team."""
    (tmp_path / "aioapns.py").write_text(f"open({str(tmp_path / 'called')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    await in_a_process({"provider": "apns"})
    assert not (tmp_path / "called").exists()


async def interrupted(*_: object, **__: object) -> None:
    """As trio tells of Ctrl-C where somebody waits in a nursery."""
    async with trio.open_nursery():
        raise KeyboardInterrupt


def test_ctrl_c_ends_it_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_doctor, "_app", lambda *_: object())
    monkeypatch.setattr(examination, "examine", interrupted)
    said = doctor("--config", tmp_path / "any.toml", "--apns", "ios")
    assert (said.exit_code, said.stderr.strip()) == (1, "Aborted!")
