"""How far searches go: a third of the way in everybody's run, and all of it with --thorough, as in CI."""

from __future__ import annotations

is_thorough = False
"""Set by conftest.py before any test is read."""


def examples(count: int) -> int:
    """How many examples to try, of so many in a thorough run."""
    return count if is_thorough else max(1, count // 3)
