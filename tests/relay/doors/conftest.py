"""The fixture of this package: a running event door on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import MockClock

from tests.relay.doors.house import House, open_house


@pytest.fixture
async def house(autojump_clock: MockClock) -> AsyncIterator[House]:
    """One tenant, `north`, with the usual keys. pytest-trio wants the clock among the test's own arguments too."""
    assert trio.lowlevel.current_clock() is autojump_clock, "take the fixture autojump_clock as well"
    async with open_house() as opened:
        yield opened
