"""Erasures kept apart: a small file beside the database (`<database>.erased`), in which stands what was erased lately.

Theory of operation. A database that is restored from a backup holds again what was erased since. So each commit that
erases something adds a block to this file, in order and synced, before it is written itself: whatever is acknowledged
stands in both. A block has a number, and the database keeps the number of its last one in the same transaction (`meta`,
`erased`); a copy of the database therefore says exactly which blocks it does not know yet, whatever the clocks say. In
the file are pseudonyms and instants, nothing else; a block is forgotten after 35 days, and with it the promise that an
older backup can be restored as it should.

Law: a block counts when its commit did. A commit that fails takes its block back. One that a crash has cut off is the
last of the file and not confirmed (the head names the last number that is, without a sync of its own); the next opening
drops it, for the database does not have its number. Where confirmed blocks are missing in the database, somebody has
put an older one in its place: `unknown_to` says what is to be erased again, and until that is done nothing else may be
erased.

The head also names the number up to which blocks are not here: forgotten, or older than this file. Who needs them is
told that they are missing, and not that there were none.

Rejected: a table (a backup would take it along, and bring back an older one), the block after the commit (a crash in
between would lose it), and erasing again at the next start what a crash has cut off (the batch that erased it may have
brought something else in its place, and is lost whole).

    head   "FEerased" | identity of the database | base | confirmed           8 bytes each
    block  number | instant in ms | n | n times (kind, pseudonym) | CRC-32    8, 8, 4, 17 n and 4 bytes
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, NamedTuple

from relay.core.erasing import KINDS, Erased
from relay.core.private import KEY_BYTES
from relay.store.files import sync
from relay.store.port import StoreError, StoreMismatch

LIFE: Final = 35 * 86400.0
"""Seconds for which an erasure is kept; a backup that is older is restored without what was erased at first."""
_MAGIC: Final = b"FEerased"
_HEAD: Final = struct.Struct(">8s3Q")
_CONFIRMED_AT: Final = 24
_BLOCK: Final = struct.Struct(">2QI")
_ENTRY: Final = struct.Struct(f">B{KEY_BYTES}s")
_SUM: Final = struct.Struct(">I")


class Block(NamedTuple):
    number: int
    at: float
    erased: Erased


@dataclass(frozen=True, slots=True)
class Kept:
    """What a file holds."""

    identity: int
    base: int
    """Blocks up to this number are not here."""
    confirmed: int
    """Of the blocks up to this number it is known that they were committed."""
    blocks: Sequence[Block]

    @property
    def end(self) -> int:
        """Bytes up to the end of the last block."""
        fixed = len(self.blocks) * (_BLOCK.size + _SUM.size)
        return _HEAD.size + fixed + _ENTRY.size * sum(block.erased.count for block in self.blocks)

    @property
    def last(self) -> int:
        """The newest number that is known of."""
        return max([self.base, self.confirmed, *(block.number for block in self.blocks[-1:])])

    def since(self, number: int, committed: int | None) -> Erased:
        """What was erased by the blocks above a number. `committed`: the last one that is known to be, else None."""
        most = self.last if committed is None else max(committed, self.confirmed)
        erased = Erased()
        for block in self.blocks:
            if number < block.number <= most:
                erased |= block.erased
        return erased

    def knows_all_since(self, number: int, committed: int | None) -> bool:
        """Whether no block above a number is missing. Where the number itself is not known here, all may be."""
        newest = max(self.last if committed is None else committed, self.confirmed)
        numbers = {block.number for block in self.blocks}
        return self.base <= number <= newest and numbers.issuperset(range(number + 1, newest + 1))


def path_of(database: Path) -> Path:
    """Where the erasures of a database are kept."""
    return database.with_name(f"{database.name}.erased")


def read(path: Path) -> Kept | None:
    """What a file holds; None when there is none. Raises StoreMismatch for one that is not ours, StoreError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _failed(path, error) from None
    if len(content) < _HEAD.size or not content.startswith(_MAGIC):
        raise StoreMismatch(f"{path.name}: is damaged, or no file of erasures")
    _, identity, base, confirmed = _HEAD.unpack_from(content)
    try:
        blocks = list(_blocks(content))
    except IndexError:
        raise StoreMismatch(f"{path.name}: was written by a newer program") from None
    return Kept(identity, base, confirmed, blocks)


def _blocks(content: bytes) -> Iterator[Block]:
    """Each whole block; what a crash left of another one is none. Raises IndexError for what nobody knows here."""
    start = _HEAD.size
    while start + _BLOCK.size <= len(content):
        number, milliseconds, count = _BLOCK.unpack_from(content, start)
        body = start + _BLOCK.size
        end = body + count * _ENTRY.size
        if end + _SUM.size > len(content) or _SUM.unpack_from(content, end)[0] != zlib.crc32(content[start:end]):
            return
        keys: list[list[bytes]] = [[] for _ in KINDS]
        for kind, key in _ENTRY.iter_unpack(content[body:end]):
            keys[kind].append(key)
        start = end + _SUM.size
        yield Block(number, milliseconds / 1000, Erased(*map(frozenset, keys)))  # type: ignore[arg-type]


def _packed(block: Block) -> bytes:
    entries = [_ENTRY.pack(kind, key) for kind, name in enumerate(KINDS) for key in sorted(getattr(block.erased, name))]
    packed = _BLOCK.pack(block.number, int(block.at * 1000), len(entries)) + b"".join(entries)
    return packed + _SUM.pack(zlib.crc32(packed))


class Erasures:
    """The file of one database, for its writer. Made if it is missing.

    `committed`: the number that the database has. Raises StoreMismatch for a file of another database, StoreError.
    """

    def __init__(self, path: Path, identity: int, committed: int) -> None:
        self._path = path
        self._identity = identity
        self._committed = committed
        kept = read(path)
        if kept is None:
            with self._failing():
                kept = self._write_anew(committed, ())
        if kept.identity != identity:
            raise StoreMismatch(f"{path.name}: holds the erasures of another database; move it away")
        self._unknown = Erased()
        self.knows_all = kept.knows_all_since(committed, None)
        """Whether none is missing here of those that the database had not seen when it was opened."""
        self._is_ahead = kept.confirmed > committed
        if self._is_ahead:
            self._unknown = kept.since(committed, None)
        else:  # what was cut off is dropped
            kept = replace(kept, blocks=[block for block in kept.blocks if block.number <= committed])
        self._newest = max(kept.last, committed)
        """The highest number that was given."""
        self._oldest = min((block.at for block in kept.blocks), default=None)
        self._end = kept.end
        self._added = 0
        """Bytes of a block whose commit is under way."""
        with self._failing():
            self._file = self._open()
            try:
                self._see_to_the_file()
            except BaseException:
                os.close(self._file)
                raise

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CLOEXEC)

    @property
    def newest(self) -> int:
        """The highest number that was given."""
        return self._newest

    @property
    def unknown(self) -> Erased | None:
        """What the database must have erased again before anything else; None when it has all that is here."""
        return self._unknown if self._is_ahead else None

    # --- one commit

    def add(self, erased: Erased, at: float) -> int:
        """Write what a commit is about to erase, synced; return its number. Then `keep` it, or `take_back`.

        Raises StoreError, and has written nothing then.
        """
        if self._is_ahead:
            raise StoreError("what was erased before must be erased again first")
        block = Block(self._newest + 1, at, erased)
        packed = _packed(block)
        self._added = len(packed)
        with self._failing():
            self._see_to_the_file()
            _write(self._file, packed, self._end)
            os.fdatasync(self._file)
        self._oldest = at if self._oldest is None else min(self._oldest, at)
        return block.number

    def _see_to_the_file(self) -> None:
        """Somebody may have removed it, or what failed before has left something behind the end. Raises OSError."""
        state = os.fstat(self._file)
        if state.st_nlink == 0:
            self._replace(self._write_anew(self._committed, ()))
        elif state.st_size != self._end:
            os.ftruncate(self._file, self._end)

    def keep(self, number: int) -> None:
        """The database has this number. That the head says so too is a help, and waits for the next sync."""
        self._end += self._added
        self._added = 0
        self._committed = self._newest = number
        self._is_ahead = False
        self._unknown = Erased()
        with suppress(OSError):
            _write(self._file, struct.pack(">Q", number), _CONFIRMED_AT)

    def take_back(self) -> None:
        """The commit has failed. Where this fails too, the next block is written over what is left."""
        if self._added:
            self._added = 0
            with suppress(OSError):
                os.ftruncate(self._file, self._end)
                os.fdatasync(self._file)

    # --- housekeeping

    def purge(self, now: float) -> None:
        """Forget what is older than 35 days. The file is written anew. Raises StoreError."""
        if self._is_ahead or self._oldest is None or self._oldest >= now - LIFE:
            return
        kept = read(self._path)
        if kept is None:
            return  # somebody has removed it; the next one that is added will be in a new file
        blocks = [block for block in kept.blocks if block.number <= self._committed]
        base = max([kept.base, *(block.number for block in blocks if block.at < now - LIFE)])
        with self._failing():
            self._replace(self._write_anew(base, [block for block in blocks if block.at >= now - LIFE]))

    def _replace(self, kept: Kept) -> None:
        """This is the file from now on."""
        before, self._file = self._file, self._open()
        os.close(before)
        self._end = kept.end
        self._oldest = min((block.at for block in kept.blocks), default=None)

    def _write_anew(self, base: int, blocks: Sequence[Block]) -> Kept:
        """A whole new file in the place of the old one, or of none. Raises OSError."""
        confirmed = max(base, self._committed)
        content = _HEAD.pack(_MAGIC, self._identity, base, confirmed) + b"".join(map(_packed, blocks))
        scratch = self._path.with_name(f"{self._path.name}.new")
        with suppress(FileNotFoundError):
            scratch.unlink()
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(scratch, self._path)
        sync(self._path.parent)
        return Kept(self._identity, base, confirmed, blocks)

    def close(self) -> None:
        """Never raises."""
        with suppress(OSError):
            os.fdatasync(self._file)
        with suppress(OSError):
            os.close(self._file)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _failed(self._path, error) from None


def _write(file: int, content: bytes, at: int) -> None:
    """All of it, at this place. Raises OSError."""
    while content:
        written = os.pwrite(file, content, at)
        content, at = content[written:], at + written


def _failed(path: Path, error: OSError) -> StoreError:
    return StoreError(f"{path.name}: {error.strerror or type(error).__name__}")
