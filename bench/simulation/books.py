"""The books as they are on the disk: added up anew from what each batch writes (I4)."""

from __future__ import annotations

from dataclasses import astuple

from relay.core.batch import Batch, SlotKey


class Books:
    """The accounts as they are on the disk, and what is pending there."""

    def __init__(self) -> None:
        self.accounts: dict[str, tuple[int, ...]] = {}
        """Class → accepted, woken, merged, cancelled, expired, undeliverable."""
        self._pending: dict[SlotKey, int] = {}

    def write(self, batch: Batch) -> str | None:
        """What is wrong with the books after it."""
        for key, slot in batch.slots.items():
            if slot is None:
                self._pending.pop(key, None)
            else:
                self._pending[key] = slot.total - slot.booked
        for (_tenant, name), account in batch.accounts.items():
            before, now = self.accounts.get(name), astuple(account)
            if before is not None and any(new < old for new, old in zip(now, before, strict=True)):
                return "an account has shrunk"
            self.accounts[name] = now
        if any(count < 0 for count in self._pending.values()):
            return "more was booked than was taken"
        for name, (accepted, *booked) in self.accounts.items():
            if accepted - sum(booked) != self.pending(name):
                return "the books do not balance"
        return None

    def pending(self, name: str) -> int:
        return sum(count for (_user, of), count in self._pending.items() if of == name)

    def waiting(self) -> set[str]:
        """Classes of which something is pending."""
        return {name for name in self.accounts if self.pending(name)}

    def taken(self) -> int:
        return sum(account[0] for account in self.accounts.values())
