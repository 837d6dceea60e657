"""Sealing: opens in its own place with the right key, and nowhere else."""

from __future__ import annotations

from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from relay.core.errors import RelayError
from relay.core.pseudonym import subkey
from relay.core.seal import NONCE_BYTES, OVERHEAD_BYTES, SealBroken, Seals, place

OLD, NEW = bytes(range(32)), bytes(range(100, 132))
HERE = place("city", "user", b"u" * 16)
seals = Seals({0: OLD}, 0)


@given(st.binary(max_size=2000))
def test_what_is_sealed_opens_again(content: bytes) -> None:
    sealed = seals.seal(HERE, content)
    assert seals.open(HERE, sealed) == content
    assert len(sealed) == len(content) + OVERHEAD_BYTES


def test_nothing_of_the_content_shows() -> None:
    sealed = seals.seal(HERE, b"canary" * 10)
    assert b"canary" not in sealed


def test_sealing_twice_gives_two_records() -> None:
    """A repeated nonce would give both contents away."""
    nonces = {seals.seal(HERE, b"same")[1 : 1 + NONCE_BYTES] for _ in range(1000)}
    assert len(nonces) == 1000


def test_the_format_is_key_id_nonce_and_aes_gcm() -> None:
    """Pinned with the library itself: what lies on disks today must open with the program of tomorrow."""
    sealed = Seals({0: OLD, 255: NEW}, 255).seal(HERE, b"content")
    assert sealed[0] == 255
    assert AESGCM(subkey(NEW, "seal")).decrypt(sealed[1:13], sealed[13:], HERE) == b"content"
    foreign = b"\x00" + b"n" * 12 + AESGCM(subkey(OLD, "seal")).encrypt(b"n" * 12, b"other", HERE)
    assert seals.open(HERE, foreign) == b"other"


def test_the_place_is_spelled_so() -> None:
    assert place("city", "device", b"u" * 16, b"d" * 16) == b"\x00\x04citydevice\x00" + b"u" * 16 + b"d" * 16
    assert place("Köln", "user", b"") == b"\x00\x05K\xc3\xb6lnuser\x00"


PLACES = [
    place(tenant, kind, user, device)
    for tenant in ("a", "ab", "b")
    for kind in ("user", "device", "rest", "buser")
    for user in (b"u" * 16, b"v" * 16)
    for device in (b"", b"u" * 16, b"v" * 16)
]


def test_no_two_places_are_spelled_alike() -> None:
    """Names of tenants and kinds that run into one another ("ab" "user" and "a" "buser") are two places."""
    assert len(set(PLACES)) == len(PLACES)


def test_a_record_opens_in_no_other_place() -> None:
    for one, other in pairwise(PLACES):
        with pytest.raises(SealBroken):
            seals.open(other, seals.seal(one, b"content"))


@given(st.data())
def test_a_record_with_any_byte_changed_does_not_open(data: st.DataObject) -> None:
    """The key's id, the nonce, the content and the tag."""
    sealed = bytearray(seals.seal(HERE, data.draw(st.binary(max_size=60))))
    position = data.draw(st.integers(0, len(sealed) - 1))
    sealed[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealBroken):
        seals.open(HERE, bytes(sealed))


@pytest.mark.parametrize("key_id", [0, 1])
def test_a_record_that_names_another_key_does_not_open(key_id: int) -> None:
    both = Seals({0: OLD, 1: NEW}, key_id)
    sealed = both.seal(HERE, b"content")
    with pytest.raises(SealBroken):
        both.open(HERE, bytes((1 - key_id,)) + sealed[1:])


def test_a_record_cut_short_or_made_longer_does_not_open() -> None:
    sealed = seals.seal(HERE, b"content")
    for wrong in [*(sealed[:length] for length in range(len(sealed))), sealed + b"\x00", b"\x00" + sealed]:
        with pytest.raises(SealBroken):
            seals.open(HERE, wrong)


@given(st.binary(max_size=100))
def test_arbitrary_bytes_do_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        seals.open(HERE, sealed)


def test_a_second_key_seals_while_the_first_still_opens() -> None:
    old = seals.seal(HERE, b"written before")
    rotated = Seals({0: OLD, 1: NEW}, 1)
    new = rotated.seal(HERE, b"written after")
    assert (old[0], new[0]) == (0, 1)
    assert rotated.open(HERE, old) == b"written before"
    assert rotated.open(HERE, new) == b"written after"
    with pytest.raises(SealBroken):
        seals.open(HERE, new)


def test_another_key_under_the_same_id_does_not_open() -> None:
    """A restored database with the wrong key file."""
    with pytest.raises(SealBroken):
        Seals({0: NEW}, 0).open(HERE, seals.seal(HERE, b"content"))


def test_what_does_not_open_says_nothing_of_itself() -> None:
    with pytest.raises(SealBroken) as caught:
        seals.open(place("city", "user", b"canary" + b"u" * 10), seals.seal(HERE, b"canary"))
    assert "canary" not in str(caught.value)
    assert isinstance(caught.value, RelayError)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("masters", "current"),
    [
        ({}, 0),
        ({0: OLD}, 1),
        ({0: OLD[:31]}, 0),
        ({0: OLD, 1: NEW + b"\x00"}, 0),
        ({0: b""}, 0),
        ({256: OLD}, 256),
        ({-1: OLD}, -1),
    ],
    ids=["no key", "current unknown", "short", "long", "empty", "id too large", "negative id"],
)
def test_keys_that_cannot_seal_are_refused_at_once(masters: dict[int, bytes], current: int) -> None:
    """Not at the first registration, hours later."""
    with pytest.raises(ValueError, match="key"):
        Seals(masters, current)


def test_the_master_key_itself_seals_nothing() -> None:
    """Pseudonyms are derived from it too; each purpose has a key of its own."""
    foreign = b"\x00" + b"n" * 12 + AESGCM(OLD).encrypt(b"n" * 12, b"content", HERE)
    with pytest.raises(SealBroken):
        seals.open(HERE, foreign)
