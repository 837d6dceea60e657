"""The books: what became of every notice (I4).

accepted = woken + merged + cancelled + expired + undeliverable + pending, at every commit. A *notice* is one event for
one recipient. It is booked once: when the first device of the user accepts a wakeup, one notice is `woken` and the
others it stood for are `merged`; `seen` cancels, deadlines expire, and when no device is left it is `undeliverable`.
Rows per (tenant, class) change in the same commit as the slots they count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(slots=True)
class Account:
    """Counters of one (tenant, class); all only grow."""

    accepted: int = 0
    woken: int = 0
    merged: int = 0
    cancelled: int = 0
    expired: int = 0
    undeliverable: int = 0

    def add(self, other: Account) -> None:
        for name in ACCOUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def pending(self) -> int:
        """What must be pending if the books balance; compared with the slots by tests and by `Books.balance`."""
        return self.accepted - self.woken - self.merged - self.cancelled - self.expired - self.undeliverable


ACCOUNTS = tuple(f.name for f in fields(Account))
AccountKey = tuple[str, str]
"""(tenant, class)"""


@dataclass(frozen=True, slots=True)
class Imbalance:
    key: AccountKey
    booked: int
    pending: int


class Books:
    """All accounts of this node."""

    __slots__ = ("accounts",)

    def __init__(self, accounts: Mapping[AccountKey, Account] | None = None) -> None:
        self.accounts: dict[AccountKey, Account] = dict(accounts or {})

    def of(self, key: AccountKey) -> Account:
        account = self.accounts.get(key)
        if account is None:
            account = self.accounts[key] = Account()
        return account

    def balance(self, pending: Mapping[AccountKey, int]) -> list[Imbalance]:
        """Compare with `pending` = sum of n over the slots; an empty list means the books balance."""
        keys = self.accounts.keys() | pending.keys()
        rows = [Imbalance(k, self.accounts.get(k, Account()).pending, pending.get(k, 0)) for k in sorted(keys)]
        return [row for row in rows if row.booked != row.pending]
