"""/v1/me: what officers ask with a token of their own, and how they come by one.

The settings service has made sure who it talks to, asks for a link (`POST /v1/users/{user}/link`) and hands it over.
Whoever has the link changes it for a token, once, without a key. Secrets are made here; inside are only their hashes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from relay.core.batch import Bypass
from relay.core.errors import Problem
from relay.core.passes import LIVES, PassKind, Visit
from relay.core.private import Private
from relay.doors import decoding
from relay.doors.decoding import Body, Silent, check_members
from relay.doors.http1 import NO_STORE, Response
from relay.doors.keys import CODE_DIGITS, new_code, new_secret
from relay.doors.port import DeviceCondition, Engine, PassFacts
from relay.doors.router import TOKEN_PREFIX, Call
from schedules import Wake


class LinkBody(Silent):
    link: str


def _problems(value: object) -> list[Problem]:
    return check_members(value, "", {"link": decoding.a_text}, frozenset({"link"}))


LINK: Final = Body(LinkBody, _problems)


async def post_link(call: Call, engine: Engine) -> Response:
    """A link for a person the relay knows; for who has made sure that this is the person."""
    link = new_secret()
    await engine.issue(call.tenant, call.user, PassKind.LINK, Private(link))
    return _issued(PassKind.LINK, link)


async def post_token(call: Call, engine: Engine) -> Response:
    """A token for a link, which is used up by that."""
    body = LINK.decode(call.content_type, call.body)
    token = new_secret()
    await engine.redeem(Private(body.link), Private(token))
    return _issued(PassKind.TOKEN, TOKEN_PREFIX.decode() + token)


async def delete_token(call: Call, engine: Engine) -> Response:
    """The token or session with which this is asked ends."""
    officer = call.officer
    await engine.end(officer.tenant, officer.user, officer.kind, officer.token)
    return Response(204)


async def post_support(call: Call, engine: Engine) -> Response:
    """A code to be read out. One that was given before ends."""
    code = new_code()
    await engine.issue(call.tenant, call.user, PassKind.SUPPORT, Private(code))
    half = CODE_DIGITS // 2
    return _issued(PassKind.SUPPORT, f"{code[:half]} {code[half:]}", "code")


async def delete_support(call: Call, engine: Engine) -> Response:
    await engine.end(call.tenant, call.user, PassKind.SUPPORT)
    return Response(204)


async def get_support(call: Call, engine: Engine) -> Response:
    """Who was shown the officer's rest, newest first; and until when a code is good."""
    visits = [visit(each) for each in await engine.visits(call.user)]
    until = engine.support_until(call.user, call.now)
    return Response(200, msgspec.json.encode({"visits": visits, "until": until}))


def known_pass(known: PassFacts) -> dict[str, object]:
    """What its owner is told of a link, a code, a token or a session."""
    return {
        "kind": known.kind.value,
        "begun_at": known.begun_at,
        "used_at": known.used_at,
        "expires_at": known.expires_at,
    }


async def get_bypasses(call: Call, engine: Engine) -> Response:
    """What went out to the officer in spite of rest, or might have, in the last 90 days, newest first."""
    bypasses = [bypass(each) for each in await engine.bypasses(call.tenant, call.user)]
    return Response(200, msgspec.json.encode({"bypasses": bypasses}))


async def get_devices(call: Call, engine: Engine) -> Response:
    """Each of them, and whether it follows the rest."""
    wakes = engine.wakes(call.tenant, call.user, call.now)
    devices = [device(each, wakes) for each in engine.condition(call.tenant, call.user, call.now).devices]
    return Response(200, msgspec.json.encode({"devices": devices}))


def device(condition: DeviceCondition, wakes: Mapping[str, str]) -> dict[str, Any]:
    """As its owner is told of it."""
    return {
        "device": condition.device.reveal(),
        "platform": condition.platform.value,
        "app": condition.app,
        "registered_at": condition.registered_at,
        "wake": wakes.get(condition.device.reveal(), Wake.FOLLOW.value),
    }


def bypass(record: Bypass) -> dict[str, Any]:
    """As who was woken by it is told of it."""
    return {"at": record.at, "class": record.event_class, "role": record.role, "reason": record.reason}


def visit(record: Visit) -> dict[str, Any]:
    """As whose rest was looked at is told of it."""
    return {"at": record.at, "key": record.key_id, "what": record.what.value}


def _issued(kind: PassKind, secret: str, name: str | None = None) -> Response:
    """The one answer in which a secret stands."""
    content = {name or kind.value: secret, "expires_in": int(LIVES[kind])}
    return Response(201, msgspec.json.encode(content), headers=NO_STORE)
