"""GET /v1/users/{user}/explain and /v1/me/explain: why a phone does not ring, in facts and in sentences.

The law (L2): without a support code the answer is made of devices, lanes and the store only (`Condition`), and is the
same bytes whether the person rests or not, has a rest document or something waiting or not; who is known for a rest
document alone is answered like who is not known. Failed attempts are not told either: one that is fresh says that its
owner was not resting just now. Rest facts are a second part (`RestFacts`), for the officer and who has shown a code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from relay.core.passes import Look
from relay.doors import support, words
from relay.doors.http1 import Response
from relay.doors.port import Condition, DeviceCondition, Engine, RestFacts
from relay.doors.router import Call
from schedules.errors import Text


async def get_explain(call: Call, engine: Engine) -> Response:
    """For support. With a code the rest facts too, and the look is recorded before; a wrong code is refused."""
    code = support.code_of(call)
    if code is None:
        return _answer(_condition(engine.condition(call.tenant, call.user, call.now).without_attempts(), call.now))
    await support.show(call, engine, code, Look.EXPLAIN)
    return await _all(call, engine)


async def get_my_explain(call: Call, engine: Engine) -> Response:
    return await _all(call, engine)


async def _all(call: Call, engine: Engine) -> Response:
    condition = engine.condition(call.tenant, call.user, call.now)
    facts = engine.rest_facts(call.tenant, call.user, call.now)
    return _answer(_condition(condition, call.now) | _rest(facts, call.now))


def _answer(content: dict[str, Any]) -> Response:
    return Response(200, msgspec.json.encode(content))


def _condition(condition: Condition, now: float) -> dict[str, Any]:
    return {
        "devices": [_device(device) for device in condition.devices],
        "lanes": [{"app": lane.app, "state": lane.state, "reason": lane.reason} for lane in condition.lanes],
        "store": {"healthy": condition.store_healthy, "waiting": condition.store_waiting},
        "findings": [said(finding) for finding in findings(condition, now)],
    }


def _device(device: DeviceCondition) -> dict[str, Any]:
    return {
        "device": device.device.reveal(),
        "platform": device.platform.value,
        "app": device.app,
        "registered_at": device.registered_at,
        **({} if device.attempts is None else {"attempts": device.attempts, "retry_at": device.retry_at}),
    }


def findings(condition: Condition, now: float) -> list[Text]:
    """What is wrong as far as rest plays no part in it, most important first."""
    return list(_findings(condition, now)) or [words.ALL_IS_WELL]


def _findings(condition: Condition, now: float) -> Iterator[Text]:
    if not condition.devices:
        yield words.NO_DEVICE
    elif not any(device.can_be_woken for device in condition.devices):
        yield words.NO_PHONE
    if not condition.store_healthy:
        yield words.STORE_FAILS
    for lane in condition.lanes:
        if lane.state in words.LANES:
            yield words.LANES[lane.state].filled(app=lane.app, reason=lane.reason)
    for device in condition.devices:
        name = device.device.reveal()
        if device.app and not device.can_be_woken and device.platform != "none":
            yield words.NO_APP.filled(device=name, app=device.app)
        if device.attempts:
            yield words.failing(name, device.attempts, device.retry_at, now)


def _rest(facts: RestFacts, now: float) -> dict[str, Any]:
    told = words.RestTold(facts, now)
    return {
        "rest": {
            "resting": facts.resting,
            "until": facts.until,
            "next_start": facts.next_start,
            "devices": dict(facts.wakes),
            "sentence": said(told.sentence()),
        },
        "waiting": waiting(told, facts),
    }


def waiting(told: words.RestTold, facts: RestFacts) -> list[dict[str, Any]]:
    """What waits, in facts and in a sentence for each class."""
    return [
        {
            "class": each.event_class,
            "notices": each.notices,
            "since": each.since,
            "due": each.due,
            "why": each.why.value,
            "sentence": said(told.waiting(each)),
        }
        for each in facts.waiting
    ]


def said(text: Text) -> dict[str, str]:
    return {"en": text.english, "de": text.german}
