"""The pictures of the README, made by Chromium of the real relay and the real door at one instant (exhibit.py).

    python -m tests.e2e.web.screenshots [FOLDER]

Texts are drawn with the fonts of the machine, so another machine's pictures differ; make them anew when a page changes.
Debian's Chromium has no German of its own and would write dates as in America: here they are written as a German
browser writes them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from playwright.sync_api import sync_playwright

from tests.e2e.web import views
from tests.e2e.web.exhibit import ANNA, Exhibit, exhibit
from tests.e2e.web.visitor import ARGUMENTS, CHROMIUM, DESKTOP, Look, Visitor, Windows

INTO: Final = Path(__file__).parents[3] / "schedules/web/screenshots"
LARGEST: Final = 120_000
"""Bytes of a picture."""
TALL: Final = (360, 780)
IN_GERMAN: Final = """() => document.querySelectorAll("[type=date], [type=time]").forEach(field => {
    const written = field.value.split("-").reverse().join(".");
    field.type = "text";
    field.value = written;
    field.size = written.length || 5;
    field.style.width = "auto";
})"""

Prepare = Callable[[Exhibit, Visitor], None]


def main_page(made: Exhibit, window: Visitor) -> None:
    views.sign_in(made, window, ANNA, 3)
    window.go()


def rhythm(made: Exhibit, window: Visitor) -> None:
    views.sign_in(made, window, ANNA)
    window.go("/rhythm")


PICTURES: Final[Mapping[str, tuple[Look, Prepare]]] = {
    "main-phone-light": (Look("de", *TALL), main_page),
    "main-phone-dark": (Look("de", *TALL, dark=True), main_page),
    "main-desktop-light": (Look("de", *DESKTOP), main_page),
    "main-desktop-dark": (Look("de", *DESKTOP, dark=True), main_page),
    "main-english": (Look("en", *TALL), main_page),
    "rhythm": (Look("de", *DESKTOP), rhythm),
    "conflict": (Look("de", *DESKTOP), views.conflict),
}
"""Name of the file → how it is looked at, and what is done first."""


def take(made: Exhibit, into: Path) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS])
        windows = Windows(browser)
        for name, (look, prepare) in PICTURES.items():
            with windows.visiting(made.url, look) as window:
                prepare(made, window)
                window.page.evaluate(IN_GERMAN)
                path = into / f"{name}.jpg"
                size = len(window.page.screenshot(path=path, type="jpeg", quality=75))
                assert size <= LARGEST, f"{path.name}: {size} bytes"
                print(f"{path.name}  {size} bytes")
        browser.close()


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if sys.argv[1:] else INTO
    folder.mkdir(exist_ok=True)
    with exhibit() as shown:
        take(shown, folder)
