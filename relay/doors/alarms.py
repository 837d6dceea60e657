"""GET /v1/alarms/{receipt}: what became of the alarms of a request that was answered 202. Totals, never who."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from relay.core.errors import NotFound
from relay.core.private import KEY_BYTES, ReceiptKey
from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.router import Call

_RECEIPT: Final = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}", re.ASCII)


async def get_alarm(call: Call, engine: Engine) -> Response:
    """One that was never given, is older than a day, or is another tenant's: the same 404."""
    receipt = call.ids[0]
    if not _RECEIPT.fullmatch(receipt):
        raise NotFound("no such receipt")
    totals = await engine.alarm(call.tenant, ReceiptKey(bytes.fromhex(receipt)), call.now)
    return Response(200, msgspec.json.encode(totals))
