"""The harness: what a process says last is heard, and what it never says is not waited for."""

from __future__ import annotations

import sys

import pytest

from tests.e2e.processes import started

pytestmark = pytest.mark.processes

LONG = "import sys; sys.stdout.write('x' * 200_000 + '\\nlast words\\n')"


async def test_last_words_are_heard_although_they_are_read_after_the_end() -> None:
    for _ in range(10):
        async with started(sys.executable, "-c", LONG) as child:
            await child.line("last words")


async def test_who_has_ended_is_not_waited_for() -> None:
    async with started(sys.executable, "-c", "print('one')") as child:
        await child.line("one")
        with pytest.raises(AssertionError, match="ended before it said 'two'"):
            await child.line("two")
