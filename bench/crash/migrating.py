"""A file of an older version, and a relay that is killed while it migrates it.

The file is written by today's store as that version of it would have been, with people whose events are pending, and
with records of bypasses in the form of then, so many that the migration which rewrites them takes some time. The kill
comes when the log has grown by a part of that. Then another relay is started on the same file: it must have all of it,
each record rewritten once, and everybody is woken who was pending; nobody had been before, so nobody is twice.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from bench import stage
from bench.crash.aims import SOON, until
from bench.crash.leavings import asked, copied, torn_frames
from bench.crash.relays import Relay
from relay.core.batch import Bypass
from relay.store import rows
from relay.store.schema import MIGRATIONS, VERSION

if TYPE_CHECKING:
    from bench.crash.trial import Trial

VETERANS = 60
"""People with events pending in an old file; each has a phone at either provider."""
RECORDS, RECORD = 50, 250_000
"""Records of bypasses, and bytes of the recipients of each: about 15,000 people."""
OLD = range(1, VERSION)
"""The older versions."""
MARKED = 4
"""The version that put a byte before what had no mark of its form; files since then have it."""


@dataclass(frozen=True, slots=True)
class Migration:
    """What came of one file."""

    version: int
    killed_at: int
    """Version that the kill left."""
    torn: int
    """Pages of the migration that was under way."""
    was_ready: bool
    lost: int
    duplicates: int
    faults: tuple[str, ...]

    @property
    def objections(self) -> tuple[str, ...]:
        """Sentences for everything that does not fit."""
        lost = f"a file of version {self.version}: {self.lost} phones were not woken"
        again = f"a file of version {self.version}: {self.duplicates} wakeups were repeated"
        spoilt = ((lost, self.lost > 0), (again, self.duplicates > self.allowed))
        return (*self.faults, *(told for told, holds in spoilt if holds))

    @property
    def fell(self) -> str:
        """Into the migration when a part of one lies in the log, or one is done and others are not."""
        if self.killed_at < VERSION and (self.torn or self.killed_at > self.version):
            return "migrate"
        return "work" if self.was_ready else "start"

    @property
    def allowed(self) -> int:
        """Wakeups that may be repeated: none, unless the kill came too late and found some in flight."""
        return 0 if self.fell == "migrate" else 2 * VETERANS


def write(path: Path, version: int, tokens: stage.Tokens, rng: Random) -> str:
    """Write such a file; returns what its records of recipients should be afterwards."""
    stage.fill(path, tokens, pending=True, migrations=MIGRATIONS[:version])
    expected = hashlib.sha256()
    mark = b"\x01"
    with closing(sqlite3.connect(path)) as db, db:
        for number in range(RECORDS):
            at = rows.instant(time.time())
            key, recipients = at + rows.number(number) + rows.number(0), rng.randbytes(RECORD)
            record = Bypass(
                stage.TENANT, "alarm", time.time(), "backend", stage.ROLE, stage.REASON, RECORD // 16, False
            )
            db.execute("INSERT INTO bypass VALUES (?, ?, ?)", (key, at, rows.bypass(record)))
            written = recipients if version < MARKED else mark + recipients
            db.execute("INSERT INTO bypass_recipients VALUES (?, ?, ?)", (key, at, written))
            expected.update(mark + recipients)
    return expected.hexdigest()


def migrate(trial: Trial, number: int, version: int) -> Migration:
    """Kill a relay in the migration of a file of this version, start another, and see what it has."""
    database = trial.folder / f"old-{number}.db"
    rng = Random(f"{trial.rng.random()}")
    tokens = stage.new_tokens([1] * VETERANS, rng)
    for mine in tokens:
        mine.append(stage.fcm_token(rng))
    expected = write(database, version, tokens, rng)
    with trial.relays.running(database) as relay:
        wanted = rng.random() * RECORDS * RECORD
        until(lambda: relay.log_bytes > wanted or relay.is_ready, SOON)
        was_ready = relay.is_ready
        relay.kill()
    trial.installation.providers.wait_until_left()
    torn = torn_frames(database)
    ((killed_at,),) = asked(copied(database, trial.folder / "copy"), "PRAGMA user_version")
    every = [token for mine in tokens for token in mine]
    with trial.relays.running(database) as relay:
        faults = _finish(trial, relay, every)
    faults += _looked_at(trial, database, expected)
    os.unlink(database)
    woken = [len(trial.sightings.of(token)) for token in every]
    assert isinstance(killed_at, int)
    again = sum(max(0, count - 1) for count in woken)
    return Migration(version, killed_at, torn, was_ready, woken.count(0), again, tuple(faults))


def _finish(trial: Trial, relay: Relay, tokens: list[str]) -> list[str]:
    """A life in which everything pending is worked off."""
    relay.wait_until_ready()
    trial.wait_for(lambda: [token for token in tokens if not trial.sightings.of(token)])
    trial.wait_until_quiet(relay)
    code = relay.stop()
    return [f"a relay on a file of an older version ended with {code}"] if code else []


def _looked_at(trial: Trial, database: Path, expected: str) -> list[str]:
    """What there is to object to in the migrated file."""
    copy = copied(database, trial.folder / "copy")
    ((version,),) = asked(copy, "PRAGMA user_version")
    found = hashlib.sha256()
    for (body,) in asked(copy, "SELECT body FROM bypass_recipients ORDER BY key"):
        assert isinstance(body, bytes)
        found.update(body)
    left = trial.reader.read(copy, time.time())
    account = left.accounts["message"]
    objections = {
        f"has version {version} at the end": version != VERSION,
        "is damaged": not left.is_sound,
        "has books that do not balance": bool(left.imbalances),
        "has lost records of bypasses, or changed them": found.hexdigest() != expected,
        "has booked something else than a wakeup for each": (account.accepted, account.woken) != (VETERANS, VETERANS),
    }
    return [f"a file of an older version {told}" for told, holds in objections.items() if holds]
