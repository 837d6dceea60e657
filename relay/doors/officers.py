"""The routes of officers, `/v1/me`: for the app's settings screen, and for the page."""

from __future__ import annotations

from typing import Final

from relay.doors import acts, explain, me, own, preview, rest, sessions, testing, tracing
from relay.doors.keys import Who
from relay.doors.router import Handle, Route
from relay.doors.turns import Turns

_ME: Final = (b"v1", b"me")
_REST: Final = (*_ME, b"rest")
_CONFIRM: Final = frozenset({rest.CONFIRM})
_DAYS: Final = frozenset({preview.DAYS})


def routes(put_rest: Handle, in_turn: Turns) -> tuple[Route, ...]:
    """`in_turn`: what is worked out for one officer at a time, over all doors."""
    return (*_PASSES, *_rest(put_rest, in_turn), *_own(in_turn))


_PASSES: Final = (
    Route((*_ME, b"token"), {b"POST": (Who.ANYBODY, me.post_token), b"DELETE": (Who.OFFICER, me.delete_token)}),
    Route(
        (*_ME, b"sessions"),
        {b"GET": (Who.OFFICER, sessions.get_sessions), b"DELETE": (Who.OFFICER, sessions.delete_sessions)},
    ),
    Route(
        (*_ME, b"support"),
        {
            b"POST": (Who.OFFICER, me.post_support),
            b"GET": (Who.OFFICER, me.get_support),
            b"DELETE": (Who.OFFICER, me.delete_support),
        },
    ),
)


def _rest(put_rest: Handle, in_turn: Turns) -> tuple[Route, ...]:
    return (
        Route(
            _REST,
            {
                b"PUT": (Who.OFFICER, put_rest),
                b"GET": (Who.OFFICER, rest.get_rest),
                b"DELETE": (Who.OFFICER, rest.delete_rest),
            },
            _CONFIRM,
        ),
        Route((*_REST, b"snooze"), {b"POST": (Who.OFFICER, acts.post_snooze)}, _CONFIRM),
        Route((*_REST, b"reachable"), {b"POST": (Who.OFFICER, acts.post_reachable)}),
        Route((*_REST, b"on-call"), {b"POST": (Who.OFFICER, acts.post_on_call)}),
        Route((*_REST, b"on-call", b"{}"), {b"DELETE": (Who.OFFICER, acts.delete_on_call)}, _CONFIRM, ids=("id",)),
        Route(
            (*_REST, b"preview"),
            {
                b"GET": (Who.OFFICER, in_turn(preview.get_preview)),
                b"POST": (Who.OFFICER, in_turn(preview.post_preview)),
            },
            _DAYS,
        ),
    )


def _own(in_turn: Turns) -> tuple[Route, ...]:
    return (
        Route(_ME, {b"DELETE": (Who.OFFICER, own.delete_me)}),
        Route((*_ME, b"state"), {b"GET": (Who.OFFICER, own.get_state)}),
        Route((*_ME, b"devices"), {b"GET": (Who.OFFICER, me.get_devices)}),
        Route((*_ME, b"devices", b"{}"), {b"PUT": (Who.OFFICER, acts.put_device)}, ids=("device",)),
        Route((*_ME, b"test"), {b"POST": (Who.OFFICER, testing.post_test), b"GET": (Who.OFFICER, testing.get_test)}),
        Route(
            (*_ME, b"trace"),
            {
                b"GET": (Who.OFFICER, tracing.get_trace),
                b"PUT": (Who.OFFICER, tracing.put_trace),
                b"DELETE": (Who.OFFICER, tracing.delete_trace),
            },
        ),
        Route((*_ME, b"classes"), {b"GET": (Who.OFFICER, own.get_classes)}),
        Route((*_ME, b"bypasses"), {b"GET": (Who.OFFICER, me.get_bypasses)}),
        Route((*_ME, b"explain"), {b"GET": (Who.OFFICER, explain.get_my_explain)}),
        Route((*_ME, b"export"), {b"GET": (Who.OFFICER, own.get_export)}),
        Route((*_ME, b"rest.ics"), {b"GET": (Who.OFFICER, in_turn(own.get_calendar))}, frozenset({own.LANGUAGE})),
    )
