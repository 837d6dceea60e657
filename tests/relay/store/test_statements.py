"""Packed rows: what SQL cuts out again is what was packed, to the last byte that fits."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.store.port import LARGEST_RECORD, StoreError
from relay.store.statements import Row, packed


def cut(blob: bytes, cuts: str) -> list[Row]:
    """As the statement does it, from the words of the module."""
    rows: list[Row] = []
    for value in json.loads(cuts):
        offset, key, length = value >> 28, value >> 20 & 0xFF, value & 0xFFFFF
        rows.append((blob[offset : offset + key], blob[offset + key : offset + length]))
    return rows


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=255), st.binary(max_size=300))))
def test_rows_are_cut_out_as_they_were_packed(rows: list[Row]) -> None:
    blob, cuts = packed(iter(rows))
    assert cut(blob, cuts) == sorted(rows)
    assert len(blob) == sum(len(key) + len(rest) for key, rest in rows)


def test_no_rows_are_an_empty_blob() -> None:
    assert packed([]) == (b"", "[]")


@pytest.mark.parametrize("keys", [1, 16, 255])
def test_the_largest_row_is_one_byte_below_the_limit(keys: int) -> None:
    largest = (b"k" * keys, b"r" * (LARGEST_RECORD - keys - 1))
    rows = [(b"a", b"before"), largest, (b"z", b"after")]
    assert cut(*packed(rows)) == rows
    with pytest.raises(StoreError, match="1 MiB"):
        packed([(largest[0], largest[1] + b"r")])


def test_a_key_is_at_most_what_eight_bits_can_say() -> None:
    with pytest.raises(StoreError, match="255"):
        packed([(b"k" * 256, b"")])


def test_a_batch_larger_than_four_gigabytes_would_still_be_counted_rightly() -> None:
    """SQLite's integers have 63 bits: 35 are left for the offset, eight times what a blob can hold."""
    _, cuts = packed([(b"key", bytes(1000))] * 1000)
    offsets = [value >> 28 for value in json.loads(cuts)]
    assert all(b - a == 1003 for a, b in pairwise(offsets))
    assert (10**9 << 28 | 255 << 20 | LARGEST_RECORD - 1) < 2**63
