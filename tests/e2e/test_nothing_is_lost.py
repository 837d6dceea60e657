"""I1, I2 and I4 with real processes: what was acknowledged survives SIGKILL, rest is kept, the books balance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from relay.core.books import ACCOUNTS
from relay.core.private import ReceiptKey
from relay.core.pseudonym import Pseudonyms
from relay.ops.metrics import coarse
from relay.store.port import Loaded
from relay.store.sqlite import SqliteStore
from tests.e2e.force import Force, Kind, Officer, Post
from tests.e2e.installation import MASTER, TENANT, Installation, install
from tests.e2e.phones import fake_apns
from tests.e2e.trial import End, Trial

pytestmark = pytest.mark.processes

ENDS: tuple[End, ...] = ("work",) * 12 + ("start",) * 4 + ("drain",) * 4
CLASSES = ("message", "roster", "alarm")


async def test_nothing_acknowledged_is_lost_over_twenty_kills(tmp_path: Path) -> None:
    """Every acknowledged notice is woken for after it was posted, or booked otherwise, or pending because of a rest."""
    rng = Random(20261124)
    trial = Trial(install(tmp_path), Force(len(ENDS)), rng)
    ends = rng.sample(ENDS, len(ENDS))
    await live(trial, tmp_path, [trial.enlist, *(trial.round(n, end) for n, end in enumerate(ends)), trial.finish])

    loaded = load(trial.relay)
    nobody_was_woken_in_rest(trial)
    the_books_balance(trial, loaded)
    every_receipt_says_handed_over(trial, loaded)
    what_is_pending_waits_for_a_rest(trial, loaded)
    duplicates_are_bounded(trial)
    assert trial.ledger.answers == {b'{"accepted":1,"unknown":0}'}, "an answer tells whether somebody rests"

    woken = len(trial.sightings.all)
    await live(trial, tmp_path / "once_more", [trial.once_more])
    assert len(trial.sightings.all) - woken == len(trial.force.witness.tokens), "something settled was sent again"


def every_receipt_says_handed_over(trial: Trial, loaded: Loaded) -> None:
    """However often the relay was killed between an alarm's 202, its wakeup and the verdict."""
    given = [post.receipt for post in trial.ledger.posts if post.receipt]
    assert given
    for receipt in given:
        kept = loaded.receipts[ReceiptKey(bytes.fromhex(receipt))]
        assert (kept.recipients, kept.handed_over) == (1, 1)


async def live(trial: Trial, folder: Path, lives: list[Callable[[], Awaitable[None]]]) -> None:
    """One life after the other, before one Apple, which would refuse a new provider token in each."""
    async with fake_apns(folder / "apple", "--latency-ms", "15") as apple:
        trial.sightings.also(apple.journal)
        trial.relay.configure(apple.port, apple.credentials)
        for life in lives:
            await life()
    trial.sightings.look()


def load(relay: Installation) -> Loaded:
    """The store, as the next start would find it."""
    store = SqliteStore(relay.database)
    try:
        return store.load()
    finally:
        store.close()


def the_books_balance(trial: Trial, loaded: Loaded) -> None:
    """I4; the books agree with what clients know, and the metrics with the books."""
    ledger = trial.ledger
    for name in CLASSES:
        account = loaded.accounts[TENANT, name]
        pending = sum(slot.n for (_, event_class), slot in loaded.slots.items() if event_class == name)
        ends = account.woken + account.merged + account.cancelled + account.expired + account.undeliverable
        assert account.accepted == ends + pending, name
        assert account.accepted in ledger.notices(of_class(name)), name
        told = [trial.metrics["feierabend_notices_total", name, fate] for fate in ACCOUNTS]
        exact = [getattr(account, fate) for fate in ACCOUNTS]
        assert told == [exact[0], *map(coarse, exact[1:])], name
    message, alarm = loaded.accounts[TENANT, "message"], loaded.accounts[TENANT, "alarm"]
    assert message.undeliverable in ledger.notices(lambda officer, _: officer.kind is Kind.LEAVER)
    assert message.expired < ledger.notices(lambda _, post: post.ttl is not None).stop
    assert message.cancelled < ledger.notices(ledger.may_end).stop
    assert alarm.accepted == alarm.woken + alarm.merged


def what_is_pending_waits_for_a_rest(trial: Trial, loaded: Loaded) -> None:
    """Only who rests has anything pending, and has all of it."""
    names = Pseudonyms(MASTER, TENANT)
    officers = {names.user(officer.name): officer for officer in trial.force.everybody()}
    pending = {(officers[key], name): slot.n for (key, name), slot in loaded.slots.items()}
    assert {officer.kind for officer, _ in pending} <= {Kind.RESTING, Kind.ALARMED, Kind.FALLING_ASLEEP}
    for officer in (*trial.force.resting, *trial.force.alarmed):
        taken = trial.ledger.notices(of_class("message", officer))
        assert pending.get((officer, "message"), 0) in taken, officer
    for post in trial.ledger.posts:
        for officer in trial.force.falling_asleep:
            if post.acknowledged and officer in post.officers:
                assert trial.woken_since(officer, post.sent_at) or pending[officer, post.event_class], officer


def nobody_was_woken_in_rest(trial: Trial) -> None:
    """I2: an alarm apart."""
    for officer in trial.force.everybody():
        instants = sightings(trial, officer)
        if officer.kind in (Kind.RESTING, Kind.LEAVER):
            assert not instants, officer
        elif officer.kind is Kind.FALLING_ASLEEP:
            assert all(t < trial.asleep_at for t in instants), officer
        elif officer.kind is Kind.WAKING_UP:
            assert all(t >= trial.awake_at for t in instants), officer
        elif officer.kind is Kind.ALARMED:
            alarms = [post.sent_at for post in trial.ledger.of(officer) if post.event_class == "alarm"]
            assert all(any(at <= t for at in alarms) for t in instants), officer


def duplicates_are_bounded(trial: Trial) -> None:
    """A phone is woken at most once for each event, and once more for each kill before the last wakeup."""
    for officer in trial.force.everybody():
        sent = [post.sent_at for post in trial.ledger.of(officer) if officer.kind is not Kind.ALARMED or post.key]
        for phone in officer.tokens:
            instants = trial.sightings.by_token.get(phone, [])
            if instants:
                kills = sum(1 for kill in trial.kills if sent[0] <= kill <= max(instants))
                assert len(instants) <= len(sent) + kills, officer


def of_class(name: str, recipient: Officer | None = None) -> Callable[[Officer, Post], bool]:
    return lambda officer, post: post.event_class == name and recipient in (None, officer)


def sightings(trial: Trial, officer: Officer) -> list[float]:
    return [t for phone in officer.tokens for t in trial.sightings.by_token.get(phone, ())]
