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
TROUBLE = Reading(503, "ServiceUnavailable", Action.LATER)
READINGS = (OK, UNKNOWN, KEY, TOPIC, PATH, CLOCK, TROUBLE)
BROKEN = Examined(None, Blame.WIRE, "refused", "answer")
MUTE = Second("aioapns", None, "no_answer")
NOT_ASKED = Second("aioapns", None, "it cannot go there", is_asked=False)
SECONDS = (MUTE, NOT_ASKED, *(Second("aioapns", reading) for reading in READINGS))


@pytest.mark.parametrize(("ours", "second", "is_made_up"), [*product((None, *READINGS), SECONDS, (True, False))])
def test_our_wire_is_to_blame_where_ours_is_bad_and_theirs_is_another(
    ours: Reading | None, second: Second, *, is_made_up: bool
) -> None:
    said = conclude(BROKEN if ours is None else Examined(ours), second, is_made_up=is_made_up)
    theirs = second.reading
    is_bad = ours is None or not ours.is_good
    passes = ours in (CLOCK, TROUBLE) or (ours is not None and theirs == TROUBLE)
    differs = theirs is not None and theirs != ours and not passes
    on_its_own = (ours == PATH and theirs in (None, TROUBLE)) or (ours is None and not second.is_asked)
    is_ours = (is_bad and differs) or on_its_own
    assert (said.code == OURS) == is_ours == (said.blame is Blame.WIRE)
    is_well = ours is not None and ours.is_good and (is_made_up or ours == OK)
    assert (said.code == WELL) == is_well == (said.blame is Blame.NOBODY)
    if is_ours and differs:
        assert str(theirs) in said.says
        assert (str(ours) if ours else "refused") in said.says


def test_what_neither_is_answered_or_both_are_told_is_malformed_is_the_providers() -> None:
    assert conclude(BROKEN, MUTE, is_made_up=True).blame is Blame.PROVIDER
    assert conclude(Examined(PATH), Second("aioapns", PATH), is_made_up=True).blame is Blame.PROVIDER


@pytest.mark.parametrize("theirs", READINGS)
def test_a_token_that_only_the_library_got_is_not_our_wires_fault(theirs: Reading) -> None:
    """Google's library tries more than once; and our own HTTP/2 has no part in that step."""
    ours = Examined(None, Blame.PROVIDER, "503 status_503", "token")
    said = conclude(ours, Second("pyfcm", theirs), is_made_up=True)
    assert (said.blame, said.code) == (Blame.PROVIDER, MEND)
    assert str(theirs) in said.says


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
