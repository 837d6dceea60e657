"""The fake token endpoint (O-01, O-02), without I/O and over HTTP/1.1."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlencode

import h11
import pytest
import trio
from google.oauth2 import service_account
from trio.testing import MockClock, memory_stream_pair

from relay.clock import TrioClock
from relay.simulators.certificates import account_key
from relay.simulators.oauth import GRANT, SCOPE, TOKEN_URI, FakeOauth, account_file
from relay.simulators.oauth_server import OauthServer
from tests.relay.simulators import h1_client
from tests.relay.simulators.assertions import ACCOUNT, FORM, GONE, OTHER_KEY, SECOND, START, assertion, form


class Endpoint:
    """A fake whose clock is set by hand."""

    def __init__(self, expires_in: int = 3599) -> None:
        self.now = float(START)
        self.fake = FakeOauth([ACCOUNT, SECOND], lambda: self.now, expires_in)

    def asked(self, body: bytes, content_type: str = FORM) -> tuple[int, dict[str, Any]]:
        status, answer = self.fake.exchange(body, content_type)
        content = json.loads(answer)
        assert isinstance(content, dict)
        return status, content

    def refused(self, body: bytes, content_type: str = FORM) -> tuple[str, str]:
        """(error, description); nothing was given out."""
        status, content = self.asked(body, content_type)
        assert status == 400
        assert self.fake.counts.fetches == 0
        return content["error"], content["error_description"]


def test_a_good_assertion_is_exchanged_for_a_token() -> None:
    endpoint = Endpoint()
    status, content = endpoint.asked(form(), FORM + "; charset=UTF-8")
    assert status == 200
    assert {**content, "access_token": ""} == {"access_token": "", "expires_in": 3599, "token_type": "Bearer"}
    assert endpoint.fake.is_good(content["access_token"], START)
    assert not endpoint.fake.is_good(content["access_token"] + "x", START)


def test_a_token_is_good_until_it_ends_or_is_revoked() -> None:
    endpoint = Endpoint(expires_in=2)
    first = endpoint.asked(form())[1]["access_token"]
    second = endpoint.asked(form())[1]["access_token"]
    assert first != second
    assert endpoint.fake.is_good(first, START + 1.9)
    assert not endpoint.fake.is_good(first, START + 2)
    endpoint.fake.revoke(second)
    endpoint.fake.revoke("never given out")
    assert not endpoint.fake.is_good(second, START)
    assert endpoint.fake.is_good(first, START)


@pytest.mark.parametrize(
    ("body", "content_type", "error"),
    [
        (form(), "application/json", "invalid_request"),
        (form(), "", "invalid_request"),
        (b"", FORM, "invalid_request"),
        (b"grant_type", FORM, "invalid_request"),
        (b"\xff=\xff", FORM, "invalid_request"),
        (form() + b"&grant_type=x", FORM, "invalid_request"),
        (b"assertion=x", FORM, "invalid_request"),
        (urlencode({"grant_type": GRANT}).encode(), FORM, "invalid_request"),
        (b"grant_type=client_credentials&assertion=x", FORM, "unsupported_grant_type"),
        (json.dumps({"grant_type": GRANT}).encode(), FORM, "invalid_request"),
    ],
)
def test_a_form_that_is_wrong_is_refused(body: bytes, content_type: str, error: str) -> None:
    assert Endpoint().refused(body, content_type)[0] == error


@pytest.mark.parametrize("token", ["x", "a.b.c", "..", assertion().rpartition(".")[0], "ä.ö.ü"])
def test_what_is_no_assertion_is_refused(token: str) -> None:
    assert Endpoint().refused(form(token))[0] == "invalid_grant"


SIGNATURE: Final = ("invalid_grant", "Invalid JWT Signature.")
NOT_FOUND: Final = ("invalid_grant", "Invalid grant: account not found")
AUDIENCE: Final = ("invalid_grant", "Invalid JWT: Failed audience check.")
SCOPES: Final = ("invalid_scope", "Invalid OAuth scope or ID token audience provided.")


@pytest.mark.parametrize(
    ("token", "error"),
    [
        (assertion(key=OTHER_KEY), SIGNATURE),
        (assertion()[:-4] + "AAAA", SIGNATURE),
        (assertion(kid="key2"), SIGNATURE),
        (assertion(kid=GONE), SIGNATURE),
        (assertion(alg="RS512"), SIGNATURE),
        (assertion(alg="none"), SIGNATURE),
        (assertion(iss="nobody@x"), NOT_FOUND),
        (assertion(iss=GONE), NOT_FOUND),
        (assertion(iss=SECOND.client_email), SIGNATURE),
        (assertion(aud="https://accounts.google.com/o/oauth2/token"), AUDIENCE),
        (assertion(aud=GONE), AUDIENCE),
        (assertion(scope="https://www.googleapis.com/auth/cloud-platform"), SCOPES),
        (assertion(scope=SCOPE + ".readonly"), SCOPES),
        (assertion(scope=GONE), SCOPES),
    ],
)
def test_an_assertion_that_is_wrong_is_refused_in_googles_words(token: str, error: tuple[str, str]) -> None:
    assert Endpoint().refused(form(token)) == error


def test_the_audience_is_its_own_address_or_googles() -> None:
    """Google's libraries name Google's, wherever the account file sends them."""
    endpoint = Endpoint()
    endpoint.fake.token_uri = "https://127.0.0.1:1/token"
    assert endpoint.asked(form(assertion(aud="https://127.0.0.1:1/token")))[0] == 200
    assert endpoint.asked(form(assertion(aud=TOKEN_URI)))[0] == 200
    assert endpoint.asked(form(assertion(aud="https://127.0.0.1:2/token")))[0] == 400


def test_other_scopes_beside_ours_do_no_harm() -> None:
    assert Endpoint().asked(form(assertion(scope=f"openid {SCOPE}")))[0] == 200


@pytest.mark.parametrize(
    ("iat", "exp"),
    [(0, 3600), (-300, 3300), (300, 3900), (0, 1), (-299, 1)],
)
def test_an_assertion_may_be_five_minutes_off(iat: int, exp: int) -> None:
    assert Endpoint().asked(form(assertion(iat=START + iat, exp=START + exp)))[0] == 200


@pytest.mark.parametrize(
    "token",
    [
        assertion(iat=START - 301, exp=START + 3000),
        assertion(iat=START + 301, exp=START + 3600),
        assertion(iat=START, exp=START + 3601),
        assertion(iat=START - 100, exp=START),
        assertion(iat=GONE),
        assertion(exp=GONE),
        assertion(iat=str(START)),
        assertion(exp=True),
    ],
)
def test_an_assertion_from_another_time_is_refused(token: str) -> None:
    error, description = Endpoint().refused(form(token))
    assert error == "invalid_grant"
    assert "short-lived token (60 minutes)" in description


def test_exchanges_and_tokens_are_counted() -> None:
    endpoint = Endpoint()
    endpoint.fake.exchange(b"", FORM)
    endpoint.fake.exchange(form(), FORM)
    assert (endpoint.fake.counts.exchanges, endpoint.fake.counts.fetches) == (2, 1)


def test_more_than_one_refresh_in_five_minutes_is_a_breach() -> None:
    """Per account; the first token is none, and a failed exchange neither."""
    endpoint = Endpoint()
    other = form(assertion(key=OTHER_KEY, iss=SECOND.client_email, kid="key2"))
    for body in (form(), other, form(), other, b""):
        endpoint.fake.exchange(body, FORM)
    violations = endpoint.fake.journal.violations
    assert not violations
    endpoint.now += 299
    endpoint.fake.exchange(form(), FORM)
    assert violations == {"token_refreshed_too_often": 1}
    endpoint.now += 300
    assert endpoint.asked(form(assertion(endpoint.now)))[0] == 200
    assert violations == {"token_refreshed_too_often": 1}


def test_an_injected_answer_is_given_once_and_gives_nothing_out() -> None:
    endpoint = Endpoint()
    endpoint.fake.injections.answers.append((503, b"<html>"))
    assert endpoint.fake.exchange(form(), FORM) == (503, b"<html>")
    assert endpoint.fake.counts.fetches == 0
    assert endpoint.asked(form())[0] == 200


# Over HTTP/1.1


class Caller:
    """One connection of a client."""

    def __init__(self, caller: h1_client.Caller) -> None:
        self._caller = caller

    async def post(self, body: bytes, path: str = "/token", method: str = "POST") -> tuple[int, bytes]:
        """Raises h11.RemoteProtocolError when the connection ends before an answer."""
        answer = await self._caller.ask(path, [("content-type", FORM)], body, method=method)
        return answer.status, answer.body


@asynccontextmanager
async def calling(fake: FakeOauth) -> AsyncIterator[Caller]:
    async with h1_client.calling(OauthServer(fake).serve_stream) as caller:
        yield Caller(caller)


def served() -> FakeOauth:
    return FakeOauth([ACCOUNT], TrioClock(START).now)


async def test_requests_are_answered_one_after_the_other_on_one_connection(autojump_clock: MockClock) -> None:
    fake = served()
    async with calling(fake) as caller:
        status, body = await caller.post(form())
        assert (status, fake.is_good(json.loads(body)["access_token"], START)) == (200, True)
        assert (await caller.post(form("x")))[0] == 400
        assert (await caller.post(form(), "/other"))[0] == 404
        assert (await caller.post(form(), method="PUT"))[0] == 405
        assert (await caller.post(form()))[0] == 200
    assert fake.counts.exchanges == 3


async def test_outstanding_requests_are_counted(autojump_clock: MockClock) -> None:
    fake = served()
    fake.injections.latency = lambda: 20.0
    began = trio.current_time()
    async with calling(fake) as one, calling(fake) as another, trio.open_nursery() as nursery:
        nursery.start_soon(one.post, form())
        nursery.start_soon(another.post, form())
        await trio.sleep(10)
        assert fake.counts.outstanding == 2
    assert trio.current_time() - began == pytest.approx(20)
    assert (fake.counts.outstanding, fake.counts.most_outstanding) == (0, 2)


async def test_a_connection_can_be_dropped_before_the_answer(autojump_clock: MockClock) -> None:
    fake = served()
    fake.injections.drop_after = 1
    async with calling(fake) as caller:
        with pytest.raises(h11.RemoteProtocolError):
            await caller.post(form())
    async with calling(fake) as caller:
        assert (await caller.post(form()))[0] == 200


async def test_what_is_no_http_ends_the_connection(autojump_clock: MockClock) -> None:
    here, there = memory_stream_pair()
    await here.send_all(b"\x16\x03\x01 what is this\r\n\r\n")
    await OauthServer(served()).serve_stream(there)


# What can be injected (O-03)


@pytest.mark.parametrize("answer", [(500, b""), (503, b"<html>"), (200, b"")])
async def test_an_injected_answer_passes_over_http_as_it_is(
    autojump_clock: MockClock, answer: tuple[int, bytes]
) -> None:
    fake = served()
    fake.injections.answers = [answer]
    async with calling(fake) as caller:
        assert await caller.post(form()) == answer
        assert (await caller.post(form()))[0] == 200


async def test_an_endpoint_that_says_nothing_keeps_its_client_for_as_long_as_that_waits(
    autojump_clock: MockClock,
) -> None:
    fake = served()
    fake.injections.silence = True
    async with calling(fake) as caller:
        with trio.move_on_after(1000) as scope:
            await caller.post(form())
        assert scope.cancelled_caught
        assert fake.counts.outstanding == 1
    assert fake.counts.outstanding == 0


def test_a_clock_that_is_ahead_makes_good_assertions_old() -> None:
    endpoint = Endpoint()
    endpoint.fake.skew = 300
    assert endpoint.asked(form())[0] == 200
    endpoint.fake.skew = 301
    status, content = endpoint.asked(form())
    assert (status, content["error"]) == (400, "invalid_grant")
    assert "reasonable timeframe" in content["error_description"]


def test_a_token_can_be_one_that_fcm_refuses_at_once() -> None:
    endpoint = Endpoint()
    endpoint.fake.are_refused = True
    refused = endpoint.asked(form())[1]["access_token"]
    endpoint.fake.are_refused = False
    assert not endpoint.fake.is_good(refused, START)
    assert endpoint.fake.is_good(endpoint.asked(form())[1]["access_token"], START)


def test_the_account_file_is_what_clients_of_google_read() -> None:
    private, _ = account_key()
    credentials = service_account.Credentials.from_service_account_info(  # type: ignore[no-untyped-call]
        json.loads(account_file(ACCOUNT, "police", private, "https://oauth.example/token"))
    )
    assert (credentials.service_account_email, credentials.project_id) == (ACCOUNT.client_email, "police")
