"""What operators are told of an exception."""

from __future__ import annotations

import json

import pytest
import trio

from schedules.web import changes, failures


def test_it_is_told_where_in_our_code_it_was_raised_whoever_raised_it() -> None:
    with pytest.raises(TypeError) as raised:
        changes.mark({"label": frozenset({"canary"})})  # json gives up, some calls further in
    told = failures.told(raised.value)
    assert told.keys() == {"kind", "place"}
    assert told["kind"] == "TypeError"
    assert told["place"].startswith("schedules.web.changes:")
    with pytest.raises(json.JSONDecodeError) as foreign:
        json.loads("canary")
    assert failures.told(foreign.value)["place"].startswith("json.decoder:")


def test_of_a_group_in_a_group_it_is_the_first() -> None:
    async def nested() -> None:
        async with trio.open_nursery(), trio.open_nursery() as inner:
            inner.start_soon(trio.to_thread.run_sync, int, "canary")

    with pytest.raises(ExceptionGroup) as raised:
        trio.run(nested)
    told = failures.told(raised.value)
    assert told["kind"] == "ValueError"
    assert "canary" not in str(told)
