"""What a preview foretells of a document comes true when that document is put: to the instant, in virtual time.

Any officer's day, by the whole relay and its door: things happen, then a preview of any document is asked for, nothing
has changed by that, and the document is put at the same instant. What was told then holds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from hypothesis import event, given, settings
from hypothesis import strategies as st

from relay.config import TenantConfig
from tests.effort import examples
from tests.model.documents import DOCUMENTS, Document, composed
from tests.relay.test_explain import HOUR, Door, _do, _step, with_keys
from tests.relay.world import ENDLESS, World, rest_between, virtual, world

DAY: Final = 24 * HOUR
FURTHEST: Final = 3 * DAY
"""Virtual seconds to wait for a wakeup at most; what is foretold for later must not come before."""
NAMES: Final = {"device0": "phone", "device1": "tablet"}
_near: Final = st.builds(lambda start, length: {"rest": (start, length)}, st.integers(-400, 400), st.integers(5, 3000))
"""A rest of minutes, about now: most of what waits is moved by these."""
_edited: Final = st.one_of(
    st.sampled_from([document for document in DOCUMENTS if document is not None]), composed(), _near
)


def written(edited: Document | dict[str, tuple[int, int]], now: float) -> dict[str, Any]:
    if isinstance(edited, Document):
        document = dict(edited.put_at(int(now)).document)
        devices = document.pop("devices")
        return document | {"devices": {NAMES[name]: wake for name, wake in devices.items() if name in NAMES}}
    start, length = edited["rest"]
    return rest_between(int(now) + start, int(now) + start + length)


def with_jitter(jitter: float, posts_seen: bool) -> TenantConfig:
    return replace(with_keys(), jitter_seconds=jitter, posts_seen=posts_seen)


class Officer:
    def __init__(self, door: Door, token: str) -> None:
        self._door = door
        self._token = token

    async def ask(self, method: str, what: str, body: object = None) -> Any:  # noqa: ANN401 (JSON)
        answer = await self._door.ask(method, f"/v1/me{what}", body, token=self._token)
        assert answer.status in (200, 201), answer
        return answer.json


_story: Final = st.one_of(
    st.lists(_step, max_size=14),
    st.builds(
        lambda start, length, posts, more: [("rest", start, length), *posts, *more],
        st.integers(-100, 0),
        st.integers(400, 4000),
        st.lists(st.sampled_from([("post", "message"), ("post", "roster"), ("post", "brief")]), min_size=1, max_size=3),
        st.lists(_step, max_size=4),
    ),
)
"""Anything; and mostly somebody who rests, with something that waits."""


@settings(max_examples=examples(80))
@given(_story, _edited, st.sampled_from([0.0, 300.0]), st.booleans())
@virtual
async def test_what_a_preview_foretells_comes_true(
    steps: list[tuple[Any, ...]], edited: Document | dict[str, tuple[int, int]], jitter: float, posts_seen: bool
) -> None:
    """The earliest wakeup leaves at the instant told, none leaves before, and what stays is due when it was told."""
    async with world(with_jitter(jitter, posts_seen)) as w:
        await w.register("anna", "phone", "tablet")
        kept: dict[str, Any] = {"timezone": "Europe/Berlin", "windows": [], "devices": {}}
        for step in steps:
            await _do(w, kept, step)
        door = Door(w)
        anna = Officer(door, await door.token())
        await w.quiet()
        requests, now = len(w.requests()), w.now
        state = await anna.ask("GET", "/state")
        document = written(edited, now)
        effect = (await anna.ask("POST", "/rest/preview", document))["effect"]
        assert await anna.ask("GET", "/state") == state
        check_before(effect, state)
        await anna.ask("PUT", "/rest?confirm=never-reachable", document)
        assert w.now == now
        await w.quiet()
        await check_after(w, anna, effect, requests, now)


def check_before(effect: Any, state: Any) -> None:  # noqa: ANN401
    """Of the document there is, it tells what the state tells."""
    told = [(each["class"], each["notices"], each["due_before"]) for each in effect["leaves"]]
    assert told == [(each["class"], each["notices"], each["due"]) for each in state["waiting"]]
    assert effect["waiting"] == sum(each["notices"] for each in state["waiting"])


async def check_after(w: World, anna: Officer, effect: Any, requests: int, now: float) -> None:  # noqa: ANN401
    dues = {each["class"]: each["due_after"] for each in effect["leaves"]}
    first = min((due for due in dues.values() if due is not None), default=None)
    if first == now:
        event("leaves at once")
        assert len(w.requests()) > requests
        if all(entry.status == 200 for entry in w.requests()[requests:]):
            left = {name for name, due in dues.items() if due == now}
            waiting = (await anna.ask("GET", "/state"))["waiting"]
            assert not [each for each in waiting if each["class"] in left and each["notices"]]
        return
    assert len(w.requests()) == requests
    state = await anna.ask("GET", "/state")
    assert {each["class"]: each["due"] for each in state["waiting"]} == dues
    if first is None or first > now + FURTHEST:
        event("stays" if first is None else "leaves much later")
        await w.until(min(first or now + HOUR, now + HOUR) - 0.01)
        assert len(w.requests()) == requests
        return
    event("leaves later")
    await w.until(first - 0.01)
    assert len(w.requests()) == requests
    await w.pass_time(0.02)
    assert len(w.requests()) > requests


@virtual
async def test_a_repeat_keeps_its_morning_though_a_device_is_always_woken() -> None:
    """It stands for what the phone was told already."""
    async with world(with_jitter(0.0, True)) as w:
        await w.register("anna")
        door = Door(w)
        anna = Officer(door, await door.token())
        await w.rest("anna", rest_between(w.now + 600, w.now + 600 + HOUR))
        await w.post("anna")
        await w.pass_time(1)
        document = rest_between(w.now - 100, w.now + 2 * HOUR) | {"devices": {"phone": {"wake": "always"}}}
        (repeat,) = (await anna.ask("POST", "/rest/preview", document))["effect"]["leaves"]
        assert (repeat["notices"], repeat["due_before"]) == (0, w.start + 600 + HOUR)
        assert repeat["due_after"] == w.now + 2 * HOUR
        await anna.ask("PUT", "/rest", document)
        await w.pass_time(DAY)
        assert w.rang("anna") == [0, 1 + 2 * HOUR]


@virtual
async def test_what_is_given_up_at_once_is_told_to_leave_never() -> None:
    """Its time is over by the new rest: the message's own life ends before the rest does."""
    async with world(with_jitter(0.0, False)) as w:
        await w.register("anna")
        door = Door(w)
        anna = Officer(door, await door.token())
        await w.rest("anna", rest_between(w.now, w.now + HOUR))
        await w.post("anna", ttl=2 * HOUR)
        for document, due in ((rest_between(w.now, w.now + 3 * HOUR), None), (ENDLESS, None), ({}, w.now)):
            (message,) = (await anna.ask("POST", "/rest/preview", document))["effect"]["leaves"]
            assert (message["due_before"], message["due_after"]) == (w.now + HOUR, due)


@virtual
async def test_what_waits_for_its_release_only_leaves_at_once_when_anything_is_saved() -> None:
    """The rest is over; the officer is looking at the screen, so saving the same once more releases it."""
    async with world(with_jitter(300.0, False)) as w:
        await w.register("anna")
        door = Door(w)
        anna = Officer(door, await door.token())
        document = rest_between(w.now, w.now + HOUR)
        await w.rest("anna", document)
        await w.post("anna")
        await w.pass_time(HOUR)
        assert w.rang("anna") == []
        (message,) = (await anna.ask("POST", "/rest/preview", document))["effect"]["leaves"]
        assert message["due_after"] == w.now < message["due_before"]
        await anna.ask("PUT", "/rest", document)
        await w.pass_time(1)
        assert w.rang("anna") == [HOUR]
