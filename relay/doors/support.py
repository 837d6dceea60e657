"""Support codes: what a person's rest is shown by to somebody with a key of the scope `support`.

The officer reads the code out, the helper sends it in the header `Support-Code`. The record of the look is committed
before anything is answered; no record, no answer.
"""

from __future__ import annotations

from relay.core.errors import NotAdmitted
from relay.core.passes import Look, PassKind
from relay.core.private import Private
from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.router import Call, Handle


def code_of(call: Call) -> Private | None:
    """The code that came along, without the spaces it is read out with; None when there is none."""
    value = call.header(b"support-code").replace(b" ", b"")
    return Private(value.decode("latin-1")) if value else None


async def show(call: Call, engine: Engine, code: Private, look: Look) -> None:
    """Return when the caller may be shown the person's rest. Raises NotAdmitted."""
    await engine.visit(call.tenant, call.user, code, call.key.id, look)


def with_code(look: Look, handle: Handle) -> Handle:
    """The handler, for callers with a code."""

    async def shown(call: Call, engine: Engine) -> Response:
        code = code_of(call)
        if code is None:
            raise NotAdmitted(PassKind.SUPPORT)
        await show(call, engine, code, look)
        return await handle(call, engine)

    return shown
