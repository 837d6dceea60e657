"""What became of an officer's test, phone by phone: from what was heard (core/trials.py) and what is known now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from relay.core.devices import Device, Platform
from relay.core.events import TEST
from relay.core.people import Person
from relay.core.records import Records
from relay.core.trials import Heard, Trial
from relay.doors.port import DeviceTrial, LaneCondition, TrialFacts, TrialState, TrialWhy

Lanes = Callable[[str, str], LaneCondition | None]
"""(tenant, app) → how its lane is; None when there is none."""

_DOWN: Final = {"paused": TrialWhy.PAUSED, "stopped": TrialWhy.STOPPED}
"""By the state of a lane that is not up."""


def trial_facts(person: Person, trial: Trial, records: Records, lanes: Lanes, now: float) -> TrialFacts:
    told = (_of_device(person, trial, device, records, lanes, now) for device in trial.devices)
    return TrialFacts(trial.at, [facts for facts in told if facts is not None])


def _of_device(
    person: Person, trial: Trial, device: Device, records: Records, lanes: Lanes, now: float
) -> DeviceTrial | None:
    """None of one that has left, and not by this test."""
    current, outcome = person.devices.get(device.key), trial.outcomes.get(device.key)
    heard = outcome.heard if outcome is not None else None
    if current is None and heard is not Heard.DEAD:
        return None
    _, own_id = records.open_device_ids(person.key, device.key, device.sealed)
    facts = DeviceTrial(own_id, device.app, device.platform, TrialState.PENDING)
    if device.platform is Platform.NONE:
        return replace(facts, state=TrialState.PC)
    if device.key not in trial.phones:
        return replace(facts, state=TrialState.NO_APP)
    if outcome is not None and heard is Heard.TAKEN:
        return replace(facts, state=TrialState.HANDED_OVER, at=outcome.at)
    if outcome is not None and heard is Heard.DEAD:
        return replace(facts, state=TrialState.DEAD, at=outcome.at, reason=outcome.reason)
    return _of_one_not_woken(facts, person, current or device, trial, lanes, now)


def _of_one_not_woken(
    facts: DeviceTrial, person: Person, device: Device, trial: Trial, lanes: Lanes, now: float
) -> DeviceTrial:
    """What keeps it back. What lasts longest, or is the least of its own making, comes first."""
    outcome = trial.outcomes.get(device.key)
    failing = replace(facts, state=TrialState.FAILING)
    if outcome is not None:
        failing = replace(failing, at=outcome.at, reason=outcome.reason)
        if outcome.heard is Heard.REFUSED:
            return replace(failing, why=TrialWhy.REFUSED)
    if now >= trial.at + TEST.deadline:
        return replace(failing, why=TrialWhy.EXPIRED)
    if person.tenant.halts.until(TEST, device.app, now):
        return replace(facts, why=TrialWhy.HALT)
    lane = lanes(person.tenant.name, device.app)
    if lane is not None and lane.state in _DOWN:
        return replace(failing, why=_DOWN[lane.state], reason=lane.reason)
    failing = replace(failing, retry_at=device.not_before if device.not_before > now else None)
    if outcome is not None:
        return replace(failing, why=TrialWhy.LATER)
    return facts if failing.retry_at is None else replace(failing, why=TrialWhy.BACK_OFF)
