"""Records as bytes and back; and bytes that are no records."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.batch import PersonRecord
from relay.core.books import Account
from relay.core.devices import RestRecord
from relay.core.slots import Order, Stub
from relay.store import rows
from relay.store.port import StoreMismatch
from tests.relay.store.batches import (
    NOW,
    a_bypass,
    a_device,
    a_feedback,
    a_halt,
    a_pass,
    a_receipt,
    a_request,
    a_slot,
    a_visit,
    an_act,
    device_key,
    receipt_key,
    user,
)

WRITTEN: dict[str, tuple[bytes, Callable[[bytes], object]]] = {
    "slot": (rows.slot(a_slot(1, done={device_key(1): 2})), rows.read_slot),
    "alarm": (
        rows.slot(a_slot(1, done={device_key(1): 2}, stubs=(Stub(receipt_key(1), 104, 104),))),
        rows.read_slot,
    ),
    "order": (
        rows.slot(a_slot(1, done={device_key(1): 2}, orders={device_key(1): Order(NOW, NOW + 60)})),
        rows.read_slot,
    ),
    "account": (rows.account(Account(1, 2, 3, 4, 5, 6)), rows.read_account),
    "person": (rows.person(PersonRecord("city", b"sealed")), rows.read_person),
    "device": (rows.device(a_device(1, user(1))), lambda body: rows.read_device(device_key(1), body)),
    "rest": (rows.rest(RestRecord(b"sealed", 3)), rows.read_rest),
    "request": (rows.request(a_request(1)), rows.read_request),
    "request of an alarm": (rows.request(a_request(1, receipt=receipt_key(1))), rows.read_request),
    "receipt": (rows.receipt(a_receipt(1)), rows.read_receipt),
    "halt": (rows.halt(a_halt(1)), rows.read_halt),
    "act": (rows.act(an_act(1)), rows.read_act),
    "feedback": (rows.feedback(a_feedback(1)), rows.read_feedback),
    "pass": (rows.pass_(a_pass(1)), rows.read_pass),
    "visit": (rows.visit(a_visit(1)), rows.read_visit),
}


def try_to_read(read: Callable[[bytes], object], body: bytes) -> None:
    """Either a record, or StoreMismatch; anything else would be a traceback at start."""
    with suppress(StoreMismatch), rows.reading():
        read(body)


@pytest.mark.parametrize("kind", WRITTEN)
@given(data=st.data())
def test_damaged_records_are_a_mismatch_or_records(kind: str, data: st.DataObject) -> None:
    body, read = WRITTEN[kind]
    position = data.draw(st.integers(0, len(body) - 1))
    cut = data.draw(st.integers(position, len(body)))
    filling = data.draw(st.binary(max_size=4))
    try_to_read(read, body[:position] + filling + body[cut:])


@pytest.mark.parametrize("kind", WRITTEN)
@given(st.binary(max_size=100))
def test_any_bytes_are_a_mismatch_or_a_record(kind: str, body: bytes) -> None:
    try_to_read(WRITTEN[kind][1], body)


@pytest.mark.parametrize("kind", WRITTEN)
@pytest.mark.parametrize("part", [slice(0), slice(-1), slice(0, 3)], ids=["empty", "cut short", "three bytes"])
def test_a_record_cut_short_is_never_taken_for_one(kind: str, part: slice) -> None:
    body, read = WRITTEN[kind]
    with pytest.raises(StoreMismatch), rows.reading():
        read(body[part])


@pytest.mark.parametrize("kind", WRITTEN)
def test_a_record_of_another_version_is_refused(kind: str) -> None:
    body, read = WRITTEN[kind]
    place = 0 if body[0] in (1, 2, 3) else 1
    assert body[place] in (1, 2, 3)
    with pytest.raises(StoreMismatch, match="newer version"):
        read(body[:place] + b"\x04" + body[place + 1 :])


def test_a_slot_and_a_request_that_are_no_alarms_are_written_as_before_there_were_receipts() -> None:
    """Byte for byte as version 1 of the records; so the busiest rows have not grown."""
    slot, request = a_slot(1, done={device_key(1): 2}), a_request(1)
    assert len(rows.slot(slot)) == 1 + 4 * 8 + 6 * 8 + 16 + 8
    assert rows.slot(slot)[0] == 1
    assert msgpack.unpackb(rows.request(request)) == [1, request.body, 3, 2, NOW]


@given(st.lists(st.integers(0, 2**64 - 1), min_size=2))
def test_numbers_sort_as_bytes(numbers: list[int]) -> None:
    assert sorted(map(rows.number, numbers)) == [rows.number(number) for number in sorted(numbers)]
    assert [rows.read_number(rows.number(number)) for number in numbers] == numbers


@given(st.lists(st.floats(0, 2**40), min_size=2))
def test_instants_sort_as_bytes(instants: list[float]) -> None:
    assert sorted(map(rows.instant, instants)) == [rows.instant(at) for at in sorted(instants)]


def test_instants_differ_by_the_millisecond() -> None:
    assert rows.instant(NOW) < rows.instant(NOW + 0.001)


def test_a_record_of_a_bypass_counts_its_recipients_and_does_not_name_them() -> None:
    """Who was woken stands in a table of its own, purged with it; the record alone may be shown to an auditor."""
    written = rows.bypass(a_bypass(1, recipients=3))
    assert written == rows.bypass(replace(a_bypass(1, recipients=3), sealed=b"others"))
    assert written != rows.bypass(a_bypass(1, recipients=2))
