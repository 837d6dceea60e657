"""API keys: who is let in, and which combinations may not exist."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.doors.keys import KEY_ID, SECRET_BYTES, ApiKey, Keys, Scope, digest_of, new_key
from tests.relay.doors.house import tenant

NORTH = tenant()


def key(key_id: str = "backend", secret: bytes = b"secret", *scopes: Scope) -> ApiKey:
    return ApiKey(key_id, digest_of(secret), frozenset(scopes or {Scope.EVENTS}), NORTH)


KEYS = Keys([key(), key("settings", b"other", Scope.REST)])


@pytest.mark.parametrize(
    "value",
    [b"Bearer backend.secret", b"bearer backend.secret", b"BEARER  backend.secret", b"Bearer backend.secret "],
)
def test_the_scheme_is_read_in_any_case(value: bytes) -> None:
    found = KEYS.find(value)
    assert found is not None
    assert found.id == "backend"


@pytest.mark.parametrize(
    "value",
    [
        b"", b"Bearer", b"Bearer ", b"Bearer .", b"Bearer backend", b"Bearer backend.", b"Bearer .secret",
        b"Bearer backend.other", b"Bearer backend.secretx", b"Bearer backend.secre", b"Bearer backend.secret.x",
        b"Bearer settings.secret", b"Bearer nobody.secret", b"Bearer Backend.secret", b"Basic backend.secret",
        b"backend.secret", b"Bearerbackend.secret", b"Bearer\tbackend.secret", b"Bearer backend. secret",
        b"Bearer \xff\xfe.\x00", b"Bearer " + b"a" * 10_000 + b"." + b"b" * 10_000, b"Bearer backend.\x00",
        b"Bearer backend.secret, Bearer backend.secret",
    ],
)  # fmt: skip
def test_everything_else_finds_nobody(value: bytes) -> None:
    assert KEYS.find(value) is None


@given(st.binary(max_size=80))
def test_no_bytes_find_a_key_or_fail(value: bytes) -> None:
    assert KEYS.find(value) is None
    assert KEYS.find(b"Bearer " + value) is None
    assert KEYS.find(b"Bearer backend." + value) is None or value.strip() == b"secret"


def test_nobody_knows_the_secret_of_an_unknown_id() -> None:
    """An unknown id is compared with a digest that has no secret, so that it takes as long as a known one."""
    assert Keys([]).find(b"Bearer x.") is None


def test_the_digest_itself_is_no_secret() -> None:
    """Who reads the configuration cannot use what stands there."""
    assert KEYS.find(b"Bearer backend." + digest_of(b"secret")) is None
    assert KEYS.find(b"Bearer backend." + digest_of(b"secret").hex().encode()) is None


def test_several_keys_of_a_tenant_are_valid_at_once() -> None:
    """One is replaced without a gap."""
    keys = Keys([key("old", b"1"), key("new", b"2")])
    assert [found.id for value in (b"Bearer old.1", b"Bearer new.2") if (found := keys.find(value))] == ["old", "new"]


def test_no_key_may_hold_events_and_rest() -> None:
    """Who writes to people must not be able to ask when they rest; every combination of scopes is tried."""
    for count in range(len(Scope) + 1):
        for scopes in itertools.combinations(Scope, count):
            both = Scope.EVENTS in scopes and Scope.REST in scopes
            made = ApiKey("k", digest_of(b"s"), frozenset(scopes), NORTH)
            if both:
                with pytest.raises(ValueError, match="events and rest"):
                    Keys([made])
            else:
                Keys([made])


def test_no_id_may_stand_for_two_keys() -> None:
    with pytest.raises(ValueError, match="used twice"):
        Keys([key("a", b"1"), key("a", b"2")])


def test_a_new_key_opens_with_what_is_handed_out_and_the_digest_that_is_kept() -> None:
    value, digest = new_key("backend-2026")
    key_id, _, secret = value.partition(".")
    assert KEY_ID.fullmatch(key_id)
    assert len(base64.urlsafe_b64decode(secret + "=")) == SECRET_BYTES
    keys = Keys([ApiKey(key_id, bytes.fromhex(digest), frozenset({Scope.EVENTS}), NORTH)])
    assert keys.find(b"Bearer " + value.encode()) is not None


def test_new_keys_are_never_the_same() -> None:
    assert len({new_key("a") for _ in range(100)}) == 100


def test_a_key_does_not_show_its_digest_or_tenant() -> None:
    """A key may stand in a log line."""
    shown = repr(key())
    assert "backend" in shown
    assert digest_of(b"secret").hex()[:8] not in shown
    assert "digest" not in shown
    assert "north" not in shown
