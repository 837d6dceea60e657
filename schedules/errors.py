"""What is wrong with a rest document: every fault, each with a path and a sentence."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault: where (`windows[0].start`), and a sentence for the person who wrote it. Never holds a value."""

    path: str
    sentence: str


class RuleError(ValueError):
    """The document cannot be used; `problems` lists everything that is wrong with it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{p.path}: {p.sentence}" for p in problems))
        self.problems = problems
