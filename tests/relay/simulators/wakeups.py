"""Requests and provider tokens as a careful client of APNs makes them.

Tokens are signed by hand, not with the library that the fake checks them with.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from hpack import NeverIndexedHeaderTuple

from relay.clock import TrioClock
from relay.simulators.apns import FakeApns, StreamLimit
from relay.simulators.provider_token import TeamKey
from tests.relay.simulators.h2_client import Fields

START: Final = 1_800_000_000.0
TOPIC: Final = "example.feierabend.app"
DEVICE: Final = "ab" * 32
BODY: Final = b'{"aps":{"alert":{"loc-key":"W"},"mutable-content":1}}'


class SigningKey:
    """A team's key."""

    def __init__(
        self, team_id: str, key_id: str, environment: str = "production", private_pem: bytes | None = None
    ) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        if private_pem is not None:
            loaded = load_pem_private_key(private_pem, None)
            assert isinstance(loaded, ec.EllipticCurvePrivateKey)
            self._private = loaded
        pem = self._private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.public = TeamKey(team_id=team_id, key_id=key_id, public_pem=pem, environment=environment)

    def token(self, iat: object = int(START), *, is_der: bool = False, **changes: object) -> str:
        """A provider token. `changes` replace members of header and claims; None leaves one out."""
        header = {"alg": "ES256", "kid": self.public.key_id}
        claims: dict[str, object] = {"iss": self.public.team_id, "iat": iat}
        parts = [
            {name: value for name, value in (part | {k: v for k, v in changes.items() if k in names}).items() if value}
            for part, names in ((header, ("alg", "kid")), (claims, ("iss", "iat")))
        ]
        signed = b".".join(encoded(json.dumps(part).encode()) for part in parts)
        return (signed + b"." + encoded(self._signature(signed, is_der=is_der))).decode()

    def _signature(self, signed: bytes, *, is_der: bool) -> bytes:
        der = self._private.sign(signed, ec.ECDSA(hashes.SHA256()))
        return der if is_der else b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(der))


def encoded(data: bytes) -> bytes:
    """As JWTs encode their parts."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


KEY: Final = SigningKey("TEAM000001", "KEY0000001")
SECOND_KEY: Final = SigningKey("TEAM000001", "KEY0000002")
"""Another key of the same team."""
OTHER_TEAM: Final = SigningKey("TEAM000002", "KEY0000003")
SANDBOX_KEY: Final = SigningKey("TEAM000001", "KEY0000004", "sandbox")
KNOWN: Final = tuple(key.public for key in (KEY, SECOND_KEY, OTHER_TEAM, SANDBOX_KEY))
TOKEN: Final = KEY.token()


def fake_apns(
    *,
    streams: int = 1000,
    limit: StreamLimit = StreamLimit.OBSERVED,
    sandbox: bool = False,
    not_json: str = "PayloadEmpty",
    keys: Sequence[TeamKey] = KNOWN,
) -> FakeApns:
    """A fake that knows all keys above, in virtual time from START on."""
    return FakeApns(
        {key.key_id: key for key in keys}, {TOPIC}, TrioClock(START).now,
        streams=streams, limit=limit, sandbox=sandbox, not_json=not_json,
    )  # fmt: skip


def wakeup(token: str | None = TOKEN, *more: tuple[str, str], **changes: str | None) -> Fields:
    """Header fields of a request to which nothing can be objected.

    `changes` by name, with `_` for `-`, and `method` and `path` for the pseudo fields; None leaves a field out.
    """
    fields: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "api.push.apple.com",
        ":path": f"/3/device/{DEVICE}",
        "authorization": None if token is None else f"bearer {token}",
        "apns-topic": TOPIC,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(int(START) + 3600),
        "apns-collapse-id": "w",
    }
    for name, value in changes.items():
        fields[f":{name}" if name in ("method", "path") else name.replace("_", "-")] = value
    given = [(name, value) for name, value in fields.items() if value is not None] + list(more)
    return [_never_indexed(*pair) if pair[0] in (":path", "authorization") else pair for pair in given]


def _never_indexed(name: str, value: str) -> tuple[str, str]:
    return NeverIndexedHeaderTuple(name, value)  # type: ignore[return-value]  # a tuple, though not typed as one of two
