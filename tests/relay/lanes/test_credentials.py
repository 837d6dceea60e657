"""Provider tokens: one per team and key, renewed every 39 minutes, never twice within 20."""

from __future__ import annotations

from itertools import pairwise

import jwt
import pytest
import trio

from relay.core.breaker import State
from relay.core.events import HOUR
from relay.lanes.credentials import LIFE, STRAGGLERS, YOUNGEST_REMINT, ProviderToken, ProviderTokens
from tests.relay.world import KEY_ID, NOON, TEAM_ID, SettableClock, World, app, signing_key, tenant, virtual, world

MINUTE = 60.0
SLOT = NOON // LIFE * LIFE
"""Beginning of a slot of thirty-nine minutes."""


def _token() -> ProviderToken:
    return ProviderToken(TEAM_ID, KEY_ID, signing_key()[0])


def test_a_token_holds_what_apple_asks_for_and_nothing_else() -> None:
    scheme, _, encoded = _token().bearer(SLOT + 0.7).partition(b" ")
    assert scheme == b"bearer"
    assert jwt.get_unverified_header(encoded) == {"alg": "ES256", "kid": KEY_ID}
    claims = jwt.decode(encoded, signing_key()[1], algorithms=["ES256"], options={"verify_iat": False})
    assert claims == {"iss": TEAM_ID, "iat": int(SLOT)}


def test_all_tokens_of_a_team_are_of_one_length() -> None:
    """P4: a signature of another length would show from outside."""
    lengths = {len(_token().bearer(SLOT + 60 * number)) for number in range(20)}
    assert len(lengths) == 1


def test_a_process_that_starts_again_comes_to_the_same_token() -> None:
    """Apple counts distinct tokens of a team: three starts in twenty minutes must not be three tokens."""
    assert {_token().bearer(SLOT + minute * MINUTE) for minute in range(39)} == {_token().bearer(SLOT)}


def test_a_token_is_used_for_a_slot_of_thirty_nine_minutes() -> None:
    token = _token()
    first = token.bearer(SLOT)
    assert token.bearer(SLOT + LIFE - 0.001) is first
    second = token.bearer(SLOT + LIFE)
    assert second != first
    assert token.bearer(SLOT + 2 * LIFE - 1) is second


def test_the_first_token_of_a_process_is_renewed_with_its_slot() -> None:
    token = _token()
    first = token.bearer(SLOT + 600)
    assert token.bearer(SLOT + LIFE) == _token().bearer(SLOT + LIFE) != first


@pytest.mark.parametrize("age", [YOUNGEST_REMINT, 2000.0, LIFE - 1])
def test_after_a_replacement_out_of_turn_changes_stay_twenty_minutes_apart(age: float) -> None:
    token = _token()
    token.bearer(SLOT)
    assert token.expired(SLOT + age)
    changes = [SLOT + age]
    current = token.bearer(SLOT + age)
    for second in range(int(age) + 1, int(8 * LIFE)):
        if token.bearer(SLOT + second) != current:
            current = token.bearer(SLOT + second)
            changes.append(SLOT + second)
    assert min(after - before for before, after in pairwise(changes)) >= YOUNGEST_REMINT
    assert max(after - before for before, after in pairwise(changes)) <= LIFE + 1


@pytest.mark.parametrize("jump", [2 * HOUR, -2 * HOUR])
def test_a_clock_that_was_wrong_by_hours_makes_a_new_token(jump: float) -> None:
    token = _token()
    first = token.bearer(NOON)
    second = token.bearer(NOON + jump)
    assert second != first
    assert token.bearer(NOON) != second


def test_a_young_token_is_never_replaced_because_it_is_called_expired() -> None:
    token = _token()
    first = token.bearer(SLOT)
    for age in (0, 1, STRAGGLERS + 1, YOUNGEST_REMINT - 1):
        assert not token.expired(SLOT + age)
        assert token.bearer(SLOT + age) is first


def test_an_old_token_called_expired_is_replaced_once_for_all_who_say_so() -> None:
    """Answers to requests with the token before arrive for a while, and are no fault of the clock."""
    token = _token()
    first = token.bearer(NOON)
    now = NOON + YOUNGEST_REMINT
    assert token.expired(now)
    second = token.bearer(now)
    assert second != first
    assert token.expired(now)
    assert token.expired(now + STRAGGLERS - 1)
    assert token.bearer(now) is second
    assert not token.expired(now + STRAGGLERS)


def test_the_same_team_and_key_share_one_token() -> None:
    tokens = ProviderTokens()
    key = signing_key()[0]
    assert tokens.of(TEAM_ID, KEY_ID, key) is tokens.of(TEAM_ID, KEY_ID, key)
    assert tokens.of(TEAM_ID, "OTHERKEY00", key) is not tokens.of(TEAM_ID, KEY_ID, key)


def test_a_token_does_not_show_itself() -> None:
    token = _token()
    assert token.bearer(NOON).decode() not in repr(token)
    assert str(token) == "<ProviderToken>"


# --- through the relay


def _tokens(w: World) -> list[bytes]:
    """Distinct tokens, in the order of their first use."""
    return list(dict.fromkeys(entry.value(b"authorization") for entry in w.requests()))


@virtual
async def test_over_three_hours_all_connections_share_a_token_that_is_renewed_every_slot() -> None:
    """S7: two lanes of one team with two connections each; the simulator refuses a change within 20 minutes."""
    apps = app("ios", connections=2), app("pad", connections=2, topic="de.example.tablets")
    async with world(tenant(*apps)) as w:
        for number in range(6):
            await w.register(f"user{number}", app="ios")
            await w.register(f"user{number}", "tablet", app="pad")
        users = [f"user{number}" for number in range(6)]
        while w.now < w.start + 3 * HOUR:
            await w.alarm(*users)
            await w.pass_time(5 * MINUTE)
        assert {entry.status for entry in w.requests()} == {200}
        assert len({entry.connection for entry in w.requests()}) >= 2
        tokens = _tokens(w)
        assert len(tokens) == 5
        first_use = [min(e.t for e in w.requests() if e.value(b"authorization") == token) for token in tokens]
        assert [after - before for before, after in pairwise(first_use)][1:] == pytest.approx(
            [LIFE] * 3, abs=5 * MINUTE
        )
        for entry in w.requests():
            iat = jwt.decode(
                entry.value(b"authorization").removeprefix(b"bearer "), options={"verify_signature": False}
            )["iat"]
            assert 0 <= entry.t - iat <= LIFE


@pytest.mark.parametrize(
    ("error", "word"), [(2 * HOUR, "InvalidProviderToken"), (-2 * HOUR, "clock_is_wrong")], ids=["ahead", "behind"]
)
@virtual
async def test_a_clock_that_jumps_by_two_hours_stops_the_lane_without_a_storm_and_recovers(
    error: float, word: str
) -> None:
    """S14: Apple refuses tokens of the wrong hour; nothing is lost, and few tokens are made."""
    clock = SettableClock()
    async with world(clock=clock) as w:
        await w.register("anna")
        await w.post("anna")
        await trio.sleep(30 * MINUTE)
        clock.error = error
        await w.alarm("anna")
        await trio.sleep(9.5 * MINUTE)
        refused = [entry for entry in w.requests() if entry.status != 200]
        assert 1 <= len(refused) <= 12
        assert (w.lane.state, w.lane.opened_for) == (State.OPEN, word)
        assert not any(entry.status == 429 for entry in refused)
        clock.error = 0.0
        await trio.sleep(10 * MINUTE + abs(min(error, 0)))
        await w.alarm("anna")
        await trio.sleep(10 * MINUTE)
        assert w.lane.state is State.CLOSED
        assert w.account["woken"] + w.account.get("expired", 0) == 3
        assert len(_tokens(w)) <= 4


@virtual
async def test_a_token_first_used_late_in_its_slot_is_kept_for_twenty_minutes() -> None:
    """Nobody was woken for a while: the team's last change is younger than the slot."""
    async with world(tenant(app("ios", connections=1)), start=SLOT) as w:
        await w.register("anna")
        used = []
        for minutes in (0, 77, 2, 17, 2, 20):
            await w.pass_time(minutes * MINUTE)
            await w.alarm("anna")
            await w.quiet()
            used.append(_tokens(w).index(w.requests()[-1].value(b"authorization")))
        assert used == [0, 1, 1, 1, 2, 3]
        assert {entry.status for entry in w.requests()} == {200}
        assert not w.fake.journal.violations


@virtual
async def test_a_process_that_starts_while_a_late_token_is_kept_goes_back_to_it() -> None:
    """It cannot know of it: it begins with the token of its slot, which is one change too many, and an alarm waits."""
    apps = tenant(app("ios", connections=1))
    async with world(apps, start=SLOT) as w:
        await w.register("anna")
        await w.alarm("anna")
        await w.pass_time(77 * MINUTE)
        await w.alarm("anna")
        await w.quiet()
        await w.restart()
        await w.pass_time(2 * MINUTE)
        await w.alarm("anna")
        await w.pass_time(5)
        assert [(_tokens(w).index(e.value(b"authorization")), e.status) for e in w.requests()] == [
            (0, 200), (1, 200), (2, 429), (1, 200),
        ]  # fmt: skip
        for _ in range(8):
            await w.pass_time(10 * MINUTE)
            await w.alarm("anna")
        await w.quiet()
        assert {entry.status for entry in w.requests()[4:]} == {200}
        assert [_tokens(w).index(e.value(b"authorization")) for e in w.requests()[4:]] == [1, 2, 2, 3, 3, 3, 3, 4]


def test_the_token_before_is_the_one_that_was_used_then_and_is_good_for_twenty_minutes_of_the_slot() -> None:
    before = _token().bearer(SLOT - 1)
    token = _token()
    newer = token.bearer(SLOT + 5)
    assert token.step_back(SLOT + 5)
    assert token.bearer(SLOT + 5) == before != newer
    assert token.step_back(SLOT + 5 + STRAGGLERS - 1)
    assert token.bearer(SLOT + 1190) == before
    assert token.bearer(SLOT + 1200) == newer
    late = _token()
    late.bearer(SLOT + 1200)
    assert not late.step_back(SLOT + 1200)


@virtual
async def test_a_connection_that_slept_through_a_renewal_takes_no_two_new_tokens_within_twenty_minutes() -> None:
    """Apple counts changes on each connection too: one that is late with a token is replaced for the next."""
    apps = app("ios", connections=1), app("pad", connections=1, topic="de.example.tablets")
    async with world(tenant(*apps), start=SLOT) as w:
        await w.register("anna", app="ios")
        await w.register("otto", app="pad")
        for minutes, user in ((0, "anna"), (40, "otto"), (37, "anna"), (2, "otto"), (0, "anna"), (30, "anna")):
            await w.pass_time(minutes * MINUTE)
            await w.alarm(user)
            await w.quiet()
        of_anna = [entry for entry in w.requests() if entry.value(b"apns-topic") != b"de.example.tablets"]
        assert [_tokens(w).index(entry.value(b"authorization")) for entry in of_anna] == [0, 1, 2, 2]
        assert len({entry.connection for entry in of_anna}) == 2
        assert {entry.status for entry in w.requests()} == {200}
        assert not w.fake.journal.violations
