"""TLS in front of the fake APNs (A-01): HTTP/2 agreed by ALPN, the server named, and throw-away credentials."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from relay.simulators.apns import FakeApns
from relay.simulators.certificates import Authority, account_key, provider_key
from tests.relay.simulators.h2_client import Client
from tests.relay.simulators.wakeups import BODY, fake_apns, wakeup


def trusting(authority: Authority, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.pem.decode())
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


@asynccontextmanager
async def over_tls(
    fake: FakeApns, authority: Authority, context: ssl.SSLContext, name: str | None
) -> AsyncIterator[trio.SSLStream[trio.abc.Stream]]:
    """The client's end of TLS in memory, before its handshake."""
    here, there = memory_stream_pair()
    server = trio.SSLStream(there, authority.server_context(), server_side=True, https_compatible=True)
    client: trio.SSLStream[trio.abc.Stream] = trio.SSLStream(here, context, server_hostname=name, https_compatible=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fake.serve_stream, server)
        yield client
        await trio.aclose_forcefully(client)


@pytest.mark.parametrize(
    ("names", "name"),
    [(("localhost",), "localhost"), (("127.0.0.1",), "127.0.0.1"), (("127.0.0.1", "localhost"), "localhost")],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_that_names_the_server_and_speaks_http2_is_served(
    autojump_clock: MockClock, names: tuple[str, ...], name: str, version: ssl.TLSVersion
) -> None:
    """By name, or by an address that the certificate is for."""
    fake, authority = fake_apns(), Authority(*names)
    context = trusting(authority, "h2")
    context.minimum_version = context.maximum_version = version
    async with over_tls(fake, authority, context, name) as stream:
        client = Client(stream)
        await client.start()
        assert (await client.ask(wakeup(), BODY)).status == 200
    assert not fake.journal.violations


@pytest.mark.parametrize("alpn", [(), ("http/1.1",), ("http/1.0", "http/1.1")])
async def test_a_client_that_does_not_offer_http2_is_not_served(
    autojump_clock: MockClock, alpn: tuple[str, ...]
) -> None:
    fake, authority = fake_apns(), Authority("localhost")
    async with over_tls(fake, authority, trusting(authority, *alpn), "localhost") as stream:
        await stream.do_handshake()
        assert await stream.receive_some() == b""
    assert fake.journal.violations == {"no_http2": 1}
    assert fake.journal.connections == 0


async def test_of_several_protocols_http2_is_taken(autojump_clock: MockClock) -> None:
    fake, authority = fake_apns(), Authority("localhost")
    async with over_tls(fake, authority, trusting(authority, "http/1.1", "h2"), "localhost") as stream:
        await stream.do_handshake()
        assert stream.selected_alpn_protocol() == "h2"


async def test_a_client_that_does_not_name_the_server_is_not_served(autojump_clock: MockClock) -> None:
    fake, authority = fake_apns(), Authority("localhost")
    context = trusting(authority, "h2")
    context.check_hostname = False
    async with over_tls(fake, authority, context, None) as stream:
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
    assert fake.journal.violations == {"no_server_name": 1}
    assert fake.journal.connections == 0


async def test_a_client_that_trusts_somebody_else_is_no_breach(autojump_clock: MockClock) -> None:
    fake, authority = fake_apns(), Authority("localhost")
    async with over_tls(fake, authority, trusting(Authority("localhost"), "h2"), "localhost") as stream:
        with pytest.raises(trio.BrokenResourceError):
            await stream.do_handshake()
    assert not fake.journal.violations
    assert fake.connections == 0


async def test_a_client_may_hang_up_in_the_middle_of_the_handshake(autojump_clock: MockClock) -> None:
    fake, authority = fake_apns(), Authority("localhost")
    async with over_tls(fake, authority, trusting(authority, "h2"), "localhost") as stream:
        await stream.transport_stream.send_all(b"\x16\x03\x01")
        await trio.testing.wait_all_tasks_blocked()
    assert not fake.journal.violations


@pytest.mark.sockets
async def test_the_fake_is_served_over_sockets_like_anything_else() -> None:
    """By trio's own listeners; clients of three kinds, on real sockets and in real time."""
    fake, authority = fake_apns(), Authority("localhost")
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(
            0, authority.server_context(), host="127.0.0.1", https_compatible=True
        )
        await nursery.start(trio.serve_listeners, fake.serve_stream, listeners)
        inner = listeners[0].transport_listener
        assert isinstance(inner, trio.SocketListener)
        port = inner.socket.getsockname()[1]
        statuses = []
        for alpn, name in (("h2", "localhost"), ("http/1.1", "localhost"), ("h2", None)):
            context = trusting(authority, alpn)
            context.check_hostname = name is not None
            plain = await trio.open_tcp_stream("127.0.0.1", port)
            stream = trio.SSLStream(plain, context, server_hostname=name, https_compatible=True)
            try:
                client = Client(stream)
                await client.start()
                statuses.append((await client.ask(wakeup(), BODY)).status)
            except trio.BrokenResourceError:
                statuses.append(0)
            finally:
                await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()
    assert statuses == [200, 0, 0]
    assert fake.journal.violations == {"no_http2": 1, "no_server_name": 1}


def test_the_context_for_clients_trusts_this_authority_only() -> None:
    authority = Authority()
    [certificate] = authority.client_context().get_ca_certs()
    [known] = trusting(authority).get_ca_certs()
    assert certificate == known
    assert certificate != trusting(Authority()).get_ca_certs()[0]


def test_a_provider_key_signs_what_its_public_half_verifies() -> None:
    private, public = provider_key()
    token = jwt.encode({"iss": "TEAM"}, private, algorithm="ES256")
    assert jwt.decode(token, public, algorithms=["ES256"]) == {"iss": "TEAM"}
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(token, provider_key()[1], algorithms=["ES256"])


def test_a_new_account_key_signs_what_its_public_half_verifies() -> None:
    private, public = account_key()
    token = jwt.encode({"iss": "x"}, private, algorithm="RS256")
    assert jwt.decode(token, public, algorithms=["RS256"]) == {"iss": "x"}
    assert account_key()[0] != private


async def test_a_server_of_http1_agrees_on_that(autojump_clock: MockClock) -> None:
    here, there = memory_stream_pair()
    authority = Authority("localhost")
    server = trio.SSLStream(there, authority.server_context("http/1.1"), server_side=True)
    client = trio.SSLStream(here, trusting(authority, "h2", "http/1.1"), server_hostname="localhost")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.do_handshake)
        await client.do_handshake()
    assert client.selected_alpn_protocol() == "http/1.1"
