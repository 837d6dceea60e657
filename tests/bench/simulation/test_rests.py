"""What a plan means, by its own arithmetic and by the library that the relay asks; they share no code."""

from __future__ import annotations

from random import Random

import pytest

from bench.simulation.rests import DAY, HOUR, REACHABLE, Kind, Plan, a_plan
from bench.simulation.run import FIRST_DAY
from schedules import compile_table, parse

KINDS = (
    Kind("message"),
    Kind("duty", through=frozenset({"free"})),
    Kind("brief", through=frozenset({"off", "night", "leave"})),
)


def edges(plan: Plan) -> list[int]:
    spans = [span for window in plan.windows for span in window.spans]
    spans += [override.span for override in (*plan.rests, *plan.reachable)]
    return [edge for span in spans for edge in span]


@pytest.mark.parametrize("seed", range(40))
def test_it_means_what_the_library_says(seed: int) -> None:
    rng = Random(seed)
    now = FIRST_DAY + rng.uniform(0, 50 * DAY)
    plan = a_plan(rng, now, ["message", "duty", "roster"], ["phone", "tablet"])
    table = compile_table(parse(plan.document), now)
    near = [edge for edge in edges(plan) if now - HOUR < edge < now + 12 * DAY]
    instants = [edge + by for edge in rng.sample(near, min(20, len(near))) for by in (-1.0, -0.5, 0.0, 0.5)]
    instants += [now + rng.uniform(-HOUR, 12 * DAY) for _ in range(20)]
    for kind in KINDS:
        of_class = table.for_class(kind.name, kind.through)
        for instant in instants:
            assert plan.is_rest(instant, kind) == of_class.at(instant).resting
        release = plan.release(now, kind)
        assert release is not None
        assert not of_class.at(release).resting
    assert plan.devices == dict(table.wakes)


def test_plans_differ() -> None:
    plans = [a_plan(Random(seed), FIRST_DAY, ["message", "duty"], ["phone"]) for seed in range(300)]
    kinds = {window["kind"] for plan in plans for window in plan.document["windows"]}  # type: ignore[attr-defined]
    assert kinds == {"weekly", "cron", "dates", "once", "holidays", "cycle"}
    assert any(plan.rests for plan in plans)
    assert any(plan.reachable for plan in plans)
    assert {wake for plan in plans for wake in plan.devices.values()} == {"never", "always"}


def test_devices_that_do_not_follow() -> None:
    night = Plan({}, devices={"phone": "always", "tablet": "never"})
    alarm, message = Kind("alarm", pierces=True), Kind("message")
    assert [night.rings(0.0, kind, d) for kind in (alarm, message) for d in ("phone", "tablet", "pc")] == [
        True, True, True, True, False, True,
    ]  # fmt: skip
    assert REACHABLE.rings(0.0, message, "phone")
