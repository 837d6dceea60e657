"""Compiled rest of each person, made when first needed and kept until it is stale.

Failure direction (R11, L8): a stored document that cannot be read keeps the last good table; without one the person
counts as resting without end. Nobody is rung in what was rest, and nothing is lost: alarms pass, and the slot waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.core.devices import FOLLOW, Wakes
from relay.core.errors import RelayError
from relay.core.gate import Rest, RestTable
from relay.core.people import Person
from relay.core.private import UserKey
from relay.core.tenants import Tenant

Compile = Callable[[Mapping[str, object], float], RestTable]
"""(document, now) → table; raises ValueError for a bad document."""
Open = Callable[[Tenant, UserKey, bytes], Mapping[str, object]]
"""Opens a sealed rest document."""
OpenUser = Callable[[Person], str]
"""The backend's own id of a user: its devices are named under it. Needed only where some do not follow the rest."""


@dataclass(frozen=True, slots=True)
class _Resting:
    resting: bool = True
    until: float | None = None
    next_start: float | None = None


class Unreadable:
    """Stands for a document that cannot be read: the last good table, else rest without end. Stale after an hour."""

    __slots__ = ("good", "is_uniform", "stale_at", "wakes")

    def __init__(self, good: RestTable | None, now: float) -> None:
        self.good = good
        self.stale_at = now + 3600.0
        self.is_uniform = good is None or good.is_uniform
        self.wakes: Mapping[str, str] = {} if good is None else good.wakes

    def at(self, now: float) -> Rest:
        return _RESTING if self.good is None else self.good.at(now)

    def for_class(self, name: str, pierced: frozenset[str]) -> RestTable:
        return self if self.good is None else self.good.for_class(name, pierced)


_RESTING = _Resting()


class Tables:
    """Callable: the table of a person at an instant, or None without rules. About 0.2 µs when compiled.

    With the table `Person.wakes` is made.
    """

    __slots__ = ("_compile", "_open", "_open_user", "compiled", "unreadable")

    def __init__(self, open_document: Open, compile_document: Compile, open_user: OpenUser) -> None:
        self._open = open_document
        self._compile = compile_document
        self._open_user = open_user
        self.compiled = 0
        self.unreadable = 0
        """Documents that could not be read; an alarm for operators."""

    def __call__(self, person: Person, now: float) -> RestTable | None:
        return person.table if person.is_compiled(now) else self.renew(person, now)

    def renew(self, person: Person, now: float) -> RestTable:
        """Make the table of somebody with rules anew, though it may be good yet."""
        assert person.rest is not None
        table = person.table = self._make(person, person.rest.sealed, now)
        return table

    def _make(self, person: Person, sealed: bytes, now: float) -> RestTable:
        try:
            table = self._compile(self._open(person.tenant, person.key, sealed), now)
            person.wakes = self.wakes(person, table)
        except (RelayError, ValueError):
            self.unreadable += 1
            last = person.table
            return Unreadable(last.good if isinstance(last, Unreadable) else last, now)
        self.compiled += 1
        return table

    def wakes(self, person: Person, table: RestTable) -> Wakes:
        """What a table, of that person's document or of one that is not stored, says of the devices."""
        named = table.wakes
        if not named:
            return FOLLOW
        user, key_of = self._open_user(person), person.tenant.pseudonyms.device
        return Wakes(
            frozenset(key_of(user, device) for device, wake in named.items() if wake == "never"),
            frozenset(key_of(user, device) for device, wake in named.items() if wake == "always"),
        )
