"""A relay that runs already (`--url`): asked where it sends, and left alone unless that is simulators only.

Its ops port tells every address it would send to (`/providers`). Each must answer the handshake of the simulators
(relay/simulators/handshake.py), token endpoints too, so that no slip of a configuration load-tests Apple or Google.
Users are registered through the door under names that begin with `bench-`, and deleted when all is done. A backend's
key cannot write rests, so none of them rests.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

import httpx
import trio

from bench import door, stage
from relay.client import Call, Client, RelayFailure
from relay.simulators.handshake import doubt

PATIENCE = 3.0
"""Seconds a simulator may take for the handshake; it takes milliseconds."""
PIECE = 5_000
"""Users of one bulk request, the most the door takes."""
CONNECTIONS = 16


def add_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a relay that runs already, instead of one started for the purpose")
    group.add_argument("--url", help="its event door, http://host:port")
    group.add_argument("--key", help="an API key with the scopes events and devices, for alarms alarms as well")
    group.add_argument("--ops", help="its ops port, http://host:port: where it sends is asked there")
    group.add_argument("--app", help="the app to register phones for; default: its first one at APNs")


def node(options: argparse.Namespace) -> stage.Node | None:
    """The relay that was named; None when none was. Exits with 2 when it may not be used."""
    given = [options.url, options.key, options.ops]
    if not any(given):
        return None
    if not all(given):
        refuse("--url, --key and --ops go together")
    try:
        door.address(options.url)
    except ValueError as error:
        refuse(f"--url {error}")
    providers = _providers(options.ops)
    refuse_unless_simulators(providers)
    apps = [p["app"] for p in providers if p["provider"] == "apns" and options.app in (None, p["app"])]
    if not apps:
        refuse(f"the relay has no app {options.app or ''} at APNs".replace("  ", " "))
    return stage.Node(options.url, options.ops.rstrip("/"), options.key, apps[0])


def refuse_unless_simulators(providers: Sequence[Mapping[str, str]]) -> None:
    """Exits with 2, and says which address is in the way."""
    addresses = {(p["app"], p[name]) for p in providers for name in ("address", "token_address") if name in p}
    doubts = [(app, address, found) for app, address in sorted(addresses) if (found := trio.run(_doubt, address))]
    doubts += [(p["app"], p["proxy"], "is a proxy, and may lead anywhere") for p in providers if "proxy" in p]
    if doubts:
        listed = "".join(f"\n  app {app}: {address} {found}" for app, address, found in doubts)
        refuse(f"this relay does not send to simulators only; nothing was done{listed}")


def refuse(sentence: str) -> NoReturn:
    sys.stderr.write(f"bench: {sentence}\n")
    sys.exit(2)


def _providers(ops: str) -> list[dict[str, str]]:
    try:
        answer = httpx.get(f"{ops.rstrip('/')}/providers").raise_for_status()
        providers: list[dict[str, str]] = answer.json()["providers"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        refuse(f"the ops port does not tell where the relay sends ({type(error).__name__})")
    return providers


async def _doubt(address: str) -> str | None:
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        return "is no address"
    found: str | None = f"does not answer within {PATIENCE:g} s"
    with trio.move_on_after(PATIENCE):
        found = await doubt(host.strip("[]"), int(port))
    return found


@contextlib.contextmanager
def registered(node: stage.Node, tokens: stage.Tokens) -> Iterator[None]:
    """Users with these phones, for the length of the block. Exits with 2 when the relay does not take them."""
    users = [
        (stage.user_id(number), {f"phone-{index}": _phone(node.app, token) for index, token in enumerate(mine)})
        for number, mine in enumerate(tokens)
    ]
    taken: list[str] = []
    try:
        _register(node, users, taken)
        yield
    finally:
        _forget(node, taken)


def _register(node: stage.Node, users: Sequence[tuple[str, Mapping[str, object]]], taken: list[str]) -> None:
    """`taken` gets the names of those the relay knows, or may know."""
    piece: dict[str, object] = {}
    try:
        with Client(node.url, node.key, timeout=60) as client:
            for first in range(0, len(users), PIECE):
                piece = {name: {"devices": devices} for name, devices in users[first : first + PIECE]}
                taken += piece
                client.send(Call("PUT", "/v1/devices", {"users": piece}))
    except RelayFailure as error:
        del taken[-len(piece) :]
        refuse(f"the relay did not take the users: {error}")
    except httpx.HTTPError as error:
        refuse(f"the relay did not answer: {type(error).__name__}")


def _phone(app: str, token: str) -> dict[str, str]:
    return {"platform": "apns", "app": app, "token": token}


def _forget(node: stage.Node, names: Sequence[str]) -> None:
    """Delete users; one that is not there any more is as good."""
    requests = [door.request(node.key, method="DELETE", path=f"/v1/users/{name}") for name in names]
    try:
        answers = door.play(door.address(node.url), requests, [0] * len(requests), CONNECTIONS)
        left = sum(answer.status not in (204, 404) for answer in answers)
    except OSError:
        left = len(names)
    if left:
        sys.stderr.write(f"bench: up to {left} users named bench-… were left behind\n")
