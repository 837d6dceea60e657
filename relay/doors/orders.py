"""POST /v1/confirmed: a device has obeyed; what it was ordered is not sent anew (core/orders.py)."""

from __future__ import annotations

from typing import Final

import msgspec

from relay.core.errors import Problem, Refused
from relay.core.events import EventClass
from relay.doors import decoding
from relay.doors.decoding import Body, Id, Silent, check_members
from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.reading import instant
from relay.doors.router import Call, Forbidden

_USUAL: Final = "control"
"""The class of orders, where none is named."""


class ConfirmedBody(Silent):
    user: Id
    device: Id | None = None
    event_class: str | None = msgspec.field(name="class", default=None)
    at: float | str | None = None


def _problems(value: object) -> list[Problem]:
    checks = {
        "user": decoding.an_id,
        "device": decoding.an_id,
        "class": decoding.a_text,
        "at": decoding.an_instant,
    }
    return check_members(value, "", checks, frozenset({"user"}))


_BODY: Final = Body(ConfirmedBody, _problems)


async def post_confirmed(call: Call, engine: Engine) -> Response:
    """Of one device, or of all of the user's; up to `at`, else to now. Unknown users and devices are no error."""
    body = _BODY.decode(call.content_type, call.body)
    faults: list[Problem] = []
    event_class = _class(call, body.event_class or _USUAL, faults)
    at = instant(body.at, call.now, "at", faults)
    if event_class is None or faults:
        raise Refused(*faults)
    if event_class.needs not in call.key.scopes:
        raise Forbidden(f"this class needs the scope {event_class.needs}")
    names = call.tenant.pseudonyms
    device = None if body.device is None else names.device(body.user, body.device)
    await engine.confirm(call.tenant, names.user(body.user), event_class, device, at)
    return Response(202, b"{}")


def _class(call: Call, name: str, faults: list[Problem]) -> EventClass | None:
    orders = {c.name: c for c in call.tenant.classes.values() if c.renewal}
    if name not in orders:
        faults.append(Problem("class", f"must be one of {', '.join(sorted(orders))}"))
    return orders.get(name)
