"""Signing in with an account that the organisation has anyway: OpenID Connect, authorization code flow with PKCE.

    address() ──▶ the browser goes to the provider, signs in, and is sent back with a code
    user()    ──▶ code and code verifier for an ID token, from the provider itself; its claim says who it is

Nothing of a login is kept here: `under_way.py` says where it is. What is kept is what the provider publishes, its
addresses and keys (`oidc_published.py`).

Every question to the provider has a deadline here. The access token and the ID token are dropped when they are read.

Rejected: a library for all of it (authlib and others bring sessions, registries and implicit flows); `id_token_hint`
at logout, for which the ID token, with all that it says of somebody, would have to be kept for hours.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import quote_plus, urlencode

import trio

from schedules.web.http import Answer, HttpClient, NoAnswer
from schedules.web.oidc_metadata import Metadata, metadata_address, read_metadata
from schedules.web.oidc_published import Published
from schedules.web.oidc_token import Expected, Key, LoginRefused, Refusal, parsed, read_keys, user_of
from schedules.web.settings import Provider as ProviderSettings
from schedules.web.under_way import UnderWay, challenge

CALL: Final = 10.0
"""Seconds for one question to the provider."""
LARGEST: Final = 256 * 1024
"""Bytes of an answer."""


def provider_id(settings: ProviderSettings) -> str:
    """What it is called in addresses: the same after a restart, and in whatever order they are configured."""
    said = f"{settings.tenant}\0{settings.issuer}\0{settings.client_id}"
    return hashlib.sha256(said.encode()).hexdigest()[:8]


class Provider:
    """One provider, as configured."""

    def __init__(self, settings: ProviderSettings, http: HttpClient) -> None:
        self.settings = settings
        self.id = provider_id(settings)
        self._http = http
        self._metadata: Published[Metadata] = Published()
        self._keys: Published[tuple[Key, ...]] = Published()

    def __repr__(self) -> str:
        return f"<Provider {self.id}>"

    async def address(self, login: UnderWay, state: str, redirect_uri: str, now: float, *, anew: bool = False) -> str:
        """Where the browser goes to sign in. Raises LoginRefused (UNAVAILABLE).

        `anew`: somebody who is signed in there is asked again, and not sent back as before.
        """
        metadata = await self._addresses(now)
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self.settings.scopes),
            "state": state,
            "nonce": login.nonce,
            "code_challenge": challenge(login.verifier),
            "code_challenge_method": "S256",
            "ui_locales": login.language,
        }
        if self.settings.acr_values:
            query["acr_values"] = " ".join(self.settings.acr_values)
        if anew:
            query["prompt"] = "login"
        return _with_query(metadata.authorization_endpoint, query)

    async def user(self, login: UnderWay, query: Mapping[str, str], redirect_uri: str, now: float) -> str:
        """Who came back from there, with which query. Raises LoginRefused."""
        metadata = await self._addresses(now)
        issuer = query.get("iss")
        if issuer != self.settings.issuer and (issuer is not None or metadata.names_issuer):
            raise LoginRefused(Refusal.ISSUER, "the redirect comes from another provider")
        if "error" in query:
            raise LoginRefused(Refusal.CANCELLED, _word(query["error"]))
        token, access_token = await self._exchange(metadata, query.get("code", ""), login.verifier, redirect_uri)
        expected = Expected(
            issuer=self.settings.issuer,
            client_id=self.settings.client_id,
            nonce=login.nonce,
            user_claim=self.settings.user_claim,
            acr_values=self.settings.acr_values,
            amr=self.settings.amr,
        )
        keys = await self._known_keys(metadata, now)
        try:
            return user_of(token, keys=keys, expected=expected, access_token=access_token, now=now)
        except LoginRefused as refused:
            if refused.reason not in (Refusal.KEY, Refusal.SIGNATURE):
                raise
            newer = await self._keys.newer(keys, lambda: self._fetch_keys(metadata), now)
            if newer is None:
                raise
        return user_of(token, keys=newer, expected=expected, access_token=access_token, now=now)

    async def logout_address(self, after: str, now: float) -> str | None:
        """Where the browser goes to sign out there too, and from there to `after`; None where there is no such place.

        Without `id_token_hint` the provider may ask whether that is meant.
        """
        try:
            ends = (await self._addresses(now)).end_session_endpoint
        except LoginRefused:
            return None
        if ends is None:
            return None
        return _with_query(ends, {"client_id": self.settings.client_id, "post_logout_redirect_uri": after})

    async def _addresses(self, now: float) -> Metadata:
        return await self._metadata.at(self._fetch_metadata, now)

    async def _known_keys(self, metadata: Metadata, now: float) -> tuple[Key, ...]:
        return await self._keys.at(lambda: self._fetch_keys(metadata), now)

    async def _fetch_metadata(self) -> Metadata:
        answer = await self._ask("GET", metadata_address(self.settings.issuer))
        _must_be_200(answer, "the discovery document")
        return read_metadata(answer.body, self.settings.issuer, has_secret=self.settings.client_secret is not None)

    async def _fetch_keys(self, metadata: Metadata) -> tuple[Key, ...]:
        answer = await self._ask("GET", metadata.jwks_uri)
        _must_be_200(answer, "the key set")
        return read_keys(answer.body)

    async def _exchange(
        self, metadata: Metadata, code: str, verifier: str, redirect_uri: str
    ) -> tuple[str, str | None]:
        """(ID token, access token) for a code. Raises LoginRefused."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        secret = self.settings.client_secret
        if secret is None:
            form["client_id"] = self.settings.client_id
        else:
            pair = f"{quote_plus(self.settings.client_id)}:{quote_plus(secret)}"  # RFC 6749, 2.3.1
            headers["authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        answer = await self._ask("POST", metadata.token_endpoint, headers, form)
        if answer.status != 200:
            raise self._not_taken(answer)
        content = parsed(answer.body, Refusal.UNAVAILABLE, "the answer to a code is no JSON object")
        token, access_token = content.get("id_token"), content.get("access_token")
        if not isinstance(token, str):
            raise LoginRefused(Refusal.MALFORMED, "the answer to a code has no ID token")
        return token, access_token if isinstance(access_token, str) else None

    def _not_taken(self, answer: Answer) -> LoginRefused:
        """A code is refused for itself (the officer starts again), or we are (the operator has to look)."""
        try:
            word = _word(parsed(answer.body, Refusal.UNAVAILABLE, "").get("error"))
        except LoginRefused:
            word = ""
        if answer.status == 400 and word == "invalid_grant":
            return LoginRefused(Refusal.CODE)
        return LoginRefused(Refusal.UNAVAILABLE, f"a code was answered with {answer.status} {word}".rstrip())

    async def _ask(
        self,
        method: str,
        address: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        form: Mapping[str, str] | None = None,
    ) -> Answer:
        try:
            with trio.fail_after(CALL):
                return await self._http.send(
                    method, address, headers={"accept": "application/json"} | dict(headers), form=form
                )
        except NoAnswer as error:
            raise LoginRefused(Refusal.UNAVAILABLE, f"no answer ({error})") from None
        except trio.TooSlowError:
            raise LoginRefused(Refusal.UNAVAILABLE, "no answer (too slow)") from None


def _must_be_200(answer: Answer, what: str) -> None:
    if answer.status != 200:
        raise LoginRefused(Refusal.UNAVAILABLE, f"{what} was answered with {answer.status}")


def _with_query(address: str, query: Mapping[str, str]) -> str:
    return address + ("&" if "?" in address else "?") + urlencode(query)


def _word(said: object) -> str:
    """An error code of OAuth, which are words; anything else is not repeated."""
    is_word = isinstance(said, str) and said.isascii() and said.replace("_", "").isalpha() and len(said) <= 40
    return str(said) if is_word else "an error without a name"
