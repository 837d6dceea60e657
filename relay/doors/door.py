"""The event door: its routes, and a router over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from relay.core.passes import Look
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.doors import (
    alarms,
    bulk,
    devices,
    events,
    explain,
    feedback,
    me,
    officers,
    openapi,
    orders,
    rest,
    sessions,
    testing,
    users,
)
from relay.doors.keys import Keys, Scope, Who
from relay.doors.port import Engine
from relay.doors.rest import Validate
from relay.doors.router import Route, Router
from relay.doors.support import with_code

_DEVICE: Final = (b"v1", b"users", b"{}", b"devices", b"{}")
_REST: Final = (b"v1", b"users", b"{}", b"rest")


def event_door(
    keys: Keys,
    engine: Engine,
    clock: Callable[[], float],
    records: Callable[[Tenant], Records],
    validate: Validate,
    failed: Callable[[BaseException], None],
    further: tuple[Route, ...] = (),
) -> Router:
    """Everything a backend, a settings service, support and officers may ask.

    `further`: routes of a door that not everybody reaches (sessions.FOR_THE_WEB).
    """
    put_rest = rest.put_rest(records, validate)
    confirm = frozenset({rest.CONFIRM})
    routes = (
        Route((b"v1", b"events"), {b"POST": (Scope.EVENTS, events.post_events(records))}),
        Route((b"v1", b"alarms", b"{}"), {b"GET": (Scope.ALARMS, alarms.get_alarm)}, ids=("receipt",)),
        Route((b"v1", b"confirmed"), {b"POST": (Scope.EVENTS, orders.post_confirmed)}),
        Route((b"v1", b"seen"), {b"POST": (Scope.EVENTS, events.post_seen)}),
        Route((b"v1", b"feedback"), {b"GET": (Scope.DEVICES, feedback.get_feedback)}, feedback.PARAMETERS),
        Route((b"v1", b"devices"), {b"PUT": (Scope.DEVICES, bulk.put_users(records))}),
        Route((b"v1", b"users", b"{}", b"devices"), {b"PUT": (Scope.DEVICES, bulk.put_devices(records))}),
        Route((b"v1", b"users", b"{}"), {b"DELETE": (Scope.DEVICES, users.delete_user)}),
        Route(
            _DEVICE,
            {
                b"PUT": (Scope.DEVICES, devices.put_device(records)),
                b"GET": (Scope.DEVICES, devices.get_device),
                b"DELETE": (Scope.DEVICES, devices.delete_device),
            },
        ),
        Route(
            _REST,
            {
                b"PUT": (Scope.REST, put_rest),
                b"GET": (Scope.SUPPORT, with_code(Look.REST, rest.get_rest)),
                b"DELETE": (Scope.REST, rest.delete_rest),
            },
            confirm,
        ),
        Route((b"v1", b"openapi.json"), {b"GET": (Who.ANYBODY, openapi.get_openapi)}),
        Route((b"v1", b"users", b"{}", b"explain"), {b"GET": (Scope.SUPPORT, explain.get_explain)}),
        Route((b"v1", b"users", b"{}", b"link"), {b"POST": (Scope.REST, me.post_link)}),
        Route(
            (b"v1", b"me", b"token"),
            {b"POST": (Who.ANYBODY, me.post_token), b"DELETE": (Who.OFFICER, me.delete_token)},
        ),
        Route(
            (b"v1", b"me", b"rest"),
            {
                b"PUT": (Who.OFFICER, put_rest),
                b"GET": (Who.OFFICER, rest.get_rest),
                b"DELETE": (Who.OFFICER, rest.delete_rest),
            },
            confirm,
        ),
        Route(
            (b"v1", b"me", b"sessions"),
            {b"GET": (Who.OFFICER, sessions.get_sessions), b"DELETE": (Who.OFFICER, sessions.delete_sessions)},
        ),
        Route(
            (b"v1", b"me", b"test"),
            {b"POST": (Who.OFFICER, testing.post_test), b"GET": (Who.OFFICER, testing.get_test)},
        ),
        Route((b"v1", b"me", b"devices"), {b"GET": (Who.OFFICER, me.get_devices)}),
        Route((b"v1", b"me", b"bypasses"), {b"GET": (Who.OFFICER, me.get_bypasses)}),
        Route((b"v1", b"me", b"explain"), {b"GET": (Who.OFFICER, explain.get_my_explain)}),
        Route(
            (b"v1", b"me", b"support"),
            {
                b"POST": (Who.OFFICER, me.post_support),
                b"GET": (Who.OFFICER, me.get_support),
                b"DELETE": (Who.OFFICER, me.delete_support),
            },
        ),
        *officers.routes(),
    )
    return Router(routes + further, keys, engine, clock, failed)
