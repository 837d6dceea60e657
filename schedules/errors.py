"""What is wrong with a rest document: every fault, each with a path and a sentence in English and in German."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Text(NamedTuple):
    """A sentence in both languages, perhaps with places to fill. It never holds a value of somebody's."""

    english: str
    german: str

    def filled(self, **values: object) -> Text:
        return Text(self.english.format(**values), self.german.format(**values))


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where (`windows[0].start`), and a sentence for the person who wrote it. Never holds a value."""

    path: str
    sentence: str
    german: str

    @classmethod
    def of(cls, path: str, text: Text) -> Problem:
        return cls(path, text.english, text.german)


class RuleError(ValueError):
    """The document cannot be used; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{p.path}: {p.sentence}" for p in problems))
        self.problems = problems


class Fault(ValueError):
    """A single value that cannot be read, before anybody knows where it stands."""

    def __init__(self, text: Text) -> None:
        super().__init__(text.english)
        self.text = text
