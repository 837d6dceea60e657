"""Whose fault it is: every pair of answers leads to one conclusion, and no answer is without words."""

from __future__ import annotations

from itertools import product

import pytest

from relay.core import verdicts
from relay.core.verdicts import Action
from relay.doctor import words
from relay.doctor.second import Second
from relay.doctor.steps import Examined
from relay.doctor.verdict import MEND, OURS, WELL, conclude
from relay.doctor.words import Blame, Reading

OK = Reading(200, "", Action.ACCEPTED)
UNKNOWN = Reading(400, "BadDeviceToken", Action.SUSPECT)
KEY = Reading(403, "InvalidProviderToken", Action.STOP)
TOPIC = Reading(400, "TopicDisallowed", Action.STOP)
PATH = Reading(404, "BadPath", Action.GIVE_UP)
CLOCK = Reading(403, "ExpiredProviderToken", Action.NEW_TOKEN)
READINGS = (OK, UNKNOWN, KEY, TOPIC, PATH, CLOCK)
BROKEN = Examined(None, Blame.WIRE, "refused")


@pytest.mark.parametrize(
    ("ours", "theirs", "is_made_up"), [*product((None, *READINGS), (None, *READINGS), (True, False))]
)
def test_our_wire_is_to_blame_where_ours_is_bad_and_theirs_is_another(
    ours: Reading | None, theirs: Reading | None, *, is_made_up: bool
) -> None:
    examined = BROKEN if ours is None else Examined(ours)
    said = conclude(examined, Second("aioapns", theirs, "" if theirs else "no_answer"), is_made_up=is_made_up)
    is_bad = ours is None or not ours.is_good
    differs = theirs is not None and theirs != ours and ours != CLOCK
    is_ours = (is_bad and differs) or (ours == PATH and theirs is None)
    assert (said.code == OURS) == is_ours
    assert (said.blame is Blame.WIRE) == (is_ours or ours in (PATH, None))
    is_well = ours is not None and ours.is_good and (is_made_up or ours == OK)
    assert (said.code == WELL) == is_well == (said.blame is Blame.NOBODY)
    if is_ours and differs:
        assert str(theirs) in said.says
        assert (str(ours) if ours else "refused") in said.says


@pytest.mark.parametrize("blame", [Blame.DNS, Blame.NETWORK, Blame.PROXY, Blame.TLS, Blame.CLOCK, Blame.CREDENTIALS])
def test_what_fails_before_the_wire_is_never_the_wires_fault(blame: Blame) -> None:
    """The library trusts others, and goes another way perhaps."""
    for theirs in (None, *READINGS):
        said = conclude(Examined(None, blame, "so"), Second("pyfcm", theirs, "no_answer"), is_made_up=True)
        assert (said.blame, said.code) == (blame, MEND)
        assert "pyfcm" in said.says


def test_every_answer_of_the_tables_has_words_of_its_own_but_bugs_and_trouble() -> None:
    general = {Action.GIVE_UP, Action.LATER, Action.PAUSE, Action.RECONNECT}
    for (status, reason), verdict in (*verdicts.APNS.items(), *verdicts.FCM.items()):
        blame, says = words.of_answer(Reading(status, reason, verdict.action))
        assert says
        assert (blame is Blame.WIRE) == (verdict.action is Action.GIVE_UP or reason == "MissingProviderToken"), reason
        if verdict.action not in general and "Certificate" not in reason:
            assert reason in words.APNS or reason in words.FCM, reason


def test_every_way_a_proxy_can_fail_has_a_sentence() -> None:
    for reason in (*words.PROXY, "proxy_status_418", "proxy_head_too_large"):
        assert "{" not in words.of_proxy(reason, "api.push.apple.com")
    assert "status 418" in words.of_proxy("proxy_status_418", "x")
