"""The provider token (A-11, A-12): who is refused and why, what binds a connection, and how often it may change."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import pytest
import trio
from trio.testing import MockClock

from relay.simulators.apns import FakeApns
from tests.relay.simulators.h2_client import Client, connected
from tests.relay.simulators.wakeups import (
    BODY,
    KEY,
    OTHER_TEAM,
    SANDBOX_KEY,
    SECOND_KEY,
    START,
    TOKEN,
    TOPIC,
    SigningKey,
    encoded,
    fake_apns,
    wakeup,
)

NOW: Final = int(START)
HOUR: Final = 3600
MINUTE: Final = 60
OK: Final = (200, "")
MISSING: Final = (403, "MissingProviderToken")
INVALID: Final = (403, "InvalidProviderToken")
EXPIRED: Final = (403, "ExpiredProviderToken")
TOO_MANY: Final = (429, "TooManyProviderTokenUpdates")
FORGED: Final = SigningKey(KEY.public.team_id, KEY.public.key_id)
"""Somebody else's key that claims to be ours."""


async def verdicts(fake: FakeApns, tokens: Sequence[str]) -> list[tuple[int, str]]:
    """Of one request each with these tokens, all on one connection."""
    async with connected(fake) as client:
        return [await verdict(client, token) for token in tokens]


async def verdict(client: Client, token: str) -> tuple[int, str]:
    return (await client.ask(wakeup(token), BODY)).verdict


def tampered(token: str) -> str:
    """The same signature under other claims."""
    head, _, signature = token.split(".")
    claims = json.dumps({"iss": KEY.public.team_id, "iat": NOW + 1}).encode()
    return f"{head}.{encoded(claims).decode()}.{signature}"


AUTHORIZATIONS: Final[dict[str, tuple[str | None, tuple[int, str]]]] = {
    "none": (None, MISSING),
    "empty": ("", MISSING),
    "scheme only": ("bearer", MISSING),
    "scheme and space": ("bearer ", MISSING),
    "token only": (TOKEN, MISSING),
    "other scheme": (f"basic {TOKEN}", MISSING),
    "good": (f"bearer {TOKEN}", OK),
    "scheme in capitals": (f"BEARER {TOKEN}", OK),
    "two spaces": (f"bearer  {TOKEN}", INVALID),
    "a word": ("bearer x", INVALID),
    "three words": ("bearer a.b.c", INVALID),
    "not ASCII": ("bearer ü.ü.ü", INVALID),
    "deeply nested": ("bearer " + encoded(b"[" * 3000).decode() + ".e30.AA", INVALID),
    "cut short": ("bearer " + TOKEN[:-4], INVALID),
    "with something behind": ("bearer " + TOKEN + "AAAA", INVALID),
    "claims changed": ("bearer " + tampered(TOKEN), INVALID),
    "signed with another key": ("bearer " + FORGED.token(), INVALID),
    "signature as DER": ("bearer " + KEY.token(is_der=True), INVALID),
    "no kid": ("bearer " + KEY.token(kid=None), INVALID),
    "unknown kid": ("bearer " + KEY.token(kid="KEY0000009"), INVALID),
    "another's kid": ("bearer " + KEY.token(kid=SECOND_KEY.public.key_id), INVALID),
    "kid is a number": ("bearer " + KEY.token(kid=7), INVALID),
    "no alg": ("bearer " + KEY.token(alg=None), INVALID),
    "alg none": ("bearer " + KEY.token(alg="none"), INVALID),
    "alg ES384": ("bearer " + KEY.token(alg="ES384"), INVALID),
    "alg HS256": ("bearer " + KEY.token(alg="HS256"), INVALID),
    "no iss": ("bearer " + KEY.token(iss=None), INVALID),
    "another's iss": ("bearer " + KEY.token(iss=OTHER_TEAM.public.team_id), INVALID),
    "iss is a list": ("bearer " + KEY.token(iss=[KEY.public.team_id]), INVALID),
    "no iat": ("bearer " + KEY.token(None), INVALID),
    "iat is text": ("bearer " + KEY.token(str(NOW)), INVALID),
    "iat is a list": ("bearer " + KEY.token([NOW]), INVALID),
    "iat is true": ("bearer " + KEY.token(True), INVALID),
    "iat is infinite": ("bearer " + KEY.token(float("inf")), INVALID),
    "iat is no number": ("bearer " + KEY.token(float("nan")), INVALID),
    "an hour old": ("bearer " + KEY.token(NOW - HOUR), OK),
    "older than an hour": ("bearer " + KEY.token(NOW - HOUR - 1), EXPIRED),
    "of 1970": ("bearer " + KEY.token(0.5), EXPIRED),
    "an hour ahead": ("bearer " + KEY.token(NOW + HOUR), OK),
    "more than an hour ahead": ("bearer " + KEY.token(NOW + HOUR + 1), INVALID),
    "iat in milliseconds": ("bearer " + KEY.token(NOW * 1000), INVALID),
    "of another team": ("bearer " + OTHER_TEAM.token(), OK),
    "of the other environment": ("bearer " + SANDBOX_KEY.token(), (403, "BadEnvironmentKeyIdInToken")),
}


@pytest.mark.parametrize("what", AUTHORIZATIONS)
async def test_a_token_is_of_a_known_key_and_of_this_hour(autojump_clock: MockClock, what: str) -> None:
    authorization, expected = AUTHORIZATIONS[what]
    fake = fake_apns()
    async with connected(fake) as client:
        answer = await client.ask(wakeup(authorization=authorization), BODY)
    assert answer.verdict == expected
    assert not fake.journal.violations


async def test_an_expired_token_spoils_its_connection_and_no_other(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as first, connected(fake) as second:
        assert await verdict(first, KEY.token(NOW - 2 * HOUR)) == EXPIRED
        assert await verdict(first, TOKEN) == EXPIRED
        assert await verdict(second, TOKEN) == OK
        await trio.sleep(HOUR / 2)
        assert await verdict(first, TOKEN) == EXPIRED


async def test_a_token_expires_while_the_connection_is_open(autojump_clock: MockClock) -> None:
    async with connected(fake_apns()) as client:
        assert await verdict(client, TOKEN) == OK
        await trio.sleep(HOUR)
        assert await verdict(client, TOKEN) == OK
        await trio.sleep(1)
        assert await verdict(client, TOKEN) == EXPIRED


async def test_a_connection_belongs_to_the_team_of_its_first_request(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    assert await verdicts(fake, [TOKEN, OTHER_TEAM.token(), TOKEN]) == [OK, INVALID, OK]
    assert await verdicts(fake, [OTHER_TEAM.token()]) == [OK]


async def test_a_connection_belongs_to_the_key_of_its_first_request(autojump_clock: MockClock) -> None:
    """Rotation needs new connections."""
    fake = fake_apns()
    assert await verdicts(fake, [TOKEN, SECOND_KEY.token()]) == [OK, (403, "UnrelatedKeyIdInToken")]
    assert await verdicts(fake, [SECOND_KEY.token()]) == [OK]


async def test_a_request_whose_token_is_refused_binds_nothing(autojump_clock: MockClock) -> None:
    refused = [FORGED.token(), KEY.token(NOW + 2 * HOUR), SANDBOX_KEY.token()]
    assert (await verdicts(fake_apns(), [*refused, OTHER_TEAM.token()]))[-1] == OK


async def test_a_request_that_is_refused_after_its_token_binds_the_connection(autojump_clock: MockClock) -> None:
    async with connected(fake_apns()) as client:
        assert (await client.ask(wakeup(), b"")).verdict == (400, "PayloadEmpty")
        assert await verdict(client, OTHER_TEAM.token()) == INVALID


async def test_a_key_of_the_other_environment_on_a_bound_connection_is_first_of_all_unrelated(
    autojump_clock: MockClock,
) -> None:
    assert (await verdicts(fake_apns(), [TOKEN, SANDBOX_KEY.token()]))[1] == (403, "UnrelatedKeyIdInToken")


async def test_each_environment_has_its_own_keys(autojump_clock: MockClock) -> None:
    fake = fake_apns(sandbox=True)
    wrong = (403, "BadEnvironmentKeyIdInToken")
    assert await verdicts(fake, [TOKEN, SANDBOX_KEY.token()]) == [wrong, OK]


async def test_a_key_may_be_good_for_some_topics_only(autojump_clock: MockClock) -> None:
    """A-08: a topic must be in the set of the team that asks, not of some team."""
    keys = [replace(KEY.public, topics={"example.other.app"}), replace(OTHER_TEAM.public, topics={TOPIC})]
    fake = fake_apns(keys=keys)
    assert await verdicts(fake, [TOKEN]) == [(400, "TopicDisallowed")]
    async with connected(fake) as client:
        assert await verdict(client, OTHER_TEAM.token()) == OK
        voip = wakeup(OTHER_TEAM.token(), apns_topic=TOPIC + ".voip", apns_push_type="voip")
        assert (await client.ask(voip, BODY)).verdict == OK


async def test_a_second_change_of_token_within_twenty_minutes_is_refused(autojump_clock: MockClock) -> None:
    first, second, third = (KEY.token() for _ in range(3))
    async with connected(fake_apns()) as client:
        assert await verdict(client, first) == OK
        await trio.sleep(19 * MINUTE)
        assert await verdict(client, second) == OK
        await trio.sleep(19 * MINUTE)
        assert await verdict(client, third) == TOO_MANY
        await trio.sleep(MINUTE)
        assert await verdict(client, third) == OK


async def test_the_window_is_twenty_minutes_to_the_second(autojump_clock: MockClock) -> None:
    first, second, third = (KEY.token() for _ in range(3))
    async with connected(fake_apns()) as client:
        assert [await verdict(client, token) for token in (first, second)] == [OK, OK]
        await trio.sleep(20 * MINUTE - 1)
        assert await verdict(client, third) == TOO_MANY
        await trio.sleep(1)
        assert await verdict(client, third) == OK


async def test_going_back_to_a_known_token_is_no_change(autojump_clock: MockClock) -> None:
    first, second = KEY.token(), KEY.token()
    assert await verdicts(fake_apns(), [first, second, first, second, first]) == [OK] * 5


async def test_after_too_many_changes_a_connection_takes_no_token_until_the_window_has_passed(
    autojump_clock: MockClock,
) -> None:
    first, second, third = (KEY.token() for _ in range(3))
    fake = fake_apns()
    async with connected(fake) as client, connected(fake) as other:
        assert [await verdict(client, token) for token in (first, second, third)] == [OK, OK, TOO_MANY]
        assert await verdict(client, second) == TOO_MANY
        assert await verdict(other, second) == OK
        await trio.sleep(20 * MINUTE)
        assert await verdict(client, second) == OK


async def test_changes_are_counted_over_all_connections_of_a_team(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    spent = [await verdicts(fake, [KEY.token()]) for _ in range(3)]
    assert spent == [[OK], [OK], [TOO_MANY]]
    assert await verdicts(fake, [SECOND_KEY.token()]) == [TOO_MANY]
    assert await verdicts(fake, [OTHER_TEAM.token()]) == [OK]
    assert fake.tokens.tokens_of(KEY.public.team_id) == 2
    assert fake.tokens.tokens_of("TEAM000009") == 0


async def test_changes_are_counted_on_each_connection_too(autojump_clock: MockClock) -> None:
    """One that was idle while the others changed catches up with two changes at once."""
    first, second, third = (KEY.token(NOW + minutes * MINUTE) for minutes in (0, 50, 100))
    fake = fake_apns()
    async with connected(fake) as idle, connected(fake) as busy:
        assert await verdict(idle, first) == OK
        assert await verdict(busy, first) == OK
        await trio.sleep(50 * MINUTE)
        assert await verdict(busy, second) == OK
        await trio.sleep(49 * MINUTE)
        assert await verdict(idle, second) == OK
        await trio.sleep(MINUTE)
        assert await verdict(busy, third) == OK
        assert await verdict(idle, third) == TOO_MANY


async def test_a_token_that_is_refused_is_no_change(autojump_clock: MockClock) -> None:
    refused = [FORGED.token(), KEY.token(NOW + 2 * HOUR), KEY.token(kid="KEY0000009")]
    assert (await verdicts(fake_apns(), [*refused, KEY.token(), KEY.token()]))[-2:] == [OK, OK]
