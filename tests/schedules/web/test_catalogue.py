"""Everything that is said has its German, and nothing else has; and every page can be said in both languages."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog

from schedules.web import catalogue, texts

TEMPLATES = sorted(path for path in (catalogue.HERE / "templates").glob("*.html"))
PLACES = re.compile(r"%\((\w+)\)")


@pytest.fixture(scope="module")
def source() -> Catalog:
    return catalogue.template()


@pytest.mark.parametrize("language", catalogue.TRANSLATED)
def test_all_messages_are_translated_and_no_others(language: str, source: Catalog) -> None:
    kept = catalogue.translated(language)
    assert {message.id for message in kept} == {message.id for message in source}, "python -m schedules.web.catalogue"
    assert not kept.obsolete
    assert not list(catalogue.missing(kept))


@pytest.mark.parametrize("language", catalogue.TRANSLATED)
def test_a_translation_fills_the_same_places(language: str) -> None:
    for message in catalogue.translated(language):
        said = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        asked = message.id if isinstance(message.id, (tuple, list)) else (message.id,)
        places = {place for text in asked for place in PLACES.findall(text)}
        for text in said:
            assert set(PLACES.findall(text or "")) <= places, message.id
            if not isinstance(message.id, (tuple, list)):
                assert set(PLACES.findall(text or "")) == places, message.id


def test_what_is_missing_is_found() -> None:
    """The test above can fail: untranslated, unsure, half a plural."""
    found = Catalog(locale="de")
    found.add("done", "getan")
    found.add("not done")
    found.add("unsure", "vielleicht", flags={"fuzzy"})
    found.add(("one", "many"), ("eins", ""))
    assert [message.id for message in catalogue.missing(found)] == ["not done", "unsure", ("one", "many")]


def test_english_is_the_source() -> None:
    said = texts.load()["en"]
    assert said.gettext("Rest until %(edge)s", edge="Thu 05:30") == "Rest until Thu 05:30"
    assert said.ngettext("%(num)s hour", "%(num)s hours", 1) == "1 hour"
    assert texts.load()["de"].ngettext("%(num)s hour", "%(num)s hours", 11) == "11 Stunden"


def test_no_text_of_a_template_stands_outside_of_a_message() -> None:
    """What a template says by itself is signs, not words."""
    words = re.compile(r"[A-Za-zÄÖÜäöüß]{2,}")
    for path in TEMPLATES:
        bare = re.sub(
            r"{#.*?#}|{% block look %}.*?endblock %}|{%-?\s*trans.*?endtrans\s*-?%}|{%.*?%}|{{.*?}}",
            "",
            path.read_text(),
            flags=re.DOTALL,
        )
        shown = re.sub(r"""<[^>]*>|[\w-]+=(["']).*?\1""", " ", bare, flags=re.DOTALL)
        assert not words.findall(shown), (path.name, words.findall(shown))
        attributes = re.findall(r"""(?:aria-label|title|placeholder|alt|value)=["']([^"']*)["']""", bare)
        assert not [said for said in attributes if " " in said.strip()], path.name


def test_every_message_of_the_source_is_found(source: Catalog) -> None:
    """A message is a constant, and not within an f-string: else it is not found, and shown in English for ever."""
    ids = {message.id if isinstance(message.id, str) else message.id[0] for message in source}
    for path in [*Path(catalogue.HERE).glob("*.py"), *Path(catalogue.HERE).glob("views/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("gettext", "ngettext"):
                told = path.name in ("texts.py", "visit.py")
                message = node.args[0]
                assert told or (isinstance(message, ast.Constant) and message.value in ids), (path.name, node.lineno)


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("", "de"), ("fr", "de"), ("en", "en"), ("en-US,en;q=0.5", "en"), ("de;q=0.3,en;q=0.7", "en"),
        ("fr,en;q=0.2", "en"), ("en;q=x,de", "de"), ("EN", "en"), ("en;q=0", "de"), ("*", "de"),
    ],
)  # fmt: skip
def test_the_language_is_what_the_browser_likes_best(accept: str, language: str) -> None:
    assert texts.wanted(accept) == language
