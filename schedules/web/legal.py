"""The pages that everybody may read without signing in: who runs this, what is kept, for whom it works, what rest is.

The operator's words stand there where the configuration has any (`[web.pages]`), else ours, from `pages/`: those say
what this program does, and that what only the operator can know has not been entered. Which language stands in for
which: the operator's other one before ours, for ours would say something else. All of it is rendered once, at start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final

from schedules.web import prose
from schedules.web.prose import Prose
from schedules.web.texts import LANGUAGES

NAMES: Final = ("imprint", "privacy", "accessibility", "rest")
"""Of pages; `/de/imprint` is the address."""


@dataclass(frozen=True, slots=True)
class Said:
    """A page as it is read in one language."""

    prose: Prose
    language: str
    """Of the text; another one than the reader's where there is none in theirs."""


Legal = Mapping[tuple[str, str], Said]
"""(name, the reader's language) → the page."""


def load(given: Mapping[str, Mapping[str, str]]) -> Legal:
    """`given`: name → language → Markdown of the operator's."""
    found = {(name, language): _said(given.get(name, {}), name, language) for name in NAMES for language in LANGUAGES}
    return MappingProxyType(found)


def _said(texts: Mapping[str, str], name: str, language: str) -> Said:
    for each in (language, *LANGUAGES):
        if each in texts:
            return Said(prose.read(texts[each]), each)
    return Said(ours(name, language), language)


@cache
def ours(name: str, language: str) -> Prose:
    """What stands there where nothing is configured."""
    return prose.read(resources.files("schedules.web").joinpath("pages", f"{name}.{language}.md").read_text("utf-8"))
