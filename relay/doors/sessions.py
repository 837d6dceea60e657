"""Sessions: what the officers' door asks with for an officer, and how an officer sees and ends what is open.

A session is a pass like a token, with a shorter life, and with an end when it is not used. Only the officers' door may
begin one, on its own socket (relay/web.py): for a link, as anybody changes one for a token; or for a person whom an
identity provider has vouched for. The latter needs no secret, so it is offered nowhere else, and for people of those
tenants only that have such a provider. Whom the relay does not know is told from a bad link by nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import msgspec

from relay.core.errors import NotAdmitted, Problem
from relay.core.passes import IDLE, LIVES, PassKind
from relay.core.private import Private
from relay.doors import decoding
from relay.doors.decoding import Body, Silent, check_members
from relay.doors.http1 import NO_STORE, Response
from relay.doors.keys import Who, new_secret
from relay.doors.me import LINK, known_pass
from relay.doors.port import Engine
from relay.doors.router import TOKEN_PREFIX, Call, Handle, Route

_MEMBERS: Final = {"tenant": decoding.a_text, "user": decoding.a_text}


class _UserBody(Silent):
    tenant: str
    user: str


def _problems(value: object) -> list[Problem]:
    return check_members(value, "", _MEMBERS, frozenset(_MEMBERS))


_USER: Final = Body(_UserBody, _problems)


async def post_session(call: Call, engine: Engine) -> Response:
    """A session for a link, which is used up by that."""
    body = LINK.decode(call.content_type, call.body)
    session = new_secret()
    await engine.redeem(Private(body.link), Private(session), PassKind.SESSION)
    return _begun(session)


def post_vouched(tenants: Collection[str]) -> Handle:
    """A session for somebody of one of these tenants who was made sure of elsewhere."""

    async def handle(call: Call, engine: Engine) -> Response:
        body = _USER.decode(call.content_type, call.body)
        if body.tenant not in tenants or decoding.an_id(body.user) is not None:
            raise NotAdmitted(PassKind.LINK)  # nobody is called so; that is told like any unknown name
        session = new_secret()
        await engine.begin(body.tenant, Private(body.user), Private(session))
        return _begun(session)

    return handle


async def get_sessions(call: Call, engine: Engine) -> Response:
    """The officer's tokens and sessions, newest first."""
    told = [known_pass(known) | {"this": known.is_this} for known in engine.passes(call.officer, call.now)]
    return Response(200, msgspec.json.encode({"sessions": told}))


async def delete_sessions(call: Call, engine: Engine) -> Response:
    """All others end, tokens too."""
    await engine.end_others(call.officer)
    return Response(204)


def _begun(session: str) -> Response:
    content = {
        "session": TOKEN_PREFIX.decode() + session,
        "idle": int(IDLE[PassKind.SESSION]),
        "expires_in": int(LIVES[PassKind.SESSION]),
    }
    return Response(201, msgspec.json.encode(content), headers=NO_STORE)


def for_the_web(vouched: Collection[str]) -> tuple[Route, ...]:
    """Routes on the socket of the officers' door and nowhere else; so they stand in no public description.

    `vouched`: tenants for whose people an identity provider vouches. For others a link is the only way in.
    """
    return (
        Route((b"v1", b"me", b"session"), {b"POST": (Who.ANYBODY, post_session)}),
        Route((b"v1", b"door", b"session"), {b"POST": (Who.ANYBODY, post_vouched(vouched))}),
    )
