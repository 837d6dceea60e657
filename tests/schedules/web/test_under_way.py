"""A login that is under way opens again only here, in time, and for the browser that began it."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.web.oidc_token import LoginRefused, Refusal
from schedules.web.under_way import LIFE, LONGEST_STATE, PRE_LOGIN, Sealer, begin, binding, challenge, is_binding

NOW = 1_795_728_000.0
COOKIE = "s" * 43
SEALER = Sealer()
LOGIN = begin("1a2b3c4d", "/rhythm?day=2026-11-26", "de", NOW)
STATE = SEALER.seal(LOGIN, COOKIE)


def refusal(state: str, cookie: str | None = COOKIE, now: float = NOW, sealer: Sealer = SEALER) -> Refusal:
    with pytest.raises(LoginRefused) as caught:
        sealer.open(state, cookie, now)
    return caught.value.reason


@pytest.mark.parametrize("later", [0.0, LIFE - 1, 1 - LIFE])
def test_it_opens_again(later: float) -> None:
    assert SEALER.open(STATE, COOKIE, NOW + later) == LOGIN


def test_it_says_nothing_on_its_way() -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{200,600}", STATE)
    opened = base64.urlsafe_b64decode(STATE + "==")
    for secret in (LOGIN.nonce, LOGIN.verifier, LOGIN.back, LOGIN.provider):
        assert secret.encode() not in opened
        assert secret not in repr(LOGIN) or secret == LOGIN.provider


def test_no_two_are_alike() -> None:
    other = begin("1a2b3c4d", "/", "de", NOW)
    assert other.nonce != LOGIN.nonce
    assert other.verifier != LOGIN.verifier
    assert SEALER.seal(LOGIN, COOKIE) != STATE


@pytest.mark.parametrize("cookie", [None, "", "t" * 43, COOKIE + "s", "\udc80"])
def test_another_browser_cannot_open_it(cookie: str | None) -> None:
    """Login CSRF: state and code of somebody else, slipped to an officer."""
    assert refusal(STATE, cookie) is Refusal.STATE


def test_it_has_an_end() -> None:
    assert refusal(STATE, now=NOW + LIFE) is Refusal.LATE
    assert refusal(STATE, now=NOW - LIFE) is Refusal.LATE  # the clock was set back


def test_another_process_cannot_open_it() -> None:
    assert refusal(STATE, sealer=Sealer()) is Refusal.STATE


@given(st.integers(0, len(STATE) - 1), st.sampled_from("ABCabc012-_"))
def test_a_changed_one_does_not_open(place: int, letter: str) -> None:
    changed = STATE[:place] + letter + STATE[place + 1 :]
    if base64.urlsafe_b64decode(changed + "=" * (-len(changed) % 4)) != base64.urlsafe_b64decode(
        STATE + "=" * (-len(STATE) % 4)
    ):
        assert refusal(changed) is Refusal.STATE


@given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_garbage_does_not_open(state: str) -> None:
    assert refusal(state) is Refusal.STATE


def test_a_long_one_is_not_looked_at() -> None:
    assert refusal("A" * (LONGEST_STATE + 1)) is Refusal.STATE


def test_a_browser_without_a_cookie_gets_one_that_is_no_session() -> None:
    value = binding(None)
    assert value.startswith(PRE_LOGIN)
    assert is_binding(value)
    assert binding(None) != value
    assert binding(value) == value  # a second tab
    assert not is_binding(COOKIE)
    assert not is_binding(None)


@pytest.mark.parametrize("weak", ["", "a", "x" * 31, "x" * 201, "ä" * 40, "x y" * 20])
def test_what_could_be_guessed_is_replaced(weak: str) -> None:
    assert is_binding(binding(weak))
    assert binding(weak) != weak


def test_the_challenge_is_that_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
