"""A draft: what one commit will change, worked out beside the working set.

    draft = Draft(people, now, tables)                    # an empty batch
    accept(draft, …); settle(draft, …); put_rest(draft, …)  # read through it, write into draft.batch
    store.commit(draft.batch)                             # durable, or nothing
    draft.apply()                                         # now it is true in memory too

The working set is never changed before the commit: a commit that fails is simply forgotten, and no wakeup leaves for an
event that was not accepted. Rejected: changing memory first and undoing on failure (every reader would have to know
what is not yet true), and increments in SQL (the store would have to know the rules).

The rules themselves are in accepting.py, settling.py and editing.py; here is only reading and writing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from relay.core.batch import Batch, Feedback, Parting, PersonRecord, Receipt
from relay.core.books import Account, AccountKey
from relay.core.devices import FOLLOW, Device, RestRecord
from relay.core.events import NEVER
from relay.core.flight import Flight
from relay.core.gate import RestTable
from relay.core.passes import Pass
from relay.core.people import People, Person
from relay.core.private import DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey
from relay.core.slots import Slot
from relay.core.tenants import Tenant
from relay.core.trials import Trial

Tables = Callable[[Person, float], RestTable | None]
"""Compiled rest of a person at an instant; None: no rules (core/tables.py)."""


class Draft:
    """One batch in the making."""

    __slots__ = (
        "_devices", "_feedback_seq", "_persons", "_touched", "active", "batch", "compiled", "landed", "now", "people",
        "read", "tables", "tokens", "trials",
    )  # fmt: skip

    def __init__(self, people: People, now: float, tables: Tables) -> None:
        self.people = people
        self.now = now
        self.tables = tables
        self.compiled = 0
        """Rests that accepting has compiled for this batch."""
        self.batch = Batch(now, generation=people.generation, revision=people.revision)
        self.tokens: dict[TokenHash, tuple[UserKey, DeviceKey] | None] = {}
        self.landed: list[tuple[Person, list[Flight]]] = []
        """Flights whose verdict is in this batch, by person; one may stand here more than once."""
        self.read: list[Person] = []
        """Persons whose `seen` is in this batch."""
        self.active: list[tuple[Person, float]] = []
        """Persons who read elsewhere, and until when."""
        self.trials: list[Trial] = []
        """Those that this batch begins."""
        self._persons: dict[UserKey, Person | None] = {}
        """Persons this batch creates; None: deletes."""
        self._devices: dict[UserKey, dict[DeviceKey, Device]] = {}
        self._touched: dict[UserKey, Person] = {}
        self._feedback_seq = people.feedback_seq

    # --- people and devices

    def find(self, user: UserKey) -> Person | None:
        return self._persons[user] if user in self._persons else self.people.by_key.get(user)

    def person(self, tenant: Tenant, user: UserKey, sealed_id: bytes) -> Person:
        """The person, created if new."""
        person = self.find(user)
        if person is None:
            person = self._persons[user] = Person(tenant, user, sealed_id)
            self.batch.people[user] = PersonRecord(tenant.name, sealed_id)
            self._touched[user] = person
        return person

    def drop_person(self, person: Person) -> None:
        """Delete a person whose devices, slots and rest are deleted already. Passes and visits go along."""
        for key in self.passes_of(person.key):
            self.batch.passes[key] = None
        self.forget_visits(person)
        self.batch.people[person.key] = None
        self._persons[person.key] = None
        self._devices.pop(person.key, None)
        self._touched.pop(person.key, None)

    def devices_of(self, person: Person) -> dict[DeviceKey, Device]:
        """Devices as this batch leaves them; for reading."""
        return self._devices.get(person.key, person.devices)

    def phones_of(self, person: Person) -> tuple[Device, ...]:
        """Those of them that can be woken."""
        changed = self._devices.get(person.key)
        return person.phones if changed is None else person.tenant.phones(changed.values())

    def put_device(self, person: Person, device: Device) -> None:
        self._own_devices(person)[device.key] = device
        self.batch.revision += 1
        self.batch.devices[device.key] = (person.key, device)

    def drop_device(self, person: Person, device: Device) -> None:
        self._own_devices(person).pop(device.key, None)
        self.batch.revision += 1
        self.batch.devices[device.key] = (person.key, None)
        self.drop_token(device)

    def _own_devices(self, person: Person) -> dict[DeviceKey, Device]:
        self._touched[person.key] = person
        own = self._devices.get(person.key)
        if own is None:
            own = self._devices[person.key] = dict(person.devices)
        return own

    def token_owner(self, token: TokenHash) -> tuple[UserKey, DeviceKey] | None:
        return self.tokens[token] if token in self.tokens else self.people.tokens.get(token)

    def drop_token(self, device: Device) -> None:
        owner = self.token_owner(device.token_hash)
        if owner is not None and owner[1] == device.key:
            self.tokens[device.token_hash] = None

    def tell(self, person: Person, device: Device, parting: Parting, reason: str) -> None:
        """Leave a feedback record for the backend."""
        self._feedback_seq += 1
        self.batch.feedback.append(
            Feedback(
                self._feedback_seq, person.tenant.name, person.key, device.key, parting, reason, self.now, device.sealed
            )
        )

    # --- rest

    def rest(self, user: UserKey) -> RestRecord | None:
        if user in self.batch.rests:
            return self.batch.rests[user]
        person = self.people.by_key.get(user)
        return person.rest if person is not None else None

    def put_rest(self, person: Person, record: RestRecord | None) -> None:
        self._touched[person.key] = person
        self.batch.rests[person.key] = record

    # --- passes

    def pass_by(self, key: PassKey) -> Pass | None:
        return self.batch.passes[key] if key in self.batch.passes else self.people.passes.by_key.get(key)

    def passes_of(self, user: UserKey) -> dict[PassKey, Pass]:
        """Passes of a person as this batch leaves them; expired ones may be among them."""
        found = dict(self.people.passes.of(user))
        for key, changed in self.batch.passes.items():
            if changed is None:
                found.pop(key, None)
            elif changed.user == user:
                found[key] = changed
        return found

    def put_pass(self, key: PassKey, changed: Pass | None) -> None:
        """None ends it."""
        self.batch.passes[key] = changed

    def forget_visits(self, person: Person) -> None:
        """The record of who was shown this person's rest goes, as far as it is older than what this batch adds yet."""
        self.batch.visits = [visit for visit in self.batch.visits if visit.user != person.key]
        self.batch.forgotten.add(person.key)

    # --- slots, accounts, receipts

    def slot(self, person: Person, name: str) -> Slot | None:
        """The slot as this batch leaves it, ready to be changed; None if there is none."""
        key = (person.key, name)
        slots = self.batch.slots
        slot = slots.get(key)
        if slot is not None or key in slots:
            return slot
        committed = person.slots.get(name)
        if committed is None:
            return None
        slot = slots[key] = committed.copy()
        return slot

    def slots_of(self, person: Person) -> list[tuple[str, Slot]]:
        """All slots of a person as this batch leaves them, ready to be changed."""
        names = sorted(person.slots.keys() | person.tenant.slot_names)
        return [(name, slot) for name in names if (slot := self.slot(person, name)) is not None]

    def put_slot(self, person: Person, name: str, slot: Slot) -> None:
        self._touched[person.key] = person
        self.batch.slots[(person.key, name)] = slot

    def end_slot(self, person: Person, name: str) -> None:
        """Nothing falls due by that."""
        self.batch.slots[(person.key, name)] = None

    def touch(self, person: Person) -> None:
        """Something of this person may be due now, or earlier than was thought."""
        self._touched[person.key] = person

    def account(self, key: AccountKey) -> Account:
        """The account as this batch leaves it, ready to be changed."""
        account = self.batch.accounts.get(key)
        if account is None:
            account = self.batch.accounts[key] = Account()
            account.add(self.people.books.of(key))
        return account

    def receipt(self, key: ReceiptKey) -> Receipt | None:
        """The receipt as this batch leaves it, ready to be changed; None when it is forgotten."""
        receipt = self.batch.receipts.get(key)
        if receipt is None and (committed := self.people.receipts.get(key)) is not None:
            receipt = self.batch.receipts[key] = replace(committed)
        return receipt

    # --- after the commit

    def apply(self) -> list[Person]:
        """Make the committed batch true in memory; return the persons whose next wakeup must be worked out anew."""
        people, batch = self.people, self.batch
        # What other nodes have reached may have been taken in since this draft was begun.
        people.generation = max(people.generation, batch.generation)
        people.revision = max(people.revision, batch.revision)
        people.feedback_seq = max(people.feedback_seq, self._feedback_seq)
        self._apply_persons()
        for key, devices in self._devices.items():
            people.by_key[key].have(devices)
        for token, owner in self.tokens.items():
            if owner is None:
                people.tokens.pop(token, None)
            else:
                people.tokens[token] = owner
        self._apply_slots()
        self._apply_rests()
        people.remembered.update(batch.requests)
        people.receipts.update(batch.receipts)
        people.passes.update(batch.passes)
        people.books.accounts.update(batch.accounts)
        people.remember_bypasses(batch.bypasses)
        if batch.halts:
            people.halt(batch.halts)
            for person in people.by_key.values():
                if person.slots:
                    self._touched[person.key] = person
        for person in self.read:
            person.hold.seen()
            self._touch_living(person)
        for person, until in self.active:
            person.active_until = max(person.active_until, until)
        for trial in self.trials:
            self._try(trial)
        for person, flights in self.landed:
            self._land(person, flights)
        if batch.released:
            people.release(batch.released)
        return list(self._touched.values())

    def _try(self, trial: Trial) -> None:
        """Nothing that is pending waits for it, and nothing that comes will: its wakeup begins no hold."""
        self.people.trials.begin(trial)
        person = self.people.by_key.get(trial.user)
        if person is not None:
            person.left_generation = max(person.left_generation, trial.generation)

    def _land(self, person: Person, flights: list[Flight]) -> None:
        """Mostly nothing is owed to their devices any more."""
        for flight in flights:
            person.landed(flight)
        if not person.slots:
            person.wake_at = NEVER
        elif any(slot.owed(flight.device.key) for slot in person.slots.values() for flight in flights):
            self._touch_living(person)

    def _touch_living(self, person: Person) -> None:
        """One who was deleted meanwhile must not take the place of the one who came after."""
        if not person.gone:
            self._touched[person.key] = person

    def _apply_persons(self) -> None:
        by_key = self.people.by_key
        for key, person in self._persons.items():
            before = by_key.pop(key, None)
            if before is not None:
                before.leave()
                self.people.trials.drop(key)
                self.people.traces.end(key)
            if person is not None:
                by_key[key] = person

    def _apply_slots(self) -> None:
        by_key = self.people.by_key
        for (key, name), slot in self.batch.slots.items():
            if slot is not None:
                by_key[key].slots[name] = slot
            elif (person := by_key.get(key)) is not None:
                person.slots.pop(name, None)

    def _apply_rests(self) -> None:
        for key, record in self.batch.rests.items():
            person = self.people.by_key.get(key)
            if person is not None:
                person.rest = record
                person.table = None
                person.wakes = FOLLOW
