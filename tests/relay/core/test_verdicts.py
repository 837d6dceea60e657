"""The table of Apple's answers, row by row, and what follows from an answer nobody knows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.verdicts import APNS, Action, Scope, apns

ROWS: list[tuple[int, str, Action, Scope]] = [
    (200, "", Action.ACCEPTED, Scope.DEVICE),
    (400, "BadCollapseId", Action.GIVE_UP, Scope.MESSAGE),
    (400, "BadExpirationDate", Action.GIVE_UP, Scope.MESSAGE),
    (400, "BadMessageId", Action.GIVE_UP, Scope.MESSAGE),
    (400, "BadPriority", Action.GIVE_UP, Scope.MESSAGE),
    (400, "DuplicateHeaders", Action.GIVE_UP, Scope.MESSAGE),
    (400, "InvalidPushType", Action.GIVE_UP, Scope.MESSAGE),
    (400, "PayloadEmpty", Action.GIVE_UP, Scope.MESSAGE),
    (400, "MissingDeviceToken", Action.GIVE_UP, Scope.MESSAGE),
    (400, "BadTopic", Action.STOP, Scope.LANE),
    (400, "MissingTopic", Action.STOP, Scope.LANE),
    (400, "TopicDisallowed", Action.STOP, Scope.LANE),
    (400, "BadDeviceToken", Action.SUSPECT, Scope.DEVICE),
    (400, "DeviceTokenNotForTopic", Action.SUSPECT, Scope.DEVICE),
    (400, "IdleTimeout", Action.RECONNECT, Scope.CONNECTION),
    (403, "ExpiredProviderToken", Action.NEW_TOKEN, Scope.CONNECTION),
    (403, "InvalidProviderToken", Action.STOP, Scope.LANE),
    (403, "MissingProviderToken", Action.STOP, Scope.LANE),
    (403, "BadEnvironmentKeyIdInToken", Action.STOP, Scope.LANE),
    (403, "BadEnvironmentKeyInToken", Action.STOP, Scope.LANE),
    (403, "Forbidden", Action.STOP, Scope.LANE),
    (403, "BadCertificate", Action.STOP, Scope.LANE),
    (403, "BadCertificateEnvironment", Action.STOP, Scope.LANE),
    (403, "UnrelatedKeyIdInToken", Action.RECONNECT, Scope.CONNECTION),
    (404, "BadPath", Action.GIVE_UP, Scope.MESSAGE),
    (405, "MethodNotAllowed", Action.GIVE_UP, Scope.MESSAGE),
    (410, "Unregistered", Action.DEAD, Scope.DEVICE),
    (410, "ExpiredToken", Action.DEAD, Scope.DEVICE),
    (413, "PayloadTooLarge", Action.GIVE_UP, Scope.MESSAGE),
    (429, "TooManyRequests", Action.LATER, Scope.DEVICE),
    (429, "TooManyProviderTokenUpdates", Action.OLD_TOKEN, Scope.LANE),
    (500, "InternalServerError", Action.LATER, Scope.SERVICE),
    (503, "ServiceUnavailable", Action.LATER, Scope.SERVICE),
    (503, "Shutdown", Action.RECONNECT, Scope.CONNECTION),
]


@pytest.mark.parametrize(("status", "reason", "action", "scope"), ROWS)
def test_an_answer_means_what_the_documentation_says(status: int, reason: str, action: Action, scope: Scope) -> None:
    verdict = apns(status, reason)
    assert (verdict.action, verdict.scope) == (action, scope)


def test_no_row_of_the_table_is_missing_here() -> None:
    assert {(status, reason) for status, reason, _, _ in ROWS[1:]} == set(APNS)


@pytest.mark.parametrize(
    ("status", "reason", "action", "scope"),
    [
        (200, "Unregistered", Action.ACCEPTED, Scope.DEVICE),
        (201, "", Action.ACCEPTED, Scope.DEVICE),
        (400, "SomethingNew", Action.GIVE_UP, Scope.MESSAGE),
        (400, "Unregistered", Action.GIVE_UP, Scope.MESSAGE),
        (400, "", Action.GIVE_UP, Scope.MESSAGE),
        (403, "", Action.GIVE_UP, Scope.MESSAGE),
        (404, "", Action.GIVE_UP, Scope.MESSAGE),
        (410, "", Action.GIVE_UP, Scope.MESSAGE),
        (410, "SomethingNew", Action.GIVE_UP, Scope.MESSAGE),
        (429, "", Action.LATER, Scope.SERVICE),
        (500, "Unregistered", Action.LATER, Scope.SERVICE),
        (502, "", Action.LATER, Scope.SERVICE),
        (503, "SomethingNew", Action.LATER, Scope.SERVICE),
        (599, "BadDeviceToken", Action.LATER, Scope.SERVICE),
        (302, "", Action.GIVE_UP, Scope.MESSAGE),
    ],
)
def test_an_unknown_answer_is_judged_by_its_status(status: int, reason: str, action: Action, scope: Scope) -> None:
    verdict = apns(status, reason)
    assert (verdict.action, verdict.scope) == (action, scope)


@given(status=st.integers(100, 999), reason=st.sampled_from([reason for _, reason in APNS]) | st.text(max_size=20))
def test_no_unknown_answer_ever_costs_a_token(status: int, reason: str) -> None:
    verdict = apns(status, reason)
    if (status, reason) not in APNS:
        assert verdict.action in (Action.ACCEPTED, Action.GIVE_UP, Action.LATER)
    if verdict.action in (Action.DEAD, Action.SUSPECT):
        assert (status, verdict.scope) in ((410, Scope.DEVICE), (400, Scope.DEVICE))


@given(status=st.integers(400, 999), reason=st.text(max_size=20))
def test_no_fault_is_taken_for_success(status: int, reason: str) -> None:
    assert apns(status, reason).action is not Action.ACCEPTED
