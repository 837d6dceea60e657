"""GET, PUT and DELETE /v1/me/trace: for a day, what woke the officer's own devices, and why (core/traces.py).

Like the answers to a test (testing.py) each entry is a sentence too, as a page and an app show it. Classes and devices
stand beside the sentence and not in it. Instants in sentences are as by the clock on the wall of the rest document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from relay.core.devices import Platform
from relay.core.traces import MOST, What, Why
from relay.doors import testing
from relay.doors.explain import said as explained
from relay.doors.http1 import NO_STORE, Response
from relay.doors.port import Engine, RestFacts, TraceEntry, TraceFacts, TrialWhy
from relay.doors.router import Call
from schedules import explain, parse
from schedules.errors import Text
from schedules.rules import DEFAULT_ZONE
from schedules.walltime import Zone, zone

_JOINS: Final = Text(
    "Joins what waits until {until}: one wakeup for all of it.",
    "Kommt zu dem, was bis {until} wartet: ein Weckruf für alles.",
)
_SENTENCES: Final[Mapping[tuple[What, Why | None], Text]] = {
    (What.HANDED_OVER, Why.REACHABLE): Text(
        "Handed over to {provider}; you were reachable.", "An {provider} übergeben; Sie waren erreichbar."
    ),
    (What.HANDED_OVER, Why.AFTER_REST): Text(
        "Handed over to {provider} after your rest.", "Nach Ihrer Ruhe an {provider} übergeben."
    ),
    (What.HANDED_OVER, Why.REPEATED): Text(
        "Handed over to {provider} once more after your rest, in case the phone was off before it.",
        "Nach Ihrer Ruhe noch einmal an {provider} übergeben, falls das Telefon davor aus war.",
    ),
    (What.HANDED_OVER, Why.DESPITE_REST): Text(
        "Handed over to {provider} in spite of your rest{by}.", "Trotz Ihrer Ruhe an {provider} übergeben{by}."
    ),
    (What.HANDED_OVER, Why.AUTHORITY): Text(
        "Handed over to {provider}{by}. You were not resting.", "An {provider} übergeben{by}. Sie hatten keine Ruhe."
    ),
    (What.HANDED_OVER, Why.ALWAYS): Text(
        "Handed over to {provider} during your rest, for you want this device always woken.",
        "Während Ihrer Ruhe an {provider} übergeben, denn dieses Gerät soll immer geweckt werden.",
    ),
    (What.HANDED_OVER, Why.TEST): Text(
        "Your own test, handed over to {provider}.", "Ihr eigenes Probewecken, an {provider} übergeben."
    ),
    (What.DEFERRED, Why.REST): Text(
        "Waits until {until}, because of your rest.", "Wartet wegen Ihrer Ruhe bis {until}."
    ),
    (What.DEFERRED, Why.ENDLESS_REST): Text("Waits; your rest has no end.", "Wartet; Ihre Ruhe hat kein Ende."),
    (What.DEFERRED, Why.HOLD): Text(
        "Waits until {until}, for your devices were woken a moment ago.",
        "Wartet bis {until}, denn Ihre Geräte wurden gerade erst geweckt.",
    ),
    (What.DEFERRED, Why.READING): Text(
        "Waits until {until}, for you are reading on another device.",
        "Wartet bis {until}, denn Sie lesen auf einem anderen Gerät.",
    ),
    (What.DEFERRED, Why.HALT): Text(
        "Held back by the operators of this service, until {until} at most.",
        "Vom Betrieb dieses Dienstes zurückgehalten, längstens bis {until}.",
    ),
    (What.MERGED, Why.UNDER_WAY): Text(
        "Joins what is on its way already: one wakeup for all of it.",
        "Kommt zu dem, was schon unterwegs ist: ein Weckruf für alles.",
    ),
    (What.MERGED, Why.ENDLESS_REST): Text(
        "Joins what waits: one wakeup for all of it, after your rest.",
        "Kommt zu dem, was wartet: ein Weckruf für alles, nach Ihrer Ruhe.",
    ),
    **{(What.MERGED, why): _JOINS for why in (Why.REST, Why.HOLD, Why.READING, Why.HALT)},
    (What.FAILED, Why.LATER): testing.LATER,
    (What.FAILED, Why.REFUSED): testing.FAILING[TrialWhy.REFUSED],
    (What.FAILED, Why.DEAD): testing.DEAD,
    (What.CANCELLED, None): Text(
        "You have read it before a wakeup left.", "Sie haben es gelesen, bevor ein Weckruf hinausging."
    ),
    (What.EXPIRED, None): Text(
        "Given up: it could not wake you in time.", "Aufgegeben: Es konnte Sie nicht rechtzeitig wecken."
    ),
}
_BY: Final = Text("{role}, reason: {reason}", "{role}, Grund: {reason}")
"""As the page says it of what is recorded."""


async def get_trace(call: Call, engine: Engine) -> Response:
    return await _answer(call, engine)


async def put_trace(call: Call, engine: Engine) -> Response:
    """It begins. One that goes on is not prolonged."""
    engine.begin_trace(call.officer, call.now)
    return await _answer(call, engine)


async def delete_trace(call: Call, engine: Engine) -> Response:
    """It ends, and what was noted is gone."""
    engine.end_trace(call.officer)
    return Response(204)


async def _answer(call: Call, engine: Engine) -> Response:
    facts = await engine.trace(call.officer, call.now)
    clock = _zone(engine.rest_facts(call.tenant, call.user, call.now))
    return Response(200, msgspec.json.encode(_told(facts, clock, call.now)), headers=NO_STORE)


def _zone(facts: RestFacts) -> Zone:
    return zone(DEFAULT_ZONE) if facts.document is None else parse(facts.document).zone


def _told(facts: TraceFacts | None, clock: Zone, now: float) -> dict[str, Any]:
    if facts is None:
        return {"since": None, "until": None, "most": MOST, "lost": 0, "entries": []}
    return {
        "since": facts.since,
        "until": facts.until,
        "most": MOST,
        "lost": facts.lost,
        "entries": [_entry(entry, clock, now) for entry in facts.entries],
    }


def _entry(entry: TraceEntry, clock: Zone, now: float) -> dict[str, Any]:
    return {
        "at": entry.at,
        "what": entry.what.value,
        "why": entry.why.value if entry.why is not None else "",
        "classes": [*entry.classes],
        "device": entry.device.reveal() if entry.device is not None else None,
        "provider": _provider(entry).lower() or None,
        "notices": entry.notices,
        "until": entry.until,
        "reason": entry.reason,
        "by": [{"role": role, "reason": reason} for role, reason in entry.by],
        "sentence": explained(said(entry, clock, now)),
    }


def said(entry: TraceEntry, clock: Zone, now: float) -> Text:
    """What happened, in an officer's words."""
    form = _SENTENCES[entry.what, entry.why]
    if form is testing.LATER and entry.until is not None:
        form = testing.LATER_AT
    english, german = (_filled(text, by, entry, clock, now, language) for text, by, language in (
        (form.english, _BY.english, "en"), (form.german, _BY.german, "de"),
    ))  # fmt: skip
    return Text(english, german)


def _filled(text: str, by: str, entry: TraceEntry, clock: Zone, now: float, language: str) -> str:
    until = "" if entry.until is None else explain.moment(clock, int(entry.until), int(now), language)
    behind = "; ".join(by.format(role=role, reason=reason) for role, reason in entry.by)
    return text.format(
        provider=_provider(entry), reason=entry.reason, until=until, at=until, by=f": {behind}" if behind else ""
    )


def _provider(entry: TraceEntry) -> str:
    return testing.PROVIDERS.get(entry.platform or Platform.NONE, "")
