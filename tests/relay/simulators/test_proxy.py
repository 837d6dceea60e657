"""The simulated proxy is strict: whatever a client does wrong has its word, and leads nowhere."""

from __future__ import annotations

import pytest

from relay.simulators.proxy import read

HOST = b"Host: a.example:443"


@pytest.mark.parametrize(
    ("line", "fields", "wrong"),
    [
        (b"CONNECT a.example:443 HTTP/1.1", [HOST], ""),
        (b"CONNECT a.example:443 HTTP/1.0", [], ""),
        (b"CONNECT [2001:db8::1]:443 HTTP/1.1", [b"Host: [2001:db8::1]:443"], ""),
        (b"GET https://a.example/ HTTP/1.1", [HOST], "no_connect"),
        (b"CONNECT a.example:443 HTTP/2", [HOST], "no_connect"),
        (b"CONNECT  a.example:443 HTTP/1.1", [HOST], "no_connect"),
        (b"", [], "no_connect"),
        (b"CONNECT a.example HTTP/1.1", [b"Host: a.example"], "bad_target"),
        (b"CONNECT a.example:0 HTTP/1.1", [b"Host: a.example:0"], "bad_target"),
        (b"CONNECT a.example:65536 HTTP/1.1", [b"Host: a.example:65536"], "bad_target"),
        (b"CONNECT https://a.example:443 HTTP/1.1", [HOST], "bad_target"),
        (b"CONNECT a.example:443 HTTP/1.1", [], "another_host"),
        (b"CONNECT a.example:443 HTTP/1.1", [b"Host: b.example:443"], "another_host"),
        (b"CONNECT a.example:443 HTTP/1.1", [HOST, HOST.lower()], "field_twice"),
        (b"CONNECT a.example:443 HTTP/1.1", [HOST, b"nothing"], "bad_field"),
        (b"CONNECT a.example:443 HTTP/1.1", [HOST, b" folded: line"], "bad_field"),
    ],
)
def test_what_a_client_does_wrong_has_its_word(line: bytes, fields: list[bytes], wrong: str) -> None:
    target, _, found = read(b"\r\n".join([line, *fields]))
    assert found == wrong
    assert bool(target) == (wrong in ("", "another_host"))
