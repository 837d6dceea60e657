"""Values for store tests: short names, and every field with a value of its own, so that no two can be mixed up."""

from __future__ import annotations

from collections.abc import Mapping

from relay.core.batch import Batch, Bypass, Feedback, Parting, PersonRecord, Receipt, Remembered
from relay.core.books import Account
from relay.core.devices import Device, Platform, RestRecord
from relay.core.events import NEVER, Accepted
from relay.core.halts import Act, Halt
from relay.core.passes import Look, Pass, PassKind, Visit
from relay.core.private import DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey
from relay.core.slots import NO_ORDERS, Order, Slot, Stub

NOW = 1_800_000_000.0
DAY = 86_400.0


def user(number: int) -> UserKey:
    return UserKey(number.to_bytes(4, "big") * 4)


def device_key(number: int) -> DeviceKey:
    return DeviceKey(b"\xd0" + number.to_bytes(3, "big") * 5)


def receipt_key(number: int) -> ReceiptKey:
    return ReceiptKey(b"\x1e" + number.to_bytes(3, "big") * 5)


def pass_key(number: int) -> PassKey:
    return PassKey(b"\xa5" + number.to_bytes(3, "big") * 5)


def a_pass(number: int, *, kind: PassKind = PassKind.TOKEN, expires_at: float = NOW, noted: float = 0.0) -> Pass:
    return Pass(kind, user(number), expires_at, tries=number, noted=noted)


def a_visit(seq: int, owner: UserKey | None = None, *, at: float = NOW) -> Visit:
    return Visit(seq, "city", owner or user(seq), at, f"key{seq}", Look.REST if seq % 2 else Look.EXPLAIN)


def a_slot(
    number: int = 0,
    *,
    done: dict[DeviceKey, int] | None = None,
    stubs: tuple[Stub, ...] = (),
    orders: Mapping[DeviceKey, Order] = NO_ORDERS,
) -> Slot:
    base = 100 * number
    return Slot(
        born=base + 1, generation=base + 2, total=base + 4, booked=base + 3, first_at=NOW + base + 0.125,
        last_at=NOW + base + 1.25, reachable_at=NOW + base + 2.5, expires_at=NEVER, due_at=NOW + base + 3.75,
        done=done or {}, echo_at=NOW + base + 4.5, stubs=stubs, orders=orders,
    )  # fmt: skip


def a_device(number: int, owner: UserKey, *, sealed: bytes = b"sealed device") -> Device:
    return Device(
        key=device_key(number), user=owner, app="ios", platform=Platform.APNS,
        token_hash=TokenHash(number.to_bytes(16, "big")), sealed=sealed, registered_at=NOW + number + 0.5,
        attempt=number, not_before=NOW + number + 0.25,
    )  # fmt: skip


def a_feedback(seq: int, tenant: str = "city", *, at: float = NOW) -> Feedback:
    return Feedback(seq, tenant, user(seq), device_key(seq), Parting.DEAD, "Unregistered", at, b"sealed %d" % seq)


def a_bypass(number: int, *, at: float = NOW, recipients: int = 2) -> Bypass:
    return Bypass(
        tenant="city", event_class="alarm", at=at, key_id=f"key{number}", role="dispatch", reason="incident",
        recipients=recipients, over_rate=number % 2 == 1, sealed=bytes(16 * recipients),
    )  # fmt: skip


def a_halt(number: int) -> Halt:
    return Halt(number, "city", "message", "ios", f"reason {number}", "root", NOW + number, NOW + number + 0.5)


def an_act(number: int, *, at: float = NOW) -> Act:
    return Act(at, f"login{number}", "hold", "city", "message", "ios", f"reason {number}", at + 60.5)


def a_request(number: int, *, at: float = NOW, receipt: ReceiptKey | None = None) -> Remembered:
    return Remembered(body=number.to_bytes(32, "big"), answer=Accepted(number + 2, number + 1, receipt), at=at)


def a_receipt(number: int, *, at: float = NOW) -> Receipt:
    return Receipt("city", at, number + 10, number + 1, number + 2, number + 3)


def a_full_batch(epoch: int) -> Batch:
    """At least one record in every table, and every kind of value that a field can have."""
    anna, bert = user(1), user(2)
    return Batch(
        now=NOW,
        epoch=epoch,
        people={anna: PersonRecord("city", b"sealed anna"), bert: PersonRecord("county", b"")},
        slots={
            (anna, "message"): a_slot(1),
            (anna, "alarm"): a_slot(
                2,
                done={device_key(1): 202, device_key(2): 17},
                stubs=(Stub(receipt_key(1), 203, 203), Stub(receipt_key(2), 204, 2**62)),
            ),
            (anna, "control"): a_slot(
                3,
                done={device_key(1): 302},
                stubs=(Stub(receipt_key(1), 303, 303),),
                orders={device_key(1): Order(NOW, NOW + 28 * DAY), device_key(2): Order(NOW + 0.5, NOW + 1.5)},
            ),
            (bert, "control"): a_slot(4, orders={device_key(3): Order(NOW, NEVER)}),
            (bert, "m"): Slot(1, 2**62, 2**40, 0, 0.0, 0.0, NEVER, NEVER, NEVER),
            (bert, "a" * 32): Slot(3, 3, 0, 0, NOW, NOW, NOW, NOW, NOW, done={device_key(3): 0}),
        },
        devices={
            device_key(1): (anna, a_device(1, anna)),
            device_key(2): (anna, a_device(2, anna, sealed=bytes(range(256)))),
            device_key(3): (
                bert,
                Device(device_key(3), bert, "", Platform.NONE, TokenHash(bytes(16)), b"\x00", 0.0, 0, NEVER),
            ),
        },
        rests={anna: RestRecord(b"sealed rest", 7), bert: RestRecord(b"\x00" * 60_000, 2**40)},
        requests={b"\x01" * 16: a_request(1), b"\x00" * 16: a_request(0, receipt=receipt_key(1))},
        receipts={receipt_key(1): a_receipt(1), receipt_key(2): Receipt("county", 0.0, 2**40)},
        bypasses=[a_bypass(1), a_bypass(2, recipients=0)],
        halts={1: a_halt(1), 2**40: Halt(2**40, None, None, None, "repair", "root", NOW, NEVER)},
        acts=[an_act(1), Act(NOW, "root", "resume", None, None, None, "done", NEVER)],
        feedback=[a_feedback(1), a_feedback(2, "county"), a_feedback(3)],
        passes={
            pass_key(1): a_pass(1),
            pass_key(2): a_pass(2, kind=PassKind.LINK, expires_at=NOW + 0.125),
            pass_key(3): a_pass(1, kind=PassKind.SUPPORT, expires_at=0.0),
            pass_key(4): a_pass(2, kind=PassKind.SESSION, noted=NOW - 0.125),
        },
        visits=[a_visit(1), a_visit(2, anna), a_visit(3, bert, at=NOW + 0.125)],
        accounts={("city", "message"): Account(21, 1, 2, 3, 4, 5), ("county", "alarm"): Account(2**50)},
        generation=2**62,
        revision=2**40,
    )
