"""The table `[web.pages]`: which files are read, what is wrong with them, and what is told of missing ones."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from relay.config_pages import LACKING, LANGUAGES, LARGEST, PAGES, pages, read_text, warnings
from relay.config_reader import Table
from relay.core.errors import Problem
from schedules.web import legal, texts


def examined(folder: Path, toml: str) -> tuple[object, dict[str, str]]:
    """What is found, and the faults by path."""
    problems: list[Problem] = []
    found = pages(Table(tomllib.loads(toml), "web.pages", problems), folder)
    return found, {problem.path: problem.sentence for problem in problems}


def test_relay_and_door_mean_the_same_pages() -> None:
    assert PAGES == legal.NAMES
    assert set(LANGUAGES) == set(texts.LANGUAGES)


def test_each_page_has_a_file_in_each_language_or_in_one(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("\ufeff# Über uns\r\n".encode())
    (tmp_path / "b.md").write_text("Who we are")
    found, faults = examined(tmp_path, 'imprint = {de = "a.md", en = "b.md"}\nrest.en = "b.md"')
    assert (found, faults) == (
        {"imprint": {"de": "# Über uns\r\n", "en": "Who we are"}, "rest": {"en": "Who we are"}}, {},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("toml", "faults"),
    [
        ('imprint.de = "none.md"', {"web.pages.imprint.de": "cannot be read: No such file or directory"}),
        ('imprint.de = "."', {"web.pages.imprint.de": "cannot be read: Is a directory"}),
        ('imprint.de = "latin.md"', {"web.pages.imprint.de": "is not text in UTF-8, in line 2"}),
        ('imprint.de = "large.md"', {"web.pages.imprint.de": f"has more than {LARGEST} bytes"}),
        ('imprint.de = "empty.md"', {"web.pages.imprint.de": "is empty"}),
        ('imprint.de = "binary.md"',
         {"web.pages.imprint.de": "holds control characters; it must be plain text in Markdown"}),
        ('imprint.de = "pipe"',
         {"web.pages.imprint.de": "is a pipe, at which one could wait for ever; it must be a file"}),
        ("imprint.de = 5", {"web.pages.imprint.de": "must be a path"}),
        ('imprint = "a.md"', {"web.pages.imprint": "must be a table"}),
        ("imprint = {}", {"web.pages.imprint": "names no file; known are de, en"}),
        ('imprint = {de = "good.md", fr = "good.md"}',
         {"web.pages.imprint.fr": "is not known here; known are de, en"}),
        ('terms.de = "good.md"', {"web.pages.terms": f"is not known here; known are {', '.join(sorted(PAGES))}"}),
        ('imprint.de = "none.md"\nrest.en = "latin.md"',
         {"web.pages.imprint.de": "cannot be read: No such file or directory",
          "web.pages.rest.en": "is not text in UTF-8, in line 2"}),
    ],
)  # fmt: skip
def test_every_fault_has_its_path_and_a_reason(tmp_path: Path, toml: str, faults: dict[str, str]) -> None:
    contents = {
        "good": b"x",
        "latin": b"Impressum\nf\xfcr",
        "empty": b" \n",
        "binary": b"\0",
        "large": b"x" * (LARGEST + 1),
    }
    for name, content in contents.items():
        (tmp_path / f"{name}.md").write_bytes(content)
    os.mkfifo(tmp_path / "pipe")
    assert examined(tmp_path, toml)[1] == faults


def test_a_file_may_be_as_large_as_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"x" * LARGEST)
    assert len(read_text(tmp_path / "a.md")) == LARGEST


def test_what_is_missing_is_told_with_what_stands_in() -> None:
    told = [*warnings({"imprint": {"de": "x"}, "privacy": {"de": "x", "en": "x"}})]
    assert told == [
        "web.pages.imprint: has no en; the text in de stands in there",
        f"web.pages.accessibility: {LACKING['accessibility']}",
    ]
    assert not [*warnings({name: dict.fromkeys(LANGUAGES, "x") for name in LACKING})]
    assert len([*warnings({})]) == len(LACKING)
