"""Setting injections: the forms and their faults, options of the command line, and the control port."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import httpx
import pytest
import trio
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from relay.simulators import addresses, knobs
from relay.simulators.apns import FakeApns
from relay.simulators.commands import fake as command
from relay.simulators.control import Control, apns_control, fcm_control
from relay.simulators.knobs import APNS, FCM, Knob, Panel, Refused, apns_panel, fcm_panel
from relay.simulators.oauth import FakeOauth
from tests.relay.simulators import messages
from tests.relay.simulators.h2_client import connected
from tests.relay.simulators.test_commands import running
from tests.relay.simulators.wakeups import BODY, DEVICE, fake_apns, wakeup

GOOD: dict[str, list[object]] = {
    "latency": ["constant:0.5", "log-normal:0.04,0.4", "bimodal:0.04,30,0.01"],
    "latency-per": ["token"],
    "token-delays": [{"ab": 1.5}],
    "connection-delays": [{"2": 1.0}],
    "shares": [{}],
    "odd": [{"ping": 0.5, "trailers": 1.0}],
    "burst": [None],
    "silent": [["a", "b"]],
    "drop-at": ["settings", "body"],
    "drop-how": ["reset"],
    "goaway-farewell": [[7, "Maximum active streams violated for this endpoint."]],
    "error-budget": [[10, 60.0], None],
    "retry-after": ["date"],
}
"""What can be set, in the form in which it is shown. Knobs that are not here take 1, 1.0 or true."""
BAD: dict[str, list[object]] = {
    "latency": ["soon", "log-normal:0.4,0.04", "bimodal:1,2,3", "constant:-1", "constant:nan", -1, None, [], True],
    "latency-per": ["day", None, 3],
    "token-delays": [{"ab": "x"}, {"ab": -1}, []],
    "connection-delays": [{"first": 1.0}],
    "shares": ["Nope:0.1", {"Nope": 0.1}, {"429": 2}, "x", [], 7, {"500": 0.6, "503": 0.6}],
    "odd": [{"odd": 1}, "ping:2"],
    "burst": [["Nope", 1, 1, 1], ["x"], 3],
    "silent": ["a", [1]],
    "drop-at": ["somewhere"],
    "goaway-farewell": [[7], ["7", "x"], [2**32, ""], [1.5, ""]],
    "error-budget": [[1], [-1, 5], [1, 0], ["1", 5]],
    "gone": [1.1, -0.1, "1", True],
    "goaway-every": [0, 1.5, "x"],
    "silence": [1, "true", None],
    "expires-in": [0, None],
}


def panel_of(table: tuple[Knob, ...]) -> Panel:
    if table is APNS:
        return apns_panel(fake_apns())
    fake = messages.fake_fcm()
    return fcm_panel(fake, FakeOauth([], fake.now))


@pytest.mark.parametrize("table", [APNS, FCM], ids=["apns", "fcm"])
async def test_what_is_set_is_shown_as_it_can_be_set(table: tuple[Knob, ...]) -> None:
    panel = panel_of(table)
    before = panel.values()
    assert list(before) == [knob.name for knob in table]
    panel.set(before)
    assert panel.values() == before
    for knob in table:
        for value in GOOD.get(knob.name.removeprefix("oauth-"), [True] if isinstance(before[knob.name], bool) else [1]):
            panel.set({knob.name: value})
            assert panel.values()[knob.name] == value
            text = value if isinstance(value, str) else json.dumps(value)
            panel.set(before)
            panel.set_options([f"{knob.name}={text}"])
            assert panel.values()[knob.name] == value, "the same from the command line"


@pytest.mark.parametrize("table", [APNS, FCM], ids=["apns", "fcm"])
async def test_what_does_not_fit_is_refused_with_its_name(table: tuple[Knob, ...]) -> None:
    panel = panel_of(table)
    before = panel.values()
    for knob in table:
        for value in BAD.get(knob.name.removeprefix("oauth-"), [{}, "x"]):
            with pytest.raises(Refused) as refused:
                panel.set({"silence": True, knob.name: value} if knob.name != "silence" else {"silence": value})
            assert [name for name, _ in refused.value.errors] == [knob.name]
            assert panel.values() == before, "nothing is half applied"


async def test_shares_can_be_written_short() -> None:
    panel = panel_of(APNS)
    panel.set_options(["shares=Unregistered:0.1,Shutdown:0.2", "odd=ping:1"])
    values = panel.values()
    assert (values["shares"], values["odd"]) == ({"Unregistered": 0.1, "Shutdown": 0.2}, {"ping": 1.0})


@pytest.mark.parametrize(
    ("options", "named"), [(["silence"], "silence"), (["gone=1", "gone=0"], "gone"), (["x=1"], "x"), (["=1"], "")]
)
async def test_options_that_are_none(options: list[str], named: str) -> None:
    with pytest.raises(Refused) as refused:
        panel_of(APNS).set_options(options)
    assert refused.value.errors[0][0] == named


Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda one: st.lists(one) | st.dictionaries(st.text(), one),
)


@given(st.sampled_from(APNS + FCM), Json)
def test_a_form_takes_a_value_or_says_what_it_takes(knob: Knob, value: object) -> None:
    """And what it takes can be shown as JSON, and taken again."""
    try:
        taken = knob.form.read(value, Random(0))
    except ValueError:
        with pytest.raises(ValueError, match=r"^must be "):
            knob.form.read(value, Random(0))
        return
    shown = knob.form.show(taken)
    assert knob.form.show(knob.form.read(json.loads(json.dumps(shown)), Random(0))) == shown


# The port


class Answer:
    def __init__(self, head: bytes, body: bytes) -> None:
        self.status = int(head.split()[1])
        self.content: Any = json.loads(body) if body else None


class Caller:
    """A client of the control port, by hand."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def ask(self, method: str, path: str, content: object = None, kind: str = "application/json") -> Answer:
        body = content if isinstance(content, bytes) else b"" if content is None else json.dumps(content).encode()
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n\r\n"
        await self._stream.send_all(head.encode() + body)
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self._stream.receive_some(65_536)
        head_bytes, _, rest = data.partition(b"\r\n\r\n")
        length = int(head_bytes.partition(b"content-length: ")[2].split()[0])
        while len(rest) < length:
            rest += await self._stream.receive_some(65_536)
        return Answer(head_bytes, rest)


@asynccontextmanager
async def controlled(control: Control) -> AsyncIterator[Caller]:
    here, there = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(control.serve_stream, there)
        yield Caller(here)
        await here.aclose()


@asynccontextmanager
async def an_apns() -> AsyncIterator[tuple[FakeApns, Caller]]:
    fake = fake_apns()
    async with controlled(apns_control(fake, apns_panel(fake))) as caller:
        yield fake, caller


async def test_injections_are_read_and_changed(autojump_clock: MockClock) -> None:
    async with an_apns() as (fake, caller):
        values = (await caller.ask("GET", "/injections")).content
        assert values == apns_panel(fake).values()
        assert (await caller.ask("PATCH", "/injections", {"gone": 1, "latency": 0.5})).status == 204
        values = (await caller.ask("GET", "/injections")).content
        assert (values["gone"], values["latency"], fake.injections.latency()) == (1.0, "constant:0.5", 0.5)


async def test_a_change_with_a_fault_changes_nothing(autojump_clock: MockClock) -> None:
    async with an_apns() as (fake, caller):
        answer = await caller.ask("PATCH", "/injections", {"gone": 1, "stall": 7, "what": 1})
        assert answer.status == 400
        assert answer.content == {
            "errors": [
                {"field": "stall", "reason": "must be a number from 0 to 1"},
                {"field": "what", "reason": "is not known"},
            ]
        }
        assert fake.injections.gone == 0.0


@pytest.mark.parametrize(
    ("content", "kind", "field"),
    [(b"{", "application/json", ""), (b"[]", "application/json", ""), (b"{}", "text/plain", "content-type")],
)
async def test_a_body_that_is_none(autojump_clock: MockClock, content: bytes, kind: str, field: str) -> None:
    async with an_apns() as (_, caller):
        answer = await caller.ask("PATCH", "/injections", content, kind)
        assert (answer.status, answer.content["errors"][0]["field"]) == (400, field)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/injections", 405), ("GET", "/tokens/gone", 405), ("GET", "/x", 404), ("POST", "/tokens/revoke", 404)],
)
async def test_what_there_is_not(autojump_clock: MockClock, method: str, path: str, status: int) -> None:
    async with an_apns() as (_, caller):
        assert (await caller.ask(method, path, {})).status == status
        assert (await caller.ask("GET", "/journal")).status == 200, "the connection goes on"


async def test_a_change_reaches_connections_that_are_open(autojump_clock: MockClock) -> None:
    async with an_apns() as (fake, caller), connected(fake) as client:
        await caller.ask("PATCH", "/injections", {"initial-window": 0, "table-size": 0})
        await client.pump_for(1)
        assert client.settings[-1] == {1: 0, 4: 0}
        await caller.ask("PATCH", "/injections", {"initial-window": None, "table-size": None})
        await client.pump_for(1)
        assert client.settings[-1] == {1: 4096, 4: 65_535}


async def test_acts_on_connections(autojump_clock: MockClock) -> None:
    async with an_apns() as (fake, caller), connected(fake) as client:
        assert (await caller.ask("POST", "/connections/streams", {"streams": 3})).status == 204
        assert (await caller.ask("POST", "/connections/settings", {"settings": {"4": 9}})).status == 204
        goaway = {"graceful": False, "code": 7, "debug": "x"}
        assert (await caller.ask("POST", "/connections/goaway", goaway)).status == 204
        await client.pump_for(1)
        assert [*client.settings[1:], fake.streams] == [{3: 3}, {4: 9}, 3]
        assert [(one.code, one.debug) for one in client.goaways] == [(7, b"x")]
        answer = await caller.ask("POST", "/connections/cut", {"how": "gently", "when": 1})
        assert {error["field"] for error in answer.content["errors"]} == {"how", "when"}
        assert (await caller.ask("POST", "/connections/cut")).status == 204
        await client.pump_for(1)
        assert client.closed


async def test_the_journal_and_the_tokens(autojump_clock: MockClock) -> None:
    async with an_apns() as (fake, caller), connected(fake) as client:
        await client.ask(wakeup(), BODY)
        assert (await caller.ask("POST", "/tokens/gone", {"tokens": ["AB" * 32]})).status == 204
        assert (await client.ask(wakeup(), BODY)).status == 410
        journal = (await caller.ask("GET", "/journal")).content
        assert (journal["requests"], journal["violations"]) == (2, {})
        tokens = (await caller.ask("GET", "/tokens")).content
        assert tokens["accepted"][DEVICE][0] == 1
        assert (tokens["refused"], tokens["dead"]) == ({DEVICE: [410, "Unregistered"]}, [DEVICE])
        assert (await caller.ask("POST", "/tokens/gone")).status == 400, "which?"


async def test_fcm_loses_all_access_tokens(autojump_clock: MockClock) -> None:
    fake = messages.fake_fcm()
    oauth = FakeOauth([], fake.now)
    oauth._ends_at["x"] = fake.now() + 100
    async with controlled(fcm_control(fake, oauth, fcm_panel(fake, oauth))) as caller:
        assert (await caller.ask("POST", "/tokens/revoke")).status == 204
    assert not oauth.is_good("x", fake.now())


# The command line


@pytest.mark.parametrize("kind", ["apns", "fcm"])
def test_the_list_of_injections(kind: str) -> None:
    listed = CliRunner().invoke(command, [kind, "--credentials", "x", "--inject", "help"])
    assert listed.exit_code == 0
    for knob in {"apns": APNS, "fcm": FCM}[kind]:
        assert f"\n{knob.name} " in f"\n{listed.output}"
        assert knob.form.says in listed.output


def test_an_injection_that_is_none(tmp_path: object) -> None:
    refused = CliRunner().invoke(command, ["apns", "--credentials", str(tmp_path), "--inject", "gone=2"])
    assert refused.exit_code == 2
    assert "gone: must be a number from 0 to 1" in refused.output


def test_names_are_given_once() -> None:
    for table in (knobs.APNS, knobs.FCM):
        assert len({knob.name for knob in table}) == len(table)


@pytest.mark.sockets
async def test_addresses_that_are_no_good() -> None:
    """A client that tries one address after the other comes to the good one."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(addresses.refuse, "127.0.0.2", port)
        await nursery.start(addresses.swallow, "127.0.0.3", port)
        with pytest.raises(OSError, match=r"refused|failed"):
            await trio.open_tcp_stream("127.0.0.2", port)
        with trio.move_on_after(0.3) as scope:
            await trio.open_tcp_stream("127.0.0.3", port)
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()
    for listener in listeners:
        await listener.aclose()


@pytest.mark.processes
async def test_a_process_is_controlled(tmp_path: object) -> None:
    options = ("--credentials", str(tmp_path), "--control", "0", "--seed", "3", "--inject", "gone=0.5")
    async with running("apns", *options) as simulator, httpx.AsyncClient(trust_env=False) as client:
        url = f"http://{simulator.said['control']}/injections"
        assert (await client.get(url)).json()["gone"] == 0.5
        assert (await client.patch(url, json={"gone": 0.25})).status_code == 204
        assert (await client.get(url)).json()["gone"] == 0.25
        await simulator.stop()
