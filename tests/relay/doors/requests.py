"""Streams of requests: good ones, broken ones, and every way to cut them into pieces."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from tests.relay.doors.http_client import chunked, request

POST = b"POST /v1/events HTTP/1.1\r\nHost: relay\r\n"
UPGRADE = [("Connection", "upgrade"), ("Upgrade", "h2c")]

BROKEN: dict[str, bytes] = {
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two equal lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "signed length": POST + b"Content-Length: +2\r\n\r\n{}",
    "negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "hexadecimal length": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "empty length": POST + b"Content-Length:\r\n\r\n{}",
    "length with a space": POST + b"Content-Length: 1 2\r\n\r\n{}",
    "length beyond all integers": POST + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "other coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "coding after chunked": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "coding like chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "coding with a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "coding with parameter": POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    "no coding": POST + b"Transfer-Encoding: \r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n{}",
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "chunk size no number": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "chunk size negative": POST + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "chunk size with 0x": POST + b"Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "chunk size with space": POST + b"Transfer-Encoding: chunked\r\n\r\n2 \r\n{}\r\n0\r\n\r\n",
    "chunk size beyond all integers": POST + b"Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff2\r\n{}\r\n0\r\n\r\n",
    "chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
    "chunk without end": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
    "chunks with bare line feeds": POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
    "line feed in a chunk extension": POST + b"Transfer-Encoding: chunked\r\n\r\n2;a\nb\r\n{}\r\n0\r\n\r\n",
    "folded field": POST + b"X: a\r\n b\r\n\r\n",
    "folded length": POST + b"Content-Length:\r\n 2\r\n\r\n{}",
    "folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "bare line feeds": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare line feed in the head": b"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "bare carriage return in the head": b"GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n",
    "bare line feed at the end of the head": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "NUL in a value": b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n",
    "NUL in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX\x00: b\r\n\r\n",
    "NUL in the target": b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
    "control character in a value": b"GET / HTTP/1.1\r\nHost: a\x01b\r\n\r\n",
    "space before the colon": POST + b"Content-Length : 2\r\n\r\n{}",
    "space in a name": b"GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "target not ASCII": b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
    "unknown method": b"WAKE / HTTP/1.1\r\nHost: a\r\n\r\n",
    "method in lower case": b"post / HTTP/1.1\r\nHost: a\r\n\r\n",
    "endless method": b"G" * 5000 + b" / HTTP/1.1\r\nHost: a\r\n\r\n",
    "tunnel": b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
    "preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "space before the request": b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
}
"""What is not HTTP/1.1, or not only: each is answered 400."""


def head_of(size: int) -> bytes:
    """A request whose target and fields come to `size` by the server's count (name, value and four more)."""
    fixed = len("/") + len("host") + len("relay") + 4 + len("x") + 4
    return request("GET", "/", headers=[("X", "a" * (size - fixed))])


REQUESTS = st.one_of(
    st.builds(lambda n: request("GET", f"/{n}"), st.integers(0, 99)),
    st.builds(lambda body: request("POST", "/declared", body), st.binary(max_size=60)),
    st.builds(lambda body: request("POST", "/upgrade", body, UPGRADE), st.binary(max_size=60)),
    st.builds(lambda pieces: chunked("PUT", "/chunked", pieces), st.lists(st.binary(max_size=30), max_size=4)),
    st.builds(lambda n: b"\r\n" * n + request("DELETE", "/after-lines"), st.integers(0, 3)),
)
"""Good requests; each is answered and the connection kept."""
ENDS = st.one_of(
    st.just(b""),
    st.just(request("GET", "/last", headers=[("Connection", "close")])),
    st.just(request("POST", "/too-large", b"x" * 101)),
    st.just(head_of(501)),
    st.sampled_from(sorted(BROKEN.values())),
)
"""Nothing, or what ends a connection that takes heads of 500 and bodies of 100 bytes."""


@st.composite
def cuts_of(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """The stream in up to nine pieces."""
    edges = sorted({0, len(stream), *draw(st.lists(st.integers(0, len(stream)), max_size=8))})
    return [stream[start:end] for start, end in itertools.pairwise(edges)]
