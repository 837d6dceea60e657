"""PUT, GET and DELETE /v1/users/{user}/devices/{device}: where a user can be woken."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from relay.core.devices import Platform, Registration
from relay.core.errors import Problem, Refused
from relay.core.private import DeviceKey, Private, UserKey
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.doors import decoding
from relay.doors.decoding import Body, Silent, check_members
from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.router import Call, Handle

_TOKENS: Final = {
    Platform.APNS: (
        re.compile(r"(?:[0-9a-f]{2}){32,100}"),
        "must be hexadecimal, of an even number of 64 to 200 digits",
    ),
    Platform.FCM: (re.compile(r"[A-Za-z0-9_:-]{32,1024}"), "must be 32 to 1024 letters, digits, and the signs _ : -"),
}
"""Apple: do not assume a size; classic is 64 digits. Google says nothing; about 160 characters are usual."""


class DeviceBody(Silent):
    platform: str
    app: str | None = None
    token: str | None = None


def _problems(value: object) -> list[Problem]:
    checks = {"platform": decoding.a_text, "app": decoding.a_text, "token": decoding.a_text}
    return check_members(value, "", checks, frozenset({"platform"}))


_BODY: Final = Body(DeviceBody, _problems)


def put_device(records: Callable[[Tenant], Records]) -> Handle:
    """Register a device, or refresh it: 201 or 200."""

    async def handle(call: Call, engine: Engine) -> Response:
        body = _BODY.decode(call.content_type, call.body)
        found = await engine.put_device(call.tenant, _registration(call, body, records(call.tenant)))
        return Response(201 if found.created else 200, b'{"evicted":%d}' % found.evicted)

    return handle


async def get_device(call: Call, engine: Engine) -> Response:
    """What is known of a device; never its token."""
    user, device = _keys(call)
    facts = engine.device(call.tenant, user, device)
    content = b'{"platform":"%s","app":"%s","registered_at":%.3f}'
    return Response(200, content % (facts.platform.value.encode(), facts.app.encode(), facts.registered_at))


async def delete_device(call: Call, engine: Engine) -> Response:
    user, device = _keys(call)
    await engine.delete_device(call.tenant, user, device)
    return Response(204)


def _keys(call: Call) -> tuple[UserKey, DeviceKey]:
    names = call.tenant.pseudonyms
    return names.user(call.ids[0]), names.device(call.ids[0], call.ids[1])


def _registration(call: Call, body: DeviceBody, records: Records) -> Registration:
    platform, token = checked(call.tenant, body)
    user, device = _keys(call)
    user_id, device_id = Private(call.ids[0]), Private(call.ids[1])
    return Registration(
        user=user,
        sealed_id=records.seal_user(user, user_id),
        device=device,
        app=body.app or "",
        platform=platform,
        token_hash=call.tenant.pseudonyms.token(body.app or "", token),
        sealed=records.seal_device(user, device, user_id, device_id, Private(token)),
    )


def checked(tenant: Tenant, body: DeviceBody) -> tuple[Platform, str]:
    """Platform and token, as they are kept. Raises Refused with every fault."""
    faults: list[Problem] = []
    if body.platform not in set(Platform):
        raise Refused(Problem("platform", f"must be one of {', '.join(Platform)}"))
    platform = Platform(body.platform)
    token = body.token or ""
    if platform is Platform.APNS:
        token = token.lower()
    if platform is Platform.NONE:
        if body.token is not None:
            faults.append(Problem("token", "does not go with platform none"))
        if body.app is not None and body.app not in tenant.apps:
            faults.append(Problem("app", "is not configured"))
    else:
        if tenant.apps.get(body.app or "") is not platform:
            known = sorted(name for name, of in tenant.apps.items() if of is platform)
            faults.append(Problem("app", f"must be one of {', '.join(known)}" if known else "is not configured"))
        form, sentence = _TOKENS[platform]
        if not form.fullmatch(token):
            faults.append(Problem("token", sentence))
    if faults:
        raise Refused(*faults)
    return platform, token
