"""Reading header blocks beside `h2`: compared with blocks made by the hpack library, and by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hpack import Encoder, HeaderTuple, NeverIndexedHeaderTuple
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hyperframe.frame import HeadersFrame
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.simulators.conduct import Conduct, PingStrikes, fields

STATIC = 61
"""Entries of the static table."""


def integer(value: int, bits: int, first: int) -> bytes:
    """RFC 7541, 5.1; `first` has the bits above the prefix."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((first | value,))
    encoded = bytearray((first | limit,))
    value -= limit
    while value >= 128:
        encoded.append(value % 128 + 128)
        value //= 128
    encoded.append(value)
    return bytes(encoded)


def string(value: bytes, *, is_huffman: bool) -> bytes:
    encoded = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(value) if is_huffman else value
    return integer(len(encoded), 7, 0x80 if is_huffman else 0) + encoded


@dataclass(frozen=True)
class Field:
    """One representation, and what is to be read from it."""

    encoded: bytes
    expected: tuple[str, int, bytes] | None


def indexed(index: int) -> Field:
    return Field(integer(index, 7, 0x80), ("indexed", index, b""))


def update(size: int) -> Field:
    return Field(integer(size, 5, 0x20), None)


def literal(form: str, index: int, name: bytes, value: bytes, huffman: tuple[bool, bool]) -> Field:
    bits, first = {"incremental": (6, 0x40), "without": (4, 0), "never": (4, 0x10)}[form]
    encoded = integer(index, bits, first)
    if not index:
        encoded += string(name, is_huffman=huffman[0])
    encoded += string(value, is_huffman=huffman[1])
    return Field(encoded, (form, index, b"" if index else name))


INDICES = st.one_of(st.integers(1, STATIC), st.integers(1, 200), st.integers(1, 10_000))
FIELDS = st.one_of(
    INDICES.map(indexed),
    st.one_of(st.integers(0, 31), st.integers(0, 2**20)).map(update),
    st.builds(
        literal,
        st.sampled_from(["incremental", "without", "never"]),
        st.one_of(st.just(0), INDICES),
        st.binary(max_size=20),
        st.one_of(st.binary(max_size=20), st.binary(min_size=120, max_size=300)),
        st.tuples(st.booleans(), st.booleans()),
    ),
)


@given(parts=st.lists(FIELDS, max_size=8))
def test_every_representation_is_read_as_it_was_written(parts: list[Field]) -> None:
    block = b"".join(part.encoded for part in parts)
    assert list(fields(block)) == [part.expected for part in parts if part.expected is not None]


@given(parts=st.lists(FIELDS, min_size=1, max_size=4), cut=st.integers(0, 2000))
def test_a_block_that_is_cut_off_is_read_as_far_as_it_goes(parts: list[Field], cut: int) -> None:
    block = b"".join(part.encoded for part in parts)
    block, left = block[: cut % len(block)], cut % len(block)
    whole = []
    for part in parts:
        left -= len(part.encoded)
        if left < 0:
            break
        whole.append(part.expected)
    assert list(fields(block)) == [expected for expected in whole if expected is not None]


@given(block=st.binary(max_size=60))
@example(block=b"\x40\x84\xff\xff\xff\xff\x01x")
def test_any_bytes_are_read_without_an_error(block: bytes) -> None:
    assert len(list(fields(block))) <= len(block)


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b":path", b":method", b"authorization", b"apns-topic", b"apns-id", b"x"]),
        st.binary(max_size=30),
        st.booleans(),
    ),
    max_size=10,
)


@given(blocks=st.lists(HEADERS, min_size=1, max_size=4), huffman=st.booleans())
def test_what_the_hpack_library_writes_is_read_field_by_field(
    blocks: list[list[tuple[bytes, bytes, bool]]], huffman: bool
) -> None:
    """Over several blocks of one encoder, so that the dynamic table is used."""
    encoder = Encoder()
    known: set[tuple[bytes, bytes]] = set()
    for headers in blocks:
        tuples = [(NeverIndexedHeaderTuple if secret else HeaderTuple)(n, v) for n, v, secret in headers]
        read = list(fields(encoder.encode(tuples, huffman=huffman)))
        assert len(read) == len(headers)
        for (name, value, secret), (form, index, literal_name) in zip(headers, read, strict=True):
            assert form in ("never", "indexed") if secret else form in ("incremental", "indexed")
            assert form != "indexed" or (name, value) in known or index <= STATIC
            assert literal_name in (b"", name)
            if form == "incremental":
                known.add((name, value))


def conduct(now: Callable[[], float] = lambda: 0.0) -> tuple[Conduct, Counter[str]]:
    breaches: Counter[str] = Counter()

    def violate(what: str) -> None:
        breaches[what] += 1

    found = Conduct(violate, now)
    assert found.see(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    return found, breaches


SECRETS = [
    (0, b":path", "path_indexed"),
    (4, b"", "path_indexed"),
    (5, b"", "path_indexed"),
    (0, b"authorization", "authorization_indexed"),
    (23, b"", "authorization_indexed"),
    (0, b"apns-topic", None),
    (3, b"", None),
    (24, b"", None),
]


@pytest.mark.parametrize(("index", "name", "breach"), SECRETS)
@pytest.mark.parametrize("form", ["incremental", "without", "never"])
@pytest.mark.parametrize("huffman", [True, False])
def test_path_and_authorization_must_not_enter_the_header_table(
    index: int, name: bytes, breach: str | None, form: str, huffman: bool
) -> None:
    """However the name is written: by its place in the static table, in letters, or Huffman coded."""
    found, breaches = conduct()
    block = literal(form, index, name, b"secret", (huffman, huffman)).encoded
    found.see(HeadersFrame(1, block, flags=["END_HEADERS"]).serialize())
    assert breaches == ({breach: 1} if breach is not None and form == "incremental" else {})
    assert found.forms == {1: ((form,), len(block))}


@settings(max_examples=30)
@given(padding=st.integers(0, 255), prioritized=st.booleans(), parts=st.lists(FIELDS, max_size=3))
def test_padding_and_priority_are_no_part_of_a_block(padding: int, prioritized: bool, parts: list[Field]) -> None:
    block = b"".join(part.encoded for part in parts)
    frame = HeadersFrame(7, block, flags=["END_HEADERS", "PADDED"], pad_length=padding)
    if prioritized:
        frame.flags.add("PRIORITY")
    found, breaches = conduct()
    found.see(frame.serialize())
    assert found.forms[7] == (tuple(part.expected[0] for part in parts if part.expected), len(block))
    assert breaches["priority_sent"] == prioritized


def test_trailers_do_not_take_the_place_of_a_request() -> None:
    found, _ = conduct()
    for block in (b"\x82\x84", b"\x83"):
        found.see(HeadersFrame(1, block, flags=["END_HEADERS"]).serialize())
    assert found.forms == {1: (("indexed", "indexed"), 2)}


# PINGs as gRPC counts them


def test_pings_that_come_too_soon_are_strikes_until_an_answer_forgives_them() -> None:
    instants = iter([0.0, 299.9, 600.0, 899.9, 900.0, 901.0, 902.0, 903.0])
    strikes = PingStrikes(lambda: next(instants), 300.0, 2)
    assert [strikes.ping() for _ in range(5)] == [True, True, True, True, False]
    strikes.forgive()
    assert [strikes.ping() for _ in range(3)] == [True, True, True]


def test_a_path_that_names_no_device_may_be_indexed() -> None:
    breaches: list[str] = []
    conduct = Conduct(breaches.append, lambda: 0.0, is_path_secret=False)
    conduct.see(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
    block = b"\x44\x01x" + b"\x40\x05:path\x01y" + b"\x57\x01z" + b"\x40\x0dauthorization\x01a"
    conduct.see(len(block).to_bytes(3, "big") + b"\x01\x05\x00\x00\x00\x01" + block)
    assert breaches == ["authorization_indexed"] * 2
