"""Whose request is it, for a limit? The address that a client cannot choose.

`X-Forwarded-For` can be written by anybody. Each proxy appends whom it was asked by; so it is read from the right, and
only as far as the one who wrote the entry is a proxy that is trusted (by default this machine). The first that is not
is the client. Without a trusted proxy the peer's address counts, whatever the field says.

An IPv6 address stands for its /64, for that is what one subscriber is given, and an IPv4 address in IPv6 for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
LOOPBACK: Final = ("127.0.0.0/8", "::1")
"""`trusted_proxies` where nothing else is configured."""
NOBODY: Final = "none"
"""Stands for a peer without an address, as on a Unix socket."""
SITE: Final = 64
"""Bits of an IPv6 address that count."""


def networks(trusted: Iterable[str]) -> tuple[Network, ...]:
    """From addresses and networks as they are configured. Raises ValueError, naming the wrong one."""
    return tuple(ip_network(each, strict=True) for each in trusted)


def client_address(peer: str | None, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """What the client is counted as. `forwarded`: the values of all `X-Forwarded-For` fields, in their order."""
    hop = _read(peer or "")
    if hop is None:
        return NOBODY
    for entry in reversed(",".join(forwarded).split(",")):
        if not any(hop.version == network.version and hop in network for network in trusted):
            break
        before = _read(entry)
        if before is None:  # the proxy does not say; what stands further to the left, somebody else has said
            break
        hop = before
    return str(hop) if hop.version == 4 else str(IPv6Network((hop, SITE), strict=False))


def _read(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: bare, with a port, in brackets."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
