"""GET /v1/openapi.json: the event door described (OpenAPI 3.1), for clients that are generated and tests that are.

One table of operations, as the routes are one table (door.py; a test compares the two). Bodies are described by the
very types that decode them, answers by those of answers.py. What only the officers' door may ask, on a socket of its
own, is left out: nobody else can (sessions.py). What a schema cannot say, as that an event names one user
or many and not both, is answered 422 with the paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import msgspec

from relay.doors.acts import OnCallBody, SnoozeBody, UntilBody, WakeBody
from relay.doors.answers import (
    Bypasses,
    Classes,
    Code,
    DeviceFacts,
    Export,
    Feedback,
    Link,
    MyDevices,
    OnCall,
    Preview,
    Problem,
    Registered,
    Replaced,
    Sessions,
    State,
    Taken,
    Tested,
    TestTaken,
    Token,
    Totals,
    Trace,
    Version,
    Visits,
    Woken,
)
from relay.doors.bulk import DevicesBody, UsersBody
from relay.doors.devices import DeviceBody
from relay.doors.events import EventsBody, SeensBody
from relay.doors.http1 import Response
from relay.doors.keys import Scope, Who
from relay.doors.me import LinkBody
from relay.doors.orders import ConfirmedBody
from relay.doors.port import Engine
from relay.doors.router import Call

Caller = Scope | Who


Anything = dict[str, Any]
"""A rest document (schedules/README.md), or an explanation."""
Empty = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `answers`: status → what it holds; None: nothing."""

    method: str
    path: str
    caller: Caller
    summary: str
    answers: Mapping[int, Any]
    body: Any = None
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    refusals: tuple[int, ...] = ()
    """Statuses of problems beyond those that any operation with a body or a key may have."""
    form: str = "application/json"
    """Content type of the answers."""
    needs_body: bool = True


_CONFIRM: Final = {"confirm": {"enum": ["never-reachable"]}}
_MATCH: Final = {
    "If-Match": 'The version that must be the current one, like "7", or *',
    "If-None-Match": "*: there must be no document yet",
}
_NONE_MATCH: Final = {"If-None-Match": "Versions the client has"}
_KEYED: Final = {"Idempotency-Key": "1 to 255 visible ASCII characters; needed for classes that pierce rest"}
_CODE: Final = {"Support-Code": "Read out by the officer"}
_ME_REST, _USER_REST = "/v1/me/rest", "/v1/users/{user}/rest"
_ME_TRACE: Final = "/v1/me/trace"

_ACT: Final = (404, 409, 412)
_ON_CALL: Final = f"{_ME_REST}/on-call"
_DAYS: Final = {"days": {"type": "integer", "minimum": 1, "maximum": 62, "default": 14}}
_OFFICERS: Final = (
    Operation("GET", "/v1/me/state", Who.OFFICER, "What holds now, and what waits", {200: State}, refusals=(404,)),
    Operation(
        "POST", f"{_ME_REST}/snooze", Who.OFFICER, "Off duty now", {200: State}, SnoozeBody, _CONFIRM, _MATCH, _ACT
    ),
    Operation(
        "POST", f"{_ME_REST}/reachable", Who.OFFICER, "Reachable now", {200: State}, UntilBody, {}, _MATCH, _ACT,
        needs_body=False,
    ),
    Operation("POST", _ON_CALL, Who.OFFICER, "On call", {201: OnCall}, OnCallBody, {}, _MATCH, _ACT),
    Operation(
        "DELETE", f"{_ON_CALL}/{{id}}", Who.OFFICER, "Not on call", {204: None}, None, _CONFIRM, _MATCH, _ACT
    ),
    Operation(
        "GET", f"{_ME_REST}/preview", Who.OFFICER, "The days to come", {200: Preview}, None, _DAYS, refusals=(404, 409)
    ),
    Operation(
        "POST", f"{_ME_REST}/preview", Who.OFFICER, "The days to come, by a document that is not saved", {200: Preview},
        Anything, _DAYS, refusals=(404,),
    ),
    Operation(
        "PUT", "/v1/me/devices/{device}", Who.OFFICER, "How a device is woken", {200: Woken}, WakeBody, {}, _MATCH, _ACT
    ),
    Operation("GET", "/v1/me/classes", Who.OFFICER, "What may pierce my rest", {200: Classes}),
    Operation("GET", "/v1/me/export", Who.OFFICER, "All that is kept of me", {200: Export}, refusals=(404,)),
    Operation(
        "GET", "/v1/me/rest.ics", Who.OFFICER, "My rests as a calendar", {200: str}, None,
        {"lang": {"enum": ["de", "en"]}}, refusals=(404, 409), form="text/calendar",
    ),
    Operation("DELETE", "/v1/me", Who.OFFICER, "All that is mine ends", {204: None}, None, {}, _MATCH, (404, 412)),
)  # fmt: skip

OPERATIONS: Final = (
    Operation("POST", "/v1/events", Scope.EVENTS, "Something is new", {202: Taken}, EventsBody, {}, _KEYED),
    Operation("GET", "/v1/alarms/{receipt}", Scope.ALARMS, "What became of alarms", {200: Totals}, refusals=(404,)),
    Operation("POST", "/v1/confirmed", Scope.EVENTS, "A device has obeyed its orders", {202: Empty}, ConfirmedBody),
    Operation("POST", "/v1/seen", Scope.EVENTS, "Somebody has read", {202: Empty}, SeensBody),
    Operation(
        "GET", "/v1/feedback", Scope.DEVICES, "Devices to forget", {200: Feedback},
        query={
            "after": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
            "wait": {"type": "number", "minimum": 0, "maximum": 30, "multipleOf": 0.125},
        },
        refusals=(410, 422),
    ),
    Operation("PUT", "/v1/devices", Scope.DEVICES, "Exactly these devices, of many", {200: Replaced}, UsersBody),
    Operation("PUT", "/v1/users/{user}/devices", Scope.DEVICES, "Exactly these", {200: Replaced}, DevicesBody),
    Operation("DELETE", "/v1/users/{user}", Scope.DEVICES, "Forget somebody", {204: None}, refusals=(404,)),
    Operation(
        "PUT", "/v1/users/{user}/devices/{device}", Scope.DEVICES, "Register or refresh a device",
        {200: Registered, 201: Registered}, DeviceBody, refusals=(409,),
    ),
    Operation(
        "GET", "/v1/users/{user}/devices/{device}", Scope.DEVICES, "What is known of it", {200: DeviceFacts},
        refusals=(404,),
    ),
    Operation(
        "DELETE", "/v1/users/{user}/devices/{device}", Scope.DEVICES, "Forget it", {204: None}, refusals=(404,)
    ),
    *(
        Operation(
            "PUT", path, caller, "Set the rest", {200: Version, 201: Version}, Anything, _CONFIRM, _MATCH,
            refusals=(404, 409, 412),
        )
        for path, caller in ((_USER_REST, Scope.REST), (_ME_REST, Who.OFFICER))
    ),
    *(
        Operation("GET", path, caller, "The rest", {200: Anything, 304: None}, None, {}, headers, (404,))
        for path, caller, headers in (
            (_USER_REST, Scope.SUPPORT, _NONE_MATCH | _CODE), (_ME_REST, Who.OFFICER, _NONE_MATCH),
        )
    ),
    *(
        Operation("DELETE", path, caller, "No rest any more", {204: None}, None, {}, _MATCH, (404, 412))
        for path, caller in ((_USER_REST, Scope.REST), (_ME_REST, Who.OFFICER))
    ),
    Operation(
        "GET", "/v1/users/{user}/explain", Scope.SUPPORT, "Why a phone does not ring", {200: Anything},
        headers=_CODE, refusals=(404,),
    ),
    Operation("POST", "/v1/users/{user}/link", Scope.REST, "A link for an officer", {201: Link}, refusals=(404,)),
    Operation("POST", "/v1/me/token", Who.ANYBODY, "A token for a link", {201: Token}, LinkBody, refusals=(403,)),
    Operation("DELETE", "/v1/me/token", Who.OFFICER, "This token ends", {204: None}),
    Operation("GET", "/v1/me/sessions", Who.OFFICER, "My tokens and sessions", {200: Sessions}),
    Operation("DELETE", "/v1/me/sessions", Who.OFFICER, "All others end", {204: None}),
    Operation("POST", "/v1/me/test", Who.OFFICER, "Wake my phones now", {202: TestTaken}, refusals=(404,)),
    Operation("GET", "/v1/me/test", Who.OFFICER, "What became of it", {200: Tested}, refusals=(404,)),
    Operation("GET", _ME_TRACE, Who.OFFICER, "What woke my devices, and why", {200: Trace}, refusals=(404,)),
    Operation("PUT", _ME_TRACE, Who.OFFICER, "Note that for a day, in memory", {200: Trace}, refusals=(404,)),
    Operation("DELETE", _ME_TRACE, Who.OFFICER, "No more, and forget it", {204: None}, refusals=(404,)),
    Operation("GET", "/v1/me/devices", Who.OFFICER, "My devices", {200: MyDevices}),
    Operation("GET", "/v1/me/bypasses", Who.OFFICER, "What pierced my rest", {200: Bypasses}),
    Operation("GET", "/v1/me/explain", Who.OFFICER, "Why my phone does not ring", {200: Anything}, refusals=(404,)),
    Operation("POST", "/v1/me/support", Who.OFFICER, "A code to read out", {201: Code}, refusals=(404,)),
    Operation("GET", "/v1/me/support", Who.OFFICER, "Who has looked", {200: Visits}),
    Operation("DELETE", "/v1/me/support", Who.OFFICER, "The code ends", {204: None}),
    *_OFFICERS,
    Operation("GET", "/v1/openapi.json", Who.ANYBODY, "This description", {200: Anything}),
)  # fmt: skip

_WITH_BODY: Final = (400, 413, 415, 422)
_WITH_IDS: Final = (422,)
_WITH_CALLER: Final = (401, 403)
_ALWAYS: Final = (429, 503)
_SCHEMES: Final = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key, id.secret"},
    "token": {"type": "http", "scheme": "bearer", "description": "An officer's token, me.…"},
}


def document() -> dict[str, Any]:
    """The description as JSON values."""
    types = [of for operation in OPERATIONS for of in (operation.body, *operation.answers.values()) if of is not None]
    schemas, components = msgspec.json.schema_components([*types, Problem], ref_template="#/components/schemas/{name}")
    by_type = iter(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation, by_type)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Feierabend", "version": version("feierabend"), "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
    }


def _described(operation: Operation, schemas: Iterator[Any]) -> dict[str, Any]:
    """`schemas`: of the body, then of the answers, in the order of the table."""
    told: dict[str, Any] = {"summary": operation.summary, "parameters": list(_parameters(operation))}
    if operation.body is not None:
        schema = next(schemas)
        forms = ("application/json", "application/msgpack")
        told["requestBody"] = {
            "required": operation.needs_body,
            "content": {form: {"schema": schema} for form in forms},
        }
    if operation.caller is not Who.ANYBODY:
        told["security"] = [{"token" if operation.caller is Who.OFFICER else "key": []}]
        told["description"] = (
            "Needs a token." if operation.caller is Who.OFFICER else f"Scope {operation.caller.value}."
        )
    told["responses"] = {
        **{
            str(status): _answer("Done", of and next(schemas), operation.form)
            for status, of in operation.answers.items()
        },
        **{str(status): _PROBLEM for status in _problems(operation)},
    }
    return told


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    for part in operation.path.split("/"):
        if part.startswith("{"):
            schema = {"type": "string", "minLength": 1, "maxLength": 256}
            yield {"name": part[1:-1], "in": "path", "required": True, "schema": schema}
    for name, query in operation.query.items():
        yield {"name": name, "in": "query", "schema": dict(query)}
    for name, description in operation.headers.items():
        yield {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}


def _problems(operation: Operation) -> list[int]:
    statuses = {*operation.refusals, *_ALWAYS}
    statuses |= set(_WITH_BODY if operation.body is not None else ())
    statuses |= set(_WITH_IDS if "{" in operation.path or operation.headers or operation.query else ())
    statuses |= set(_WITH_CALLER if operation.caller is not Who.ANYBODY else ())
    return sorted(statuses)


def _answer(description: str, schema: Any, form: str) -> dict[str, Any]:  # noqa: ANN401 (JSON schema)
    return {
        "description": description,
        **({} if schema is None else {"content": {form: {"schema": schema}}}),
    }


_PROBLEM: Final = {
    "description": "What is wrong",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_DOCUMENT: Final = msgspec.json.encode(document())


async def get_openapi(_call: Call, _engine: Engine) -> Response:
    return Response(200, _DOCUMENT)
