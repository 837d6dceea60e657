"""One installation and one browser for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from zlib import crc32

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.e2e.web.premises import Officer, Premises, premises
from tests.e2e.web.views import VIEWS
from tests.e2e.web.visitor import ARGUMENTS, CHROMIUM, LOOKS, MILLISECONDS, OPPOSITES, Look, Visitor, Windows

Visit = Callable[[Look], Visitor]
"""(look) → a new window"""


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Premises]:
    with premises(tmp_path_factory.mktemp("premises")) as made:
        yield made


@pytest.fixture(scope="package")
def windows() -> Iterator[Windows]:
    expect.set_options(timeout=MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS])
        yield Windows(browser)
        browser.close()


@pytest.fixture
def visit(windows: Windows, place: Premises) -> Iterator[Visit]:
    with ExitStack() as stack:
        yield lambda look: stack.enter_context(windows.visiting(place.url, look))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """With `--thorough` all is done in every look, and every view is looked at.

    Else each act is done in one look, some in one and others in its opposite; and one view of each page is looked at.
    """
    thorough = metafunc.config.getoption("thorough")
    looks: tuple[Look, ...] = LOOKS if thorough else OPPOSITES
    if metafunc.definition.get_closest_marker("scripted"):
        looks = tuple(one for one in LOOKS if one.script)
    if not thorough:
        looks = (looks[crc32(metafunc.definition.name.encode()) % len(looks)],)
    if "look" in metafunc.fixturenames:
        metafunc.parametrize("look", looks, ids=str)
    if "view" in metafunc.fixturenames:
        one_of_each_page = {page: name for name, (page, _) in reversed([*VIEWS.items()])}.values()
        metafunc.parametrize("view", VIEWS if thorough else one_of_each_page)
    if "language" in metafunc.fixturenames:
        metafunc.parametrize("language", ["de", "en"] if thorough else ["de"])


def open_page(visit: Visit, look: Look, officer: Officer, path: str = "/") -> tuple[Visitor, str]:
    """A page in a new window, signed in; and the session."""
    window, session = visit(look), officer.session()
    window.sign_in(session)
    window.go(path)
    return window, session
