"""Metrics: what operators may know. They tell how the relay does, and nobody's night."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import trio
from prometheus_client.parser import text_string_to_metric_families

from relay.core.books import ACCOUNTS
from relay.core.events import HOUR
from relay.core.people import People, Person
from relay.core.pseudonym import Pseudonyms
from relay.core.sampling import Sample
from relay.core.tables import Tables
from relay.core.tenants import Tenant
from relay.core.verdicts import APNS
from relay.doors.http1 import Limits, Request, Response, Server
from relay.doors.problems import refusal
from relay.journal import JournalStatistics
from relay.ops.metrics import STEP, Sources, coarse, exposition
from relay.store.port import StoreStatistics
from schedules import NoRest
from tests.relay.ops.operators import Samples, operator_of, samples
from tests.relay.world import CLASSES, ENDLESS, TENANT, app, rest_between, tenant, virtual, world

LABELS = {"class", "fate", "app", "reason", "status"}
REASONS = {"accepted", *(reason for _, reason in APNS)}


@pytest.mark.parametrize(("count", "told"), [(0, 0), (1, 0), (19, 0), (20, 20), (39, 20), (40, 40), (23_019, 23_000)])
def test_a_count_of_people_is_rounded_down_to_steps_of_twenty(count: int, told: int) -> None:
    assert STEP == 20
    assert coarse(count) == told


@virtual
async def test_the_exposition_is_prometheus_text() -> None:
    async with world() as w, operator_of(w) as operator:
        answer = await operator.ask("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        families = list(text_string_to_metric_families(answer.body.decode()))
        assert len(families) > 10
        for family in families:
            assert family.name.startswith("feierabend_")
            assert family.type in ("counter", "gauge")
            assert family.documentation


@virtual
async def test_every_fate_of_every_class_is_told_in_steps_and_what_was_accepted_exactly() -> None:
    """A backend may know what it posted; what became of it depends on who rests."""
    async with world() as w, operator_of(w) as operator:
        await w.register("anna")
        for _ in range(43):
            await w.post("anna")
        await w.alarm("anna")
        await w.register("otto")
        await w.rest("otto", ENDLESS)
        await w.post("otto")
        await w.seen("otto")
        await w.pass_time(60)
        metrics = await operator.metrics()
        accounts = w.relay.people.books.accounts
        assert {key[1:] for key in metrics if key[0] == "feierabend_notices_total"} == {
            (name, fate) for _, name in accounts for fate in ACCOUNTS
        }
        for (_, name), account in accounts.items():
            for fate in ACCOUNTS:
                exact = getattr(account, fate)
                told = exact if fate == "accepted" else exact // STEP * STEP
                assert metrics["feierabend_notices_total", name, fate] == told
        assert metrics["feierabend_notices_total", "message", "accepted"] == 44
        assert metrics["feierabend_notices_total", "message", "merged"] == 40
        assert metrics["feierabend_notices_total", "message", "cancelled"] == 0
        assert metrics["feierabend_lane_answers_total", "ios", "accepted"] == 0


@virtual
async def test_labels_come_from_our_own_lists() -> None:
    """No label holds what somebody else has chosen: neither a tenant, nor a user, nor a provider's free text."""
    async with world() as w, operator_of(w) as operator:
        await w.register("anna")
        for status, reason in ((503, "ServiceUnavailable"), (429, "TooManyRequests"), (410, "Unregistered")):
            w.fake.injections.answers.append((status, reason))
            await w.post("anna")
            await w.pass_time(120)
        await operator.ask("/nowhere")
        text = (await operator.ask("/metrics")).body.decode()
        values: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                for name, value in sample.labels.items():
                    values.setdefault(name, set()).add(value)
        assert values.keys() <= LABELS
        assert values["class"] <= {event_class.name for event_class in CLASSES}
        assert values["fate"] == set(ACCOUNTS)
        assert values["app"] == {"ios"}
        assert values["reason"] == {"accepted", "ServiceUnavailable", "TooManyRequests", "Unregistered"} <= REASONS
        assert TENANT not in text
        assert "anna" not in text


def oldest(metrics: Samples, event_class: str = "message", app: str = "ios") -> float:
    return metrics["feierabend_oldest_due_unsent_seconds", app, event_class]


@virtual
async def test_what_should_have_left_and_has_not_is_told_by_lane_and_class() -> None:
    """In steps of 20 seconds, and with 0 where nothing is due."""
    async with world() as w, operator_of(w) as operator:
        assert oldest(await operator.metrics()) == oldest(await operator.metrics(), "alarm") == 0
        await w.register("anna")
        await w.network.unplug()
        await w.post("anna")
        await w.pass_time(130)
        await w.alarm("anna")
        await w.pass_time(25)
        metrics = await operator.metrics()
        assert (oldest(metrics), oldest(metrics, "alarm"), oldest(metrics, "roster")) == (140, 20, 0)
        w.network.reachable = True
        await w.pass_time(120)
        metrics = await operator.metrics()
        assert (oldest(metrics), oldest(metrics, "alarm")) == (0, 0)


@virtual
async def test_what_waits_for_a_good_reason_is_not_due() -> None:
    """The end of a rest, of a hold, of reading elsewhere; an order's next day; a phone that is never woken."""
    async with world() as w, operator_of(w) as operator:
        for user in ("resting", "held", "reading", "ordered", "never"):
            await w.register(user)
        await w.rest("resting", rest_between(w.start, w.start + HOUR))
        await w.rest("never", {"devices": {"phone": {"wake": "never"}}})
        await w.post("ordered", event_class="control")
        for _ in range(4):
            await w.post("held")
            await w.pass_time(300)
        await w.seen("reading", active_for=120)
        await w.post("resting", "held", "reading", "never")
        await w.pass_time(60)
        w.network.reachable = False
        metrics = await operator.metrics()
        assert (oldest(metrics), oldest(metrics, "control")) == (0, 0)


@virtual
async def test_a_phone_that_fails_is_due_since_it_should_have_been_woken() -> None:
    """New events do not make the wait look shorter, and back-off does not either."""
    async with world() as w, operator_of(w) as operator:
        await w.register("anna", "phone", "tablet")
        await w.rest("anna", rest_between(w.start, w.start + HOUR))
        await w.post("anna")
        w.fake.injections.answers.extend([(503, "ServiceUnavailable")] * 1000)
        await w.pass_time(HOUR + 200)
        await w.post("anna")
        await w.pass_time(205)
        assert oldest(await operator.metrics()) == 400


@virtual
async def test_feedback_that_cannot_be_told_is_counted() -> None:
    async with world() as w, operator_of(w) as operator:
        assert (await operator.metrics())["feierabend_feedback_unreadable_total",] == 0
        w.relay.engine.unreadable_feedback = 2
        assert (await operator.metrics())["feierabend_feedback_unreadable_total",] == 2


@virtual
async def test_answers_of_the_event_door_are_counted_by_status() -> None:
    async with world() as w, operator_of(w) as operator:
        w.relay.door.answered.update({202: 5, 401: 1})
        metrics = await operator.metrics()
        assert metrics["feierabend_door_answers_total", "202"] == 5
        assert metrics["feierabend_door_answers_total", "401"] == 1


@virtual
async def test_tasks_are_counted_when_asked_for() -> None:
    async with world() as w, operator_of(w) as operator, trio.open_nursery() as nursery:
        before = (await operator.metrics())["feierabend_tasks",]
        await operator.hang_up()
        for _ in range(5):
            nursery.start_soon(trio.sleep_forever)
        await w.quiet()
        assert (await operator.metrics())["feierabend_tasks",] == before + 5
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("size", "told"), [(0, 0), (19, 0), (20, 20), (39, 20), (40, 40)])
def test_who_waits_is_told_over_all_tenants_and_in_steps(size: int, told: int) -> None:
    """So many people of two tenants are deferred: neither the last one of them shows, nor whose they are."""
    tenants = [Tenant(name=name, pseudonyms=Pseudonyms(bytes(32), name), apps={}) for name in ("one", "other")]
    people = People({tenant.name: tenant for tenant in tenants})
    for number in range(size):
        of = tenants[number % 2]
        person = Person(of, of.pseudonyms.user(f"user{number}"), b"")
        people.by_key[person.key] = person
        people.books.of((of.name, "message")).accepted += 1
    metrics = samples(exposition(sources(people), {}))
    assert metrics[("feierabend_notices_pending",)] == told
    assert metrics[("feierabend_people",)] == told
    assert [key for key in metrics if "pending" in key[0]] == [("feierabend_notices_pending",)]


def sources(people: People) -> Sources:
    """Sources of a relay that knows people and nothing else."""
    tables = Tables(lambda _tenant, _key, _sealed: {}, lambda _document, _now: NoRest(), lambda _person: "")
    journal = JournalStatistics(commits=0, failures=0, waiting=0, unsettled=0, healthy=True)
    return Sources(
        people,
        list,
        lambda: journal,
        lambda: StoreStatistics(0, 0),
        door(),
        tables,
        lambda: 3,
        Sample(lambda _p, _c, _n: False),
        lambda: 0,
    )


def test_the_officers_door_is_up_or_not_where_there_is_one() -> None:
    told = sources(People({}))
    for up, value in ((None, None), (True, 1.0), (False, 0.0)):
        metrics = samples(exposition(replace(told, web=partial(_is, up)), {}))
        assert metrics.get(("feierabend_web_up",)) == value


def test_streams_are_counted_where_there_is_a_door_for_them() -> None:
    told = sources(People({}))
    assert ("feierabend_streams",) not in samples(exposition(told, {}))
    assert samples(exposition(replace(told, streams=lambda: 2), {}))[("feierabend_streams",)] == 2


def _is(up: bool | None) -> bool | None:
    return up


def door() -> Server:
    async def nobody(_request: Request) -> Response:
        raise NotImplementedError

    return Server(nobody, refusal, Limits())


@virtual
async def test_tenants_that_call_their_apps_alike_are_told_as_a_sum() -> None:
    """Two series of one name and labels would spoil the whole exposition."""
    tenants = [tenant(app("ios")), replace(tenant(app("ios")), name="other", keys=())]
    async with world(*tenants) as w, operator_of(w) as operator:
        metrics = await operator.metrics()
        assert metrics["feierabend_lane_connections", "ios"] == 2
        assert metrics["feierabend_lane_up", "ios"] == 1


@virtual
async def test_a_lane_shows_what_it_holds_and_whether_it_may_send() -> None:
    async with world() as w, operator_of(w) as operator:
        await w.crowd(5)
        w.fake.injections.silence = True
        await w.post(*[f"user{n}" for n in range(5)])
        await w.quiet()
        metrics = await operator.metrics()
        assert metrics["feierabend_lane_connections", "ios"] == 1
        assert metrics["feierabend_lane_in_flight", "ios"] == 1, "one stream until Apple has answered once"
        assert metrics["feierabend_lane_queued", "ios"] == 4
        assert metrics["feierabend_lane_up", "ios"] == 1


@virtual
async def test_a_lane_that_was_stopped_is_down() -> None:
    async with world() as w, operator_of(w) as operator:
        await w.register("anna")
        w.fake.injections.answers.append((403, "InvalidProviderToken"))
        await w.post("anna")
        await w.quiet()
        metrics = await operator.metrics()
        assert metrics["feierabend_lane_up", "ios"] == 0
        assert metrics["feierabend_lane_answers_total", "ios", "InvalidProviderToken"] == 1
        await w.pass_time(600)
        assert (await operator.metrics())["feierabend_lane_up", "ios"] == 1


@virtual
async def test_commits_are_counted() -> None:
    async with world() as w, operator_of(w) as operator:
        before = (await operator.metrics())[("feierabend_commits_total",)]
        await w.register("anna")
        after = await operator.metrics()
        assert after[("feierabend_commits_total",)] == before + 1
        assert after[("feierabend_commit_waiting",)] == after[("feierabend_verdicts_waiting",)] == 0


@virtual
async def test_everybody_is_looked_at_every_five_seconds_at_most() -> None:
    """However often the metrics are asked for."""
    async with world() as w, operator_of(w) as operator:
        await w.register("anna")
        await w.network.unplug()
        await w.post("anna")
        await w.pass_time(50)
        assert oldest(await operator.metrics()) == 40
        await w.forget("anna")
        assert oldest(await operator.metrics()) == 40
        await w.pass_time(5.1)
        assert oldest(await operator.metrics()) == 0
