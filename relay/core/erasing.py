"""Erasing: what owners have erased by a commit, and erasing it once more in a state of before.

A backup brings back what was erased since it was made. So the store writes down apart what each commit erases
(store/erasures.py), by pseudonyms, and a state that is older than that has it erased again: here, by the same functions
that did it the first time, so that the books balance and receipts are credited.

Only what an owner erased is named: somebody was deleted, a device or a rest document, a pass was ended, the record of
visits was forgotten. A device that left for another reason (dead, evicted, moved) is told to the backend by a feedback
record, and an older state has neither: it leaves again by itself. What was replaced is not erased: an older state has
what was there before, for better or worse.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from typing import Final

from relay.core.batch import Batch
from relay.core.devices import Device
from relay.core.draft import Draft
from relay.core.editing import delete_rest, delete_user
from relay.core.people import Person
from relay.core.private import DeviceKey, PassKey, UserKey
from relay.core.settling import remove


@dataclass(frozen=True, slots=True, repr=False)
class Erased:
    """By pseudonyms. Who is in `users` needs no mention elsewhere."""

    users: frozenset[UserKey] = frozenset()
    devices: frozenset[DeviceKey] = frozenset()
    rests: frozenset[UserKey] = frozenset()
    passes: frozenset[PassKey] = frozenset()
    visits: frozenset[UserKey] = frozenset()
    """Whose visits were forgotten."""

    def __repr__(self) -> str:
        return f"<{self.count} erasures>"

    def __bool__(self) -> bool:
        return self.count > 0

    @property
    def count(self) -> int:
        return sum(len(getattr(self, kind)) for kind in KINDS)

    def __or__(self, other: Erased) -> Erased:
        return Erased(*(getattr(self, kind) | getattr(other, kind) for kind in KINDS))


KINDS: Final = tuple(field.name for field in fields(Erased))


def erased_by(batch: Batch) -> Erased:
    """What owners erase by this batch. Somebody who is deleted and comes back in one batch was deleted all the same."""
    users = {user for user, person in batch.people.items() if person is None or user in batch.forgotten}
    told = {record.device for record in batch.feedback}
    ended = {key for key, (user, device) in batch.devices.items() if device is None and user not in users}
    return Erased(
        frozenset(users),
        frozenset(ended - told),
        frozenset(user for user, record in batch.rests.items() if record is None and user not in users),
        frozenset(key for key, known in batch.passes.items() if known is None),
        frozenset(batch.forgotten - users),
    )


def erase(draft: Draft, erased: Erased) -> None:
    """Erase all of it that is there. The draft must be empty but for what it does to others."""
    for user in sorted(erased.users):
        if (person := draft.find(user)) is not None:
            delete_user(draft, person.tenant, user)
    for person, device in _devices(draft, erased.devices):
        remove(draft, person, device)
    for user in sorted(erased.rests):
        if (person := draft.find(user)) is not None and draft.rest(user) is not None:
            delete_rest(draft, person.tenant, user, None)
    for key in sorted(erased.passes):
        if draft.pass_by(key) is not None:
            draft.put_pass(key, None)
    draft.batch.forgotten |= {user for user in erased.visits if draft.find(user) is not None}


def _devices(draft: Draft, keys: Collection[DeviceKey]) -> list[tuple[Person, Device]]:
    """Those of these devices that are there, and whose they are. Everybody is looked at, but for no keys."""
    if not keys:
        return []
    people = [person for person in draft.people.by_key.values() if draft.find(person.key) is person]
    return [(person, device) for person in people for key, device in person.devices.items() if key in keys]
