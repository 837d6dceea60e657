"""Edits of one thing in a document, as a form or an app makes them: time on call, and how a device is woken.

Like acts.py, from a document to the one that takes its place, which `parse` can read; everything else stays as it was
written. The law: the new entry is there afterwards, under its id or name, and nothing else of the rest has moved.

Time on call is an override `reachable` with an id, so that it can be taken back by that alone. It is not joined with
others and cuts none: reachable beats rest (R7), so it holds as it is, and once it is gone what it covered is back. That
is the difference to "reachable now", which is to leave nothing behind. "Off duty now" cuts time on call too.

Overrides that ended more than 24 hours ago are dropped on the way (L3), as acts do. Names of devices are the backend's,
and those of devices that are gone stay, for they may come back; where there are too many they go first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, cast

from schedules.acts import KEPT, placed_overrides, written
from schedules.errors import Problem, RuleError, Text
from schedules.rules import MAX_DEVICES, Wake, parse

Document = dict[str, object]

_FUTURE: Final = Text("must lie in the future", "muss in der Zukunft liegen")
_OWN: Final = "overrides[0]."
"""What paths of an override begin with where it stands alone."""


def on_call(
    document: Mapping[str, object], now: float, start: float | str, end: float | str, name: str, label: str = ""
) -> Document:
    """The document with time on call, under the id `name`; edges are UTC seconds, or texts as in a document.

    A second touched by either edge belongs to it. Raises RuleError when the document cannot be read; for the new entry
    with the paths `start`, `end`, `label`: so also where it is over already.
    """
    entry: Document = {"kind": "reachable", "start": _edge(start, math.floor), "end": _edge(end, math.ceil), "id": name}
    if label:
        entry["label"] = label
    kept = [override for override in placed_overrides(document) if override.end >= math.floor(now) - KEPT]
    try:
        (placed,) = placed_overrides({**document, "overrides": [entry]})
    except RuleError as error:
        raise RuleError(
            tuple(Problem(p.path.removeprefix(_OWN), p.sentence, p.german) for p in error.problems)
        ) from None
    if placed.end <= now:
        raise RuleError((Problem.of("end", _FUTURE),))
    return _checked({**document, "overrides": [*(override.entry for override in kept), entry]})


def off_call(document: Mapping[str, object], now: float, name: str) -> Document | None:
    """The document without the time on call of this id; None where there is none. Raises RuleError."""
    kept = [
        override
        for override in placed_overrides(document)
        if not (override.entry["kind"] == "reachable" and override.entry.get("id") == name)
    ]
    if len(kept) == len(cast("Sequence[object]", document.get("overrides", ()))):
        return None
    living = [override.entry for override in kept if override.end >= math.floor(now) - KEPT]
    return _checked({**document, "overrides": living})


def waking(document: Mapping[str, object], device: str, wake: Wake, known: Collection[str]) -> Document | None:
    """The document by which a device is woken so; None where it is already. `known`: devices there are.

    Raises RuleError when the document cannot be read, and for a device's name that no document may hold.
    """
    if parse(document).wakes.get(device, Wake.FOLLOW) is wake:
        return None
    devices = dict(cast("Mapping[str, object]", document.get("devices", {})))
    devices.pop(device, None)
    if wake is not Wake.FOLLOW:
        if len(devices) >= MAX_DEVICES:
            devices = {name: entry for name, entry in devices.items() if name in known}
        devices[device] = {"wake": wake.value}
    return _checked({**document, "devices": devices})


def _edge(edge: float | str, whole: Callable[[float], int]) -> str:
    return edge if isinstance(edge, str) else written(whole(edge))


def _checked(document: Document) -> Document:
    parse(document)
    return document
