"""The parser alone. What it refuses is tested with the server in test_http1.py."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.doors.parser import BODY, HEAD, IDLE, READ, Parser
from tests.relay.doors.http_client import chunked, request
from tests.relay.doors.requests import ENDS, POST, REQUESTS, UPGRADE, cuts_of

Parsed = tuple[list[tuple[bytes, bytes, dict[bytes, bytes], bytes, bool]], tuple[int, str] | None]


def fed(pieces: Iterable[bytes]) -> Parser:
    parser = Parser(head=500, body=100, pipelined=64)
    for piece in pieces:
        if parser.refusal is None:
            parser.feed(piece)
    return parser


def parsed(pieces: Iterable[bytes]) -> Parsed:
    parser = fed(pieces)
    requests = [(r.method, r.target, dict(r.headers), r.body, keep) for r, keep in parser.ready]
    return requests, parser.refusal


@given(st.lists(REQUESTS, max_size=5), ENDS, st.data())
@settings(max_examples=200)
def test_how_a_stream_is_cut_changes_no_request(requests: list[bytes], end: bytes, data: st.DataObject) -> None:
    stream = b"".join(requests) + end
    pieces = data.draw(cuts_of(stream))
    assert parsed(pieces) == parsed([stream])
    assert parsed(stream[i : i + 1] for i in range(len(stream))) == parsed([stream])


@given(st.lists(st.binary(max_size=60), max_size=6))
@settings(max_examples=200)
def test_no_bytes_raise(pieces: list[bytes]) -> None:
    fed(pieces)


def test_where_a_connection_is() -> None:
    """The server hurries each phase in its own time."""
    parser = Parser(head=500, body=100, pipelined=64)
    phases = []
    for piece in (
        b"\r\n",
        b"GET",
        b" / HTTP/1.1\r\nHost: a\r\n",
        b"\r\nPOST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n",
    ):
        parser.feed(piece)
        phases.append(parser.phase)
    for piece in (b"\r\n", b"x", b"y"):
        parser.feed(piece)
        phases.append(parser.phase)
    assert phases == [IDLE, HEAD, HEAD, HEAD, BODY, BODY, IDLE]
    assert len(parser.ready) == 2


def test_a_trailer_does_not_become_a_field_of_the_next_request() -> None:
    """Else credentials could be slipped to somebody else's request on a shared connection."""
    with_trailer = chunked("POST", "/1", [b"x"])[:-2] + b"Authorization: Bearer a.b\r\nX: 1\r\n\r\n"
    requests, refusal = parsed([with_trailer + request("GET", "/2") + with_trailer])
    assert refusal is None
    assert [headers for _, _, headers, _, _ in requests] == [
        {b"host": b"relay", b"transfer-encoding": b"chunked"},
        {b"host": b"relay"},
        {b"host": b"relay", b"transfer-encoding": b"chunked"},
    ]


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", False),
    ],
)
def test_an_upgrade_changes_neither_version_nor_persistence(head: bytes, keep: bool) -> None:
    ((_, _, headers, _, kept),), refusal = parsed([head])
    assert (kept, refusal) == (keep, None)
    assert b"upgrade" not in headers


def test_many_upgrades_in_one_read_are_all_declined() -> None:
    requests, refusal = parsed([request("POST", "/", b"body", UPGRADE) * 64])
    assert len(requests) == 64
    assert {body for _, _, _, body, _ in requests} == {b"body"}
    assert refusal is None


def test_a_large_body_in_tiny_chunks_is_taken() -> None:
    """What frames the chunks is not their content, and not a head either."""
    parser = Parser(head=500, body=READ, pipelined=64)
    stream = chunked("POST", "/", [b"x"] * READ)
    for start in range(0, len(stream), READ):
        parser.feed(stream[start : start + READ])
    assert parser.refusal is None
    assert parser.ready[0][0].body == b"x" * READ


def test_a_request_that_comes_in_drops_is_not_too_large_by_that() -> None:
    data = POST + b"X: " + b"a" * 300 + b"\r\nContent-Length: 2\r\n\r\n{}"
    requests, refusal = parsed(data[i : i + 1] for i in range(len(data)))
    assert (len(requests), refusal) == (1, None)
