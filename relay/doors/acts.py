"""Acts of an officer about the own rest: off duty now, reachable now, time on call, and which devices are woken.

Each is a function from the document to the next one (schedules/acts.py, edits.py), which the engine applies in the
commit that reads the document: a press of a button needs no version, and loses nothing that was saved meanwhile. Who
gives one (If-Match) is refused when the document is another one by then. "Now" is the instant of the commit.

An act that changes nothing, as "reachable now" when there is no rest, is answered like one that did: whoever has
pressed twice, or did not get the first answer, need not know.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Annotated, Final

import msgspec

from relay.core.errors import EndlessRest, NotFound, Problem, Refused, UnreadableRest
from relay.doors import decoding, own, rest
from relay.doors.decoding import Body, Silent
from relay.doors.http1 import Response
from relay.doors.port import Engine, RestChanged
from relay.doors.router import Call
from schedules import RuleError, Wake, acts, compile_table, edits, parse
from schedules.errors import Text
from schedules.reader import Reader

LONGEST: Final = 20_160
"""Minutes of an act that is given in minutes: 14 days. A longer one has an instant as its end."""
LAST: Final = 7_258_118_399.0
"""UTC seconds: the end of 2199, as of documents."""
Document = Mapping[str, object]

_BOTH: Final = Text("must not stand beside until", "darf nicht neben until stehen")
_NEITHER: Final = Text("is missing, or minutes", "fehlt, oder minutes")
_INSTANT: Final = Text(
    "must be UTC seconds, or a time with an offset like 2026-11-24T22:00:00+01:00",
    "muss eine Zahl von UTC-Sekunden sein, oder ein Zeitpunkt mit Abstand zu UTC wie 2026-11-24T22:00:00+01:00",
)
_EDGE: Final = Text(
    "must be UTC seconds, or a time like 2026-12-21T18:00, or with an offset",
    "muss eine Zahl von UTC-Sekunden sein, oder ein Zeitpunkt wie 2026-12-21T18:00, auch mit Abstand zu UTC",
)
_FUTURE: Final = Text("must lie in the future", "muss in der Zukunft liegen")
_FAR: Final = Text("must lie before the year 2200", "muss vor dem Jahr 2200 liegen")

Instant = float | str
Label = Annotated[str, msgspec.Meta(max_length=200)]


# --- bodies


class UntilBody(Silent):
    """One of the two, or for "reachable now" none."""

    until: Instant | None = None
    minutes: Annotated[int, msgspec.Meta(ge=1, le=LONGEST)] | None = None


class SnoozeBody(UntilBody):
    label: Label | None = None


class OnCallBody(Silent):
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    label: Label | None = None


class WakeBody(Silent):
    wake: Wake


Check = Callable[[Reader, object, str], object]
"""(reader, value, path): it tells the reader what is wrong."""


def _instant(reader: Reader, value: object, path: str) -> None:
    if decoding.an_instant(value) is not None:
        reader.fault(path, _INSTANT)


def _edge(reader: Reader, value: object, path: str) -> None:
    """Of texts the document's own reader says more."""
    if not isinstance(value, str) and decoding.an_instant(value) is not None:
        reader.fault(path, _EDGE)


def _minutes(reader: Reader, value: object, path: str) -> None:
    reader.whole(value, path, 1, LONGEST)


def _label(reader: Reader, value: object, path: str) -> None:
    reader.words(value, path)


def _wake(reader: Reader, value: object, path: str) -> None:
    reader.one_of(value, path, {wake.value: wake for wake in Wake})


def _faults(checks: Mapping[str, Check], required: frozenset[str] = frozenset()) -> Callable[[object], list[Problem]]:
    """Like `decoding.check_members`, in two languages."""

    def check(value: object) -> list[Problem]:
        if not isinstance(value, Mapping):
            return [Problem("body", rest.AN_OBJECT.english, rest.AN_OBJECT.german)]
        reader = Reader()
        given = reader.members(value, "", required, frozenset(checks) - required)
        for name, member in given.items():
            if name in checks and (member is not None or name in required):
                checks[name](reader, member, name)
        return rest.told(reader.problems)

    return check


_UNTIL: Final[Mapping[str, Check]] = {"until": _instant, "minutes": _minutes}
_SNOOZE: Final = Body(SnoozeBody, _faults({**_UNTIL, "label": _label}))
_REACHABLE: Final = Body(UntilBody, _faults(_UNTIL))
_ON_CALL: Final = Body(OnCallBody, _faults({"from": _edge, "to": _edge, "label": _label}, frozenset({"from", "to"})))
_WAKE: Final = Body(WakeBody, _faults({"wake": _wake}, frozenset({"wake"})))


# --- what is asked


async def post_snooze(call: Call, engine: Engine) -> Response:
    """Off duty from now on. 409 when that leaves no reachable minute for weeks, and is not confirmed."""
    body = _SNOOZE.decode(call.content_type, call.body)
    until = _until(body)
    if until is None:
        raise _fault("until", _NEITHER)
    kept = await _change(
        call, engine, lambda document, now: acts.off_duty(document, now, until(now), label=body.label or ""), asks=True
    )
    return _state(call, engine, kept)


async def post_reachable(call: Call, engine: Engine) -> Response:
    """Reachable from now on; without an end until the rest is over. 409 when it has no end, and none is given."""
    until = _until(_REACHABLE.decode(call.content_type, call.body) if call.body else UntilBody())

    def act(document: Document, now: float) -> Document | None:
        if until is not None:
            return acts.reachable(document, now, until(now))
        resting, end, _ = compile_table(parse(document), now).at(now)
        if not resting:
            return None
        if end is None:
            raise EndlessRest
        return acts.reachable(document, now, end)

    return _state(call, engine, await _change(call, engine, act))


async def post_on_call(call: Call, engine: Engine) -> Response:
    """Reachable in spite of rest for a time to come, or that has begun; it can be taken back by its id."""
    body = _ON_CALL.decode(call.content_type, call.body)
    start, end = (_written(edge, path) for edge, path in ((body.start, "from"), (body.end, "to")))
    name = secrets.token_hex(8)

    def act(document: Document, now: float) -> Document:
        try:
            return edits.on_call(document, now, start, end, name, body.label or "")
        except RuleError as error:
            raise Refused(*rest.told(error.problems, {"start": "from", "end": "to"})) from None

    kept = await _change(call, engine, act)
    return _state(call, engine, kept, 201, id=name)


async def delete_on_call(call: Call, engine: Engine) -> Response:
    """404 when there is none of this id. 409 as for PUT of the document."""
    (name,) = call.ids

    def act(document: Document, now: float) -> Document:
        edited = edits.off_call(document, now, name)
        if edited is None:
            raise NotFound("no such time on call")
        return edited

    kept = await _change(call, engine, act, asks=True)
    return Response(204, headers=rest.etag(kept.version))


async def put_device(call: Call, engine: Engine) -> Response:
    """How a device is woken, as the document says it. 404 for one that is not registered."""
    (device,) = call.ids
    wake = _WAKE.decode(call.content_type, call.body).wake
    known = {each.device.reveal() for each in engine.condition(call.tenant, call.user, call.now).devices}
    if device not in known:
        raise NotFound("no such device")
    kept = await _change(call, engine, lambda document, _: edits.waking(document, device, wake, known))
    return Response(200, msgspec.json.encode({"version": kept.version}), headers=rest.etag(kept.version))


# --- inside


async def _change(
    call: Call, engine: Engine, act: Callable[[Document, float], Document | None], *, asks: bool = False
) -> RestChanged:
    """Let an act change the document. `asks`: by it somebody may be reachable less."""

    def change(document: Document, now: float) -> Document | None:
        try:
            parse(document)
        except RuleError:
            raise UnreadableRest from None
        try:
            edited = act(document, now)
        except RuleError as error:
            raise rest.refused(error) from None
        if asks and edited is not None:
            rest.check_reachable(call, parse(edited), now)
        return edited

    return await engine.change_rest(call.tenant, call.user, change, rest.condition(call))


def _state(call: Call, engine: Engine, kept: RestChanged, status: int = 200, **members: object) -> Response:
    """What holds since the act, under the version that it made."""
    content = own.state(engine.rest_facts(call.tenant, call.user, kept.at), kept.at)
    content |= {"version": kept.version, **members}
    return Response(status, msgspec.json.encode(content), headers=rest.etag(kept.version))


def _until(body: UntilBody) -> Callable[[float], float] | None:
    """The end of an act, by the instant at which it begins; it raises Refused where that is too late.

    None: it is not said. Raises Refused.
    """
    minutes, until = body.minutes, body.until
    if minutes is not None:
        if until is not None:
            raise _fault("minutes", _BOTH)
        return lambda now: now + minutes * 60.0
    if until is None:
        return None
    instant = decoding.seconds(until)
    if instant is None:
        raise _fault("until", _INSTANT)
    if instant > LAST:
        raise _fault("until", _FAR)

    def end(now: float) -> float:
        if instant <= now:
            raise _fault("until", _FUTURE)
        return instant

    return end


def _written(edge: Instant, path: str) -> Instant:
    """An edge as `edits.on_call` takes it. Raises Refused for numbers that are no instant."""
    if isinstance(edge, str):
        return edge
    instant = decoding.seconds(edge)
    if instant is None:
        raise _fault(path, _EDGE)
    return instant


def _fault(path: str, text: Text) -> Refused:
    return Refused(Problem(path, text.english, text.german))
