"""Texts and templates in each language: gettext catalogues, read from their `.po` files when the process starts.

English stands in the source and is its own catalogue. There are no `.mo` files: what is not kept cannot be outdated. A
place that is not filled, in a template or a message, is an error and no empty string. Rejected: Babel's formats of
dates; officers write theirs otherwise (dates.py).
"""

from __future__ import annotations

import gettext
from collections.abc import Mapping
from functools import cache
from importlib import resources
from io import BytesIO
from types import MappingProxyType
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from jinja2 import Environment, PackageLoader, StrictUndefined

LANGUAGES: Final[Mapping[str, str]] = {"de": "Deutsch", "en": "English"}
"""By what stands in the path; the first is spoken where a browser asks for none of them."""
TAGS: Final[Mapping[str, str]] = {"de": "de", "en": "en-GB"}
"""For `<html lang>`: which English tells how a browser writes dates."""
DOMAIN: Final = "door.po"


class Texts:
    """Everything that is said, in one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._catalogue = _catalogue(language)
        self._templates = Environment(
            loader=PackageLoader("schedules.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True, auto_reload=False, extensions=["jinja2.ext.i18n"],
        )  # fmt: skip
        # The extension adds this method; no type knows of it.
        self._templates.install_gettext_translations(self._catalogue, newstyle=True)  # type: ignore[attr-defined]
        for name in self._templates.list_templates():
            self._templates.get_template(name)

    def gettext(self, message: str, **values: object) -> str:
        """A message with its places, `%(name)s`, filled."""
        return self._catalogue.gettext(message) % values

    def ngettext(self, one: str, many: str, number: int, **values: object) -> str:
        """By number, which fills `%(num)s`."""
        return self._catalogue.ngettext(one, many, number) % {"num": number, **values}

    def render(self, template: str, values: Mapping[str, object]) -> str:
        return self._templates.get_template(template).render(values)


@cache
def load() -> Mapping[str, Texts]:
    """Once for a process; templates are compiled then, so that no officer waits for it."""
    return MappingProxyType({language: Texts(language) for language in LANGUAGES})


def wanted(accept: str) -> str:
    """The language of ours that an Accept-Language header likes best."""
    best, least = next(iter(LANGUAGES)), 0.0
    for item in accept.split(","):
        tag, _, weight = item.strip().partition(";q=")
        language = tag.partition("-")[0].lower()
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        if language in LANGUAGES and quality > least:
            best, least = language, quality
    return best


def _catalogue(language: str) -> gettext.NullTranslations:
    file = resources.files("schedules.web").joinpath("locale", language, "LC_MESSAGES", DOMAIN)
    if not file.is_file():
        return gettext.NullTranslations()
    with file.open("rb") as text:
        catalogue = read_po(text, locale=language)
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return gettext.GNUTranslations(compiled)
