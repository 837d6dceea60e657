"""Markdown of the operator's: it can be read, and nothing else; and its headings fit into the page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.web.prose import read

TAGS = {
    "a", "blockquote", "br", "code", "em", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "strong", "ul",
}  # fmt: skip
ATTRIBUTES = {("a", "href"), ("a", "rel"), ("a", "title"), ("ol", "start"), ("code", "class")}
PIECES = st.lists(
    st.sampled_from(
        [
            "# ", "## ", "### ", "#### ", "###### ", "\n", "\n\n", "a", "* ", "1. ", "> ", "`", "```", "    ", "---\n",
            "[a](", ")", "<", ">", "<script>", "<img src=x onerror=y>", "![a](http://x/y)", "[x](javascript:alert(1))",
            "[x](java&#115;cript:y)", "[x](data:text/html,y)", "<https://a.b>", "<JaVaScRiPt:x>", "[r]", "[r]: ",
            "//a.b", "https://a.b", "mailto:a@b.c", "<!--", "-->", "&lt;", "&amp;", "\\", "|a|b|\n|-|-|\n",
            "*", "_", "style=", '"', "'", "\u2028", "\t", "=\n", "-\n",
        ]
    ),
    max_size=30,
).map("".join)  # fmt: skip


class Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.others = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_comment(self, data: str) -> None:
        self.others += 1

    def handle_decl(self, decl: str) -> None:
        self.others += 1

    def handle_pi(self, data: str) -> None:
        self.others += 1


def seen(text: str) -> Seen:
    made = Seen()
    made.feed(str(read(text).body))
    made.close()
    return made


@given(PIECES)
def test_whatever_is_written_can_only_be_read(text: str) -> None:
    found = seen(text)
    assert set(found.tags) <= TAGS
    assert found.others == 0
    for tag, name, value in found.attributes:
        assert (tag, name) in ATTRIBUTES
        assert name != "href" or re.match(r"(?i)(https?://|mailto:)", value)
    links = [tag for tag in found.tags if tag == "a"]
    assert found.attributes.count(("a", "rel", "noreferrer")) == len(links)


@given(PIECES)
def test_no_level_of_headings_is_left_out(text: str) -> None:
    levels = [int(tag[1]) for tag in seen(text).tags if re.fullmatch("h[1-6]", tag)]
    for before, level in zip([1, *levels], levels, strict=False):
        assert 2 <= level <= before + 1


@pytest.mark.parametrize(
    ("text", "title", "tags"),
    [
        ("# Impressum\n\nWir", "Impressum", ["p"]),
        ("Impressum\n===\n\n## A\n### B\n## C", "Impressum", ["h2", "h3", "h2"]),
        ("# A\n# B", None, ["h2", "h2"]),
        ("Wir\n\n# A\n\n#### B\n\n## C", None, ["p", "h2", "h3", "h3"]),
        ("### A\n# B\n###### C", None, ["h2", "h2", "h3"]),
        ("# *Über* `uns` & <b>\n", "Über uns & <b>", []),
        ("#\n\nWir", None, ["h2", "p"]),
        ("# &nbsp;\n\nWir", None, ["h2", "p"]),
        ("Über  \nuns\\\nalle\n===", "Über uns alle", []),
        ("> # A", None, ["blockquote", "h2"]),
        ("", None, []),
    ],
)
def test_headings_are_fitted_into_the_page(text: str, title: str | None, tags: list[str]) -> None:
    assert read(text).title == title
    assert [tag for tag in seen(text).tags if tag not in ("em", "code")] == tags


def test_links_lead_there_and_tell_nothing() -> None:
    body = str(read("[Wir](https://wir.example/?a=1&b) <mailto:wir@example.org>").body)
    assert '<a href="https://wir.example/?a=1&amp;b" rel="noreferrer">Wir</a>' in body
    assert '<a href="mailto:wir@example.org" rel="noreferrer">' in body


def test_html_is_shown_as_it_is_written() -> None:
    assert read("<b>fett</b>").body == "<p>&lt;b&gt;fett&lt;/b&gt;</p>\n"
