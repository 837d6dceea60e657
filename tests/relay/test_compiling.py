"""Rest is compiled before anybody's event asks for it."""

from __future__ import annotations

from relay.compiling import AHEAD, BREATH, EVERY, FEW, SETTLED
from relay.core.events import DAY, HOUR
from relay.core.gate import RestTable
from tests.relay.world import World, rest_between, virtual, world


def tables_of(w: World) -> list[object]:
    return [person.table for person in w.relay.people.by_key.values()]


@virtual
async def test_soon_after_the_start_everybodys_rest_is_compiled_a_few_at_a_time() -> None:
    async with world() as w:
        await w.crowd(5 * FEW, rest_between(w.start - HOUR, w.start + HOUR))
        await w.restart()
        assert tables_of(w) == [None] * 5 * FEW
        await w.pass_time(SETTLED + 1.5 * BREATH)
        assert sum(table is not None for table in tables_of(w)) == 2 * FEW
        await w.pass_time(1.0)
        assert None not in tables_of(w)
        assert w.relay.tables.compiled == 5 * FEW


@virtual
async def test_what_was_compiled_for_an_event_is_not_compiled_again() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start - HOUR, w.start + HOUR))
        await w.restart()
        await w.post("anna")
        (table,) = tables_of(w)
        assert table is not None
        await w.pass_time(60)
        assert tables_of(w) == [table]


@virtual
async def test_a_table_is_made_anew_before_it_is_stale() -> None:
    """So that a table made at any time is never asked when it is: a week later, an hour or a minute before the end."""
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start + HOUR, w.start + 2 * HOUR))
        await w.pass_time(EVERY + 5)
        person = w.person("anna")
        for _ in range(3):
            table = person.table
            assert table is not None
            await w.until(table.stale_at - AHEAD - 1)
            assert person.table is table
            await w.pass_time(AHEAD)
            assert person.table is not table
            assert person.is_compiled(w.now + 6 * DAY)


@virtual
async def test_rest_that_is_edited_or_deleted_meanwhile_is_left_to_whoever_asks() -> None:
    """Between the look at somebody and the turn to be compiled lies time in which anything may happen."""
    async with world() as w:
        users = await w.crowd(3 * FEW, rest_between(w.start - HOUR, w.start + HOUR))
        await w.restart()
        await w.pass_time(SETTLED + BREATH / 2)
        left, gone = [user for user in users if w.person(user).table is None][-2:]
        await w.no_rest(left)
        await w.forget(gone)
        await w.pass_time(10)
        assert w.person(left).table is None
        assert w.relay.tables.compiled == 3 * FEW - 2


@virtual
async def test_a_document_that_cannot_be_read_is_not_read_at_every_look() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.start - HOUR, w.start + HOUR))
        await w.restart()
        w.relay.tables._compile = _unreadable
        await w.pass_time(SETTLED + 1)
        assert w.relay.tables.unreadable == 1
        await w.pass_time(HOUR - AHEAD - EVERY - 60)
        assert w.relay.tables.unreadable == 1


def _unreadable(_document: object, _now: float) -> RestTable:
    raise ValueError
