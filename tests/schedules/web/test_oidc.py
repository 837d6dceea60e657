"""The exchange with a provider: what it is asked, what it may answer, and how often it is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from schedules.web.http import HttpClient
from schedules.web.oidc import CALL, LARGEST, Provider, provider_id
from schedules.web.oidc_metadata import is_allowed, metadata_address
from schedules.web.oidc_published import APART, FRESH, PAUSE, STALE
from schedules.web.oidc_token import LoginRefused, Refusal
from schedules.web.under_way import begin, challenge
from tests.schedules.web.issuer import ISSUER, NOW, signing_key
from tests.schedules.web.paper_provider import METADATA, SETTINGS, PaperProvider, error

LOGIN = begin("x", "/", "de", NOW)
BACK = "https://ruhe.example/login/callback"
DISCOVERY = "/.well-known/openid-configuration"


async def signed_in(paper: PaperProvider, provider: Provider, now: float = NOW, **changed: str) -> str:
    """Go there, come back, and be recognised."""
    paper.now = now
    address = await provider.address(LOGIN, "the-state", BACK, now)
    return await provider.user(LOGIN, paper.sign_in(address) | changed, BACK, now)


async def refused(paper: PaperProvider, provider: Provider, now: float = NOW, **changed: str) -> LoginRefused:
    with pytest.raises(LoginRefused) as caught:
        await signed_in(paper, provider, now, **changed)
    return caught.value


async def test_the_browser_is_sent_with_all_that_binds_the_answer() -> None:
    paper = PaperProvider(NOW)
    strict = replace(SETTINGS, acr_values=("loa3", "loa4"), scopes=("openid", "personnel"))
    address = await paper.provider(strict).address(LOGIN, "the-state", BACK, NOW)
    assert address.startswith(f"{ISSUER}/auth?realm=a&")
    assert parse_qs(urlsplit(address).query) == {
        "realm": ["a"],
        "response_type": ["code"],
        "client_id": ["feierabend"],
        "redirect_uri": [BACK],
        "scope": ["openid personnel"],
        "state": ["the-state"],
        "nonce": [LOGIN.nonce],
        "code_challenge": [challenge(LOGIN.verifier)],
        "code_challenge_method": ["S256"],
        "ui_locales": ["de"],
        "acr_values": ["loa3 loa4"],
    }


@pytest.mark.parametrize("settings", [SETTINGS, replace(SETTINGS, client_secret=None)], ids=["secret", "public"])
async def test_a_code_is_changed_for_a_user(settings: Any) -> None:  # noqa: ANN401
    paper = PaperProvider(NOW)
    if settings.client_secret is None:
        paper.metadata["token_endpoint_auth_methods_supported"] = ["none"]
    assert await signed_in(paper, paper.provider(settings)) == "anna"


async def test_a_code_is_good_once_and_with_its_verifier() -> None:
    paper = PaperProvider(NOW)
    provider = paper.provider()
    query = paper.sign_in(await provider.address(LOGIN, "s", BACK, NOW))
    other = begin("x", "/", "de", NOW)
    for login in (other, LOGIN):  # used up by the wrong try
        with pytest.raises(LoginRefused) as caught:
            await provider.user(login, query, BACK, NOW)
        assert caught.value.reason is Refusal.CODE


async def test_a_code_of_another_login_is_found_by_its_nonce() -> None:
    paper = PaperProvider(NOW)
    provider = paper.provider()
    query = paper.sign_in(await provider.address(LOGIN, "s", BACK, NOW), nonce="another")
    with pytest.raises(LoginRefused) as caught:
        await provider.user(LOGIN, query, BACK, NOW)
    assert caught.value.reason is Refusal.NONCE


async def test_what_the_configuration_requires_is_required() -> None:
    paper = PaperProvider(NOW, claims={"acr": "loa2", "amr": ["pwd"]})
    assert (await refused(paper, paper.provider(replace(SETTINGS, acr_values=("loa3",))))).reason is Refusal.ACR
    assert (await refused(paper, paper.provider(replace(SETTINGS, amr=("pwd", "otp"))))).reason is Refusal.AMR
    paper.claims = {"acr": "loa3", "amr": ["otp", "pwd"], "personnel": "4711"}
    strict = replace(SETTINGS, acr_values=("loa3",), amr=("pwd", "otp"), user_claim="personnel")
    assert await signed_in(paper, paper.provider(strict)) == "4711"


@pytest.mark.parametrize("issuer", ["https://evil.example", "", ISSUER + "/"])
async def test_an_answer_of_another_provider_is_refused_unasked(issuer: str) -> None:
    """Mix-up (RFC 9207): the code would be handed to the wrong one."""
    paper = PaperProvider(NOW)
    assert (await refused(paper, paper.provider(), iss=issuer)).reason is Refusal.ISSUER
    assert "/token" not in paper.asked


@pytest.mark.parametrize(("names", "reason"), [(True, Refusal.ISSUER), (False, None), ("true", None)])
async def test_a_provider_that_says_who_it_is_must_say_so(names: object, reason: Refusal | None) -> None:
    paper = PaperProvider(NOW)
    paper.metadata["authorization_response_iss_parameter_supported"] = names
    provider = paper.provider()
    query = paper.sign_in(await provider.address(LOGIN, "s", BACK, NOW))
    del query["iss"]
    found: object
    try:
        found = await provider.user(LOGIN, query, BACK, NOW)
    except LoginRefused as refusal:
        found = refusal.reason
    assert found == ("anna" if reason is None else reason)


@pytest.mark.parametrize("word", ["access_denied", "login_required", "<script>", "x" * 1000])
async def test_an_error_of_the_provider_is_told_by_its_name_only(word: str) -> None:
    paper = PaperProvider(NOW)
    refusal = await refused(paper, paper.provider(), error=word)
    assert refusal.reason is Refusal.CANCELLED
    assert refusal.detail == (word if "_" in word else "an error without a name")
    assert "/token" not in paper.asked


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (error(400, error="invalid_grant"), Refusal.CODE),
        (error(400, error="invalid_request"), Refusal.UNAVAILABLE),
        (error(401, error="invalid_client"), Refusal.UNAVAILABLE),
        (error(500), Refusal.UNAVAILABLE),
        (lambda: httpx.Response(302, headers={"location": "https://evil.example"}), Refusal.UNAVAILABLE),
        (lambda: httpx.Response(200, content=b"<html>"), Refusal.UNAVAILABLE),
        (lambda: httpx.Response(200, content=b"[" * 10_000), Refusal.UNAVAILABLE),
        (lambda: httpx.Response(200, content=b" " * (LARGEST + 1)), Refusal.UNAVAILABLE),
        (error(200, access_token="a"), Refusal.MALFORMED),
        (lambda: httpx.Response(200, json={"id_token": 7}), Refusal.MALFORMED),
        (error(200, id_token="a.b.c"), Refusal.MALFORMED),
    ],
)  # fmt: skip
async def test_what_a_provider_may_answer_to_a_code(answer: Any, reason: Refusal) -> None:  # noqa: ANN401
    paper = PaperProvider(NOW, answers={"/token": answer})
    refusal = await refused(paper, paper.provider())
    assert refusal.reason is reason
    for secret in (LOGIN.nonce, LOGIN.verifier, "geheim", "code-0"):
        assert secret not in f"{refusal} {refusal.detail}"


# --- what it says of itself


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("issuer", {"issuer": ISSUER + "/"}),
    ("issuer", {"issuer": None}),
    ("authorization_endpoint", {"authorization_endpoint": None}),
    ("authorization_endpoint", {"authorization_endpoint": "http://id.example/auth"}),
    ("authorization_endpoint", {"authorization_endpoint": "javascript:alert(1)"}),
    ("token_endpoint", {"token_endpoint": "https://id.example/ token"}),
    ("token_endpoint", {"token_endpoint": "http://127.0.0.1/token"}),
    ("token_endpoint", {"token_endpoint": "https://user:pass@id.example/"}),
    ("token_endpoint", {"token_endpoint": "https://id.example:99999/"}),
    ("jwks_uri", {"jwks_uri": 7}),
    ("jwks_uri", {"jwks_uri": "https://[::1"}),
    ("jwks_uri", {"jwks_uri": "file:///etc/passwd"}),
    ("end_session_endpoint", {"end_session_endpoint": "/end"}),
    ("response_types_supported", {"response_types_supported": ["id_token"]}),
    ("code_challenge_methods_supported", {"code_challenge_methods_supported": ["plain"]}),
    ("response_modes_supported", {"response_modes_supported": "query"}),
    ("token_endpoint_auth_methods_supported", {"token_endpoint_auth_methods_supported": ["private_key_jwt"]}),
]


@pytest.mark.parametrize(("member", "changed"), WRONG, ids=str)
async def test_a_provider_that_cannot_be_used_is_named_with_the_reason(member: str, changed: dict[str, Any]) -> None:
    paper = PaperProvider(NOW, {**METADATA, **changed})
    refusal = await refused(paper, paper.provider())
    assert refusal.reason is Refusal.UNAVAILABLE
    assert member in refusal.detail
    assert paper.asked == [DISCOVERY]


@pytest.mark.parametrize(
    "answer", [error(404), lambda: httpx.Response(200, content=b"[]"), lambda: httpx.Response(301)]
)
async def test_a_discovery_that_fails_is_a_refusal(answer: Any) -> None:  # noqa: ANN401
    paper = PaperProvider(NOW, answers={DISCOVERY: answer})
    assert (await refused(paper, paper.provider())).reason is Refusal.UNAVAILABLE


async def test_what_is_not_listed_is_tried() -> None:
    """Several providers have no list of what they can do."""
    metadata = {name: value for name, value in METADATA.items() if not name.endswith("_supported")}
    paper = PaperProvider(NOW, metadata)
    assert await signed_in(paper, paper.provider()) == "anna"


@pytest.mark.parametrize("issuer", ["https://id.example", "https://id.example/"])
def test_the_discovery_document_lies_below_the_issuer(issuer: str) -> None:
    assert metadata_address(issuer) == "https://id.example/.well-known/openid-configuration"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_plain_http_is_for_a_provider_on_this_machine(host: str) -> None:
    assert is_allowed(f"http://{host}:3000/token", f"http://{host}:3000")
    assert not is_allowed(f"http://{host}:3000/token", "https://id.example")
    assert not is_allowed("http://id.example/token", f"http://{host}:3000")


async def test_signing_out_there_needs_no_token_of_anybody() -> None:
    paper = PaperProvider(NOW)
    address = await paper.provider().logout_address("https://ruhe.example/", NOW)
    assert address == f"{ISSUER}/end?client_id=feierabend&post_logout_redirect_uri=https%3A%2F%2Fruhe.example%2F"
    del paper.metadata["end_session_endpoint"]
    assert await paper.provider().logout_address("https://ruhe.example/", NOW) is None
    paper.answers[DISCOVERY] = error(500)
    assert await paper.provider().logout_address("https://ruhe.example/", NOW) is None


def test_an_id_holds_over_restarts_and_tells_providers_apart() -> None:
    assert provider_id(SETTINGS) == provider_id(replace(SETTINGS, name="Other", amr=("otp",)))
    for other in (
        replace(SETTINGS, tenant="b"),
        replace(SETTINGS, issuer="https://b.example"),
        replace(SETTINGS, client_id="b"),
    ):
        assert provider_id(other) != provider_id(SETTINGS)


# --- how often it is asked


async def test_addresses_and_keys_are_read_once_an_hour() -> None:
    paper = PaperProvider(NOW)
    provider = paper.provider()
    for later in (0.0, 1.0, FRESH - 1):
        await signed_in(paper, provider, NOW + later)
    assert (paper.asked.count(DISCOVERY), paper.asked.count("/keys")) == (1, 1)
    await signed_in(paper, provider, NOW + FRESH)
    assert (paper.asked.count(DISCOVERY), paper.asked.count("/keys")) == (2, 2)


@pytest.mark.parametrize("kid", ["k2", "k1", None])
async def test_a_new_key_is_found_at_once(kid: str | None) -> None:
    """Under a new name, as it should be; under the old one, and without a name, as some do."""
    paper = PaperProvider(NOW)
    provider = paper.provider()
    await signed_in(paper, provider)
    paper.key = signing_key("ES256", kid, variant=7)
    assert await signed_in(paper, provider, NOW + 1) == "anna"
    assert paper.asked.count("/keys") == 2


async def test_a_key_that_is_missing_is_looked_for_once_a_minute() -> None:
    paper = PaperProvider(NOW)
    provider = paper.provider()
    await signed_in(paper, provider)
    published = {"keys": [paper.key.public_jwk()]}
    paper.key = signing_key("ES256", "k2")
    paper.answers["/keys"] = lambda: httpx.Response(200, json=published)
    for later in range(1, 60):
        assert (await refused(paper, provider, NOW + later)).reason is Refusal.KEY
    assert paper.asked.count("/keys") == 2
    del paper.answers["/keys"]
    assert (await refused(paper, provider, NOW + APART)).reason is Refusal.KEY
    assert await signed_in(paper, provider, NOW + 1 + APART) == "anna"


async def test_a_signature_that_stays_wrong_stays_refused() -> None:
    paper = PaperProvider(NOW)
    provider = paper.provider()
    published = {"keys": [paper.key.public_jwk()]}
    paper.key = signing_key("ES256", "k1", variant=8)
    paper.answers["/keys"] = lambda: httpx.Response(200, json=published)
    assert (await refused(paper, provider)).reason is Refusal.SIGNATURE
    assert paper.asked.count("/keys") == 2


async def test_two_who_miss_the_same_key_ask_once() -> None:
    paper = PaperProvider(NOW)
    provider = paper.provider()
    await signed_in(paper, provider)
    paper.key = signing_key("ES256", "k2")
    found: list[str] = []

    async def sign_in() -> None:
        found.append(await signed_in(paper, provider, NOW + 1))

    paper.held["/token"] = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(sign_in)
        await wait_all_tasks_blocked()
        paper.held["/token"].set()  # all at once
    assert found == ["anna"] * 5
    assert paper.asked.count("/keys") == 2


async def test_while_it_does_not_answer_what_was_known_is_good_for_a_day() -> None:
    paper = PaperProvider(NOW)
    provider = paper.provider()
    await signed_in(paper, provider)
    paper.answers = {DISCOVERY: error(502), "/keys": error(502)}
    assert await signed_in(paper, provider, NOW + FRESH) == "anna"
    assert await signed_in(paper, provider, NOW + STALE - 1) == "anna"
    assert (await refused(paper, provider, NOW + STALE)).reason is Refusal.UNAVAILABLE


async def test_a_provider_that_is_down_is_not_asked_by_everybody() -> None:
    paper = PaperProvider(NOW, answers={DISCOVERY: error(502)})
    provider = paper.provider()
    assert not (await refused(paper, provider)).is_echo
    for later in range(1, int(PAUSE)):
        assert (await refused(paper, provider, NOW + later)).is_echo
    assert paper.asked == [DISCOVERY]
    paper.answers.clear()
    assert await signed_in(paper, provider, NOW + PAUSE) == "anna"


class Silent(httpx.AsyncBaseTransport):
    """Takes a question and never answers."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        del request
        await trio.sleep_forever()
        raise AssertionError


async def test_a_provider_that_is_silent_is_waited_for_so_long(autojump_clock: MockClock) -> None:
    provider = Provider(SETTINGS, HttpClient(httpx.AsyncClient(transport=Silent()), LARGEST))
    begun = trio.current_time()
    with pytest.raises(LoginRefused, match="too slow"):
        await provider.address(LOGIN, "s", BACK, NOW)
    assert trio.current_time() - begun == CALL
    assert autojump_clock.autojump_threshold == 0


def test_nothing_of_it_is_printed() -> None:
    assert "geheim" not in repr(SETTINGS)
    assert "geheim" not in repr(PaperProvider(NOW).provider())
