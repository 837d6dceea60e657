"""One installation and one browser for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.e2e.web.premises import Officer, Premises, premises
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


@pytest.fixture(params=LOOKS, ids=str)
def look(request: pytest.FixtureRequest) -> Look:
    """For the acts by which rest is made."""
    assert isinstance(request.param, Look)
    return request.param


@pytest.fixture(params=OPPOSITES, ids=str)
def either(request: pytest.FixtureRequest) -> Look:
    """For what is around them."""
    assert isinstance(request.param, Look)
    return request.param


def open_page(visit: Visit, look: Look, officer: Officer, path: str = "/") -> tuple[Visitor, str]:
    """A page in a new window, signed in; and the session."""
    window, session = visit(look), officer.session()
    window.sign_in(session)
    window.go(path)
    return window, session
