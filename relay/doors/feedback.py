"""GET /v1/feedback: devices the backend should forget, under its own ids.

At least once: reading deletes nothing, the cursor is the caller's. A cursor that cannot be gone on from, because what
follows it was purged (30 days) or because the database was restored from before it, is 410 with one to restart from.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from relay.core.errors import Problem, Refused
from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.router import Call

PARAMETERS: Final = frozenset({"after", "wait"})
LONGEST_WAIT: Final = 30.0
_CURSOR: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_SECONDS: Final = re.compile(r"[0-9]{1,2}(\.[0-9]{1,3})?", re.ASCII)


async def get_feedback(call: Call, engine: Engine) -> Response:
    """What came after a cursor (without one: all that is kept); with `wait`, as soon as there is something."""
    faults: list[Problem] = []
    after, wait = call.parameters.get("after"), call.parameters.get("wait", "0")
    if after is not None and not _CURSOR.fullmatch(after):
        faults.append(Problem("query.after", "must be a cursor of an earlier answer"))
    if not _SECONDS.fullmatch(wait) or float(wait) > LONGEST_WAIT:
        faults.append(Problem("query.wait", f"must be 0 to {LONGEST_WAIT:.0f} seconds"))
    if faults:
        raise Refused(*faults)
    told = await engine.feedback(call.tenant, None if after is None else int(after), float(wait))
    devices = [
        {
            "seq": parted.seq,
            "user": parted.user.reveal(),
            "device": parted.device.reveal(),
            "why": parted.parting.value,
            "reason": parted.reason,
            "at": parted.at,
        }
        for parted in told.devices
    ]
    return Response(200, msgspec.json.encode({"devices": devices, "after": told.after}))
