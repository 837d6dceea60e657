"""An ID token lets somebody in only if everything about it is right; whatever is wrong has its own refusal."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from schedules.web.oidc_token import (
    LONGEST_AGE,
    LONGEST_TOKEN,
    LONGEST_USER,
    MOST_KEYS,
    Expected,
    LoginRefused,
    Refusal,
    read_keys,
    user_of,
)  # fmt: skip
from tests.schedules.web.issuer import (
    ACCESS,
    ALGORITHMS,
    CLIENT,
    ISSUER,
    NONCE,
    NOW,
    SigningKey,
    claims,
    half_hash,
    id_token,
    key_set,
    signing_key,
)  # fmt: skip

EXPECTED = Expected(issuer=ISSUER, client_id=CLIENT, nonce=NONCE)
STRICT = Expected(issuer=ISSUER, client_id=CLIENT, nonce=NONCE, acr_values=("loa3", "loa4"), amr=("pwd", "otp"))
KEY = signing_key("ES256")


def user(token: str, *known: SigningKey, expected: Expected = EXPECTED, access_token: str | None = ACCESS) -> str:
    keys = read_keys(key_set(*(known or (KEY,))))
    return user_of(token, keys=keys, expected=expected, access_token=access_token, now=NOW)


def refusal(
    token: str, *known: SigningKey, expected: Expected = EXPECTED, access_token: str | None = ACCESS
) -> Refusal:
    with pytest.raises(LoginRefused) as caught:
        user(token, *known, expected=expected, access_token=access_token)
    assert "anna" not in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_good_token_says_who_it_is(algorithm: str) -> None:
    key = signing_key(algorithm)
    assert user(id_token(key, claims(at_hash=half_hash(ACCESS, algorithm))), key) == "anna"


def test_the_user_is_whom_the_configured_claim_names() -> None:
    expected = Expected(issuer=ISSUER, client_id=CLIENT, nonce=NONCE, user_claim="personnel_number")
    assert user(id_token(KEY, claims(personnel_number="4711")), expected=expected) == "4711"
    assert refusal(id_token(KEY, claims()), expected=expected) is Refusal.USER


@pytest.mark.parametrize("wrong", ["", None, 4711, True, ["anna"], {"anna": 1}, "x" * (LONGEST_USER + 1), "\ud800"])
def test_a_user_is_a_text_of_1_to_200_characters(wrong: object) -> None:
    assert refusal(id_token(KEY, claims(sub=wrong))) is Refusal.USER


def test_a_user_of_200_characters_is_one() -> None:
    assert user(id_token(KEY, claims(sub="ü" * LONGEST_USER))) == "ü" * LONGEST_USER


WRONG_CLAIMS: list[tuple[Refusal, dict[str, Any]]] = [
    (Refusal.ISSUER, {"iss": None}),
    (Refusal.ISSUER, {"iss": ISSUER + "/"}),
    (Refusal.ISSUER, {"iss": [ISSUER]}),
    (Refusal.AUDIENCE, {"aud": None}),
    (Refusal.AUDIENCE, {"aud": "another"}),
    (Refusal.AUDIENCE, {"aud": []}),
    (Refusal.AUDIENCE, {"aud": {CLIENT: 1}}),
    (Refusal.AUDIENCE, {"aud": [CLIENT, "another"]}),
    (Refusal.AUDIENCE, {"aud": [CLIENT, "another"], "azp": "another"}),
    (Refusal.AUDIENCE, {"azp": "another"}),
    (Refusal.EXPIRED, {"exp": None}),
    (Refusal.EXPIRED, {"exp": int(NOW) - 60}),
    (Refusal.EXPIRED, {"exp": str(int(NOW) + 300)}),
    (Refusal.EXPIRED, {"exp": True}),
    (Refusal.EXPIRED, {"exp": float("nan")}),
    (Refusal.EXPIRED, {"exp": float("inf")}),
    (Refusal.EXPIRED, {"exp": 10**400}),
    (Refusal.ISSUED, {"iat": None}),
    (Refusal.ISSUED, {"iat": int(NOW) + 61}),
    (Refusal.ISSUED, {"iat": int(NOW - LONGEST_AGE) - 61}),
    (Refusal.ISSUED, {"iat": float("nan")}),
    (Refusal.ISSUED, {"nbf": int(NOW) + 61}),
    (Refusal.ISSUED, {"nbf": "soon"}),
    (Refusal.ISSUED, {"nbf": True}),
    (Refusal.NONCE, {"nonce": None}),
    (Refusal.NONCE, {"nonce": NONCE + "x"}),
    (Refusal.NONCE, {"nonce": [NONCE]}),
    (Refusal.NONCE, {"nonce": "\ud800"}),
    (Refusal.ACCESS_TOKEN, {"at_hash": half_hash("another", "ES256")}),
    (Refusal.ACCESS_TOKEN, {"at_hash": half_hash(ACCESS, "EdDSA")}),
    (Refusal.ACCESS_TOKEN, {"at_hash": 7}),
]


@pytest.mark.parametrize(("reason", "changed"), WRONG_CLAIMS, ids=str)
def test_a_wrong_claim_has_its_refusal(reason: Refusal, changed: dict[str, Any]) -> None:
    assert refusal(id_token(KEY, claims(**changed))) is reason


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": [CLIENT]},
        {"aud": [CLIENT, "another"], "azp": CLIENT},
        {"azp": CLIENT},
        {"exp": int(NOW) - 59},
        {"iat": int(NOW) + 60},
        {"iat": int(NOW - LONGEST_AGE) - 60},
        {"iat": NOW - 0.5},
        {"nbf": int(NOW) + 60},
        {"at_hash": half_hash(ACCESS, "ES256")},
    ],
    ids=str,
)
def test_what_is_just_right_is_right(changed: dict[str, Any]) -> None:
    assert user(id_token(KEY, claims(**changed))) == "anna"


@pytest.mark.parametrize("access_token", [None, "\u00e9"])
def test_a_hash_of_an_access_token_needs_one(access_token: str | None) -> None:
    token = id_token(KEY, claims(at_hash=half_hash(ACCESS, "ES256")))
    assert refusal(token, access_token=access_token) is Refusal.ACCESS_TOKEN


@pytest.mark.parametrize("acr", [None, "loa2", "LOA3", ["loa3"], "loa3 loa4", 3])
def test_another_level_than_required_is_refused_as_such(acr: object) -> None:
    assert refusal(id_token(KEY, claims(acr=acr, amr=["pwd", "otp"])), expected=STRICT) is Refusal.ACR


@pytest.mark.parametrize("amr", [None, [], ["otp"], ["pwd", "sms"], "pwd otp", {"pwd": 1, "otp": 1}])
def test_a_missing_means_is_refused_as_such(amr: object) -> None:
    assert refusal(id_token(KEY, claims(acr="loa4", amr=amr)), expected=STRICT) is Refusal.AMR


def test_all_that_is_required_is_enough() -> None:
    assert user(id_token(KEY, claims(acr="loa4", amr=["kba", "otp", "pwd"])), expected=STRICT) == "anna"


def forged(header: dict[str, Any], content: dict[str, Any], signature: bytes = b"") -> str:
    parts = (json.dumps(header).encode(), json.dumps(content).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@pytest.mark.parametrize(
    "algorithm", ["none", "None", "NONE", "", "HS256", "HS512", "RS384", "ES384", "ES256K", 7, None]
)
def test_an_algorithm_that_is_not_on_the_list_is_refused(algorithm: object) -> None:
    assert refusal(forged({"alg": algorithm, "kid": "k1"}, claims())) is Refusal.ALGORITHM


def test_a_public_key_is_no_secret_to_sign_with() -> None:
    """The old trick: HMAC, with the published key as its secret."""
    key = signing_key("RS256")
    head = forged({"alg": "HS256", "kid": "k1"}, claims()).rpartition(".")[0]
    for secret in (key_set(key), json.dumps(key.public_jwk()).encode()):
        signature = base64.urlsafe_b64encode(hmac.digest(secret, head.encode(), "sha256")).rstrip(b"=").decode()
        assert refusal(f"{head}.{signature}", key) is Refusal.ALGORITHM


def test_a_signature_by_another_key_is_refused() -> None:
    other = signing_key("ES256", "k1", variant=1)
    assert refusal(id_token(other, claims())) is Refusal.SIGNATURE


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_changed_claim_breaks_the_signature(algorithm: str) -> None:
    key = signing_key(algorithm)
    head, _, signature = id_token(key, claims()).split(".")
    body = forged({}, claims(sub="boss")).split(".")[1]
    assert refusal(f"{head}.{body}.{signature}", key) is Refusal.SIGNATURE


def test_an_unknown_key_is_another_refusal_than_a_bad_signature() -> None:
    assert refusal(id_token(signing_key("ES256", "k2"), claims())) is Refusal.KEY
    assert refusal(id_token(signing_key("RS256"), claims())) is Refusal.KEY  # k1, but a key for ES256


def test_a_key_is_used_with_the_algorithm_it_is_published_for() -> None:
    key = signing_key("RS256")
    as_ps256 = SigningKey(key.private, "PS256", "k1")
    assert refusal(id_token(as_ps256, claims()), key) is Refusal.KEY


def test_without_a_key_id_the_only_key_that_fits_is_meant() -> None:
    nameless = signing_key("ES256", None)
    assert user(id_token(nameless, claims()), nameless, signing_key("EdDSA")) == "anna"
    assert refusal(id_token(nameless, claims()), nameless, KEY) is Refusal.KEY


def test_of_two_keys_with_one_name_either_may_have_signed() -> None:
    """Some providers do so while they exchange them."""
    assert user(id_token(KEY, claims()), signing_key("ES256", "k1", variant=1), KEY) == "anna"


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"typ": "logout+jwt"}, {"typ": "at+jwt"}, {"typ": 7}, {"b64": False, "crit": ["b64"]}]
)
def test_a_token_of_another_kind_is_no_id_token(header: dict[str, Any]) -> None:
    made = {"alg": "ES256", "kid": "k1"} | header
    assert refusal(forged(made, claims(), b"x" * 64)) is Refusal.MALFORMED


@pytest.mark.parametrize(
    "token",
    [
        "", ".", "..", "...", "a.b", "a.b.c.d", "ä.b.c", "!.!.!", "e30.e30.", "W10.e30.", "bnVsbA.e30.",
        base64.urlsafe_b64encode(b"[" * 10_000).decode() + ".e30.", "a" * LONGEST_TOKEN + "..",
    ],
)  # fmt: skip
def test_what_is_no_token_is_malformed(token: str) -> None:
    assert refusal(token) in (Refusal.MALFORMED, Refusal.ALGORITHM)


@pytest.mark.parametrize("payload", [b"", b"[]", b"null", b"\xff", b"[" * 10_000, b'{"exp":' + b"9" * 5000 + b"}"])
def test_a_signed_payload_that_is_no_object_is_malformed(payload: bytes) -> None:
    token = jwt.PyJWS().encode(payload, KEY.private, algorithm="ES256", headers={"kid": "k1"})
    assert refusal(token) is Refusal.MALFORMED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
CLAIM = st.sampled_from(["iss", "sub", "aud", "azp", "exp", "iat", "nbf", "nonce", "at_hash", "acr", "amr"])


@given(
    st.text()
    | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode())
    | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*")
)
def test_garbage_is_refused_and_nothing_else(token: str) -> None:
    assert refusal(token) in Refusal


@given(st.dictionaries(st.sampled_from(["alg", "kid", "typ", "crit", "b64", "jwk", "x5c"]), JSON), JSON, st.binary())
def test_garbage_in_the_form_of_a_token_is_refused(header: dict[str, Any], content: Any, signature: bytes) -> None:  # noqa: ANN401
    assert refusal(forged(header, content, signature)) in Refusal
    assert refusal(forged({"alg": "ES256", "kid": "k1"} | header, content, signature)) in Refusal


@given(st.dictionaries(CLAIM, JSON, min_size=1))
def test_signed_garbage_is_refused_or_names_a_user(changed: dict[str, Any]) -> None:
    """A provider that signs nonsense makes no error of another kind, and lets in nobody but by a right claim."""
    content = claims(acr="loa3", amr=["pwd", "otp"]) | changed
    payload = json.dumps(content).encode()
    token = jwt.PyJWS().encode(payload, KEY.private, algorithm="ES256", headers={"kid": "k1"})
    try:
        found = user(token, expected=STRICT)
    except LoginRefused:
        return
    assert found == content["sub"]
    assert content["iss"] == ISSUER
    assert content["nonce"] == NONCE
    assert content["acr"] in STRICT.acr_values


# --- key sets


def kept(*jwks: object) -> int:
    return len(read_keys(json.dumps({"keys": [KEY.public_jwk(), *jwks]}).encode())) - 1


def test_keys_that_are_not_for_this_are_skipped() -> None:
    weak = SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=1024), "RS256", "weak")
    other_curve = SigningKey(ec.generate_private_key(ec.SECP384R1()), "ES384", "p384")
    private = jwt.get_algorithm_by_name("ES256").to_jwk(KEY.private, as_dict=True)
    good = KEY.public_jwk()
    assert kept(good, {"kty": "EC", "crv": "P-256", "x": good["x"], "y": good["y"]}) == 2
    assert kept(
        weak.public_jwk(),
        other_curve.public_jwk(),
        private | {"kid": "private"},
        good | {"use": "enc"},
        good | {"alg": "ECDH-ES"},
        good | {"alg": ["ES256"]},
        good | {"kid": 7},
        good | {"x": "AA"},
        good | {"crv": "P-384"},
        {"kty": "oct", "k": "c2VjcmV0", "kid": "k1", "alg": "HS256"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "OKP", "crv": "X25519", "x": "AA"},
        {},
        None,
        "key",
    ) == 0  # fmt: skip


def test_an_endless_key_set_is_cut() -> None:
    many = [KEY.public_jwk(kid=str(number)) for number in range(MOST_KEYS + 5)]
    assert len(read_keys(json.dumps({"keys": many}).encode())) == MOST_KEYS


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"[" * 100_000, b'{"keys": {}}', b'{"keys": []}', b"\xff"])
def test_a_key_set_without_keys_means_that_the_provider_cannot_be_used(body: bytes) -> None:
    with pytest.raises(LoginRefused) as caught:
        read_keys(body)
    assert caught.value.reason is Refusal.UNAVAILABLE


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(["kty", "crv", "alg", "kid", "use", "x", "y", "n", "e"]),
            JSON | st.sampled_from(["EC", "RSA", "OKP", "P-256", "Ed25519", "AQAB"]),
        ),
        max_size=3,
    )
)
def test_garbage_for_keys_is_skipped(keys: list[dict[str, Any]]) -> None:
    assert kept(*keys) >= 0
