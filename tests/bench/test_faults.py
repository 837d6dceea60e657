"""What `bench.faults` calls a loss, and whether its table can be set at the fakes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bench.faults import Phones, judged, portions
from bench.mixes import MIXES, Mix
from relay.simulators.knobs import apns_panel, fcm_panel
from relay.simulators.oauth import FakeOauth
from tests.relay.simulators.messages import fake_fcm
from tests.relay.simulators.wakeups import fake_apns

BY_HAND = {"oauth-expires-in", "oauth-refused", "oauth-silence", "oauth-skew", "retry-after", "silent", "token-delays"}
"""Injections that name phones; that need a quota used up; and trouble with access tokens that would have to be replaced
more often than a client may ask for one."""
QUIET: dict[str, Any] = {"violations": {}, "unanswered": 0, "connections": 1, "by_status": {}}
TOKENS = [["a1", "a2"], ["b1", "b2"]]


def phones(*accepted: str, dead: str = "", given_up: str = "") -> Phones:
    return Phones(Counter(accepted), set(dead.split()), set(given_up.split()))


@pytest.mark.parametrize(
    ("seen", "lost", "missing"),
    [
        (phones("a1", "a2", "b1", "b2"), 0, 0),
        (phones("a1", "b2"), 0, 2),
        (phones("a1", "a2"), 1, 2),
        (phones("a1", "a2", dead="b1"), 1, 1),
        (phones("a1", "a2", dead="b1 b2"), 0, 0),
        (phones("a1", "a2", given_up="b1 b2"), 1, 0),
        (phones("a1", "a2", "b1", dead="b1"), 1, 1),
    ],
)
def test_who_is_lost(seen: Phones, lost: int, missing: int) -> None:
    """A wakeup at a phone that is dead by now is none."""
    figures = judged(seen, {"apns": QUIET, "fcm": QUIET}, TOKENS)
    assert (figures["lost"], figures["phones_missing"]) == (lost, missing)


def test_duplicates_and_violations_are_summed() -> None:
    journals = {"apns": {**QUIET, "violations": {"x": 2}, "unanswered": 3}, "fcm": {**QUIET, "violations": {"x": 1}}}
    figures = judged(phones("a1", "a1", "a1", "a2", "b1", "b1"), journals, TOKENS)
    assert [figures[name] for name in ("sent", "duplicates", "duplicates_allowed", "violations")] == [6, 3, 3, 3]
    assert figures["violations_by_kind"] == {"apns: x": 2, "fcm: x": 1}


@pytest.mark.parametrize("mix", MIXES, ids=lambda mix: mix.name)
async def test_every_mix_can_be_set(mix: Mix) -> None:
    fcm = fake_fcm()
    apns_panel(fake_apns()).set(mix.apns)
    fcm_panel(fcm, FakeOauth([], fcm.now)).set(mix.fcm)
    assert mix.apns or mix.fcm or mix.acts


async def test_every_injection_is_in_some_mix() -> None:
    fcm = fake_fcm()
    for panel, played in (
        (apns_panel(fake_apns()), {name for mix in MIXES for name in mix.apns}),
        (fcm_panel(fcm, FakeOauth([], fcm.now)), {name for mix in MIXES for name in mix.fcm}),
    ):
        assert set(panel.values()) - played == BY_HAND & set(panel.values())


def test_portions_are_everybody_once() -> None:
    assert [number for some in portions(10, 3) for number in some] == list(range(10))
