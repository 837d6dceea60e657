"""The routes of an officer's own rest and data, beside those in door.py: for the app's settings screen and the page."""

from __future__ import annotations

from typing import Final

from relay.doors import acts, own, preview, rest
from relay.doors.keys import Who
from relay.doors.router import Route
from relay.doors.turns import Turns

_REST: Final = (b"v1", b"me", b"rest")
_CONFIRM: Final = frozenset({rest.CONFIRM})
_DAYS: Final = frozenset({preview.DAYS})


def routes() -> tuple[Route, ...]:
    in_turn = Turns()
    return (
        Route((b"v1", b"me"), {b"DELETE": (Who.OFFICER, own.delete_me)}),
        Route((b"v1", b"me", b"state"), {b"GET": (Who.OFFICER, own.get_state)}),
        Route((b"v1", b"me", b"classes"), {b"GET": (Who.OFFICER, own.get_classes)}),
        Route((b"v1", b"me", b"export"), {b"GET": (Who.OFFICER, own.get_export)}),
        Route(
            (b"v1", b"me", b"rest.ics"), {b"GET": (Who.OFFICER, in_turn(own.get_calendar))}, frozenset({own.LANGUAGE})
        ),
        Route((b"v1", b"me", b"devices", b"{}"), {b"PUT": (Who.OFFICER, acts.put_device)}, ids=("device",)),
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
