"""Compiled rest: made when first needed, kept until stale, and never a reason to ring (R11, L8)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from relay.core.devices import RestRecord
from relay.core.errors import RelayError
from relay.core.gate import Deferred, Gate, RestTable, Why
from relay.core.people import Person
from relay.core.private import UserKey
from relay.core.tables import Tables
from relay.core.tenants import Tenant
from tests.relay.core.scene import DAY, HOUR, NOON, compiled, nightly, tenant

NIGHT = NOON + 10 * HOUR


class Archive:
    """Opens and compiles one document; `fault` is raised instead while it is set."""

    def __init__(self) -> None:
        self.fault: Exception | None = None
        self.made = 0
        self.tables = Tables(self._open, self._compile, lambda _person: "anna")

    def _open(self, _tenant: Tenant, _user: UserKey, _sealed: bytes) -> Mapping[str, object]:
        if isinstance(self.fault, RelayError):
            raise self.fault
        return nightly()

    def _compile(self, document: Mapping[str, object], now: float) -> RestTable:
        self.made += 1
        if self.fault is not None:
            raise self.fault
        return compiled(document, now)


def somebody() -> Person:
    person = Person(tenant(), UserKey(b"a" * 16), b"id")
    person.rest = RestRecord(b"sealed", 1)
    return person


def test_whoever_has_no_rules_has_no_table() -> None:
    person, archive = somebody(), Archive()
    person.rest = None
    assert archive.tables(person, NOON) is None
    assert archive.made == 0


def test_a_table_is_made_once() -> None:
    person, archive = somebody(), Archive()
    first = archive.tables(person, NOON)
    assert first is not None
    assert first.at(NIGHT).resting
    assert archive.tables(person, NIGHT) is first
    assert (archive.made, archive.tables.compiled) == (1, 1)


def test_a_stale_table_is_made_anew() -> None:
    person, archive = somebody(), Archive()
    first = archive.tables(person, NOON)
    assert first is not None
    assert archive.tables(person, first.stale_at - 1) is first
    assert archive.tables(person, first.stale_at) is not first


def test_an_edit_is_compiled_anew() -> None:
    """What `Draft.apply` does to somebody whose rest was edited."""
    person, archive = somebody(), Archive()
    first = archive.tables(person, NOON)
    person.table = None
    assert archive.tables(person, NOON) is not first


@pytest.mark.parametrize("fault", [ValueError("bad document"), RelayError("does not open")])
def test_a_document_that_cannot_be_read_counts_as_rest_without_end(fault: Exception) -> None:
    person, archive = somebody(), Archive()
    archive.fault = fault
    table = archive.tables(person, NOON)
    for now in (NOON, NIGHT, NOON + 100 * DAY):
        decision = Gate(0.0).ask(table, person.key, person.tenant.class_of("message"), now)
        assert isinstance(decision, Deferred)
        assert decision.why is Why.ENDLESS_REST
    assert archive.tables.unreadable == 1


def test_one_that_can_be_read_no_longer_keeps_the_last_good_table() -> None:
    person, archive = somebody(), Archive()
    good = archive.tables(person, NOON)
    assert good is not None
    archive.fault = ValueError("zone data are gone")
    later = good.stale_at
    table = archive.tables(person, later)
    assert table is not None
    for hours in range(48):
        assert table.at(later + hours * HOUR) == good.at(later + hours * HOUR)


@pytest.mark.parametrize("had_a_good_one", [True, False])
def test_it_is_looked_at_again_once_an_hour_and_not_at_every_question(had_a_good_one: bool) -> None:
    person, archive = somebody(), Archive()
    now = NOON
    if had_a_good_one:
        good = archive.tables(person, NOON)
        assert good is not None
        now = good.stale_at
    archive.fault = ValueError("bad document")
    for hour in range(3):
        for second in range(10):
            archive.tables(person, now + hour * HOUR + second)
        assert archive.tables.unreadable == hour + 1
    table = archive.tables(person, now + 2 * HOUR + 20)
    assert table is not None
    assert table.at(NOON).resting is not had_a_good_one
    archive.fault = None
    table = archive.tables(person, now + 3 * HOUR)
    assert table is not None
    assert not table.at(NOON).resting


def test_a_fault_of_ours_is_not_taken_for_a_bad_document() -> None:
    person, archive = somebody(), Archive()
    archive.fault = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        archive.tables(person, NOON)
