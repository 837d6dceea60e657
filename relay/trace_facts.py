"""What an officer's trace tells (core/traces.py), with devices by their own names, and who was behind what pierced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from relay.core.batch import Bypass
from relay.core.people import Person
from relay.core.records import Records
from relay.core.traces import Entry, Trace, Why
from relay.doors.port import TraceEntry, TraceFacts

AUTHORISED: Final = (Why.DESPITE_REST, Why.AUTHORITY)
"""Why somebody answers for a wakeup."""
ABROAD: Final = 60.0
"""Seconds by which the record of a bypass may differ from the commit that has its event: another node may have taken
it, by its own clock."""


def needs_bypasses(trace: Trace) -> bool:
    return any(entry.why in AUTHORISED for entry in trace.entries)


def trace_facts(person: Person, trace: Trace, records: Records, bypasses: Sequence[Bypass]) -> TraceFacts:
    """`bypasses`: of this person, newest first."""
    entries = [_told(person, entry, records, bypasses) for entry in reversed(trace.entries)]
    return TraceFacts(trace.since, trace.until, trace.lost, entries)


def _told(person: Person, entry: Entry, records: Records, bypasses: Sequence[Bypass]) -> TraceEntry:
    device, platform = None, None
    if entry.device is not None:
        _, device = records.open_device_ids(person.key, entry.device.key, entry.device.sealed)
        platform = entry.device.platform
    by = _behind(entry, bypasses) if entry.why in AUTHORISED else ()
    return TraceEntry(
        entry.at, entry.what, entry.classes, entry.why, device, platform, entry.notices, entry.until, entry.reason, by
    )


def _behind(entry: Entry, bypasses: Sequence[Bypass]) -> Sequence[tuple[str, str]]:
    """Who (role, reason) was behind what was handed over: all since the first of it came, each once.

    Of an event that another node has taken, the record was written there, a little before or after: the nearest.
    """
    of_class = [record for record in bypasses if record.event_class in entry.classes]
    found = [record for record in of_class if entry.since <= record.at <= entry.at]
    if not found:
        near = [record for record in of_class if abs(record.at - entry.since) <= ABROAD]
        found = sorted(near, key=lambda record: abs(record.at - entry.since))[:1]
    return tuple(dict.fromkeys((record.role, record.reason) for record in reversed(found)))
