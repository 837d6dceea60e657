"""The sink's record of arrivals: the right token and the right instant, whoever the client is."""

from __future__ import annotations

import io

import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.simulators.sink import Sink, SinkConnection
from relay.simulators.stamps import PATH, Stamps, TokenReader
from relay.wire.template import BlockWriter, Request, Template
from tests.relay.simulators.h2_client import PREFACE
from tests.relay.simulators.test_frames import CUTS, chunks
from tests.relay.simulators.test_sink import client_of
from tests.relay.simulators.wakeups import BODY, START, wakeup

HEX = st.binary(min_size=1, max_size=50).map(bytes.hex)
TEMPLATE = Template([(b":method", b"POST"), (b":scheme", b"https"), (b"apns-topic", b"x.y")], [b"authorization"])


class Ticking:
    """A clock that goes on by one at each look."""

    now = 0

    def __call__(self) -> int:
        self.now += 1
        return self.now


@pytest.mark.parametrize("table", [0, 4096])
@given(tokens=st.lists(HEX, min_size=1, max_size=8))
def test_the_relay_is_read_by_searching(table: int, tokens: list[str]) -> None:
    """With a header table or without; its first block on a connection is another one than those that follow."""
    writer, reader = BlockWriter(TEMPLATE, table), TokenReader()
    for token in tokens:
        block = writer.block(Request(None, PATH + token.encode(), (b"bearer t",), b""))
        assert reader.token(block) == token.encode()


@pytest.mark.parametrize("huffman", [True, False])
@given(tokens=st.lists(HEX, min_size=1, max_size=8))
def test_any_other_client_is_read_too(*, huffman: bool, tokens: list[str]) -> None:
    """With Huffman coding and paths in its header table, which is decoded; without, which is not."""
    encoder, reader = Encoder(), TokenReader()
    for token in tokens if huffman else dict.fromkeys(tokens):
        fields = [(":method", "POST"), (":path", f"/3/device/{token}"), ("apns-topic", "x.y")]
        assert reader.token(encoder.encode(fields, huffman=huffman)) == token.encode()


@pytest.mark.parametrize(
    "block", [b"", b"\x83", PATH, b"\x14\x7f" + PATH + b"ab", b"\x04\x0b" + PATH, b"\xff\xff\xff", b"\x04\x0a" + PATH]
)
def test_a_block_without_a_token_has_none(block: bytes) -> None:
    assert TokenReader().token(block) == b""


@settings(max_examples=40)
@given(count=st.integers(0, 12), cuts=CUTS)
def test_every_request_has_its_line_when_its_last_byte_was_read(count: int, cuts: list[int]) -> None:
    """Wherever the bytes are split: the instant is that of the piece in which the request ends."""
    client = client_of({})
    ends, sent = [], client.data_to_send()
    tokens = [f"{number:064x}" for number in range(count)]
    for number, token in enumerate(tokens):
        fields = [(name, f"/3/device/{token}" if name == ":path" else value) for name, value in wakeup()]
        client.send_headers(2 * number + 1, fields)
        client.send_data(2 * number + 1, BODY, end_stream=True)
        sent += client.data_to_send()
        ends.append(len(sent))
    file, clock = io.BytesIO(), Ticking()
    connection = SinkConnection(Sink(lambda: START, stamps=Stamps(file, clock)))
    expected, read = [], 0
    for piece in chunks(sent, cuts):
        before = clock.now
        connection.receive(piece)
        inside = [token for token, end in zip(tokens, ends, strict=True) if read < end <= read + len(piece)]
        expected += [(token, before + 1) for token in inside]
        read += len(piece)
    lines = [line.split() for line in file.getvalue().decode().splitlines()]
    assert [(token, int(instant)) for token, instant in lines] == expected


def test_what_cannot_be_read_is_counted_and_has_no_line() -> None:
    file = io.BytesIO()
    stamps = Stamps(file, Ticking())
    connection = SinkConnection(Sink(lambda: START, stamps=stamps))
    request = b"\x00\x00\x01\x01\x05\x00\x00\x00\x01\x83"
    connection.receive(PREFACE + request * 2)
    assert (file.getvalue(), stamps.unread) == (b"", 2)
