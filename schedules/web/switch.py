"""Everything off with one tap, and on again with another (L1), without losing a rule.

Off is one override `reachable` from now until the last second that a document can name. Reachable beats all rest (R7),
so nothing else has to be touched: rules, leave and time on call stay as they were written, and every evaluator, the
relay's too, understands it. It is known by that end, which no act moves: "off duty now" cuts such an override in two,
and the part that is left has the same end.

Rejected: deleting the document, which would be Undo's to bring back, for ten minutes; a member `enabled`, which every
second evaluator would have to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, cast

from schedules.reader import instant
from schedules.rules import MAX_OVERRIDES, Rules
from schedules.web.port import Document

FOREVER: Final = "2199-12-31T23:59:59Z"


def turned_off(document: Document, rules: Rules, now: float) -> dict[str, object]:
    """The document by which its owner is always reachable from now on. Overrides that are over make room (L3)."""
    listed = _overrides(document)
    if len(listed) >= MAX_OVERRIDES:
        closes = rules.zone.closes
        ends = [instant(override.span.end, closes) for override in rules.overrides]
        listed = [entry for entry, end in zip(listed, ends, strict=True) if end > now]
    start = datetime.fromtimestamp(int(now // 1), UTC)
    off = {"kind": "reachable", "start": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end": FOREVER}
    return {**document, "overrides": [*(entry for entry in listed if not is_switch(entry)), off]}


def turned_on(document: Document) -> dict[str, object]:
    return {**document, "overrides": [entry for entry in _overrides(document) if not is_switch(entry)]}


def is_off(document: Document) -> bool:
    """Whether it is turned off, now or after a rest that was pressed since."""
    return any(is_switch(entry) for entry in _overrides(document))


def is_switch(entry: Mapping[str, object]) -> bool:
    return entry.get("kind") == "reachable" and entry.get("end") == FOREVER and "classes" not in entry


def was_pressed(entry: Mapping[str, object]) -> bool:
    """Whether it looks like "reachable now", which is made of instants and has no name, and not like time on call.

    What turns everything off looks so too.
    """
    edges = (str(entry["start"]), str(entry["end"]))
    is_plain = "id" not in entry and not entry.get("label") and all(edge.endswith("Z") for edge in edges)
    return entry.get("kind") == "reachable" and is_plain


def _overrides(document: Document) -> Sequence[Mapping[str, object]]:
    return cast("Sequence[Mapping[str, object]]", document.get("overrides", ()))
