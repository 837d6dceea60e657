"""What a dead relay has left: its files as they lie there, and what the next start would read from them.

Nothing is opened where it lies. The log and its index are read as bytes, by the formats that SQLite documents ("The
WAL-Index File Format", "Database File Format"); the rest is read from a copy, by the store itself.
"""

from __future__ import annotations

import shutil
import sqlite3
import struct
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from bench import stage
from bench.crash.people import Kind, Officer
from relay.core.books import Account, Books
from relay.core.devices import Platform
from relay.core.partitions import part_of
from relay.core.private import DeviceKey, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.records import Records
from relay.core.seal import Seals
from relay.store.port import Loaded
from relay.store.sqlite import SqliteStore

_LOG_HEADER, _FRAME_HEADER = 32, 24
_INDEX = struct.Struct("=I28xI")
"""At 96 of the index: pages that are in the file (nBackfill), and at 128: that were to be (nBackfillAttempted)."""
_INDEX_AT = 96

NOTHING: Mapping[str, int] = {}

Place = tuple[str, str]
"""(user, device), or (user, class)."""


def moved(database: Path) -> tuple[int, int]:
    """(pages of the log that are in the file, pages that were to be moved there), as the log's index says."""
    try:
        with Path(f"{database}-shm").open("rb") as index:
            index.seek(_INDEX_AT)
            found = _INDEX.unpack(index.read(_INDEX.size))
    except (OSError, struct.error):
        return 0, 0
    return int(found[0]), int(found[1])


def torn_frames(database: Path) -> int:
    """Pages in the log that belong to no finished commit."""
    try:
        log = Path(f"{database}-wal").read_bytes()
    except OSError:
        return 0
    if len(log) < _LOG_HEADER:
        return 0
    page = int.from_bytes(log[8:12], "big")
    salt, torn = log[16:24], 0
    for at in range(_LOG_HEADER, len(log) - _FRAME_HEADER - page + 1, _FRAME_HEADER + page):
        if log[at + 8 : at + 16] != salt:
            break
        torn = 0 if any(log[at + 4 : at + 8]) else torn + 1
    return torn


def copied(database: Path, scratch: Path) -> Path:
    """A copy of the file and its log, in an empty folder."""
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    for end in ("", "-wal"):
        if (found := Path(f"{database}{end}")).exists():
            shutil.copyfile(found, scratch / found.name)
    return scratch / database.name


def asked(database: Path, query: str) -> list[tuple[object, ...]]:
    """Ask a copy."""
    with closing(sqlite3.connect(database)) as db:
        return db.execute(query).fetchall()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the next start would load, by the names that the client uses."""

    is_sound: bool = True
    """The database's own check of itself finds nothing."""
    imbalances: tuple[str, ...] = ()
    accounts: Mapping[str, Account] = field(default_factory=dict)
    """By class."""
    pending: Mapping[Place, int] = field(default_factory=dict)
    """(user, class) → notices, more than none."""
    owed: Mapping[Place, int] = field(default_factory=dict)
    """(user, device) → slots that owe it a wakeup, now or after a rest."""
    due: Mapping[Place, float] = field(default_factory=dict)
    """Those of them to whom one is owed now, and since which event, the oldest that is."""
    orders: Mapping[Place, float] = field(default_factory=dict)
    """(user, device) → instant of the newest open order."""
    edits: Mapping[str, str] = field(default_factory=dict)
    """User → label of the rest document."""
    tokens: Mapping[Place, str] = field(default_factory=dict)
    """(user, device) → token, of those whose devices change."""
    receipts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Receipt → (recipients, handed over)."""


class Reader:
    """Reads copies. Knows the names of these people."""

    def __init__(self, people: Iterable[Officer]) -> None:
        self._names = Pseudonyms(stage.MASTER, stage.TENANT)
        self._records = Records(Seals({0: stage.MASTER}, 0), stage.TENANT)
        self._users: dict[UserKey, str] = {}
        self._phones: dict[bytes, Place] = {}
        self._changing: set[bytes] = set()
        self.know(people)

    def know(self, people: Iterable[Officer]) -> None:
        for officer in people:
            self._users[self._names.user(officer.name)] = officer.name
            for phone in officer.phones:
                key = self._names.device(officer.name, phone.device)
                self._phones[key] = officer.name, phone.device
                if officer.kind in (Kind.MOVER, Kind.LEAVER, Kind.REVIVED):
                    self._changing.add(key)

    def snapshot(self, database: Path, scratch: Path, now: float) -> Snapshot:
        """Of the files of a dead relay."""
        found = self.read(copied(database, scratch), now)
        shutil.rmtree(scratch)
        return found

    def read(self, copy: Path, now: float) -> Snapshot:
        """Of a copy. `now`: what is due before is owed already."""
        is_sound = asked(copy, "PRAGMA integrity_check") == [("ok",)]
        store = SqliteStore(copy)
        try:
            return self.of(store.load(), now, is_sound=is_sound)
        finally:
            store.close()

    def people_of(self, parts: Collection[int]) -> frozenset[str]:
        """Those who belong to these partitions."""
        return frozenset(name for user, name in self._users.items() if part_of(user) in parts)

    def of(self, loaded: Loaded, now: float, *, is_sound: bool = True, posted: Mapping[str, int] = NOTHING) -> Snapshot:
        """`posted`: by class, notices that nodes have taken for people of others, and those have not fetched."""
        owed: dict[Place, int] = {}
        due: dict[Place, float] = {}
        pending: dict[Place, int] = {}
        orders: dict[Place, float] = {}
        phones: dict[UserKey, list[DeviceKey]] = {}
        for key, device in loaded.devices.items():
            if device.platform is not Platform.NONE:
                phones.setdefault(device.user, []).append(key)
        sums = {(stage.TENANT, name): count for name, count in posted.items()}
        for (user, name), slot in loaded.slots.items():
            sums[stage.TENANT, name] = sums.get((stage.TENANT, name), 0) + slot.n
            if user not in self._users:
                continue
            if slot.n:
                pending[self._users[user], name] = slot.n
            for ordered, order in slot.orders.items():
                orders[self._phones[ordered]] = order.at
            for device_key in phones.get(user, ()):
                place = self._phones[device_key]
                if slot.owed(device_key):
                    owed[place] = owed.get(place, 0) + 1
                    if slot.due_at <= now:
                        due[place] = min(due.get(place, slot.first_at), slot.first_at)
        unbalanced = Books(loaded.accounts).balance(sums)
        return Snapshot(
            is_sound=is_sound,
            imbalances=tuple(f"{row.key[1]}: {row.booked} by the books, {row.pending} in slots" for row in unbalanced),
            accounts={name: account for (_, name), account in loaded.accounts.items()},
            pending=pending, owed=owed, due=due, orders=orders,
            edits={self._users[u]: self._edit(u, rest.sealed) for u, rest in loaded.rests.items() if u in self._users},
            tokens={
                self._phones[key]: self._records.open_token(device.user, key, device.sealed).reveal()
                for key, device in loaded.devices.items() if key in self._changing
            },
            receipts={key.hex(): (r.recipients, r.handed_over) for key, r in loaded.receipts.items()},
        )  # fmt: skip

    def _edit(self, user: UserKey, sealed: bytes) -> str:
        windows = self._records.open_rest(user, sealed).get("windows")
        return str(windows[0].get("label", "")) if isinstance(windows, list) and windows else ""
