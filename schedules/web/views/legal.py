"""The pages that everybody may read: imprint, privacy, accessibility, and what rest means (legal.py)."""

from __future__ import annotations

from functools import partial

from starlette.responses import Response

from schedules.web.legal import NAMES
from schedules.web.texts import LANGUAGES, TAGS
from schedules.web.visit import Page, Visit


async def show(name: str, visit: Visit) -> Response:
    said = visit.door.legal[name, visit.language]
    is_foreign = said.language != visit.language
    return visit.render(
        "legal.html",
        title=said.prose.title or titles(visit)[name],
        is_own_title=said.prose.title is not None,
        body=said.prose.body,
        foreign=LANGUAGES[said.language] if is_foreign else "",
        spoken=TAGS[said.language],
    )


def titles(visit: Visit) -> dict[str, str]:
    """What the footer calls them."""
    return {
        "imprint": visit.gettext("Imprint"),
        "privacy": visit.gettext("Privacy"),
        "accessibility": visit.gettext("Accessibility"),
        "rest": visit.gettext("Rest and recovery"),
    }


PAGES = tuple(Page(f"/{name}", show=partial(show, name), public=True) for name in NAMES)
