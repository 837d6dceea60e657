"""Reading tables member by member, collecting faults instead of stopping at the first one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from relay.core.errors import Problem

T = TypeVar("T")


class Table:
    """One TOML table under examination."""

    def __init__(self, content: object, path: str, problems: list[Problem]) -> None:
        self._path = path
        self._problems = problems
        self._content: dict[str, object] = content if isinstance(content, dict) else {}
        self._asked: set[str] = set()
        if not isinstance(content, dict):
            self.fault("", "must be a table")

    def fault(self, name: str, sentence: str) -> None:
        path = ".".join(part for part in (self._path, name) if part)
        problem = Problem(path or "file", sentence)
        if problem not in self._problems:
            self._problems.append(problem)

    def get(self, name: str, read: Callable[[object], T], default: Any, *, required: bool = True) -> Any:  # noqa: ANN401
        """A member; `default` when absent (None with `required`: then it must be there)."""
        self._asked.add(name)
        if name not in self._content:
            if default is None and required:
                self.fault(name, "is missing")
            return default
        try:
            return read(self._content[name])
        except ValueError as error:
            self.fault(name, str(error))
            return default

    def table(self, name: str) -> Table:
        self._asked.add(name)
        path = ".".join(part for part in (self._path, name) if part)
        return Table(self._content.get(name, {}), path, self._problems)

    def tables(self, name: str) -> Iterator[Table]:
        self._asked.add(name)
        items = self._content.get(name, [])
        if not isinstance(items, list):
            self.fault(name, f"must be a list of tables; write [[{name}]]")
            return
        prefix = ".".join(part for part in (self._path, name) if part)
        for index, item in enumerate(items):
            yield Table(item, f"{prefix}[{index}]", self._problems)

    def done(self) -> None:
        """Whatever was not asked for is not known."""
        for name in sorted(self._content.keys() - self._asked):
            shown = name if re.fullmatch(r"[\w-]{1,40}", name) else "(other)"
            known = ", ".join(sorted(self._asked))
            self.fault(shown, f"is not known here; known are {known}")


def text(pattern: str | None = None) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not value or (pattern is not None and not re.fullmatch(pattern, value)):
            raise ValueError(f"must be a text of the form {pattern}" if pattern else "must be a text")
        return value

    return read


def whole(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return read


def number(low: float, high: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        if not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return float(value)

    return read


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def choice(*names: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in names or not isinstance(value, str):
            raise ValueError(f"must be one of {', '.join(names)}")
        return value

    return read


def strings(*allowed: str) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise ValueError("must be a list of texts")
        unknown = [item for item in value if allowed and item not in allowed]
        if unknown:
            raise ValueError(f"must name only {', '.join(allowed)}")
        return tuple(value)

    return read


def an_address(value: object) -> tuple[str, int]:
    """`127.0.0.1:8080`, `[::1]:8080` or `name:443`; port 0 is any free one. Raises ValueError."""
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]\s]+):(\d{1,5})", value) if isinstance(value, str) else None
    if match is None or int(match[2]) > 65_535:
        raise ValueError("must be an address like 127.0.0.1:8080 or [::1]:8080")
    return match[1].strip("[]"), int(match[2])
