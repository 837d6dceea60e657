"""The client for backends, against the real door on real sockets."""

from __future__ import annotations

import dataclasses

import httpx
import pytest
import trio

from relay.client import NO_ANSWER, Alarm, AsyncClient, Busy, Client, Explanation, Feedback, Link, Rejected, Taken, wake
from relay.store.port import StoreError
from tests.relay.doors.house import NOON_REST, TOKEN, bearer, open_house
from tests.relay.doors.test_door import on_loopback


def key(name: str) -> str:
    """The API key of the house with this name."""
    return bearer(name)[1].removeprefix("Bearer ")


@pytest.mark.sockets
async def test_a_backend_registers_wakes_and_reports_what_was_read() -> None:
    async with (
        open_house() as house,
        on_loopback(house) as (_, url),
        AsyncClient(url, key("devices")) as devices,
        AsyncClient(url, key("backend")) as relay,
    ):
        await devices.put_device("jürgen/1", "phone", platform="apns", app="ios", token=TOKEN)
        assert await relay.wake(["jürgen/1", "nobody"]) == Taken(1, 1)
        assert await relay.wake_many([{"user": "jürgen/1"}, {"user": "jürgen/1", "class": "roster"}]) == Taken(2, 0)
        assert house.pending("jürgen/1") == 2
        await relay.seen("jürgen/1")
        assert house.pending("jürgen/1") == 0
        await devices.delete_device("jürgen/1", "phone")
        assert await relay.wake(["jürgen/1"]) == Taken(0, 1)


@pytest.mark.sockets
async def test_the_client_for_threads_does_the_same() -> None:
    def act(url: str) -> list[Taken]:
        with Client(url, key("devices")) as devices, Client(url, key("backend")) as relay:
            devices.put_device("anna", "phone", platform="apns", app="ios", token=TOKEN)
            taken = [relay.wake(["anna"], "message", ttl=60), relay.wake_many([{"user": "anna"}], "key-1")]
            taken.append(relay.wake_many([{"user": "anna"}], "key-1"))
            relay.seen("anna")
            devices.delete_device("anna", "phone")
            return taken

    async with open_house() as house, on_loopback(house) as (_, url):
        assert await trio.to_thread.run_sync(act, url) == [Taken(1, 0)] * 3
        assert house.account().accepted == 2


@pytest.mark.sockets
async def test_what_became_of_an_alarm_is_asked_by_its_receipt() -> None:
    def ask(url: str, receipt: str) -> Alarm:
        with Client(url, key("control")) as relay:
            return relay.alarm(receipt)

    async with open_house() as house, on_loopback(house) as (_, url), AsyncClient(url, key("control")) as relay:
        await house.register("anna")
        taken = await relay.wake(["anna", "nobody"], "alarm", role="dispatch", reason="incident")
        assert taken.receipt is not None
        told = await relay.alarm(taken.receipt)
        assert told == Alarm(recipients=2, handed_over=0, no_device=1, failing=0, pending=1)
        assert await trio.to_thread.run_sync(ask, url, taken.receipt) == told
        with pytest.raises(Rejected, match="404"):
            await relay.alarm("a/b?c")
        assert (await relay.wake(["anna"])).receipt is None


def test_an_alarm_gets_a_key_of_its_own_each_time() -> None:
    """Who repeats a call after a lost answer repeats the call, not the function."""
    one, other = (wake(["anna"], "alarm", role="dispatch", reason="incident") for _ in range(2))
    assert one.headers
    assert other.headers
    assert one.headers["idempotency-key"] != other.headers["idempotency-key"]
    assert wake(["anna"]).headers is None


@pytest.mark.sockets
async def test_what_is_wrong_is_named_and_not_to_be_repeated() -> None:
    async with open_house() as house, on_loopback(house) as (_, url), AsyncClient(url, key("backend")) as relay:
        with pytest.raises(Rejected) as caught:
            await relay.wake(["anna"], "gossip")
        assert (caught.value.status, caught.value.type) == (422, "/problems/validation")
        assert [path for path, _ in caught.value.problems] == ["class"]
        with pytest.raises(Rejected, match="403"):
            await relay.put_device("anna", "phone", platform="none")


@pytest.mark.sockets
async def test_a_relay_that_cannot_commit_says_when_to_come_again() -> None:
    async with open_house() as house, on_loopback(house) as (_, url), AsyncClient(url, key("backend")) as relay:
        await house.register("anna")
        house.store.fail_next = StoreError("disk full")
        with pytest.raises(Busy) as caught:
            await relay.wake(["anna"])
        assert (caught.value.status, caught.value.retry_after) == (503, 5.0)
        assert await relay.wake(["anna"]) == Taken(1, 0)


async def test_no_answer_at_all_is_httpx_s_own_error() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with AsyncClient("http://relay", "id.secret", transport=httpx.MockTransport(refuse)) as relay:
        with pytest.raises(httpx.ConnectError) as caught:
            await relay.wake(["anna"])
        assert isinstance(caught.value, NO_ANSWER)


async def test_an_answer_that_is_no_problem_of_ours_is_rejected_by_its_status() -> None:
    """A proxy's page."""
    page = httpx.MockTransport(lambda _: httpx.Response(502, text="<html>"))
    async with AsyncClient("http://relay", "id.secret", transport=page) as relay:
        with pytest.raises(Rejected) as caught:
            await relay.wake(["anna"])
        assert (caught.value.status, caught.value.problems) == (502, [])


def test_a_call_is_a_value() -> None:
    call = wake(["anna"])
    assert dataclasses.is_dataclass(call)
    assert call == wake(["anna"])


@pytest.mark.sockets
async def test_a_backend_learns_which_devices_are_gone_and_forgets_a_user() -> None:
    """Evicted over the limit of three; the cursor of one answer is the beginning of the next."""
    async with open_house() as house, on_loopback(house) as (_, url), AsyncClient(url, key("devices")) as devices:
        for number in range(4):
            token = f"{number}" * 64
            await devices.put_device("jürgen", f"phone-{number}", platform="apns", app="ios", token=token)
        told = await devices.feedback(after=0)
        assert [(gone.user, gone.device, gone.why) for gone in told.devices] == [("jürgen", "phone-0", "evicted")]
        assert await devices.feedback(after=told.after) == Feedback((), told.after)
        with pytest.raises(Rejected) as caught:
            await devices.feedback(after=told.after + 1_000)
        assert caught.value.status == 410
        await devices.delete_user("jürgen")
        with pytest.raises(Rejected, match="404"):
            await devices.delete_user("jürgen")


@pytest.mark.sockets
async def test_feedback_that_is_waited_for_takes_longer_than_other_answers_may() -> None:
    async with (
        open_house() as house,
        on_loopback(house) as (_, url),
        AsyncClient(url, key("devices"), timeout=0.2) as c,
    ):
        assert await c.feedback(after=0, wait=0.6) == Feedback((), 0)


@pytest.mark.sockets
async def test_the_devices_of_many_users_are_given_at_once() -> None:
    async with open_house() as house, on_loopback(house) as (_, url), AsyncClient(url, key("devices")) as devices:
        phone = {"platform": "apns", "app": "ios"}
        await devices.put_devices({f"user{n}": {"phone": {**phone, "token": f"{n}" * 64}} for n in range(3)})
        await devices.put_devices({"user0": {}})
        await devices.delete_device("user1", "phone")
        with pytest.raises(Rejected, match="404"):
            await devices.delete_device("user0", "phone")
        with pytest.raises(Rejected, match="token"):
            await devices.put_devices({"user3": {"phone": phone}})


@pytest.mark.sockets
async def test_a_settings_service_gets_a_link_and_support_an_explanation() -> None:
    def act(url: str, code: str) -> tuple[Link, Explanation]:
        with Client(url, key("rest")) as service, Client(url, key("support")) as support:
            return service.link("jürgen/1"), support.explain("jürgen/1", code)

    async with (
        open_house() as house,
        on_loopback(house) as (_, url),
        AsyncClient(url, key("rest")) as service,
        AsyncClient(url, key("support")) as support,
    ):
        with pytest.raises(Rejected, match="404"):
            await service.link("jürgen/1")
        await house.register("j%C3%BCrgen%2F1")
        await house.ask("PUT", "/v1/users/j%C3%BCrgen%2F1/rest", NOON_REST, key="rest")
        await house.post({"user": "jürgen/1"})
        link = await service.link("jürgen/1")
        assert link.expires_in == 600
        assert link.link not in repr(link)
        token = await house.ask("POST", "/v1/me/token", {"link": link.link})
        _, code = await house.code(("Authorization", f"Bearer {token.json['token']}"))
        without, told = await support.explain("jürgen/1"), await support.explain("jürgen/1", code)
        assert (without.rest, without.waiting, without.store) == (None, (), {"healthy": True, "waiting": 0})
        assert [device["device"] for device in without.devices] == ["phone"]
        assert [lane["state"] for lane in without.lanes] == ["up"]
        assert told.rest is not None
        assert [each["class"] for each in told.waiting] == ["message"]
        assert told.sentences("en")[0] == without.sentences("en")[0]
        assert told.sentences("en")[1] == "Rest until today 16:00 because of: night rest."
        assert told.sentences("de")[2].startswith("message: 1 warten seit heute 13:00")
        assert "phone" not in repr(told)
        other, same = await trio.to_thread.run_sync(act, url, code)
        assert other.link != link.link
        assert same == told
        with pytest.raises(Rejected) as caught:
            await support.explain("jürgen/1", "0")
        assert (caught.value.status, caught.value.type) == (403, "/problems/support-code")
