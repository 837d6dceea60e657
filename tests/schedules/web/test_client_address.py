"""The address that a client cannot choose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.web.client_address import LOOPBACK, NOBODY, client_address, networks

HERE = networks(LOOPBACK)
CHAIN = networks([*LOOPBACK, "10.0.0.0/8", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),  # no proxy of ours: it may write what it likes
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),  # the left one was sent by the client
        ("127.0.0.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        ("127.0.0.1", ["203.0.113.9,127.0.0.1"], "203.0.113.9"),
        ("127.0.0.1", ["127.0.0.2, ::1"], "127.0.0.2"),
        ("127.0.0.1", ["unknown"], "127.0.0.1"),
        ("127.0.0.1", ["203.0.113.9, unknown"], "127.0.0.1"),  # what stands left of it is not the proxy's word
        ("127.0.0.1", ["198.51.100.7:4711"], "198.51.100.7"),
        ("127.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("::1", ["2001:db8:1:2:3::4"], "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", [], "192.0.2.1"),
        ("::ffff:127.0.0.1", ["::ffff:198.51.100.7"], "198.51.100.7"),
        ("fe80::1%eth0", [], "fe80::/64"),
        ("2001:db8::1", ["198.51.100.7"], "2001:db8::/64"),
        (None, ["198.51.100.7"], NOBODY),
        ("", [], NOBODY),
    ],
)
def test_the_rightmost_hop_that_is_not_ours_counts(peer: str | None, forwarded: list[str], client: str) -> None:
    assert client_address(peer, forwarded, HERE) == client


def test_several_proxies_of_ours_are_looked_through() -> None:
    assert client_address("127.0.0.1", ["198.51.100.7, 10.1.1.1, fd00::5"], CHAIN) == "198.51.100.7"
    assert client_address("10.9.9.9", ["10.1.1.1"], CHAIN) == "10.1.1.1"


def test_trusting_nobody_is_possible() -> None:
    assert client_address("127.0.0.1", ["198.51.100.7"], networks([])) == "127.0.0.1"


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "proxy", "10.0.0.0/33"])
def test_a_proxy_that_is_no_network_is_named(wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong.split("/")[0]):
        networks(["127.0.0.1", wrong])


@given(st.text() | st.none(), st.lists(st.text(alphabet="0123456789abf.:,[]% /") | st.text(), max_size=4))
def test_garbage_is_some_address(peer: str | None, forwarded: list[str]) -> None:
    for who in (peer, "127.0.0.1", "::1"):
        assert len(client_address(who, forwarded, HERE)) <= 43


@given(st.lists(st.text(alphabet="0123456789.,"), max_size=3))
def test_a_client_cannot_choose(lies: list[str]) -> None:
    """Whatever it sends, the proxy appends where it came from."""
    assert client_address("127.0.0.1", [*lies, "198.51.100.7"], HERE) == "198.51.100.7"
