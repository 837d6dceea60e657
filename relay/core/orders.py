"""Orders to devices: log out, wipe. Sent anew until the backend says that they were obeyed.

Theory of operation. An order is an event of a class that is renewed (`EventClass.renewal`; by default `control`), for
one device of a user or for all that can be woken when it comes. Its wakeup is the same bytes as any other: the app
wakes, asks its backend, and the backend tells it what to do. So the relay knows neither what was ordered nor whether it
was done, and believes the backend: `POST /v1/confirmed`, or the deletion of the device.

The slot of the class keeps who has not obeyed yet (`Slot.orders`), each with the instant of its newest order and the
one at which it is given up (28 days). Whoever has no open order counts as done, also a device that is registered later.
When all are done for the moment, a slot with open orders does not end: it takes a new generation and falls due again
after a day. Nothing is pending then (n = 0), for each notice is booked once, at the first phone whose provider took it.

A phone that is off loses what its provider keeps to the next wakeup: Apple keeps one for an app. So while an order is
open every wakeup for that phone has the order's life, the top of the ladder (`fanout.depart`). That tells nobody's
rest: an order rings in rest anyway.

The devices of one user share a slot: one whose provider does not answer delays the next renewal for the others, and a
new order for one renews early what another has not obeyed. Rejected: a slot for each device (its key would have to name
the device, for a case of some minutes a month), and a timer for each order (the due heap has one place a person).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from relay.core.devices import Device
from relay.core.events import Event, EventClass
from relay.core.private import DeviceKey
from relay.core.slots import NO_ORDERS, Order, Slot


def addressed(event: Event, phones: Sequence[Device]) -> Sequence[Device]:
    """Those of a user's phones that an event is for."""
    return phones if event.device is None else [phone for phone in phones if phone.key == event.device]


def give(slot: Slot, event: Event, phones: Sequence[Device], before: int, now: float) -> None:
    """An order was taken as the slot's newest notice. `before`: the slot's generation until then, 0 for a new slot."""
    order = Order(event.at, min(now + event.event_class.deadline, event.expires_at))
    named = {phone.key for phone in addressed(event, phones)}
    slot.orders = {**slot.orders, **{key: _both(slot.orders.get(key, order), order) for key in named}}
    for phone in phones:
        is_done = phone.key not in slot.orders or slot.done.get(phone.key, 0) >= before
        if is_done and phone.key not in named:
            exempt(slot, phone.key)


def _both(one: Order, other: Order) -> Order:
    """What stays open until neither is: orders come in any order, also through another node."""
    return Order(max(one.at, other.at), max(one.until, other.until))


def exempt(slot: Slot, device: DeviceKey) -> None:
    """Nothing that the slot holds is for this device."""
    slot.done[device] = slot.generation


def obeyed(slot: Slot, devices: Iterable[DeviceKey], at: float) -> bool:
    """The backend confirms the orders up to an instant. False: none is open any more."""
    return withdraw(slot, [device for device in devices if device in slot.orders and slot.orders[device].at <= at])


def outlive(slot: Slot, now: float) -> bool:
    """Give up the orders whose time is over. False: none is open any more."""
    return withdraw(slot, [device for device, order in slot.orders.items() if order.until <= now])


def withdraw(slot: Slot, devices: Collection[DeviceKey]) -> bool:
    """The orders of these devices are open no more. False: none is."""
    if not slot.orders.keys().isdisjoint(devices):
        slot.orders = {device: order for device, order in slot.orders.items() if device not in devices} or NO_ORDERS
        for device in devices:
            exempt(slot, device)
    return bool(slot.orders)


def renew(slot: Slot, event_class: EventClass, phones: Sequence[Device], generation: int, now: float) -> bool:
    """Every phone is done for the moment: begin again in a while, under a new generation. False: no order is open."""
    if not (outlive(slot, now) and event_class.renewal):
        return False
    slot.generation = generation
    slot.done = {phone.key: generation for phone in phones if phone.key not in slot.orders}
    slot.due_at = now + event_class.renewal
    return True
