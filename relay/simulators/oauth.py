"""A fake of Google's token endpoint: a signed assertion becomes an access token (validations O-01 and O-02).

Without I/O; oauth_server.py speaks HTTP for it. Source: RFC 7523 and Google, "Using OAuth 2.0 for server to server
applications". Wording of errors as observed; what was not is marked [C].
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

import jwt

from relay.simulators.injections import Injections
from relay.simulators.journal import Journal

TOKEN_URI: Final = "https://oauth2.googleapis.com/token"
GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
LIFE: Final = 3599
"""Seconds."""
LONGEST_ASSERTION: Final = 3600
SKEW: Final = 300
"""Seconds that the clock of a client may be wrong by."""
REFRESHES_APART: Final = 300.0
"""Seconds within which a token is replaced once; F-06."""

ANSWERS: Final = {
    "500": (500, b'{"error":"internal_failure"}'),
    "503": (503, b"<html>Service Unavailable</html>"),
    "invalid_grant": (400, b'{"error":"invalid_grant","error_description":"Invalid JWT Signature."}'),
}
"""What it can be told to answer, by name."""
_OUT_OF_TIME: Final = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A service account as Google knows it."""

    client_email: str
    key_id: str
    public_pem: bytes


def account_file(account: Account, project: str, private_pem: bytes, token_uri: str) -> str:
    """The service account file that Google hands out for it."""
    content = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": account.key_id,
        "private_key": private_pem.decode(),
        "client_email": account.client_email,
        "client_id": "100000000000000000001",
        "token_uri": token_uri,
    }
    return json.dumps(content, indent=2) + "\n"


@dataclass(slots=True)
class _Issued:
    """What an account has got so far."""

    fetches: int = 0
    refreshed_at: float = float("-inf")


class _Refused(Exception):
    """(error, description)."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(error)
        self.content = {"error": error, "error_description": description}


@dataclass(slots=True)
class OauthCounts:
    """For assertions about single flight."""

    exchanges: int = 0
    """Requests of all kinds."""
    fetches: int = 0
    """Tokens given out."""
    outstanding: int = 0
    most_outstanding: int = 0


@dataclass(slots=True)
class FakeOauth:
    """Knows accounts, remembers tokens. `now`: UTC seconds.

    `token_uri`: its own URL, which assertions must name; or Google's, as Google's own libraries do wherever they ask.
    """

    accounts: Iterable[Account]
    now: Callable[[], float]
    expires_in: int = LIFE
    token_uri: str = TOKEN_URI
    skew: float = 0.0
    """Seconds that its clock is ahead of what `now` says."""
    are_refused: bool = False
    """FCM takes none of the tokens given out meanwhile."""
    journal: Journal = field(default_factory=Journal)
    injections: Injections[tuple[int, bytes]] = field(default_factory=Injections)
    """Answers are (status, body)."""
    counts: OauthCounts = field(default_factory=OauthCounts)
    _ends_at: dict[str, float] = field(default_factory=dict)
    """Access token → when it ends."""
    _issued: dict[str, _Issued] = field(default_factory=dict)
    """By account."""

    def exchange(self, form: bytes, content_type: str) -> tuple[int, bytes]:
        """(status, JSON) for one request."""
        self.counts.exchanges += 1
        if self.injections.answers:
            return self.injections.answers.pop(0)
        if name := self.injections.drawn(self.now()):
            return ANSWERS[name]
        try:
            account = self._check(_assertion(form, content_type))
        except _Refused as refused:
            return 400, json.dumps(refused.content).encode()
        return 200, json.dumps(self._issue(account)).encode()

    def is_good(self, bearer: str, now: float) -> bool:
        """Whether FCM should take the token."""
        return now < self._ends_at.get(bearer, float("-inf"))

    def revoke(self, bearer: str) -> None:
        """End a token before its time."""
        self._ends_at.pop(bearer, None)

    def revoke_all(self) -> None:
        """End every token."""
        self._ends_at.clear()

    def _issue(self, account: Account) -> dict[str, object]:
        now = self.now()
        issued = self._issued.setdefault(account.client_email, _Issued())
        if issued.fetches:
            if now - issued.refreshed_at < REFRESHES_APART:
                self.journal.violate("token_refreshed_too_often")
            issued.refreshed_at = now
        issued.fetches += 1
        self.counts.fetches += 1
        token = f"ya29.fake-{self.counts.fetches:08d}"
        if not self.are_refused:
            self._ends_at[token] = now + self.expires_in
        return {"access_token": token, "expires_in": self.expires_in, "token_type": "Bearer"}

    def _check(self, assertion: str) -> Account:
        try:
            kid = jwt.get_unverified_header(assertion).get("kid")
            claims = jwt.decode(assertion, options={"verify_signature": False})
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _Refused("invalid_grant", "Invalid JWT: Failed to parse.") from None  # [C]
        accounts = [account for account in self.accounts if account.client_email == claims.get("iss")]
        if not accounts:
            raise _Refused("invalid_grant", "Invalid grant: account not found")
        account = next((account for account in accounts if account.key_id == kid), None)
        if account is None or not _is_signed(assertion, account):
            raise _Refused("invalid_grant", "Invalid JWT Signature.")
        if claims.get("aud") not in (self.token_uri, TOKEN_URI):
            raise _Refused("invalid_grant", "Invalid JWT: Failed audience check.")
        if not _is_timely(claims.get("iat"), claims.get("exp"), self.now() + self.skew):
            raise _Refused("invalid_grant", _OUT_OF_TIME)
        if SCOPE not in str(claims.get("scope", "")).split():
            raise _Refused("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return account


def _assertion(form: bytes, content_type: str) -> str:
    """The assertion of a form to which nothing else can be objected."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise _Refused("invalid_request", "Content type is not application/x-www-form-urlencoded.")  # [C]
    try:
        pairs = parse_qsl(form.decode("ascii"), strict_parsing=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise _Refused("invalid_request", "Malformed form.") from None  # [C]
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _Refused("invalid_request", "Parameter given twice.")  # [C]
    if "grant_type" not in fields:
        raise _Refused("invalid_request", "Required parameter is missing: grant_type")
    if fields["grant_type"] != GRANT:
        raise _Refused("unsupported_grant_type", f"Invalid grant_type: {fields['grant_type']}")
    if "assertion" not in fields:
        raise _Refused("invalid_request", "Required parameter is missing: assertion")
    return fields["assertion"]


def _is_signed(assertion: str, account: Account) -> bool:
    try:
        jwt.decode(
            assertion, account.public_pem, algorithms=["RS256"],
            options={"verify_iat": False, "verify_exp": False, "verify_aud": False, "verify_nbf": False},
        )  # fmt: skip
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
    return True


def _is_timely(iat: object, exp: object, now: float) -> bool:
    if type(iat) not in (int, float) or type(exp) not in (int, float):
        return False
    assert isinstance(iat, int | float)
    assert isinstance(exp, int | float)
    return abs(iat - now) <= SKEW and now < exp <= iat + LONGEST_ASSERTION
