"""What every view must be: accessible to axe-core's eyes, as wide as its window, light, and within the policy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import expect

from schedules.web.app import PAGES
from tests.e2e.web.exhibit import Exhibit, exhibit
from tests.e2e.web.views import VIEWS, show
from tests.e2e.web.visitor import DESKTOP, PHONE, Look, Visitor, Windows
from tests.needs import MODULES, ROOT

pytestmark = [pytest.mark.sockets, pytest.mark.needs("chromium", "axe-core")]

RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
COLOURS: Final = ["color-contrast", "link-in-text-block"]
"""All that can differ between light and dark."""
RUN: Final = """async only => (await axe.run(document, {runOnly: only, resultTypes: ["violations"]})).violations
    .map(found => `${found.id}: ${found.nodes.map(node => node.html).slice(0, 3).join(" ")}`)"""
LARGEST: Final = 60_000
"""Bytes of a page with its style sheet, script and icon, as they are and not compressed."""
NARROW: Final = ((180, 370), (320, 640), PHONE, (768, 1024), DESKTOP, (1920, 1080))
"""The first is a phone of 360 px at 200 %."""
FILES: Final = re.compile(r'(?:href|src)="(/static/[^"]+)"')


@pytest.fixture(scope="module")
def made() -> Iterator[Exhibit]:
    with exhibit() as shown:
        yield shown


@pytest.fixture(scope="module")
def axe() -> str:
    return (ROOT / MODULES["axe-core"] / "node_modules/axe-core/axe.min.js").read_text()


def violations(window: Visitor, only: dict[str, Any]) -> list[str]:
    found: list[str] = window.page.evaluate(RUN, only)
    return found


def test_a_view(windows: Windows, made: Exhibit, axe: str, view: str, language: str) -> None:
    with windows.visiting(made.url, Look(language, *PHONE)) as window:
        show(made, window, view)
        page = window.page
        pattern = re.sub(r"{[^}]+}", "[^/?]+", VIEWS[view][0]) or "/nowhere"
        assert re.search(rf"[0-9](/{language})?{pattern}([?#]|$)", page.url), page.url
        page.evaluate(axe)
        for width, height in NARROW:
            page.set_viewport_size({"width": width, "height": height})
            over = page.evaluate("document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth")
            assert over == 0, f"{over} px too wide at {width}"
            if (width, height) in (PHONE, DESKTOP):
                assert violations(window, {"type": "tag", "values": RULES}) == []
            if (width, height) == (PHONE if language == "de" else DESKTOP):
                page.emulate_media(color_scheme="dark")
                assert violations(window, {"type": "rule", "values": COLOURS}) == []
                page.emulate_media(color_scheme="light")
        html = page.content()
        assert page.locator("h1").count() == 1
        weight = len(html.encode()) + sum(size(made.url + path) for path in set(FILES.findall(html)))
        assert weight <= LARGEST, weight


@cache
def size(url: str) -> int:
    return len(httpx.get(url).content)


@pytest.mark.parametrize("name", ["main-resting", "preview"])
def test_on_paper_the_fortnight_is_one_sheet(windows: Windows, made: Exhibit, name: str) -> None:
    with windows.visiting(made.url, Look("de", *DESKTOP)) as window:
        show(made, window, name)
        window.page.emulate_media(media="print")
        expect(window.page.locator(".preview .band").last).to_be_visible()
        expect(window.page.get_by_role("button")).to_have_count(0)
        assert len(re.findall(rb"/Type /Page\b", window.page.pdf(format="A4"))) == 1
        window.page.emulate_media(media="screen")


def test_every_page_is_among_the_views() -> None:
    """But for what sends on to a provider, and files that are saved."""
    beside = {"/export.json", "/rest.ics", "/login/{provider}", "/signed-out/{provider}"}
    shown = {page for page, _ in VIEWS.values()}
    assert {page.path for page in PAGES if page.show is not None} - beside <= shown
