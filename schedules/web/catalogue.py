"""Bring the catalogues up to date: `python -m schedules.web.catalogue`, from the top of the source.

Every message of templates and Python gets an entry, entries nobody asks for any more go, and what is still to be
translated is printed. No guesses are entered (`fuzzy`): a guess looks like a translation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from schedules.web.texts import DOMAIN

HERE: Final = Path(__file__).parent
METHODS: Final = [("**.py", "python"), ("templates/**.html", "jinja2")]
OPTIONS: Final = {"templates/**.html": {"newstyle_gettext": "true", "trim_blocks": "true", "lstrip_blocks": "true"}}
TRANSLATED: Final = ("de",)


def template() -> Catalog:
    """All messages of the source."""
    found = Catalog()
    for name, _, message, comments, _ in extract_from_dir(str(HERE), METHODS, OPTIONS):
        found.add(message, None, [(name, None)], auto_comments=comments)  # type: ignore[list-item]
    return found


def path(language: str) -> Path:
    return HERE / "locale" / language / "LC_MESSAGES" / DOMAIN


def translated(language: str) -> Catalog:
    """The catalogue as it is kept; empty where there is none yet."""
    if not path(language).exists():
        return Catalog(locale=language)
    with path(language).open("rb") as file:
        return read_po(file, locale=language)


def missing(catalogue: Catalog) -> Iterator[Message]:
    """Messages without a translation, or with one that is unsure or incomplete."""
    for message in catalogue:
        if not message.id:
            continue
        strings = message.string if isinstance(message.string, (tuple, list)) else (message.string,)
        plural = isinstance(message.id, (tuple, list))
        if message.fuzzy or not all(strings) or (plural and len(strings) != catalogue.num_plurals):
            yield message


def update(language: str) -> Catalog:
    """The catalogue with all messages of the source and no others."""
    catalogue = translated(language)
    catalogue.update(template(), no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    return catalogue


def main() -> None:
    for language in TRANSLATED:
        catalogue = update(language)
        path(language).parent.mkdir(parents=True, exist_ok=True)
        with path(language).open("wb") as file:
            write_po(file, catalogue, width=100, omit_header=True, sort_output=True, include_lineno=False)
        for message in missing(catalogue):
            print(f"{language}: {message.id}")


if __name__ == "__main__":
    main()
