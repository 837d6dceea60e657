"""The 45 vectors of tests/vectors/rest_vectors.json as typed values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

Document = dict[str, object]


@dataclass(frozen=True, slots=True)
class Vector:
    """A document, an instant, and what the rules say of it."""

    id: str
    description: str
    document: Document
    instant: datetime
    resting: bool
    until: datetime | None
    is_endless: bool
    next_start: datetime | None
    elapsed: tuple[bool, datetime | None] | None
    """Resting and until under the other reading, in which windows have an elapsed length; where it differs."""

    def __str__(self) -> str:
        return self.id


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _vector(raw: dict[str, Any]) -> Vector:
    other = raw.get("alt_exact_duration")
    return Vector(
        id=raw["id"],
        description=raw["description"],
        document={name: raw[name] for name in ("timezone", "windows", "overrides")},
        instant=datetime.fromisoformat(raw["instant"]),
        resting=raw["expect_in_rest"],
        until=_moment(raw["expect_rest_end"]),
        is_endless=raw.get("rest_is_endless", False),
        next_start=_moment(raw["expect_next_rest_start"]),
        elapsed=other and (other["in_rest"], _moment(other["rest_end"])),
    )


_FILE: Final = Path(__file__).parents[1] / "vectors" / "rest_vectors.json"
VECTORS: Final = [_vector(raw) for raw in json.loads(_FILE.read_text())]
