"""The books as they are on the disk: added up anew from what each batch writes (I4).

Of several nodes each keeps accounts of its own; what one has posted for people of others is pending until it is
fetched, which happens once.
"""

from __future__ import annotations

from dataclasses import astuple

from relay.core.batch import Batch, PostKind, SlotKey
from relay.core.partitions import part_of


class Books:
    """The accounts as they are on the disk, and what is pending there."""

    def __init__(self) -> None:
        self._of: dict[tuple[int, str], tuple[int, ...]] = {}
        """(node, class) → accepted, woken, merged, cancelled, expired, undeliverable."""
        self._pending: dict[SlotKey, int] = {}
        self._posts: dict[tuple[int, int], str] = {}
        """(partition, number) of what was posted and not fetched, and the class, if it is an event."""
        self._posted = 0

    @property
    def accounts(self) -> dict[str, tuple[int, ...]]:
        """Class → the same, of all nodes together."""
        sums: dict[str, tuple[int, ...]] = {}
        for (_node, name), account in self._of.items():
            sums[name] = tuple(map(sum, zip(sums[name], account, strict=True))) if name in sums else account
        return sums

    def write(self, batch: Batch, node: int = 0) -> str | None:
        """What is wrong with the books after it."""
        for key, slot in batch.slots.items():
            if slot is None:
                self._pending.pop(key, None)
            else:
                self._pending[key] = slot.total - slot.booked
        if not self._exchange(batch):
            return "what was posted was fetched twice"
        for (_tenant, name), account in batch.accounts.items():
            before, now = self._of.get((node, name)), astuple(account)
            if before is not None and any(new < old for new, old in zip(now, before, strict=True)):
                return "an account has shrunk"
            self._of[node, name] = now
        if any(count < 0 for count in self._pending.values()):
            return "more was booked than was taken"
        for name, (accepted, *booked) in self.accounts.items():
            if accepted - sum(booked) != self.pending(name):
                return "the books do not balance"
        return None

    def _exchange(self, batch: Batch) -> bool:
        is_right = set(batch.fetched) <= self._posts.keys()
        for place in batch.fetched:
            self._posts.pop(place, None)
        for posted in batch.posted:
            self._posted += 1
            name = posted.event_class if posted.kind is PostKind.EVENT else ""
            self._posts[part_of(posted.user), self._posted] = name
        return is_right

    def pending(self, name: str) -> int:
        slots = sum(count for (_user, of), count in self._pending.items() if of == name)
        return slots + sum(1 for of in self._posts.values() if of == name)

    def waiting(self) -> set[str]:
        """Classes of which something is pending."""
        return {name for name in self.accounts if self.pending(name)}

    def taken(self) -> int:
        return sum(account[0] for account in self._of.values())
