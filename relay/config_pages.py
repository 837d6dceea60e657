"""The table `[web.pages]`: what an operator says on the pages of the officers' door that everybody may read.

    [web.pages]
    imprint = {de = "impressum.md", en = "imprint.md"}
    privacy = {de = "datenschutz.md"}             # in English too, then, it is the German text that is shown
    accessibility = {de = "barrierefreiheit.md", en = "accessibility.md"}
    rest = {de = "ruhe.md", en = "rest.md"}       # what the works agreement guarantees

Each names files in CommonMark, one a language, which are read here: the process of the door may not be able to read
what the relay can. What is not given has a text of ours there (`schedules/web/pages`). Where only one language is
given, the operator's own text stands in for the other, for ours would say something else than the operator does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from relay.config_reader import Table, a_path

PAGES: Final = ("imprint", "privacy", "accessibility", "rest")
LANGUAGES: Final = ("de", "en")
LARGEST: Final = 32 * 1024
"""Bytes of a file. All of them together stay below what the process reads of its settings."""
LACKING: Final[Mapping[str, str]] = {
    "imprint": "is not given; the page says that nothing has been entered yet",
    "privacy": "is not given; ours stands in, which cannot say who is responsible",
    "accessibility": "is not given; ours stands in, which names neither a contact nor who enforces",
}
"""What a page of ours cannot know, by its name."""
_BREAKS: Final = "\n\r\t"

Pages = Mapping[str, Mapping[str, str]]
"""Page → language → Markdown. Only what is given."""


def pages(table: Table, folder: Path) -> Pages:
    """Faults are noted in the table."""
    found = {name: _page(table.table(name), folder) for name in PAGES if table.has(name)}
    table.done()
    return {name: texts for name, texts in found.items() if texts}


def _page(table: Table, folder: Path) -> Mapping[str, str]:
    texts: dict[str, str] = {}
    for language in LANGUAGES:
        named = table.get(language, a_path, None, required=False)
        text = table.file(language, folder / named, read_text) if named else None
        if text is not None:
            texts[language] = text
    if not any(table.has(language) for language in LANGUAGES):
        table.lacks("", f"names no file; known are {', '.join(LANGUAGES)}")
    table.done()
    return texts


def read_text(path: Path) -> str:
    """Raises OSError, or ValueError with a sentence."""
    with path.open("rb") as file:
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(f"has more than {LARGEST} bytes")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"is not text in UTF-8, in line {line}") from None
    if any(ord(character) < 32 and character not in _BREAKS for character in text):
        raise ValueError("holds control characters; it must be plain text in Markdown")
    if not text.strip():
        raise ValueError("is empty")
    return text


def warnings(given: Pages) -> Iterator[str]:
    """What works, and is perhaps not meant."""
    for name in PAGES:
        texts = given.get(name, {})
        if not texts and name in LACKING:
            yield f"web.pages.{name}: {LACKING[name]}"
        for language in LANGUAGES:
            if texts and language not in texts:
                yield f"web.pages.{name}: has no {language}; the text in {next(iter(texts))} stands in there"
