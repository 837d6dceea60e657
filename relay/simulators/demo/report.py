"""What came of a demo."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of `--json`, under their names there. Notices are events times recipients."""

    users: int
    devices: int
    """That can be woken."""
    events: int
    wakeups: int
    """Requests the simulators accepted during the night."""
    deferred: int
    """Notices that came while their recipient rested, and do not pierce that."""
    merged: int
    """Notices told of together with another one, without a wakeup of their own."""
    alarms: int
    """Notices that pierce rest."""
    in_rest_without_bypass: int
    lost: int
    books_balance: bool
    force_seconds: float
    """From the POST of an alarm for everybody to the last verdict booked."""
    seconds: float

    @property
    def is_good(self) -> bool:
        return self.books_balance and not (self.in_rest_without_bypass or self.lost)

    @property
    def verdict(self) -> str:
        books = "books balance" if self.books_balance else "books DO NOT BALANCE"
        return f"{self.in_rest_without_bypass:,} woken in rest without a bypass, {self.lost:,} lost, {books}"
