"""Header blocks of the template, read by an independent decoder, and by their first bits."""

from __future__ import annotations

from typing import NamedTuple

import hpack
import pytest
from hpack.hpack import decode_integer, encode_integer
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.wire import Request, Template
from relay.wire.template import BlockWriter, integer, text

Field = tuple[bytes, bytes]
STATIC = 61
"""Entries of the static table; what is above refers to the peer's dynamic table."""

APNS = Template(
    [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"api.push.example"),
        (b"apns-topic", b"de.example.dienst"),
        (b"apns-push-type", b"alert"),
        (b"apns-priority", b"10"),
        (b"content-length", b"53"),
    ],
    [b"authorization", b"apns-expiration"],
)
BEARER = b"bearer " + b"eyJ" * 70


class Representation(NamedTuple):
    """How one field is written: RFC 7541, 6."""

    form: str
    number: int
    huffman: bool
    size: int


def representations(block: bytes) -> list[Representation]:
    """The forms in a block, read from their first bits, without any table."""
    found, position = [], 0
    while position < len(block):
        first, rest = block[position], block[position:]
        if first & 0x80:
            index, size = decode_integer(rest, 7)
            form, huffman = "indexed", False
        elif first & 0xE0 == 0x20:
            index, size = decode_integer(rest, 5)
            form, huffman = "update", False
        else:
            prefix = 6 if first & 0x40 else 4
            form = "incremental" if first & 0x40 else "never" if first & 0x10 else "without"
            index, size = decode_integer(rest, prefix)
            huffman = False
            for _ in range(1 if index else 2):
                huffman |= bool(rest[size] & 0x80)
                length, used = decode_integer(rest[size:], 7)
                size += used + length
        found.append(Representation(form, index, huffman, size))
        position += size
    return found


def expected(template: Template, request: Request) -> list[Field]:
    """The fields a server must see, in order."""
    pseudo = [f for f in template.constant if f[0].startswith(b":")]
    regular = [f for f in template.constant if not f[0].startswith(b":")]
    return [*pseudo, (b":path", request.path), *regular, *zip(template.varying, request.varying, strict=True)]


def peer(table: int) -> hpack.Decoder:
    """A server's decoder that has announced this table size."""
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = table
    return decoder


def decoded(decoder: hpack.Decoder, block: bytes) -> list[Field]:
    return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]


def apns(number: int, bearer: bytes = BEARER, expiration: bytes = b"1790000000") -> Request:
    return Request(number, b"/3/device/%064x" % number, (bearer, expiration), b"")


names = st.one_of(
    st.sampled_from([b"accept", b"accept-encoding", b"content-type", b"user-agent", b"te", b"content-length"]),
    st.from_regex(rb"[a-z][a-z0-9-]{0,20}", fullmatch=True),
)
values = st.one_of(
    st.sampled_from([b"", b"10", b"gzip, deflate", b"application/json"]),
    st.binary(min_size=1, max_size=20),
    st.integers(120, 300).map(lambda n: b"v" * n),
)
paths = st.one_of(st.sampled_from([b"/", b"/index.html"]), st.binary(max_size=300).map(lambda b: b"/" + b))
tables = st.sampled_from([0, 1, 100, 4095, 4096, 65_536])


@st.composite
def templates(draw: st.DrawFn) -> Template:
    pseudo = draw(
        st.lists(
            st.one_of(
                st.tuples(st.just(b":method"), st.sampled_from([b"POST", b"GET", b"PUT"])),
                st.tuples(st.just(b":scheme"), st.sampled_from([b"https", b"wss"])),
                st.tuples(st.just(b":authority"), values),
            ),
            unique_by=lambda field: field[0],
            max_size=3,
        )
    )
    regular = draw(st.lists(st.tuples(names, values), unique_by=lambda field: field[0], max_size=5))
    taken = {name for name, _ in regular}
    varying = draw(st.lists(st.one_of(names, st.just(b"authorization")), unique=True, max_size=3))
    return Template([*pseudo, *regular], [name for name in varying if name not in taken])


@settings(max_examples=80)
@given(data=st.data())
def test_every_block_decodes_in_order_to_exactly_its_fields_whatever_the_peers_table(data: st.DataObject) -> None:
    """Also when the table is lowered and raised in between, once or twice before the next block."""
    template = data.draw(templates())
    table = data.draw(tables)
    writer, decoder = BlockWriter(template, table), peer(table)
    sets = [tuple(data.draw(values) for _ in template.varying) for _ in range(2)]
    for step in data.draw(st.lists(st.one_of(st.none(), tables), min_size=1, max_size=15)):
        if step is None:
            request = Request(None, data.draw(paths), data.draw(st.sampled_from(sets)), b"")
            assert decoded(decoder, writer.block(request)) == expected(template, request)
        else:
            writer.resize(step)
            decoder.max_allowed_table_size = step


@settings(max_examples=40)
@given(data=st.data())
def test_only_constants_and_names_enter_the_peers_table(data: st.DataObject) -> None:
    """Apple's advice: a path or a token in the table would evict the constants, and stay in a stranger's memory."""
    template = data.draw(templates())
    writer, decoder = BlockWriter(template), peer(4096)
    secret = {b":path", b"authorization"}
    first = Request(None, data.draw(paths), tuple(data.draw(values) for _ in template.varying), b"")
    decoded(decoder, writer.block(first))
    entries = list(decoder.header_table.dynamic_entries)
    assert not {bytes(name) for name, _ in entries} & secret
    for _ in range(3):
        request = Request(None, data.draw(paths), tuple(data.draw(values) for _ in template.varying), b"")
        decoded(decoder, writer.block(request))
        assert list(decoder.header_table.dynamic_entries) == entries


@settings(max_examples=40)
@given(data=st.data())
def test_secrets_are_never_indexed_and_other_varying_fields_not_indexed_again(data: st.DataObject) -> None:
    """`:path` and `authorization` carry the never-indexed bit always, whatever the table."""
    template, table = data.draw(templates()), data.draw(tables)
    writer = BlockWriter(template, table)
    for number in range(3):
        request = Request(None, data.draw(paths), tuple(data.draw(values) for _ in template.varying), b"")
        forms = [r for r in representations(writer.block(request)) if r.form != "update"]
        for (name, _), representation in zip(expected(template, request), forms, strict=True):
            if name in (b":path", b"authorization"):
                assert representation.form == "never"
                assert representation.number == (4 if name == b":path" else 23)
            elif name in template.varying:
                assert representation.form == "without" or (number == 0 and representation.form == "incremental")
                assert number == 0 or table < 4096 or representation.number


@settings(max_examples=40)
@given(data=st.data())
def test_nothing_is_huffman_coded(data: st.DataObject) -> None:
    """P4: its length would vary with the digits of a token."""
    template, table = data.draw(templates()), data.draw(tables)
    writer = BlockWriter(template, table)
    for _ in range(3):
        request = Request(None, data.draw(paths), tuple(data.draw(values) for _ in template.varying), b"")
        assert not any(representation.huffman for representation in representations(writer.block(request)))


@settings(max_examples=40)
@given(data=st.data())
def test_constants_cost_one_byte_each_from_the_second_request_on(data: st.DataObject) -> None:
    template = data.draw(templates())
    writer = BlockWriter(template)
    for number in range(3):
        request = Request(None, data.draw(paths), tuple(data.draw(values) for _ in template.varying), b"")
        forms = representations(writer.block(request))
        constant = [f[1] for f in zip(expected(template, request), forms, strict=True) if f[0] in template.constant]
        assert len(constant) == len(template.constant)
        if number:
            assert all(representation.form == "indexed" and representation.size == 1 for representation in constant)


@settings(max_examples=25)
@given(table=tables, digits=st.lists(st.binary(min_size=32, max_size=32), min_size=4, max_size=12), lower=tables)
def test_blocks_of_equal_tokens_have_equal_length_from_the_third_request_on(
    table: int, digits: list[bytes], lower: int
) -> None:
    """P4; a changed table size starts the count anew."""
    writer = BlockWriter(APNS, table)
    for size in (table, lower):
        writer.resize(size)
        sizes = [len(writer.block(Request(0, b"/3/device/" + d.hex().encode(), (BEARER, b"17"), b""))) for d in digits]
        assert len(set(sizes[2:])) == 1


def test_a_wakeup_costs_its_path_its_token_and_a_few_bytes() -> None:
    """Seven constants, 7 bytes; path 2 + 74; authorization 3 + 2 + 217; expiration 2 + 1 + 10."""
    writer = BlockWriter(APNS)
    writer.block(apns(1))
    sizes = [representation.size for representation in representations(writer.block(apns(2)))]
    assert sizes == [1, 1, 1, 2 + 74, 1, 1, 1, 1, 2 + 2 + 217, 2 + 1 + 10]


@pytest.mark.parametrize("table", [0, 1, 100, 4095])
def test_a_smaller_table_is_set_to_zero_once_and_never_referred_to(table: int) -> None:
    """Rule 9: nghttp2, Node, Envoy and Netty demand the update, and answer a reference with COMPRESSION_ERROR."""
    writer = BlockWriter(APNS, table)
    blocks = [representations(writer.block(apns(number))) for number in range(4)]
    assert [[r for r in block if r.form == "update"] for block in blocks] == [[("update", 0, False, 1)], [], [], []]
    assert all(r.number <= STATIC and r.form != "incremental" for block in blocks for r in block)


def test_a_table_lowered_later_is_set_to_zero_with_the_next_block() -> None:
    writer = BlockWriter(APNS)
    assert any(r.number > STATIC for n in range(2) for r in representations(writer.block(apns(n))))
    writer.resize(100)
    blocks = [representations(writer.block(apns(number))) for number in range(3)]
    assert [[r.form for r in block].count("update") for block in blocks] == [1, 0, 0]
    assert blocks[0][0].form == "update"
    assert all(r.number <= STATIC and r.form != "incremental" for block in blocks for r in block)


def test_a_table_raised_again_changes_nothing() -> None:
    """Literals are always right; an entry that was dropped never comes back."""
    writer = BlockWriter(APNS, 0)
    writer.block(apns(1))
    literal = writer.block(apns(2))
    writer.resize(65_536)
    assert writer.block(apns(2)) == literal


@pytest.mark.parametrize("table", [4096, 4097, 65_536])
def test_a_table_of_the_default_size_or_more_needs_no_update(table: int) -> None:
    """We never use more than the default, so a larger offer, and one lowered to no less, changes nothing."""
    writer = BlockWriter(APNS, 65_536)
    first = writer.block(apns(1))
    second = writer.block(apns(2))
    writer.resize(table)
    assert writer.block(apns(2)) == second
    assert first[0] & 0xE0 != 0x20


def test_constants_that_would_not_fit_into_the_table_stay_literals() -> None:
    """A table that evicts the first constants while the last enter would make every reference wrong."""
    template = Template([(b":method", b"POST"), (b"a", b"x" * 2000), (b"b", b"y" * 2100)], [b"authorization"])
    writer, decoder = BlockWriter(template), peer(4096)
    for number in range(3):
        request = Request(None, b"/%d" % number, (b"t",), b"")
        assert decoded(decoder, writer.block(request)) == expected(template, request)
    assert not decoder.header_table.dynamic_entries


@pytest.mark.parametrize(("excess", "sizes"), [(0, [6, 6]), (1, [4_047, 4_047])])
def test_constants_that_fill_the_table_to_the_byte_are_indexed_and_one_byte_more_is_not(
    excess: int, sizes: list[int]
) -> None:
    """4,096 bytes by RFC 7541, 4.1: name, value and 32 for each entry."""
    template = Template([(b"a", b"x" * 2015), (b"b", b"y" * (2015 + excess))], [])
    assert template.table_bytes(()) == 4096 + excess
    writer, decoder = BlockWriter(template), peer(4096)
    found = []
    for number in range(3):
        request = Request(None, b"/%d" % number, (), b"")
        block = writer.block(request)
        assert decoded(decoder, block) == expected(template, request)
        found.append(len(block))
    assert found[1:] == sizes


def test_hundreds_of_sets_of_varying_values_are_written_right() -> None:
    """Sets are remembered for speed; forgetting the old ones must not change a byte."""
    writer, decoder = BlockWriter(APNS), peer(4096)
    for number in [*range(200), *range(200)]:
        request = apns(number, b"bearer %d" % number, b"17900%05d" % (number // 3))
        assert decoded(decoder, writer.block(request)) == expected(APNS, request)


def test_a_request_with_too_few_values_is_refused() -> None:
    """A field must never get its neighbour's value."""
    with pytest.raises(ValueError, match="zip"):
        BlockWriter(APNS).block(Request(None, b"/", (BEARER,), b""))
    writer = BlockWriter(APNS)
    writer.block(apns(1))
    with pytest.raises(ValueError, match="zip"):
        writer.block(Request(None, b"/", (BEARER,), b""))


@pytest.mark.parametrize(("value", "bits", "encoded"), [(10, 5, "0a"), (1337, 5, "1f9a0a"), (42, 8, "2a")])
def test_integers_of_the_rfc(value: int, bits: int, encoded: str) -> None:
    """RFC 7541, C.1."""
    assert integer(value, bits, 0).hex() == encoded


EDGES = [2**bits - 1 + step for bits in range(4, 8) for step in (-1, 0, 1, 127, 128, 129, 2**14 - 1, 2**14)]


@pytest.mark.parametrize("bits", [4, 5, 6, 7])
@pytest.mark.parametrize("value", EDGES)
def test_integers_around_the_edges_of_their_bytes(value: int, bits: int) -> None:
    assert integer(value, bits, 0) == bytes(encode_integer(value, bits))


@given(value=st.integers(0, 2**32), bits=st.integers(4, 7))
def test_integers_are_those_of_another_implementation(value: int, bits: int) -> None:
    assert integer(value, bits, 0) == bytes(encode_integer(value, bits))


@given(value=st.binary(max_size=400))
def test_a_string_states_its_length_and_itself(value: bytes) -> None:
    encoded = text(value)
    length, used = decode_integer(encoded, 7)
    assert (length, encoded[used:], encoded[0] & 0x80) == (len(value), value, 0)


FCM = Template(
    [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", b"fcm.example"),
        (b":path", b"/v1/projects/police/messages:send"),
        (b"content-type", b"application/json"),
    ],
    [b"authorization", b"content-length"],
)


@pytest.mark.parametrize("table", [0, 100, 4096])
def test_a_path_that_is_the_same_for_all_is_a_constant_like_the_others(table: int) -> None:
    """Two lengths of body in turn, as tokens of two lengths give; the path is a byte from the second request on."""
    writer, decoder = BlockWriter(FCM, table), peer(table)
    for number in range(6):
        varying = (BEARER, b"%d" % (200 + number % 2))
        block = writer.block(Request(None, b"", varying, b""))
        fields = [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
        assert fields == [*FCM.constant, *zip(FCM.varying, varying, strict=True)]
        forms = [r.form for r in representations(block) if r.form != "update"]
        if table == 4096 and number:
            assert forms == ["indexed"] * 5 + ["never", "without"]
