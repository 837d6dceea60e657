"""/v1/me/trace: what is answered, and to whom alone. What is noted: tests/relay/test_traces.py."""

from __future__ import annotations

from itertools import product

import pytest
import trio
from trio.testing import MockClock

from relay.core import traces
from relay.core.devices import Platform
from relay.core.flight import Fate, Flight, Settlement
from relay.core.private import Private
from relay.core.traces import What, Why
from relay.doors import tracing
from relay.doors.port import TraceEntry
from relay.store.port import StoreError
from schedules.walltime import zone
from tests.relay.doors.house import NOON, House
from tests.relay.doors.http_client import Answer, Field

DAY = 86_400
REST = {"timezone": "Europe/Lisbon", "windows": [{"kind": "weekly", "start": "00:00", "end": "23:00"}]}


async def mine(house: House, officer: Field, method: str = "GET") -> Answer:
    return await house.ask(method, "/v1/me/trace", headers=[officer])


async def answered(house: House, event_class: str, fate: Fate | None = None) -> None:
    """A provider answers. This house has no lanes: what they would report is said here."""
    person = house.person("anna")
    assert person is not None
    slot = person.slots[event_class]
    flight = Flight(person, person.phones[0], urgent=False)
    flight.claims = ((event_class, slot.generation, slot.total),)
    if fate is None:
        house.journal.settle_accepted([flight])
    else:
        house.journal.settle([Settlement(flight, fate, "TooManyRequests", house.clock.now() + 60)])
    await trio.testing.wait_all_tasks_blocked()


async def test_it_is_off_goes_on_for_a_day_and_is_off_again(house: House, autojump_clock: MockClock) -> None:
    await house.register("anna")
    officer = await house.officer()
    off: dict[str, object] = {"since": None, "until": None, "most": 200, "lost": 0, "entries": []}
    commits = house.store.commits
    assert (await mine(house, officer)).json == off
    for method in ("PUT", "GET", "PUT"):
        told = await mine(house, officer, method)
        assert (told.status, told.json) == (200, off | {"since": NOON, "until": NOON + DAY})
        assert told.header("cache-control") == "no-store"
        await trio.sleep(60)
    assert (await mine(house, officer, "DELETE")).status == 204
    assert (await mine(house, officer, "DELETE")).status == 204
    assert (await mine(house, officer)).json == off
    assert (await mine(house, officer, "PUT")).json["since"] > NOON
    await trio.sleep(DAY)
    assert (await mine(house, officer)).json == off
    assert house.store.commits == commits, "nothing of it is written"


async def test_what_happened_is_told_the_newest_first_by_the_clock_of_the_rest(
    house: House, autojump_clock: MockClock
) -> None:
    await house.register("anna")
    officer = await house.officer()
    await house.ask("PUT", "/v1/users/anna/rest", REST, key="rest")
    await mine(house, officer, "PUT")
    await house.post({"user": "anna"})
    alarm = {"user": "anna", "class": "alarm", "role": "dispatch", "reason": "incident"}
    taken = await house.post(alarm, key="control", idempotency_key="a" * 16)
    assert taken.status == 202, taken
    await answered(house, "alarm", Fate.RETRY)
    await answered(house, "alarm")
    handed, failed, deferred = (await mine(house, officer)).json["entries"]
    assert handed == {
        "at": NOON, "what": "handed_over", "why": "despite_rest", "classes": ["alarm"], "device": "phone",
        "provider": "apple", "notices": 0, "until": None, "reason": "",
        "by": [{"role": "dispatch", "reason": "incident"}],
        "sentence": {
            "en": "Handed over to Apple in spite of your rest: dispatch, reason: incident.",
            "de": "Trotz Ihrer Ruhe an Apple übergeben: dispatch, Grund: incident.",
        },
    }  # fmt: skip
    assert (failed["what"], failed["why"], failed["reason"], failed["until"]) == (
        "failed", "later", "TooManyRequests", NOON + 60,
    )  # fmt: skip
    assert "it is tried again" in failed["sentence"]["en"]
    assert (deferred["what"], deferred["why"], deferred["device"], deferred["notices"]) == (
        "deferred", "rest", None, 1,
    )  # fmt: skip
    assert deferred["sentence"]["de"].startswith("Wartet wegen Ihrer Ruhe bis heute 23:0"), "in Lisbon"


async def test_beyond_so_many_the_next_is_told_when(
    house: House, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "LARGEST", 1)
    for user in ("anna", "bert"):
        await house.register(user)
    anna, bert = await house.officer(), await house.officer("bert")
    await mine(house, anna, "PUT")
    await trio.sleep(600)
    refused = await mine(house, bert, "PUT")
    assert (refused.status, refused.header("retry-after")) == (429, str(DAY - 600))
    assert refused.json["type"] == "/problems/too-many-traces"
    assert (await mine(house, anna, "PUT")).status == 200, "who has one is not refused"
    await mine(house, anna, "DELETE")
    assert (await mine(house, bert, "PUT")).status == 200


async def test_it_is_for_its_owner_alone(house: House, autojump_clock: MockClock) -> None:
    """Nobody else's answer has a byte more for it: no key's, no colleague's, and not that of support with a code."""
    for user in ("anna", "bert"):
        await house.register(user)
    anna, bert = await house.officer(), await house.officer("bert")
    code = await house.code(anna)

    async def others() -> list[tuple[int, bytes]]:
        explained = await house.ask("GET", "/v1/users/anna/explain", key="support", headers=[code])
        plain = await house.ask("GET", "/v1/users/anna/explain", key="support")
        return [(answer.status, answer.body) for answer in (explained, plain, await mine(house, bert))]

    before = await others()
    await mine(house, anna, "PUT")
    await house.post({"user": "anna"})
    await answered(house, "message")
    assert len((await mine(house, anna)).json["entries"]) == 1
    assert await others() == before
    for key, method in product(("backend", "control", "devices", "rest", "support"), ("GET", "PUT", "DELETE")):
        assert (await house.ask(method, "/v1/me/trace", key=key)).status == 401


async def test_while_the_store_is_away_it_is_not_half_told(house: House, autojump_clock: MockClock) -> None:
    """Roles and reasons are in the record of bypasses."""
    await house.register("anna")
    officer = await house.officer()
    await mine(house, officer, "PUT")
    alarm = {"user": "anna", "class": "alarm", "role": "dispatch", "reason": "incident"}
    await house.post(alarm, key="control", idempotency_key="a" * 16)
    await answered(house, "alarm")
    (entry,) = (await mine(house, officer)).json["entries"]
    assert entry["sentence"]["en"] == "Handed over to Apple: dispatch, reason: incident. You were not resting."

    def away(*_: object) -> None:
        raise StoreError("away")

    house.store.bypasses_of = away  # type: ignore[method-assign,assignment]
    assert (await mine(house, officer)).status == 503


POSSIBLE: dict[What, list[Why | None]] = {
    What.HANDED_OVER: [
        Why.REACHABLE, Why.AFTER_REST, Why.REPEATED, Why.DESPITE_REST, Why.AUTHORITY, Why.ALWAYS, Why.TEST,
    ],
    What.DEFERRED: [Why.REST, Why.ENDLESS_REST, Why.HOLD, Why.READING, Why.HALT],
    What.MERGED: [Why.REST, Why.ENDLESS_REST, Why.HOLD, Why.READING, Why.HALT, Why.UNDER_WAY],
    What.FAILED: [Why.LATER, Why.REFUSED, Why.DEAD],
    What.CANCELLED: [None],
    What.EXPIRED: [None],
}  # fmt: skip


@pytest.mark.parametrize(("what", "why"), [(what, why) for what, whys in POSSIBLE.items() for why in whys])
@pytest.mark.parametrize("until", [None, NOON + 600])
def test_everything_that_can_be_noted_is_said_in_both_languages(
    what: What, why: Why | None, until: float | None
) -> None:
    entry = TraceEntry(
        NOON,
        what,
        ("message",),
        why,
        Private("phone"),
        Platform.FCM,
        1,
        until,
        "Unregistered",
        [("dispatch", "incident")],
    )
    text = tracing.said(entry, zone("Europe/Berlin"), NOON)
    for language in text:
        assert "{" not in language
        assert language.endswith((".", "Google."))
    assert text.english != text.german
