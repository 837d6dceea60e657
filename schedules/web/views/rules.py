"""Rules out of the list, with one tap; Undo brings them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from starlette.responses import Response

from schedules.web.port import Missing
from schedules.web.visit import Page, Visit

_PARTS = ("windows", "overrides")


async def delete(visit: Visit) -> Response:
    """The rule at this place of the document that the page was made from. Raises Changed when there is a newer one."""
    part, index = visit.places["part"], visit.places["index"]
    if part not in _PARTS:
        raise Missing
    listed = list(cast("Sequence[object]", visit.plan.document.get(part, ())))
    if visit.version == visit.plan.version and index >= len(listed):
        raise Missing
    await visit.save({**visit.plan.document, part: listed[:index] + listed[index + 1 :]})
    return visit.redirect("/#status")


PAGES = (Page("/rules/{part}/{index:int}/delete", act=delete),)
