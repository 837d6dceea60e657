"""Markdown of the operator's, as a part of a page: CommonMark without HTML and without pictures.

Its text comes from the configuration, not from visitors, and yet nothing in it can do more than be read: HTML is shown
as it is written, an address leads to http, https or mailto or is no link, and tables, which would bring inline styles,
are not known. So the policy of the pages (guard.py) holds unchanged.

Headings are fitted into the outline. A text that begins with its only heading of the first level gives the page its
title. Whatever follows begins at the second level, and no level is left out on the way down.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

_LEADS: Final = re.compile(r"(?:https?://|mailto:)", re.IGNORECASE)
_DEEPEST: Final = 6
_BREAKS: Final = ("softbreak", "hardbreak")


class _Reader(MarkdownIt):
    """CommonMark, caged."""

    def __init__(self) -> None:
        super().__init__("commonmark", {"html": False})
        self.disable("image")

    def validateLink(self, url: str) -> bool:
        """Asked by the library for every address, after its entities are resolved."""
        return _LEADS.match(url) is not None


_READER: Final = _Reader()


@dataclass(frozen=True, slots=True)
class Prose:
    title: str | None
    """What it calls itself; None: the page does that."""
    body: Markup


def read(text: str) -> Prose:
    """Any text is one of Markdown."""
    environment: dict[str, object] = {}
    tokens = _READER.parse(text, environment)
    title = _title(tokens)
    if title is not None:
        del tokens[:3]  # the heading is opened, said and closed
    _fit(tokens)
    for token in tokens:
        for child in token.children or ():
            if child.type == "link_open":
                child.attrSet("rel", "noreferrer")
    return Prose(title, Markup(_READER.renderer.render(tokens, _READER.options, environment)))


def _title(tokens: Sequence[Token]) -> str | None:
    highest = [token for token in tokens if token.type == "heading_open" and token.tag == "h1"]
    if len(highest) != 1 or highest[0] is not tokens[0]:
        return None
    said = "".join(" " if child.type in _BREAKS else child.content for child in tokens[1].children or ())
    return said.strip() or None


def _fit(tokens: Sequence[Token]) -> None:
    """Each heading one level below that which it stands under; the outermost are at the second."""
    above: list[int] = []
    """Levels as they are written, of the headings that the next one may stand under."""
    for token in tokens:
        if token.type == "heading_open":
            level = int(token.tag[1])
            while above and above[-1] >= level:
                above.pop()
            above.append(level)
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(len(above) + 1, _DEEPEST)}"
