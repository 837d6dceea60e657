"""The whole relay explains itself: from link to code to visit across a restart, and what it foretells comes true."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.clock import SLICE
from relay.config import KeyConfig, TenantConfig
from relay.core.errors import NotFound
from relay.core.explaining import Hindrance
from relay.core.operating import Selection, hold, resume
from relay.doors.keys import Scope
from relay.lanes.health import BUGS
from relay.service import Relay
from relay.trust import FURTHEST
from tests.effort import examples
from tests.relay.doors.http_client import JSON, PACK, Answer, MemoryListener, request
from tests.relay.world import ENDLESS, NOON, SECRET, SettableClock, World, app, rest_between, tenant, virtual, world

HOUR: Final = 3600.0
SCOPES: Final = {
    "backend": {Scope.EVENTS, Scope.DEVICES},
    "settings": {Scope.REST},
    "helpdesk": {Scope.SUPPORT},
}


def with_keys() -> TenantConfig:
    digest = hashlib.sha256(SECRET.encode()).digest()
    return replace(tenant(app()), keys=tuple(KeyConfig(n, digest, frozenset(scopes)) for n, scopes in SCOPES.items()))


class Door:
    """Asks the door of the relay of the moment; a new one after a restart."""

    def __init__(self, w: World) -> None:
        self.w = w
        self._relay: Relay | None = None
        self._listener = MemoryListener()

    async def ask(
        self, method: str, target: str, body: object = None, *, key: str | None = None, token: str | None = None,
        code: str | None = None,
    ) -> Answer:  # fmt: skip
        if self._relay is not self.w.relay:
            self._relay, self._listener = self.w.relay, MemoryListener()
            await self.w.nursery.start(partial(self._relay.door.run, [self._listener]))
        fields = [("Content-Type", JSON)]
        if key is not None or token is not None:
            fields.append(("Authorization", f"Bearer {token or f'{key}.{SECRET}'}"))
        if code is not None:
            fields.append(("Support-Code", code))
        client = self._listener.connect()
        answer = await client.ask(request(method, target, b"" if body is None else PACK[JSON](body), fields))
        await client.aclose()
        return answer

    async def explained(self, code: str | None = None) -> Any:  # noqa: ANN401 (JSON)
        answer = await self.ask("GET", "/v1/users/anna/explain", key="helpdesk", code=code)
        assert answer.status == 200, answer
        return answer.json

    async def token(self) -> str:
        link = (await self.ask("POST", "/v1/users/anna/link", key="settings")).json["link"]
        return str((await self.ask("POST", "/v1/me/token", {"link": link})).json["token"])


@virtual
async def test_from_link_to_visit_and_over_a_restart_that_nobody_announced() -> None:
    async with world(with_keys()) as w:
        door = Door(w)
        await w.register("anna")
        token = await door.token()
        rest = rest_between(w.now + 60, w.now + HOUR)
        assert (await door.ask("PUT", "/v1/me/rest", rest, token=token)).status == 201
        await w.pass_time(60)
        await w.post("anna")
        code = (await door.ask("POST", "/v1/me/support", token=token)).json["code"]
        assert (await door.explained()).keys() == {"devices", "lanes", "store", "findings"}
        told = await door.explained(code)
        assert (told["rest"]["resting"], told["rest"]["until"]) == (True, NOON + HOUR)
        assert [(each["why"], each["due"]) for each in told["waiting"]] == [("rest", NOON + HOUR)]
        wrong = f"{(int(code.replace(' ', '')) + 1) % 10**8:08}"
        for _ in range(4):
            assert (await door.ask("GET", "/v1/users/anna/rest", key="helpdesk", code=wrong)).status == 403
        await w.restart()
        assert (await door.ask("GET", "/v1/users/anna/rest", key="helpdesk", code=code)).json == rest
        visits = (await door.ask("GET", "/v1/me/support", token=token)).json
        assert [(visit["key"], visit["what"]) for visit in visits["visits"]] == [
            ("helpdesk", "rest"),
            ("helpdesk", "explain"),
        ]
        assert (await door.ask("GET", "/v1/users/anna/rest", key="helpdesk", code=wrong)).status == 403
        visits = (await door.ask("GET", "/v1/me/support", token=token)).json
        assert visits["until"] is None, "the fifth wrong try, though the relay was started anew in between"
        await w.until(NOON + HOUR + 1)
        assert w.rang("anna") == [HOUR]
        assert (await door.explained())["findings"][0]["en"].startswith("All is well")


@virtual
async def test_while_the_clock_is_not_believed_nobody_can_say_when_it_leaves() -> None:
    clock = SettableClock()
    async with world(with_keys(), clock=clock) as w:
        door = Door(w)
        await w.register("anna")
        clock.error = 2 * FURTHEST
        await w.pass_time(SLICE + 2)
        await w.rest("anna", rest_between(w.now + 60, w.now + HOUR))
        await w.post("anna")
        code = (await door.ask("POST", "/v1/me/support", token=await door.token())).json["code"]
        told = await door.explained(code)
        assert [(each["why"], each["due"]) for each in told["waiting"]] == [("halt", None)]
        assert "held back by the relay itself" in told["waiting"][0]["sentence"]["en"]
        assert w.requests() == []


@virtual
async def test_housekeeping_forgets_expired_passes_in_memory_and_store() -> None:
    async with world(with_keys()) as w:
        door = Door(w)
        await w.register("anna")
        token = await door.token()
        await door.ask("POST", "/v1/users/anna/link", key="settings")
        await door.ask("POST", "/v1/me/support", token=token)
        assert len(w.store.load().passes) == 3
        w.relay.journal._epoch = w.store.load().epoch  # a look into the store takes it over
        await w.pass_time(HOUR + 1)
        assert len(w.relay.people.passes.by_key) == 1
        assert w.store.load().passes == w.relay.people.passes.by_key


@virtual
async def test_who_leaves_after_a_pass_was_forgotten_does_not_keep_the_next_process_from_starting() -> None:
    """Memory forgets a little earlier than the store, or much earlier where a purge fails."""
    async with world(with_keys()) as w:
        door = Door(w)
        await w.register("anna")
        await door.ask("POST", "/v1/users/anna/link", key="settings")
        await w.pass_time(600)
        w.relay.people.forget(w.now)
        await w.forget("anna")
        await w.register("bert")
        await w.restart()
        assert w.relay.people.passes.by_key == {}
        assert len(w.relay.people.by_key) == 1


@pytest.mark.parametrize(
    ("answer", "count", "state"),
    [((503, "ServiceUnavailable"), 25, "paused"), ((403, "InvalidProviderToken"), 2, "stopped"),
     ((400, "BadCollapseId"), BUGS + 2, "stopped")],
)  # fmt: skip
@virtual
async def test_a_lane_that_is_down_is_named_with_its_reason(answer: tuple[int, str], count: int, state: str) -> None:
    async with world(with_keys()) as w:
        door = Door(w)
        await w.register("anna")
        users = await w.crowd(count)
        w.fake.injections.answers += [answer] * count
        w.forgiven |= set(w.fake.journal.violations)
        await w.post(*users)
        await w.quiet()
        told = await door.explained()
        assert told["lanes"] == [{"app": "ios", "state": state, "reason": answer[1]}]
        assert answer[1] in told["findings"][0]["en"]
        w.fake.injections.answers.clear()
        await w.pass_time(2 * HOUR)
        await w.post(users[0])
        await w.pass_time(HOUR)
        assert (await door.explained())["lanes"][0]["state"] == "up"


# --- what is foretold comes true

_step = st.one_of(
    st.tuples(st.just("rest"), st.integers(-100, 400), st.integers(5, 3000)),
    st.tuples(st.just("endless")),
    st.tuples(st.just("no rest")),
    st.tuples(st.just("wake"), st.sampled_from(["phone", "tablet"]), st.sampled_from(["never", "always", "follow"])),
    st.tuples(st.just("post"), st.sampled_from(["message", "roster", "brief", "alarm", "control"])),
    st.tuples(st.just("halt"), st.sampled_from([None, "message", "alarm"]), st.sampled_from([60.0, 2000.0])),
    st.tuples(st.just("resume")),
    st.tuples(st.just("short-lived")),
    st.tuples(st.just("reading"), st.sampled_from([20.0, 120.0])),
    st.tuples(st.just("trouble"), st.lists(st.sampled_from([(503, "ServiceUnavailable"), (429, "TooManyRequests")]))),
    st.tuples(st.just("time"), st.sampled_from([1.0, 4.0, 30.0, 400.0])),
)


async def _do(w: World, document: dict[str, Any], step: tuple[Any, ...]) -> None:
    match step:
        case ("rest", int(start), int(length)):
            document["windows"] = rest_between(int(w.now) + start, int(w.now) + start + length)["windows"]
        case ("endless",):
            document["windows"] = ENDLESS["windows"]
        case ("no rest",):
            document["windows"] = []
        case ("wake", str(device), str(wake)):
            document["devices"] = {**document["devices"], device: {"wake": wake}}
        case ("post", str(name)):
            await w.post("anna", event_class=name)
        case ("short-lived",):
            await w.post("anna", ttl=200.0)
        case ("reading", float(seconds)):
            await w.seen("anna", active_for=seconds)
        case ("trouble", list(answers)):
            w.fake.injections.answers += answers
        case ("time", float(seconds)):
            await w.pass_time(seconds)
        case ("halt", name, float(seconds)):
            of, until = Selection(None, name, None), w.now + seconds
            await w.relay.journal.operate(lambda draft: hold(draft, of, "test", "root", until))
        case ("resume",):
            with suppress(NotFound):
                await w.relay.journal.operate(lambda draft: resume(draft, Selection(None, None, None), "test", "root"))
    if step[0] in ("rest", "endless", "no rest", "wake"):
        await w.rest("anna", document)


@settings(max_examples=examples(60))
@given(st.lists(_step, max_size=14), st.sampled_from([0.0, 300.0]), st.booleans())
@virtual
async def test_the_next_wakeup_leaves_when_it_was_foretold(
    steps: list[tuple[Any, ...]], jitter: float, posts_seen: bool
) -> None:
    """The earliest of all classes; to the instant, and none before. Nothing else happens meanwhile."""
    async with world(jitter=jitter, posts_seen=posts_seen) as w:
        await w.register("anna", "phone", "tablet")
        document: dict[str, Any] = {"timezone": "Europe/Berlin", "windows": [], "devices": {}}
        for step in steps:
            await _do(w, document, step)
        await w.quiet()
        before = len(w.requests())
        facts = w.relay.engine.rest_facts(w.tenant, w.key("anna"), w.now)
        dues = [each.due for each in facts.waiting if each.due is not None]
        assert all(due > w.now for due in dues), "what could leave now has left"
        _check_reasons(w, facts.waiting)
        if not dues:
            await w.pass_time(3 * HOUR)
            assert len(w.requests()) == before
            return
        await w.until(min(dues) - 0.01)
        assert len(w.requests()) == before
        await w.pass_time(0.02)
        assert len(w.requests()) > before


def _check_reasons(w: World, waiting: Any) -> None:  # noqa: ANN401
    """Each slot is told, with a reason that can be seen from outside."""
    person = w.person("anna")
    assert [each.event_class for each in waiting] == sorted(person.slots)
    reasons: Mapping[Hindrance, Any] = {
        Hindrance.READING: lambda each: each.due == person.active_until,
        Hindrance.HOLD: lambda each: each.due == person.hold.until,
        Hindrance.RENEWAL: lambda each: each.due == person.slots["control"].due_at,
        Hindrance.HALT: lambda each: each.due in {halt.until for halt in w.relay.people.halts.values()},
        Hindrance.RETRY: lambda each: each.due in {phone.not_before for phone in person.phones},
        Hindrance.REST: lambda each: person.rest is not None,
        Hindrance.RELEASE: lambda each: person.rest is not None or person.slots[each.event_class].is_echo,
        Hindrance.NO_PHONE: lambda each: each.due is None and bool(person.wakes.never),
        Hindrance.EXPIRY: lambda each: each.due is None,
    }
    for each in waiting:
        assert each.notices == person.slots[each.event_class].n
        assert reasons[each.why](each), each
