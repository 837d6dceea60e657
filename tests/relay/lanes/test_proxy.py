"""Through a proxy: its answer from bytes in any pieces, what each of its faults is called, and a lane behind one."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import structlog
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from relay.clock import TrioClock
from relay.config import Address, ProxyConfig
from relay.lanes.dialer import RIVAL
from relay.lanes.link import CONNECT, LONGEST_WAIT
from relay.lanes.proxy import ANSWER, HEAD, ConnectAnswer, Proxy, request, tunnel, verdict
from relay.simulators.proxy import ESTABLISHED, FakeProxy, Fault, Faults, read, refusal
from relay.ways import Ways
from relay.wire import Beneath, ConnectionLost
from tests.relay.world import NOON, World, app, tenant, virtual, world

SECRET = "relay:s3cret: with a colon"
GOOD = (
    ESTABLISHED,
    b"HTTP/1.0 200\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nVia: 1.1 proxy\r\nContent-Length: 7\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\nHTTP/1.1 204 \xfcber\r\nA:\r\n\r\n",
)
BAD = {
    b"220 mail.example ESMTP\r\n": "proxy_speaks_no_http",
    b"\x16\x03\x03\x00\x02\x02\x28": "proxy_speaks_no_http",
    b"HTTP/2 200\r\n\r\n": "proxy_speaks_no_http",
    b"HTTP/1.1 200 OK\n\n": "proxy_speaks_no_http",
    b"HTTP/1.1 099 no\r\n\r\n": "proxy_speaks_no_http",
    b"HTTP/1.1 2000\r\n\r\n": "proxy_speaks_no_http",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n": "proxy_speaks_no_http",
    b"HTTP/1.1 200 OK\r\n folded: no\r\n\r\n": "proxy_speaks_no_http",
    b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n": "proxy_speaks_no_http",
    b"HTTP/1.1 200 OK\r\nA: \x00\r\n\r\n": "proxy_speaks_no_http",
    b"HTTP/1.1 200 OK\r\nA: " + b"x" * HEAD: "proxy_head_too_large",
    b"HTTP/1.1 100 Continue\r\n\r\n" * (HEAD // 25 + 1): "proxy_head_too_large",
}


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    return [data[begin:end] for begin, end in pairwise(edges)]


def fed(parts: Sequence[bytes]) -> ConnectAnswer:
    """What comes after the answer is complete belongs to TLS, as it does in `tunnel`."""
    answer = ConnectAnswer()
    late = iter(parts)
    for part in late:
        if answer.receive(part):
            break
    answer.surplus += b"".join(late)
    return answer


@given(st.sampled_from(GOOD), st.binary(max_size=40), st.lists(st.integers(0, 200), max_size=12))
def test_an_answer_is_the_same_wherever_it_is_split_and_what_follows_is_not_lost(
    head: bytes, behind: bytes, cuts: list[int]
) -> None:
    answer = fed(pieces(head + behind, cuts))
    assert answer.status == (204 if b"204" in head else 200)
    assert answer.surplus == behind


@pytest.mark.parametrize("data", BAD, ids=lambda data: repr(data[:24]))
def test_what_is_no_answer_is_called_so_at_once_and_byte_by_byte(data: bytes) -> None:
    for parts in ([data], [data[i : i + 1] for i in range(len(data))]):
        with pytest.raises(ConnectionLost) as lost:
            fed(parts)
        assert lost.value.reason == BAD[data]


@given(
    st.lists(st.binary(max_size=300) | st.sampled_from([b"HTTP/1.1 200 ", b"\r\n", b"\r\n\r\n", b"A: b"]), max_size=60)
)
def test_whatever_comes_is_an_answer_or_a_word_and_never_more_than_is_allowed_for(parts: list[bytes]) -> None:
    word = ""
    try:
        is_complete = fed(parts).status is not None
    except ConnectionLost as lost:
        is_complete, word = False, lost.reason
    assert word in ("", "proxy_speaks_no_http", "proxy_head_too_large")
    assert is_complete or word or sum(map(len, parts)) <= HEAD


@pytest.mark.parametrize(
    ("status", "word"),
    [(200, None), (299, None), (403, "proxy_status_403"), (407, "proxy_refuses_credentials"), (302, "proxy_status_302"),
     (502, "proxy_status_502"), (504, "proxy_status_504")],
)  # fmt: skip
def test_only_2xx_is_a_tunnel_and_each_refusal_has_its_word(status: int, word: str | None) -> None:
    assert verdict(status, had_credentials=True) == word
    assert (verdict(status, had_credentials=False) == word) == (status != 407)
    assert fed([refusal(status)]).status == status


@pytest.mark.parametrize("host", ["api.push.apple.com", "127.0.0.1", "2001:db8::1"])
def test_what_is_asked_is_what_a_strict_proxy_reads(host: str) -> None:
    head = request(host, 443, Proxy("p", 1, SECRET).authorization)
    target, fields, wrong = read(head.removesuffix(b"\r\n\r\n"))
    assert (target, wrong) == (f"[{host}]:443" if ":" in host else f"{host}:443", "")
    assert fields.keys() == {"host", "proxy-authorization"}
    assert b"uthorization" not in request(host, 443, b"")


def test_the_secret_does_not_show() -> None:
    way = ProxyConfig(Address("p", 1), SECRET)
    shown = f"{way} {way!r} {Proxy('p', 1, SECRET)!r} {Proxy('p', 1, SECRET)}"
    assert "s3cret" not in shown
    assert Proxy("p", 1, SECRET).login == ("relay", "s3cret: with a colon")


async def test_what_comes_behind_the_head_is_the_first_that_is_read_of_the_tunnel() -> None:
    near, far = trio.testing.memory_stream_pair()

    async def reach(_address: str, _port: int) -> Beneath:
        return Beneath(near)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(far.send_all, ESTABLISHED + b"hel")
        tcp = await Proxy("p", 1).open(reach, "p", "h", 443)
        await far.send_all(b"lo")
        assert [await tcp.receive_some(2), await tcp.receive_some(), await tcp.receive_some()] == [b"he", b"l", b"lo"]


async def test_a_proxy_that_closes_first_is_called_so() -> None:
    for said in (b"", b"HTTP/1.1 200 OK\r\n"):
        near, far = trio.testing.memory_stream_pair()
        await far.send_all(said)
        await far.aclose()
        with pytest.raises(ConnectionLost, match="proxy_closed"):
            await tunnel(near, "h", 443, b"")


@virtual
async def test_a_name_of_the_proxy_that_is_not_found_is_its_trouble_and_so_is_a_lookup_that_hangs() -> None:
    async def unknown(host: str, port: int) -> list[str]:
        assert (host, port) == ("proxy.example", 3128)
        raise OSError

    async def hanging(_host: str, _port: int) -> list[str]:
        await trio.sleep_forever()

    for look_up in (unknown, hanging):
        with trio.fail_after(ANSWER + 1), pytest.raises(ConnectionLost, match="proxy_not_found"):
            await Proxy("proxy.example", 3128).resolving(look_up)("api.push.apple.com", 443)


async def test_credentials_that_were_replaced_are_used_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.touch(0o600)
    file.write_text("relay:new\n")
    ways, clock = Ways(), TrioClock(NOON)
    one, other = (replace(app(name), proxy=ProxyConfig(Address("p", 1), "relay:old", file)) for name in ("a", "b"))
    proxy = ways.proxy(one)
    assert proxy is not None
    assert proxy is ways.proxy(other), "one for all that are configured alike"
    (watched,) = ways.watched(clock)
    watched.look()
    assert proxy.login == ("relay", "new")
    file.write_text("no colon")
    with structlog.testing.capture_logs() as lines:
        watched.look()
    assert proxy.login == ("relay", "new")
    assert "colon" not in str(lines)
    assert lines[0]["event"] == "credential_rejected"


# --- through the relay


@asynccontextmanager
async def behind(credentials: str | None = SECRET, ours: str | None = SECRET) -> AsyncIterator[tuple[World, FakeProxy]]:
    """A world whose only way out is a proxy; not begun."""
    made: list[World] = []

    async def apple(host: str, port: int) -> trio.abc.Stream:
        assert (host, port) == ("api.push.apple.com", 443)
        near, far = trio.testing.memory_stream_pair()
        made[0].nursery.start_soon(made[0].fake.serve_stream, far)
        return near

    proxy = FakeProxy(apple, credentials)
    way = ProxyConfig(Address("proxy.example", 3128), ours)
    an_app = replace(app(), proxy=way)
    async with world(tenant(an_app), serve={an_app.name: proxy.serve_stream}, running=False) as w:
        made.append(w)
        yield w, proxy
        assert not proxy.violations


def reasons(lines: Sequence[structlog.typing.EventDict]) -> set[str]:
    return {line["reason"] for line in lines if line["event"] == "connect_failed"}


@virtual
async def test_a_wakeup_goes_through_the_proxy() -> None:
    async with behind() as (w, proxy):
        await w.begin()
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(1)
        assert w.rang("anna") == [0.0]
        assert [(asked.target, asked.status) for asked in proxy.asked] == [("api.push.apple.com:443", 200)]


@virtual
async def test_a_refused_password_is_named_tried_with_the_lanes_pauses_and_good_again_when_replaced() -> None:
    async with behind(ours="relay:old") as (w, proxy):
        with structlog.testing.capture_logs() as lines:
            await w.begin()
            await w.register("anna")
            await w.post("anna")
            await w.pass_time(10 * 60)
        assert reasons(lines) == {"proxy_refuses_credentials"}
        assert not re.search("old|s3cret|cmVsYXk", str(lines))
        assert 12 <= len(w.network.attempts) <= 30
        assert w.network.proxy is not None
        w.network.proxy.renew(SECRET)
        await w.pass_time(LONGEST_WAIT + 1)
        assert len(w.rang("anna")) == 1
        assert proxy.asked[-1].status == 200


FAULTS = {
    "proxy_status_502": Faults(status=502),
    "proxy_status_403": Faults(status=403),
    "proxy_silent": Faults(fault=Fault.SILENCE),
    "proxy_speaks_no_http": Faults(fault=Fault.GARBAGE),
    "proxy_closed": Faults(fault=Fault.CUT),
}


@pytest.mark.parametrize("word", FAULTS)
def test_each_fault_of_a_proxy_has_its_name_and_costs_no_more_than_a_connect(word: str) -> None:
    @virtual
    async def run() -> None:
        async with behind() as (w, proxy):
            proxy.faults = FAULTS[word]
            with structlog.testing.capture_logs() as lines:
                await w.begin()
                await w.register("anna")
                await w.post("anna")
                await w.pass_time(CONNECT - 0.1)
            assert reasons(lines) == {word}
            proxy.faults = Faults()
            await w.pass_time(ANSWER + LONGEST_WAIT)
            assert len(w.rang("anna")) == 1

    run()


@given(st.lists(st.integers(1, len(ESTABLISHED) - 1), unique=True).map(sorted), st.sampled_from([0.0, 0.01]))
def test_an_answer_in_pieces_and_slow_is_an_answer(cuts: list[int], pace: float) -> None:
    @virtual
    async def run() -> None:
        async with behind() as (w, proxy):
            proxy.faults = Faults(pieces=tuple(cuts), pace=pace)
            await w.begin()
            await w.register("anna")
            await w.post("anna")
            await w.pass_time(2)
            assert len(w.rang("anna")) == 1

    run()


@virtual
async def test_a_proxy_that_dribbles_is_given_up_in_time() -> None:
    async with behind() as (w, proxy):
        proxy.faults = Faults(pace=1.0)
        with structlog.testing.capture_logs() as lines:
            await w.begin()
            await w.pass_time(ANSWER + 0.1)
        assert reasons(lines) == {"proxy_silent"}


@virtual
async def test_the_addresses_of_the_proxy_are_raced_as_those_of_a_provider() -> None:
    async with behind() as (w, _proxy):
        w.network.addresses = ["10.0.0.1", "10.0.0.2"]
        w.network.swallowing = {"10.0.0.1"}
        await w.begin()
        await w.register("anna")
        await w.alarm("anna")
        await w.pass_time(3)
        assert w.rang("anna") == [RIVAL]
        assert w.network.tried == ["10.0.0.1", "10.0.0.2"]


@virtual
async def test_a_proxy_nobody_answers_at_is_called_unreachable() -> None:
    async with behind() as (w, _proxy):
        with structlog.testing.capture_logs() as lines:
            w.network.reachable = False
            await w.begin()
            await w.pass_time(CONNECT)
            assert reasons(lines) == {"proxy_unreachable"}
            lines.clear()
            w.network.connect_seconds = 99.0
            await w.pass_time(4 * CONNECT)
        assert reasons(lines) == {"proxy_unreachable"}
