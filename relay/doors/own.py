"""What is an officer's own: the state of now, who may wake him in rest, all of it to take along, and its end.

It is shown to the officer and to nobody else (L2). What is taken along (L10) is all that the relay keeps of a person,
but for what is not for anybody: tokens of devices, hashes of secrets. What ends by DELETE is what is the officer's;
devices and what waits for them are the backend's, and records of bypasses are the staff council's as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from relay.core.errors import Problem, Refused, UnreadableRest
from relay.core.events import EventClass
from relay.doors import explain, me, rest, words
from relay.doors.http1 import NO_STORE, Response
from relay.doors.port import Engine, Kept, RestFacts
from relay.doors.router import Call
from schedules import RuleError, Rules, ics, parse

LANGUAGE: Final = "lang"
LANGUAGES: Final = ("de", "en")
_CALENDAR: Final = b"text/calendar; charset=utf-8"


async def get_state(call: Call, engine: Engine) -> Response:
    """What holds now, and what waits."""
    return Response(200, msgspec.json.encode(state(engine.rest_facts(call.tenant, call.user, call.now), call.now)))


def state(facts: RestFacts, now: float) -> dict[str, Any]:
    told = words.RestTold(facts, now)
    return {
        "now": now,
        "resting": facts.resting,
        "until": facts.until,
        "next_start": facts.next_start,
        "version": facts.version,
        "waiting": explain.waiting(told, facts),
        "sentence": explain.said(told.sentence()),
    }


async def get_classes(call: Call, _engine: Engine) -> Response:
    """Classes of events that may go out in rest: which rest, sent by whom and for what."""
    classes = [_piercing(each) for each in call.tenant.classes.values() if each.needs_authority]
    return Response(200, msgspec.json.encode({"classes": sorted(classes, key=lambda each: str(each["class"]))}))


def _piercing(event_class: EventClass) -> dict[str, Any]:
    return {
        "class": event_class.name,
        "pierces": "all" if event_class.pierces else sorted(event_class.through),
        "roles": sorted(event_class.roles),
        "reasons": sorted(event_class.reasons),
    }


async def get_export(call: Call, engine: Engine) -> Response:
    """All that is kept of the officer."""
    facts = engine.rest_facts(call.tenant, call.user, call.now)
    kept = await engine.kept(call.tenant, call.user, call.now)
    content = _export(facts, kept, call.now)
    return Response(200, msgspec.json.encode(content), headers=NO_STORE)


def _export(facts: RestFacts, kept: Kept, now: float) -> dict[str, Any]:
    document = {"version": facts.version, "readable": facts.readable, "document": facts.document}
    return {
        "at": now,
        "user": kept.user.reveal(),
        "rest": None if facts.version is None else document,
        "devices": [
            {
                **me.device(each, facts.wakes),
                "attempts": each.attempts,
                "retry_at": each.retry_at,
            }
            for each in kept.devices
        ],
        "waiting": explain.waiting(words.RestTold(facts, now), facts),
        "bypasses": [me.bypass(each) for each in kept.bypasses],
        "visits": [me.visit(each) for each in kept.visits],
        "passes": [me.known_pass(each) for each in kept.passes],
    }


async def get_calendar(call: Call, engine: Engine) -> Response:
    """The rests of the next 90 days. None of who has no document, so that a calendar that reads it is empty then."""
    language = call.parameters.get(LANGUAGE, LANGUAGES[0])
    if language not in LANGUAGES:
        raise Refused(
            Problem(f"query.{LANGUAGE}", f"must be {' or '.join(LANGUAGES)}", f"muss {' oder '.join(LANGUAGES)} sein")
        )
    rules = stored(engine.rest_facts(call.tenant, call.user, call.now))
    return Response(200, ics.export(rules, call.now, language=language).encode(), _CALENDAR, NO_STORE)


def stored(facts: RestFacts) -> Rules:
    """The rules of the document there is; of none, none. Raises UnreadableRest."""
    if not facts.readable:
        raise UnreadableRest
    document: Mapping[str, object] = facts.document or {}
    try:
        return parse(document)
    except RuleError:
        raise UnreadableRest from None


async def delete_me(call: Call, engine: Engine) -> Response:
    """What is the officer's own ends, the token with which this is asked too."""
    await engine.delete_own(call.tenant, call.user, rest.condition(call))
    return Response(204)
