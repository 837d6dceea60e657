"""Identical requests are a template.

Of a request's header block only `:path` and a few varying fields differ from the last one's. Constants enter the peer's
dynamic table with the first request and are one byte each afterwards. `:path` and `authorization` are never-indexed
literals, other varying fields literals without indexing under an indexed name. No Huffman anywhere: its length would
vary with the digits of a token, a fingerprint visible from outside (P4). So a request is

    HEADERS(head + length of path + path + tail) DATA(body)

Where the path is the same for all requests it is one of the constants, and those of the request stay empty.

where `head` is fixed for the connection and `tail` for a set of varying values; encoding one is four concatenations.

A peer that offers less table than we need (or lowers it below the default) is told "size 0" and gets literals only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from hpack.table import HeaderTable

DEFAULT_TABLE: Final = 4096
_ENTRY_OVERHEAD: Final = 32
_NO_UPDATE: Final = b""
_TO_ZERO: Final = b"\x20"

_STATIC_PAIRS: Final = {(name, value): i for i, (name, value) in reversed([*enumerate(HeaderTable.STATIC_TABLE, 1)])}
_STATIC_NAMES: Final = {name: i for i, (name, _) in reversed([*enumerate(HeaderTable.STATIC_TABLE, 1)])}

INCREMENTAL: Final = (0x40, 6)
WITHOUT: Final = (0x00, 4)
NEVER: Final = (0x10, 4)
_SECRET: Final = frozenset({b":path", b"authorization"})
Form = tuple[int, int]


class Request(NamedTuple):
    """One request. `tag` is handed back with the answer; `varying` in the order of the template's names."""

    tag: object
    path: bytes
    """Empty when the template has a constant one."""
    varying: tuple[bytes, ...]
    body: bytes


class Template:
    """What all requests of a lane share: constant fields in order, pseudo fields first, and names of varying ones."""

    __slots__ = ("constant", "varying")

    def __init__(self, constant: Sequence[tuple[bytes, bytes]], varying: Sequence[bytes]) -> None:
        self.constant = tuple(constant)
        self.varying = tuple(varying)

    @property
    def has_path(self) -> bool:
        """The path is constant."""
        return any(name == b":path" for name, _ in self.constant)

    def table_bytes(self, values: tuple[bytes, ...]) -> int:
        """Dynamic table the first request fills (RFC 7541, 4.1)."""
        fields = [f for f in self.constant if f not in _STATIC_PAIRS]
        fields += [f for f in zip(self.varying, values, strict=True) if f[0] not in _SECRET]
        return sum(len(name) + len(value) + _ENTRY_OVERHEAD for name, value in fields)


class BlockWriter:
    """Encodes the header blocks of one connection."""

    __slots__ = ("_first_done", "_head", "_indexed", "_lengths", "_prefix", "_table", "_tails", "_template", "_update")

    def __init__(self, template: Template, table: int = DEFAULT_TABLE) -> None:
        """`table`: the peer's SETTINGS_HEADER_TABLE_SIZE."""
        self._template = template
        self._table = min(table, DEFAULT_TABLE)
        self._lengths: dict[int, bytes] = {}
        self._tails: dict[tuple[bytes, ...], bytes] = {}
        self._first_done = False
        self._update = _TO_ZERO if table < DEFAULT_TABLE else _NO_UPDATE
        self._indexed: dict[tuple[bytes, bytes] | bytes, int] = {}
        self._head = b""

    def resize(self, table: int) -> None:
        """The peer changed its table size: lower means literals only from the next block on; higher changes nothing."""
        if table < self._table:
            self.__init__(self._template, table)  # type: ignore[misc]  # the same connection, started anew

    def block(self, request: Request) -> bytes:
        """The header block of a request."""
        tail = self._tails.get(request.varying)
        if tail is None:
            return self._unusual(request)
        path = request.path
        length = self._lengths.get(len(path)) or self._length(len(path))
        return self._head + length + path + tail

    def _unusual(self, request: Request) -> bytes:
        """First request of the connection, or of a set of varying values."""
        if not self._first_done:
            self._first_done = True
            if self._table >= DEFAULT_TABLE and self._template.table_bytes(request.varying) <= DEFAULT_TABLE:
                return self._indexing(request)
            self._make_head()
            update, self._update = self._update, _NO_UPDATE
            return update + self.block_with(request)
        return self.block_with(request)

    def block_with(self, request: Request) -> bytes:
        if len(self._tails) >= 64:  # authorization changes hourly, expiration every five minutes: few are in use
            self._tails.clear()
        self._tails[request.varying] = self._tail(request.varying)
        return self.block(request)

    def _indexing(self, request: Request) -> bytes:
        """The first block: constants and varying names enter the table."""
        pseudo = [f for f in self._template.constant if f[0].startswith(b":")]
        regular = [f for f in self._template.constant if not f[0].startswith(b":")]
        varying = [*zip(self._template.varying, request.varying, strict=True)]
        entered = [f for f in pseudo + regular if f not in _STATIC_PAIRS]
        entered += [f for f in varying if f[0] not in _SECRET]
        for age, field in enumerate(reversed(entered)):
            key = field if field in self._template.constant else field[0]
            self._indexed[key] = 62 + age
        parts = [self._entering(*f) for f in pseudo]
        if not self._template.has_path:
            parts.append(literal(NEVER, b":path", request.path))
        parts += [self._entering(*f) for f in regular]
        parts += [literal(NEVER, *f) if f[0] in _SECRET else literal(INCREMENTAL, *f) for f in varying]
        self._make_head()
        return b"".join(parts)

    @staticmethod
    def _entering(name: bytes, value: bytes) -> bytes:
        static = _STATIC_PAIRS.get((name, value))
        return literal(INCREMENTAL, name, value) if static is None else integer(static, 7, 0x80)

    def _make_head(self) -> None:
        pseudo = [self._field(*f) for f in self._template.constant if f[0].startswith(b":")]
        self._head = b"".join(pseudo)
        if not self._template.has_path:
            self._head += integer(_STATIC_NAMES[b":path"], NEVER[1], NEVER[0])

    def _length(self, length: int) -> bytes:
        encoded = self._lengths[length] = b"" if self._template.has_path else integer(length, 7, 0)
        return encoded

    def _tail(self, values: tuple[bytes, ...]) -> bytes:
        parts = [self._field(*f) for f in self._template.constant if not f[0].startswith(b":")]
        for name, value in zip(self._template.varying, values, strict=True):
            form = NEVER if name in _SECRET else WITHOUT
            parts.append(literal(form, name, value, self._indexed.get(name)))
        return b"".join(parts)

    def _field(self, name: bytes, value: bytes) -> bytes:
        index = _STATIC_PAIRS.get((name, value)) or self._indexed.get((name, value))
        return literal(WITHOUT, name, value) if index is None else integer(index, 7, 0x80)


def integer(value: int, bits: int, flags: int) -> bytes:
    """Prefix integer (RFC 7541, 5.1)."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes((flags | value,))
    encoded = bytearray((flags | limit,))
    value -= limit
    while value >= 128:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def text(value: bytes) -> bytes:
    """String literal without Huffman (RFC 7541, 5.2)."""
    return integer(len(value), 7, 0) + value


def literal(form: Form, name: bytes, value: bytes, index: int | None = None) -> bytes:
    """Literal field in one of the three forms (RFC 7541, 6.2); the name by index where there is one."""
    flags, bits = form
    index = index or _STATIC_NAMES.get(name)
    if index is None:
        return bytes((flags,)) + text(name) + text(value)
    return integer(index, bits, flags) + text(value)
