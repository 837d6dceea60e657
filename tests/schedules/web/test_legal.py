"""Pages for everybody: reached by whoever asks, in both languages, with the operator's words or ours."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from relay.config import WebConfig
from relay.config_pages import LARGEST
from relay.config_web import document
from schedules.web import __main__ as process
from schedules.web import legal
from schedules.web.legal import NAMES
from schedules.web.texts import LANGUAGES
from tests.schedules.web.browser import SETTINGS, browser
from tests.schedules.web.paper_relay import PaperRelay

NOON = 1_795_000_000.0
PAIRS = [(name, language) for name in NAMES for language in LANGUAGES]


@pytest.mark.parametrize(("name", "language"), PAIRS)
async def test_each_is_read_without_signing_in_and_the_relay_is_not_asked(name: str, language: str) -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        page = await made.go(f"/{language}/{name}")
        assert page.status == 200
        assert relay.asked == []
        assert f"<h1>{legal.ours(name, language).title}</h1>" in page.html


@pytest.mark.parametrize(
    "path", ["/de/login", "/en/nowhere", "/link/x", "/de/imprint", "/de/deleted", "/login/callback"]
)
async def test_every_page_leads_to_all_of_them(path: str) -> None:
    relay = PaperRelay(NOON)
    async with browser(relay, relay) as made:
        html = (await made.go(path)).html
        language = "en" if '<html lang="en' in html else "de"
        for name in NAMES:
            assert f'<a href="/{language}/{name}">' in html


@pytest.mark.parametrize("name", NAMES)
def test_ours_say_the_same_in_both_languages(name: str) -> None:
    """As far as can be counted."""
    counts = [
        [len(re.findall(f"<{tag}>", str(legal.ours(name, language).body))) for tag in ("h2", "li", "p", "strong")]
        for language in LANGUAGES
    ]
    assert counts[0] == counts[1]


async def test_the_operators_words_stand_in_the_place_of_ours_and_for_a_language_without_any() -> None:
    relay = PaperRelay(NOON)
    given = {"imprint": {"de": "# Wer wir sind\n\n## Anschrift\n\n<b>Weg</b> 1"}, "privacy": {"en": "As agreed."}}
    async with browser(relay, relay, settings=replace(SETTINGS, pages=given)) as made:
        german = (await made.go("/de/imprint")).html
        assert "<h1>Wer wir sind</h1>" in german
        assert "<h2>Anschrift</h2>" in german
        assert "&lt;b&gt;Weg" in german
        english = (await made.go("/en/imprint")).html
        assert '<h1 lang="de">Wer wir sind</h1>\n<div class="prose" lang="de">' in english
        assert "This page exists in this language only: Deutsch." in english
        foreign = (await made.go("/de/privacy")).html
        assert '<h1>Datenschutz</h1>\n<div class="prose" lang="en-GB">' in foreign
        assert "As agreed." in foreign
        assert "noch nicht eingetragen" in (await made.go("/de/accessibility")).html


def test_the_largest_texts_fit_into_what_the_process_reads() -> None:
    worst = "ü" * (LARGEST // 2)
    texts = {name: dict.fromkeys(LANGUAGES, worst) for name in NAMES}
    web = WebConfig(
        listen=(), base_url="https://a", oidc=(), socket=Path("s"), trusted_proxies=(), login_attempts=1,
        pages=texts,
    )  # fmt: skip
    assert len(json.dumps(document(web, 1))) < process.LARGEST * 0.8
