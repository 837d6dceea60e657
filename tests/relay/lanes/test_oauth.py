"""Access tokens: fetched one at a time, before they end; the old one is used while that fails (virtual time)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import jwt
import pytest
import trio

from relay.clock import TrioClock
from relay.lanes.oauth import EARLY, EXCHANGE, FRESH, LONGEST_WAIT, STRAGGLERS, AccessToken, assertion
from tests.relay.lanes.google import NOON, account, fetched
from tests.relay.world import virtual

LIFE = 3599.0


class Endpoint:
    """Answers with tokens `ya29.1`, `ya29.2`, …; `fail` makes it do something else."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.forms: list[dict[str, str]] = []
        self.fail: Callable[[], tuple[int, bytes]] | None = None
        self.hangs = False
        self.at_once = 0

    async def post(self, uri: str, form: dict[str, str]) -> tuple[int, bytes]:
        assert uri == account().token_uri
        self.at_once += 1
        assert self.at_once == 1, "two exchanges at a time"
        try:
            self.asked.append(trio.current_time())
            self.forms.append(form)
            await trio.sleep(float("inf") if self.hangs else 0.2)
            if self.fail is not None:
                return self.fail()
            return 200, json.dumps({"access_token": f"ya29.{len(self.asked)}", "expires_in": LIFE}).encode()
        finally:
            self.at_once -= 1


class Scene:
    def __init__(self, endpoint: Endpoint, clock: TrioClock) -> None:
        self.endpoint = endpoint
        self.clock = clock
        self.token = AccessToken(account(), endpoint.post, clock, Random(1))
        self.changes = 0

    def changed(self) -> None:
        self.changes += 1

    @property
    def bearer(self) -> bytes:
        return self.token.bearer(self.clock.now())


@asynccontextmanager
async def scene(endpoint: Endpoint | None = None) -> AsyncIterator[Scene]:
    made = Scene(endpoint or Endpoint(), TrioClock(NOON))
    async with trio.open_nursery() as nursery:
        await nursery.start(made.token.run, made.changed)
        await trio.sleep(1)
        yield made
        nursery.cancel_scope.cancel()


def test_the_assertion_says_who_we_are_and_no_more() -> None:
    """RFC 7523, as Google asks for it."""
    signed = assertion(account(), NOON)
    assert jwt.get_unverified_header(signed) == {"alg": "RS256", "typ": "JWT", "kid": account().private_key_id}
    assert jwt.decode(signed, options={"verify_signature": False}) == {
        "iss": account().client_email,
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": account().token_uri,
        "iat": int(NOON),
        "exp": int(NOON) + 3600,
    }


@virtual
async def test_a_token_is_fetched_at_once_and_replaced_five_minutes_before_its_end() -> None:
    async with scene() as s:
        assert s.bearer == b"Bearer ya29.1"
        assert s.endpoint.forms[0].keys() == {"grant_type", "assertion"}
        await trio.sleep(LIFE - EARLY - 5)
        assert len(s.endpoint.asked) == 1
        await trio.sleep(10)
        assert (s.bearer, s.changes) == (b"Bearer ya29.2", 2)


@virtual
async def test_the_old_token_stays_in_use_while_exchanges_fail_and_no_longer_than_it_is_good() -> None:
    async with scene() as s:
        s.endpoint.fail = lambda: (503, b"")
        await trio.sleep(LIFE - 10)
        assert s.bearer == b"Bearer ya29.1"
        assert len(s.endpoint.asked) > 4
        await trio.sleep(20)
        assert s.bearer == b""
        pauses = [b - a for a, b in zip(s.endpoint.asked[1:], s.endpoint.asked[2:], strict=False)]
        assert max(pauses) <= LONGEST_WAIT + 1
        assert pauses[0] < 2 < pauses[-1]
        s.endpoint.fail = None
        await trio.sleep(LONGEST_WAIT + 1)
        assert s.bearer.startswith(b"Bearer ya29.")


@virtual
async def test_an_endpoint_that_does_not_answer_is_given_up_and_asked_again() -> None:
    endpoint = Endpoint()
    endpoint.hangs = True
    async with scene(endpoint) as s:
        await trio.sleep(EXCHANGE - 2)
        assert len(endpoint.asked) == 1
        endpoint.hangs = False
        await trio.sleep(4)
        assert s.bearer == b"Bearer ya29.2"


@virtual
async def test_a_refused_token_is_given_up_at_once_and_another_fetched() -> None:
    async with scene() as s:
        await trio.sleep(FRESH)
        assert s.token.refused(s.clock.now())
        assert s.bearer == b""
        assert s.token.refused(s.clock.now()), "many requests are in flight, and each says so"
        await trio.sleep(0.5)
        assert s.bearer == b"Bearer ya29.2"
        assert s.token.refused(s.clock.now()), "an answer that was about the token before"
        assert s.bearer == b"Bearer ya29.2"
        await trio.sleep(STRAGGLERS)
        assert not s.token.refused(s.clock.now())
        assert len(s.endpoint.asked) == 2


@virtual
async def test_a_fresh_token_that_is_refused_is_not_fetched_again() -> None:
    """Another would be refused as well: the account is wrong."""
    async with scene() as s:
        assert not s.token.refused(s.clock.now())
        await trio.sleep(FRESH - 10)
        assert not s.token.refused(s.clock.now())
        assert len(s.endpoint.asked) == 1


ANSWERS: list[Any] = [
    b"",
    b"[]",
    b"{}",
    b'{"access_token":"t"}',
    b'{"access_token":7,"expires_in":3599}',
    b'{"access_token":"a\\nb","expires_in":3599}',
    b'{"access_token":"t","expires_in":0}',
    b'{"access_token":"t","expires_in":"soon"}',
    b'{"access_token":"t","expires_in":1e9}',
    b'{"access_token":"t","expires_in":NaN}',
]


@pytest.mark.parametrize("body", ANSWERS)
def test_an_answer_that_holds_no_token_changes_nothing(body: bytes) -> None:
    token = fetched()
    assert not token.take(body, NOON + 60)
    assert token.bearer(NOON + 60) == b"Bearer ya29.token"


def test_a_token_does_not_show_itself() -> None:
    assert "ya29" not in repr(fetched())
    assert "PRIVATE" not in repr(account())
