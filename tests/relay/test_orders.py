"""Orders to devices through the whole relay: they ring in rest, look like any wakeup, and come back until confirmed."""

from __future__ import annotations

from collections.abc import Sequence

from relay.core.events import DAY, HOUR
from relay.core.life import TICK, TOP
from relay.simulators.journal import Entry
from tests.relay.world import nightly, virtual, world

NIGHT = 12 * HOUR
"""After the start, in the middle of the nightly rest."""


def expirations(requests: Sequence[Entry]) -> list[int]:
    return [int(request.value(b"apns-expiration")) for request in requests]


@virtual
async def test_an_order_rings_one_phone_in_the_night_and_again_every_day_until_it_is_confirmed() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.rest("anna", nightly())
        await w.pass_time(NIGHT)
        await w.post("anna", event_class="control", device="tablet")
        await w.pass_time(3 * DAY - HOUR)
        assert w.rang("anna", "phone") == []
        assert w.rang("anna", "tablet") == [NIGHT, NIGHT + DAY, NIGHT + 2 * DAY]
        await w.confirm("anna", "tablet")
        await w.pass_time(2 * DAY)
        assert len(w.requests()) == 3
        assert w.account == {"accepted": 1, "woken": 1}


@virtual
async def test_an_order_survives_restarts_on_its_day() -> None:
    async with world() as w:
        await w.register("anna")
        await w.post("anna", event_class="control")
        for _ in range(4):
            await w.pass_time(DAY / 2)
            await w.restart()
        await w.pass_time(DAY / 4)
        assert w.rang("anna") == [0, DAY, 2 * DAY]


@virtual
async def test_a_phone_that_cannot_be_reached_is_not_forgotten() -> None:
    """Its provider is away for hours; the order leaves when it is back, and counts once."""
    async with world() as w:
        await w.register("anna")
        await w.network.unplug()
        await w.post("anna", event_class="control")
        await w.pass_time(4 * HOUR)
        w.network.reachable = True
        await w.pass_time(HOUR)
        assert len(w.requests()) == 1
        assert w.account == {"accepted": 1, "woken": 1}
        await w.pass_time(DAY)
        assert len(w.requests()) == 2


@virtual
async def test_nothing_but_the_life_tells_an_order_from_a_message_and_that_is_a_step_of_the_ladder() -> None:
    async with world() as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(HOUR)
        await w.post("anna", event_class="control")
        await w.pass_time(60)
        message, order = w.requests()
        strip = (b"apns-expiration", b"authorization")
        shown = [[(n, v) for n, v in request.headers if n not in strip] for request in (message, order)]
        assert shown[0] == shown[1]
        assert message.body == order.body
        at = w.start + HOUR
        assert expirations([order]) == [int(at + TOP) // TICK * TICK]


@virtual
async def test_messages_go_on_following_the_rest_while_an_order_is_open() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.rest("anna", nightly())
        await w.post("anna", event_class="control", device="tablet")
        await w.pass_time(NIGHT)
        await w.post("anna")
        await w.pass_time(2 * HOUR)
        assert (w.rang("anna", "phone"), w.rang("anna", "tablet")) == ([], [0])
        await w.pass_time(DAY / 2)
        assert (w.rang("anna", "phone"), w.rang("anna", "tablet")) == ([18 * HOUR], [0, 18 * HOUR])
