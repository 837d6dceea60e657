"""Both opinions, one after the other, and what follows from them."""

from __future__ import annotations

from relay.clock import Clock
from relay.config import AnyAppConfig
from relay.doctor.probe import Probe
from relay.doctor.second import Ask, Second, in_a_process, opinion
from relay.doctor.steps import Examined, Tell
from relay.doctor.verdict import Conclusion, conclude
from relay.doctor.words import Blame


async def examine(
    app: AnyAppConfig, token: str, clock: Clock, tell: Tell, *, is_made_up: bool, ask: Ask = in_a_process
) -> tuple[Examined, Second, Conclusion]:
    """Ours first: where Apple has refused our provider token, and only there, the library makes its own."""
    probe = Probe(app, token, clock, tell)
    ours = await probe.run()
    is_refused = ours.reading is not None and ours.reading.status == 403
    bearer = b"" if is_refused or ours.blame is Blame.CREDENTIALS else probe.bearer
    second = await opinion(app, token, bearer, probe.proxy, probe.provider, clock.now(), ask)
    return ours, second, conclude(ours, second, is_made_up=is_made_up)
