"""Names inside the relay: stable for ever, and never the same for two different things.

The formula is written here a second time, from RFC 5869 and RFC 2104, with nothing of the product: a name that changes
makes everybody in every store a stranger.
"""

from __future__ import annotations

import hashlib
import hmac
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.pseudonym import Pseudonyms, prefixed, subkey

MASTER = bytes(range(32))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def hkdf(master: bytes, info: bytes) -> bytes:
    """RFC 5869 with SHA-256 and one block of output."""
    extracted = hmac.new(b"feierabend/1", master, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def joined(*parts: str) -> bytes:
    result = b""
    for part in parts:
        raw = part.encode("utf-8")
        result += len(raw).to_bytes(4, "big") + raw
    return result


def name(purpose: str, tenant: str, *parts: str) -> bytes:
    return hmac.new(hkdf(MASTER, joined(purpose, tenant)), joined(*parts), hashlib.sha256).digest()[:16]


@given(texts, texts, texts)
def test_names_follow_the_formula(tenant: str, one: str, other: str) -> None:
    names = Pseudonyms(MASTER, tenant)
    assert names.user(one) == name("user", tenant, tenant, one)
    assert names.device(one, other) == name("device", tenant, one, other)
    assert names.token(one, other) == name("token", tenant, one, other)
    assert names.request(one, other) == name("request", tenant, one, other)
    assert names.pass_key(one, other) == name("pass", tenant, one, other)
    keyed = hmac.new(hkdf(MASTER, joined("pass", tenant)), joined(one, other) + bytes(16), hashlib.sha256)
    assert names.pass_key(one, other, bytes(16)) == keyed.digest()[:16]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Pseudonyms(MASTER, "city").user("4711"), "9042686db0535f252dbe175dbbb9c695"),
        (Pseudonyms(MASTER, "city").device("4711", "phone"), "d4d23e5ecc08704e92615ffdc632a713"),
        (Pseudonyms(MASTER, "city").token("ios", "00aaff"), "65543c44a2e7acdee14e3f1c34f2c0f7"),
        (Pseudonyms(MASTER, "city").request("backend", "k-1"), "59586cfd8674f160caf939936bb86d99"),
        (Pseudonyms(MASTER, "city").pass_key("token", "s3cret"), "60ad1c8881930456f1a029a2334df4f9"),
        (Pseudonyms(MASTER, "city").pass_key("support", "12345678", bytes(16)), "239a8f7bce47620486f11f6b287aa979"),
        (Pseudonyms(MASTER, "city").user("Jürgen"), "6f404ffb72740589f26a9c95a3c98314"),
        (Pseudonyms(bytes(32), "city").user("4711"), "a76ad322b33466e7bddd82ae1a85ee3c"),
        (subkey(MASTER, "seal"), "2db0d0517f8c88d8b526db33b8ba5cd1b2a55150dc628503d173ca1d109d88ca"),
    ],
    ids=["user", "device", "token", "request", "pass", "code", "umlaut", "zero key", "seal"],
)
def test_names_are_those_of_the_first_version(found: bytes, expected: str) -> None:
    assert found.hex() == expected


@given(st.lists(texts, max_size=4), st.lists(texts, max_size=4))
def test_no_two_sequences_are_joined_alike(one: list[str], other: list[str]) -> None:
    assert (prefixed(*one) == prefixed(*other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("", "abc"), ("abc", "")),
        (("a", "\x00\x00\x00\x01b"), ("a\x00\x00\x00\x01b", "")),
        (("4711", "1"), ("471", "11")),
    ],
)
def test_parts_do_not_run_into_one_another(one: tuple[str, str], other: tuple[str, str]) -> None:
    names = Pseudonyms(MASTER, "city")
    assert names.device(*one) != names.device(*other)
    assert names.token(*one) != names.token(*other)
    assert names.request(*one) != names.request(*other)
    assert Pseudonyms(MASTER, one[0]).user(one[1]) != Pseudonyms(MASTER, other[0]).user(other[1])
    assert subkey(MASTER, *one) != subkey(MASTER, *other)


def test_everything_has_a_name_of_its_own() -> None:
    """Per key, tenant and purpose; the same words everywhere."""
    found = []
    for master in (MASTER, bytes(32)):
        found.append(subkey(master, "seal"))
        for tenant in ("city", "county"):
            names = Pseudonyms(master, tenant)
            found += [names.user("a"), names.device("a", "a"), names.token("a", "a"), names.request("a", "a")]
    for one, other in combinations(found, 2):
        assert one[:16] != other[:16]


@given(texts)
def test_a_name_has_16_bytes_and_nothing_of_the_words(user: str) -> None:
    found = bytes(Pseudonyms(MASTER, "city").user(user))
    assert len(found) == 16
    assert len(user.encode()) < 4 or user.encode() not in found
