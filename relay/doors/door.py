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
    users,
)
from relay.doors.keys import Keys, Scope, Who
from relay.doors.port import Engine
from relay.doors.rest import Validate
from relay.doors.router import Forward, Route, Router
from relay.doors.support import with_code
from relay.doors.turns import Turns

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
    turns: Turns | None = None,
    forward: Forward | None = None,
) -> Router:
    """Everything a backend, a settings service, support and officers may ask.

    `further`: routes of a door that not everybody reaches (sessions.for_the_web). `turns`: doors share it.
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
        *officers.routes(put_rest, turns or Turns()),
    )
    return Router(routes + further, keys, engine, clock, failed, forward)
