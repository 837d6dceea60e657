"""When the rest of an answer block may be skipped, and what happens when a peer breaks the promise."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.wire import ErrorCode, OriginTrust, WireError
from relay.wire.hpack_trust import BlockReader
from tests.relay.wire.by_hand import OK, OK_OBEDIENT, status

ENVOY_OK = bytes.fromhex("00 85 b8848d36a3 82 1001")
"""`:status 200` from the QUICHE codec: literal name, Huffman, no table at all."""
HUFFMAN_410 = hpack.Encoder().huffman_coder.encode(b"410")

Field = tuple[bytes, bytes]


def code_of(error: pytest.ExceptionInfo[WireError]) -> ErrorCode:
    return error.value.code


@pytest.mark.parametrize(
    ("first", "trusts"),
    [
        (OK_OBEDIENT, True),
        (b"\x20" + status(410), True),
        (b"\x20\x20" + OK, True),
        (OK, False),
        (status(410), False),
        (b"\x3f\xe1\x1f" + OK, False),
        (b"\x3f\xe1\x1f\x20" + OK, False),
        (ENVOY_OK, False),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else None,
)
def test_trust_begins_with_a_first_block_that_sets_the_table_to_zero(first: bytes, trusts: bool) -> None:
    reader = BlockReader(OriginTrust())
    reader.read(first)
    assert reader.trusts is trusts


def test_a_later_update_does_not_promote() -> None:
    """Blocks before it may have filled a table: the connection stays in FULL for life."""
    reader = BlockReader(OriginTrust())
    reader.read(OK)
    reader.read(OK_OBEDIENT)
    assert not reader.trusts


@pytest.mark.parametrize(
    ("block", "fields"),
    [
        (OK, [(b":status", b"200")]),
        (OK_OBEDIENT, [(b":status", b"200")]),
        (b"\x20" * 5 + OK, [(b":status", b"200")]),
        (ENVOY_OK, [(b":status", b"200")]),
        (b"\x20" + ENVOY_OK, [(b":status", b"200")]),
        (b"\x8d", [(b":status", b"404")]),
        (b"\x08\x82" + HUFFMAN_410, [(b":status", b"410")]),
        (b"\x0e\x82" + HUFFMAN_410, [(b":status", b"410")]),
        (b"\x18\x03410", [(b":status", b"410")]),
        (b"\x48\x03410", [(b":status", b"410")]),
        (b"\x48\x82" + HUFFMAN_410, [(b":status", b"410")]),
        (b"\x20\x88\x00\x07apns-id\x01x", [(b":status", b"200"), (b"apns-id", b"x")]),
    ],
    ids=lambda value: value.hex() if isinstance(value, bytes) else None,
)
@pytest.mark.parametrize("opening", [OK, OK_OBEDIENT], ids=["full", "trust"])
def test_every_form_of_a_status_is_read_in_both_modes(opening: bytes, block: bytes, fields: list[Field]) -> None:
    """As seen at nginx, HAProxy, Go (name index 14), Netty, Tomcat (never indexed), Envoy; several updates (Tomcat)."""
    reader = BlockReader(OriginTrust())
    reader.read(opening)
    assert list(reader.read(block)) == fields
    assert list(BlockReader(OriginTrust()).read(block)) == fields


@settings(max_examples=60)
@given(
    answers=st.lists(
        st.tuples(
            st.sampled_from([b"200", b"400", b"410", b"429"]),
            st.lists(
                st.tuples(st.sampled_from([b"apns-id", b"server", b"content-type"]), st.binary(max_size=30)), max_size=3
            ),
        ),
        max_size=15,
    ),
    sizes=st.lists(st.sampled_from([0, 64, 4096]), max_size=3),
)
def test_a_peer_that_ignores_our_table_size_is_read_right(
    answers: list[tuple[bytes, list[Field]]], sizes: list[int]
) -> None:
    """h2o and Bun refer to entries of earlier answers; also when they resize their table on the way."""
    encoder, reader = hpack.Encoder(), BlockReader(OriginTrust())
    for number, (code, fields) in enumerate(answers):
        sent = [(b":status", code), *fields]
        block = encoder.encode(sent)
        assert list(reader.read(block)) == sent
        if number < len(sizes):
            encoder.header_table_size = sizes[number]


VIOLATIONS = {
    "an index above the static table": b"\xbe",
    "a name from the dynamic table": b"\x0f\x2f\x01x",
    "an incremental name from the dynamic table": b"\x7e\x01x",
    "an update above zero": b"\x21" + OK,
    "an update to the default": b"\x3f\xe1\x1f" + OK,
    "zero, then more": b"\x20\x3f\xe1\x1f" + OK,
    "a cut literal": b"\x08\x05410",
    "index zero": b"\x80",
    "an integer without end": b"\xff" * 12,
    "broken Huffman": b"\x08\x81\x00",
    "an update behind a field": OK + b"\x20",
}


@pytest.mark.parametrize("block", VIOLATIONS.values(), ids=VIOLATIONS.keys())
def test_a_violation_in_trust_ends_the_connection_and_marks_the_origin(block: bytes) -> None:
    origin = OriginTrust()
    reader = BlockReader(origin)
    reader.read(OK_OBEDIENT)
    with pytest.raises(WireError) as error:
        reader.read(block)
    assert code_of(error) is ErrorCode.COMPRESSION_ERROR
    assert origin.full_only


def test_a_marked_origin_is_never_trusted_again() -> None:
    """Its next connection reads dynamic references although it begins with 0x20."""
    origin = OriginTrust()
    origin.full_only = True
    reader = BlockReader(origin)
    assert list(reader.read(OK_OBEDIENT)) == [(b":status", b"200")]
    assert not reader.trusts
    reader.read(b"\x3f\xe1\x1f" + OK + b"\x40\x01a\x01b")
    assert list(reader.read(OK + b"\xbe")) == [(b":status", b"200"), (b"a", b"b")]


def test_an_origin_is_not_marked_by_another_ones_violation() -> None:
    first, second = OriginTrust(), OriginTrust()
    reader = BlockReader(first)
    reader.read(OK_OBEDIENT)
    with pytest.raises(WireError):
        reader.read(b"\xbe")
    other = BlockReader(second)
    other.read(OK_OBEDIENT)
    assert other.trusts


@pytest.mark.parametrize(
    "block", [b"\xbe", b"\x3f\xe2\x1f" + OK, b"\x08\x05410", b"\x80"], ids=["62", "4097", "cut", "0"]
)
def test_an_undecodable_block_in_full_mode_ends_the_connection_without_a_mark(block: bytes) -> None:
    """The peer is broken, but our trust was not."""
    origin = OriginTrust()
    reader = BlockReader(origin)
    reader.read(OK)
    with pytest.raises(WireError) as error:
        reader.read(block)
    assert code_of(error) is ErrorCode.COMPRESSION_ERROR
    assert not origin.full_only


@pytest.mark.parametrize("opening", [OK, OK_OBEDIENT], ids=["full", "trust"])
def test_a_header_list_that_is_too_large_when_unpacked_is_refused(opening: bytes) -> None:
    """A kilobyte of indexes can stand for megabytes of fields. 16,384 bytes, counted as in RFC 9113, 10.5.1."""
    reader = BlockReader(OriginTrust())
    reader.read(opening)
    fits = 16_384 // (len(b":status") + 3 + 32)
    assert len(reader.read(OK * fits)) == fits
    with pytest.raises(WireError) as error:
        reader.read(OK * (fits + 1))
    assert code_of(error) is ErrorCode.COMPRESSION_ERROR


@given(block=st.binary(max_size=200), opening=st.sampled_from([OK, OK_OBEDIENT]))
def test_any_bytes_are_a_header_list_or_a_compression_error(block: bytes, opening: bytes) -> None:
    reader = BlockReader(OriginTrust())
    reader.read(opening)
    code = ErrorCode.COMPRESSION_ERROR
    try:
        reader.read(block)
    except WireError as error:
        code = error.code
    assert code is ErrorCode.COMPRESSION_ERROR
