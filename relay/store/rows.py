"""Records as bytes, for stores that keep them so. Each body begins with a version; readers refuse what they don't know.

Slots are packed by `struct` because they are nearly all of the traffic (0.7 µs a row); the rest is msgpack. Slots with
stubs, those of alarms, have a version of their own, and so have slots with orders; all others are written as ever.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from typing import Any, Final

import msgpack

from relay.core.batch import Bypass, Feedback, Parting, PersonRecord, Posted, PostKind, Receipt, Remembered, SlotKey
from relay.core.books import ACCOUNTS, Account, AccountKey
from relay.core.devices import Device, Platform, RestRecord
from relay.core.events import Accepted
from relay.core.halts import Act, Halt
from relay.core.passes import Look, Pass, PassKind, Visit
from relay.core.private import KEY_BYTES, DeviceKey, ReceiptKey, TokenHash, UserKey
from relay.core.slots import Order, Slot, Stub
from relay.store.port import StoreMismatch

_SLOT: Final = struct.Struct(">B4q6d")
_DONE: Final = struct.Struct(f">{KEY_BYTES}sq")
_COUNT: Final = struct.Struct(">I")
"""How many stubs follow, or orders; then come the devices that are done."""
_STUB: Final = struct.Struct(f">{KEY_BYTES}s2q")
_ORDER: Final = struct.Struct(f">{KEY_BYTES}s2d")
_ACCOUNT: Final = struct.Struct(f">B{len(ACCOUNTS)}q")
_VERSION: Final = 1
_SEALED: Final = b"\x02"
_WITH_STUBS: Final = 2
_WITH_ORDERS: Final = 3
"""With stubs too, perhaps none."""


def number(value: int) -> bytes:
    """A counter, so that bytes sort like numbers."""
    return value.to_bytes(8, "big")


def read_number(value: bytes) -> int:
    return int.from_bytes(value, "big")


def instant(at: float) -> bytes:
    """An instant in milliseconds, so that bytes sort like times."""
    return int(at * 1000).to_bytes(8, "big")


def slot_key(key: SlotKey) -> bytes:
    return key[0] + key[1].encode()


def read_slot_key(key: bytes) -> SlotKey:
    return UserKey(key[:KEY_BYTES]), key[KEY_BYTES:].decode()


def slot(slot: Slot) -> bytes:
    version = _WITH_ORDERS if slot.orders else _WITH_STUBS if slot.stubs else _VERSION
    body = _SLOT.pack(
        version, slot.born, slot.generation, slot.total, slot.booked, slot.first_at,
        slot.last_at, slot.reachable_at, slot.expires_at, slot.due_at, slot.echo_at,
    )  # fmt: skip
    if version >= _WITH_STUBS:
        body += _COUNT.pack(len(slot.stubs)) + b"".join([_STUB.pack(*stub) for stub in slot.stubs])
    if version == _WITH_ORDERS:
        body += _COUNT.pack(len(slot.orders)) + b"".join([_ORDER.pack(d, *order) for d, order in slot.orders.items()])
    if slot.done:
        body += b"".join([_DONE.pack(device, generation) for device, generation in slot.done.items()])
    return body


def read_slot(body: bytes) -> Slot:
    version, *fields = _SLOT.unpack_from(body)
    slot = Slot(*fields[:-1])
    slot.echo_at = fields[-1]
    rest = body[_SLOT.size :]
    if version not in (_WITH_STUBS, _WITH_ORDERS):
        _check(version)
    else:
        stubs, rest = _counted(_STUB, rest)
        slot.stubs = tuple(Stub(ReceiptKey(key), *numbers) for key, *numbers in stubs)
    if version == _WITH_ORDERS:
        orders, rest = _counted(_ORDER, rest)
        slot.orders = {DeviceKey(device): Order(*instants) for device, *instants in orders}
    slot.done = {DeviceKey(device): last for device, last in _DONE.iter_unpack(rest)}
    return slot


def _counted(kind: struct.Struct, body: bytes) -> tuple[Iterator[tuple[Any, ...]], bytes]:
    """Entries of a list that says how many they are, and what comes behind them."""
    (count,) = _COUNT.unpack_from(body)
    end = _COUNT.size + count * kind.size
    return kind.iter_unpack(body[_COUNT.size : end]), body[end:]


def account_key(key: AccountKey) -> bytes:
    return "\x00".join(key).encode()


def read_account_key(key: bytes) -> AccountKey:
    tenant, _, event_class = key.decode().partition("\x00")
    return tenant, event_class


def account(account: Account) -> bytes:
    return _ACCOUNT.pack(_VERSION, *(getattr(account, name) for name in ACCOUNTS))


def read_account(body: bytes) -> Account:
    version, *values = _ACCOUNT.unpack(body)
    _check(version)
    return Account(*values)


def person(record: PersonRecord) -> bytes:
    return _pack(record.tenant, record.sealed_id)


def read_person(body: bytes) -> PersonRecord:
    return PersonRecord(*_unpack(body))


def device(device: Device) -> bytes:
    return _pack(
        device.user, device.app, device.platform.value, device.token_hash, device.sealed, device.registered_at,
        device.attempt, device.not_before,
    )  # fmt: skip


def read_device(key: bytes, body: bytes) -> Device:
    user, app, platform, token_hash, sealed, registered_at, attempt, not_before = _unpack(body)
    return Device(
        DeviceKey(key), UserKey(user), app, Platform(platform), TokenHash(token_hash), sealed, registered_at, attempt,
        not_before,
    )  # fmt: skip


def rest(record: RestRecord) -> bytes:
    return _pack(record.sealed, record.version)


def read_rest(body: bytes) -> RestRecord:
    return RestRecord(*_unpack(body))


def request(known: Remembered) -> bytes:
    """The receipt is there only if there is one: most requests are no alarms, and those of older files have none."""
    receipt = () if known.answer.receipt is None else (known.answer.receipt,)
    return _pack(known.body, known.answer.accepted, known.answer.unknown, known.at, *receipt)


def read_request(body: bytes) -> Remembered:
    content, accepted, unknown, at, *receipt = _unpack(body)
    return Remembered(content, Accepted(accepted, unknown, *map(ReceiptKey, receipt)), at)


def receipt(record: Receipt) -> bytes:
    return _pack(record.tenant, record.at, record.recipients, record.handed_over, record.no_device, record.failed)


def read_receipt(body: bytes) -> Receipt:
    return Receipt(*_unpack(body))


def feedback_key(tenant: str, seq: int) -> bytes:
    return tenant.encode() + b"\x00" + number(seq)


def read_feedback_key(key: bytes) -> tuple[str, int]:
    return key[:-9].decode(), read_number(key[-8:])


def feedback(record: Feedback) -> bytes:
    return _pack(
        record.seq, record.tenant, record.user, record.device, record.parting.value, record.reason, record.at,
        record.sealed,
    )  # fmt: skip


def read_feedback(body: bytes) -> Feedback:
    seq, tenant, user, device_key, parting, reason, at, sealed = _unpack(body)
    return Feedback(seq, tenant, UserKey(user), DeviceKey(device_key), Parting(parting), reason, at, sealed)


def pass_(record: Pass) -> bytes:
    """The last use is there only if there is one: those of older files have none."""
    noted = (record.noted,) if record.noted else ()
    return _pack(record.kind.value, record.user, record.expires_at, record.tries, *noted)


def read_pass(body: bytes) -> Pass:
    kind, user, expires_at, tries, *noted = _unpack(body)
    return Pass(PassKind(kind), UserKey(user), expires_at, tries, *noted)


def visit_key(user: UserKey, seq: int) -> bytes:
    return user + number(seq)


def visits_end(user: UserKey) -> bytes:
    """Above all keys of this person's visits."""
    return user + b"\xff" * 9


def visit(record: Visit) -> bytes:
    return _pack(record.seq, record.tenant, record.user, record.at, record.key_id, record.what.value)


def read_visit(body: bytes) -> Visit:
    seq, tenant, user, at, key_id, what = _unpack(body)
    return Visit(seq, tenant, UserKey(user), at, key_id, Look(what))


def visits_erased(tenant: str, digests: Sequence[bytes]) -> bytes:
    """`digests`: of the links of the looks that are gone (core/chain.py)."""
    return _pack(tenant, list(digests))


def read_visits_erased(body: bytes) -> tuple[str, list[bytes]]:
    tenant, digests = _unpack(body)
    return tenant, digests


def bypass(record: Bypass) -> bytes:
    return _pack(
        record.tenant, record.event_class, record.at, record.key_id, record.role, record.reason, record.recipients,
        record.over_rate,
    )  # fmt: skip


def read_bypass(body: bytes, recipients: bytes) -> Bypass:
    """`recipients`: what lies apart, see `bypass_recipients`."""
    tenant, name, at, key_id, role, reason, count, over_rate = _unpack(body)
    sealed = recipients[1:] if recipients[:1] == _SEALED else b""
    return Bypass(tenant, name, at, key_id, role, reason, count, over_rate, sealed)


def bypass_recipients(record: Bypass) -> bytes:
    """Sealed; older ones, which begin with another byte, are pseudonyms in a row."""
    return _SEALED + record.sealed


def posted(record: Posted) -> bytes:
    return _pack(
        record.kind.value, record.tenant, record.user, record.event_class, record.at, record.until, record.device,
        record.receipt, record.token,
    )  # fmt: skip


def read_posted(body: bytes) -> Posted:
    kind, tenant, user, name, at, until, device_key, receipt_key, token = _unpack(body)
    return Posted(PostKind(kind), tenant, UserKey(user), name, at, until, device_key, receipt_key, token)


def halt(record: Halt) -> bytes:
    return _pack(*astuple(record))


def read_halt(body: bytes) -> Halt:
    return Halt(*_unpack(body))


def act(record: Act) -> bytes:
    return _pack(*astuple(record))


def read_act(body: bytes) -> Act:
    return Act(*_unpack(body))


@contextmanager
def reading() -> Iterator[None]:
    """Bytes that are no record of ours, found while reading, as StoreMismatch. The text names no content."""
    try:
        yield
    except (ValueError, TypeError, LookupError, struct.error):
        raise StoreMismatch("the database file holds damaged records") from None


def _pack(*content: object) -> bytes:
    packed: bytes = msgpack.packb([_VERSION, *content])
    return packed


def _unpack(body: bytes) -> list[Any]:
    content = msgpack.unpackb(body)
    _check(content[0])
    return list(content[1:])


def _check(version: int) -> None:
    if version != _VERSION:
        raise StoreMismatch("the store holds records of a newer version of this program")
