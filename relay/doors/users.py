"""DELETE /v1/users/{user}: a person leaves, with everything that is kept of them."""

from __future__ import annotations

from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.router import Call


async def delete_user(call: Call, engine: Engine) -> Response:
    """Devices, pending notices, rest and the record of the person go in one commit."""
    await engine.delete_user(call.tenant, call.tenant.pseudonyms.user(call.ids[0]))
    return Response(204)
