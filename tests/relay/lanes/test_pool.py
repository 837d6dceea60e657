"""The pool: every wakeup to the lane of its tenant and app, and one lane's trouble is not another's."""

from __future__ import annotations

from relay.core.breaker import State
from relay.core.events import HOUR
from tests.relay.lanes.peer import Peer, ignore
from tests.relay.world import TENANT, app, tenant, token_of, virtual, world

TABLETS = app("pad", topic="de.example.tablets")


@virtual
async def test_each_device_is_woken_through_the_lane_of_its_app() -> None:
    peer = Peer()
    async with world(tenant(app(), TABLETS), serve={"pad": peer.serve}) as w:
        await w.register("anna", "phone")
        await w.register("anna", "tablet", app="pad")
        await w.post("anna")
        await w.pass_time(10)
        assert [entry.token for entry in w.requests()] == [token_of("anna", "phone")]
        assert [arrival.token for arrival in peer.arrivals] == [token_of("anna", "tablet")]
        assert w.account == {"accepted": 1, "woken": 1}
        assert [(lane.app, lane.accepted) for lane in w.relay.pool.statistics()] == [("ios", 1), ("pad", 1)]


@virtual
async def test_a_lane_that_is_stopped_and_one_that_hangs_delay_nobody_else() -> None:
    """I5, S4: 300 wakeups wait at each of two broken lanes while alarms go through the third."""
    hanging = Peer(ignore)
    apps = app(), TABLETS, app("watch", topic="de.example.watches")
    async with world(tenant(*apps), serve={"pad": hanging.serve, "watch": hanging.serve}) as w:
        await w.register("anna")
        for number in range(100):
            await w.register(f"user{number}", app="pad" if number % 2 else "watch")
        w.relay.pool._lanes[(TENANT, "watch")].health.stop("BadTopic")
        await w.post(*(f"user{number}" for number in range(100)))
        for _ in range(20):
            began = w.now - w.start
            await w.alarm("anna")
            await w.pass_time(7)
            assert w.rang("anna")[-1] == began
        states = {lane.app: (lane.state, lane.queued + lane.in_flight > 0) for lane in w.relay.pool.statistics()}
        assert states["ios"] == (State.CLOSED, False)
        assert states["watch"] == (State.OPEN, True)
        assert w.relay.pool.is_busy


@virtual
async def test_an_app_that_is_not_configured_any_more_has_nobody_to_wake() -> None:
    async with world(tenant(app(), TABLETS)) as w:
        await w.register("anna", "phone")
        await w.register("bert", "tablet", app="pad")
        await w.post("bert")
        await w.pass_time(HOUR)
        w.config = type(w.config)(w.config.store, w.config.door, w.config.ops, w.config.grace_seconds, (tenant(app()),))
        await w.restart()
        taken = await w.post("anna", "bert")
        assert (taken.accepted, taken.unknown) == (1, 1)
        await w.pass_time(HOUR)
        assert len(w.rang("anna")) == 1
        assert len(w.rang("bert")) == 1
