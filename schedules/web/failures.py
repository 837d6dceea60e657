"""What operators are told of an exception: its kind, and where in our code it came about. Never its message, in which a
value of somebody's may stand."""

from __future__ import annotations

from types import FrameType
from typing import Final

_OURS: Final = __name__.partition(".")[0] + "."


def told(error: BaseException) -> dict[str, str]:
    """`kind` and `place` (`module:line`) for an event; of a group those of its first exception.

    The place is the innermost line of this package, whatever it called; outside of it, the innermost of all.
    """
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    place = ""
    trace = error.__traceback__
    while trace is not None:
        module = _module(trace.tb_frame)
        if module.startswith(_OURS) or not place.startswith(_OURS):
            place = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return {"kind": type(error).__name__, "place": place}


def _module(frame: FrameType) -> str:
    """Its name, also where it is what the process was started with."""
    spec = frame.f_globals.get("__spec__")
    return str(frame.f_globals.get("__name__") if spec is None else spec.name)
