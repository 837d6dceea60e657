"""The constant bytes (I3): pinned, because a change here is a change of what Apple learns."""

from __future__ import annotations

import json

from relay.core.envelope import APNS_BODY, APNS_PATH, APNS_VARYING, apns_constant

ALLOWED: dict[str, object] = {"aps": {"alert": {"loc-key": "W"}, "mutable-content": 1}}
"""The whitelist of P5."""


def test_the_body_says_nothing() -> None:
    assert APNS_BODY == b'{"aps":{"alert":{"loc-key":"W"},"mutable-content":1}}'
    assert json.loads(APNS_BODY) == ALLOWED


def test_the_header_has_these_fields_in_this_order() -> None:
    """P2, P3, P11: no apns-id, no user agent, no trace; the collapse id is the same for everybody."""
    assert apns_constant("api.push.apple.com", "de.example.messenger") == (
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"api.push.apple.com"),
        (b"apns-topic", b"de.example.messenger"),
        (b"apns-push-type", b"alert"),
        (b"apns-priority", b"10"),
        (b"apns-collapse-id", b"w"),
        (b"content-length", b"53"),
    )


def test_the_length_is_that_of_the_body() -> None:
    assert dict(apns_constant("host", "topic"))[b"content-length"] == str(len(APNS_BODY)).encode()


def test_only_token_credential_and_expiration_vary() -> None:
    assert APNS_PATH == b"/3/device/"
    assert APNS_VARYING == (b"authorization", b"apns-expiration")
    assert not {name for name, _ in apns_constant("host", "topic")} & {*APNS_VARYING, b":path"}
