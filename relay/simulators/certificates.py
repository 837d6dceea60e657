"""Throw-away certificates and keys. Nothing made here is good for anything but a simulator."""

from __future__ import annotations

import ipaddress
import ssl

import trustme
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from relay.simulators import handshake


class Authority:
    """A certificate authority that lives as long as the process."""

    def __init__(self, *names: str) -> None:
        """`names`: host names and addresses the server certificate is for."""
        names = names or ("localhost", "127.0.0.1")
        self._ca = trustme.CA()
        self._leaf = self._ca.issue_cert(*names)
        self._is_for_names_only = not any(_is_address(name) for name in names)

    @property
    def pem(self) -> bytes:
        """The authority's certificate, for the client's trust."""
        return self._ca.cert_pem.bytes()

    def server_context(self, *protocols: str) -> ssl.SSLContext:
        """TLS 1.2 or later; protocols by ALPN, the best first (`h2` if none is named), and the one by which simulators
        are known (handshake.py).

        A client must say which server it means (SNI). It need not where the certificate is for an address too: it may
        have come by that, which SNI cannot carry.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols([*(protocols or ("h2",)), handshake.PROTOCOL])
        self._leaf.configure_cert(context)
        if self._is_for_names_only:
            context.sni_callback = _refuse_nameless
        return context

    def client_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_alpn_protocols(["h2"])
        self._ca.configure_trust(context)
        return context


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refuse_nameless(_: object, name: str | None, __: ssl.SSLContext) -> int | None:
    return None if name else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME


def provider_key() -> tuple[bytes, bytes]:
    """A new provider signing key: (private PEM as Apple hands it out, public PEM)."""
    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def account_key() -> tuple[bytes, bytes]:
    """A new key of a service account: (private PEM as Google hands it out, public PEM)."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
