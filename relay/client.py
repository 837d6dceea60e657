"""Python client for backends, on httpx: `Client` for threads, `AsyncClient` for trio and asyncio.

    with Client("http://127.0.0.1:8080", key) as relay:
        relay.put_device("u1", "phone", platform="apns", app="ios", token="…")
        relay.wake(["u1"])                                # 202: it is durable
        relay.seen("u1")                                  # read on another device: what waits is cancelled
        for gone in relay.feedback(after=0).devices: ...  # forget these devices
        taken = relay.wake(["u1"], "alarm", role="dispatch", reason="incident")
        relay.alarm(taken.receipt).handed_over            # how many it has reached

For a settings service, `link`: what an officer gets a token by. For support, `explain`: why a phone does not ring.

Requests are plain values made by pure functions, so both clients are a few lines each. Deadlines are the caller's:
`timeout` of httpx is passed through `options`. Errors: `Busy` (wait `retry_after` seconds, then repeat; with an
idempotency key it counts once), `Rejected` (do not repeat; `problems` names what is wrong), and httpx's own when there
was no answer at all (`NO_ANSWER`).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

NO_ANSWER: Final = (httpx.HTTPError, httpx.InvalidURL)


class RelayFailure(Exception):
    """The relay answered with a problem (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.type = str(problem.get("type", ""))
        self.problems = [(str(e.get("path")), str(e.get("sentence"))) for e in problem.get("errors", ())]
        listed = "; ".join(f"{path}: {sentence}" for path, sentence in self.problems)
        super().__init__(f"{status} {problem.get('title', '')} {problem.get('detail', '')} {listed}".strip())


class Busy(RelayFailure):
    """429 or 503: nothing was taken. Repeat after `retry_after` seconds."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float) -> None:
        super().__init__(status, problem)
        self.retry_after = retry_after


class Rejected(RelayFailure):
    """The request is wrong as it is; repeating it does not help."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a 202 says: notices accepted, and recipients with nothing to wake. `receipt` is for `alarm`."""

    accepted: int
    unknown: int
    receipt: str | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """What became of the alarms of one request; the four parts add up to `recipients`."""

    recipients: int
    handed_over: int
    """Apple or Google took a wakeup for one of the phones."""
    no_device: int
    failing: int
    """A phone does not take it at present, or it was given up."""
    pending: int


@dataclass(frozen=True, slots=True)
class Gone:
    """A device the backend should forget. `why`: dead, evicted or moved."""

    seq: int
    user: str
    device: str
    why: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Feedback:
    devices: tuple[Gone, ...]
    after: int
    """Cursor for the next call, once these are dealt with."""


@dataclass(frozen=True, slots=True)
class Link:
    """What an officer's token is got by, once, within `expires_in` seconds."""

    link: str = field(repr=False)
    expires_in: int


@dataclass(frozen=True, slots=True, repr=False)
class Explanation:
    """Why somebody's phones ring or not, as the API describes it. What depends on rest is there with a code only."""

    devices: tuple[Mapping[str, Any], ...]
    lanes: tuple[Mapping[str, Any], ...]
    store: Mapping[str, Any]
    findings: tuple[Mapping[str, str], ...]
    """Sentences by language, most important first."""
    rest: Mapping[str, Any] | None = None
    waiting: tuple[Mapping[str, Any], ...] = ()

    def sentences(self, language: str) -> list[str]:
        """All that is told, in one language (de or en)."""
        told = [finding[language] for finding in self.findings]
        if self.rest is not None:
            told.append(self.rest["sentence"][language])
        return told + [each["sentence"][language] for each in self.waiting]


@dataclass(frozen=True, slots=True)
class Call:
    """A request, not sent yet."""

    method: str
    path: str
    body: object = None
    headers: Mapping[str, str] | None = None
    params: Mapping[str, str] | None = None
    wait: float = 0.0
    """Seconds for which the relay may hold back its answer: added to the time that is waited for one."""


def _given(**members: object) -> dict[str, object]:
    return {name.rstrip("_"): value for name, value in members.items() if value is not None}


def wake(
    users: Sequence[str],
    event_class: str | None = None,
    *,
    at: float | None = None,
    ttl: float | None = None,
    role: str | None = None,
    reason: str | None = None,
    device: str | None = None,
    idempotency_key: str | None = None,
) -> Call:
    """An event for some users. With a role (a class that pierces rest) an idempotency key is made if none is given.

    `device`: of the one user, for an order.
    """
    key = idempotency_key or (secrets.token_urlsafe(24) if role is not None else None)
    to = {"users": list(users)} if device is None or len(users) != 1 else {"user": users[0]}
    body = _given(**to, class_=event_class, at=at, ttl=ttl, role=role, reason=reason, device=device)
    return Call("POST", "/v1/events", body, {"idempotency-key": key} if key else None)


def wake_many(events: Sequence[Mapping[str, object]], idempotency_key: str | None = None) -> Call:
    """Many events at once, each as the API describes it: `{"user": …, "class": …}`."""
    headers = {"idempotency-key": idempotency_key} if idempotency_key else None
    return Call("POST", "/v1/events", {"events": list(events)}, headers)


def seen(user: str, at: float | None = None, active_for: float | None = None) -> Call:
    return Call("POST", "/v1/seen", _given(user=user, at=at, active_for=active_for))


def confirmed(user: str, device: str | None = None, event_class: str | None = None, at: float | None = None) -> Call:
    return Call("POST", "/v1/confirmed", _given(user=user, device=device, class_=event_class, at=at))


def _device_path(user: str, device: str) -> str:
    return f"/v1/users/{quote(user, safe='')}/devices/{quote(device, safe='')}"


def put_device(user: str, device: str, *, platform: str, app: str | None = None, token: str | None = None) -> Call:
    return Call("PUT", _device_path(user, device), _given(platform=platform, app=app, token=token))


def put_devices(devices: Mapping[str, Mapping[str, Mapping[str, object]]]) -> Call:
    """User → device → `{"platform": …, "app": …, "token": …}`: exactly these; up to 5,000 users, all or none."""
    return Call("PUT", "/v1/devices", {"users": {user: {"devices": listed} for user, listed in devices.items()}})


def delete_device(user: str, device: str) -> Call:
    return Call("DELETE", _device_path(user, device))


def delete_user(user: str) -> Call:
    return Call("DELETE", f"/v1/users/{quote(user, safe='')}")


def alarm(receipt: str) -> Call:
    return Call("GET", f"/v1/alarms/{quote(receipt, safe='')}")


def feedback(after: int, wait: float = 0.0) -> Call:
    return Call("GET", "/v1/feedback", params={"after": str(after), "wait": f"{wait:g}"}, wait=wait)


def link(user: str) -> Call:
    return Call("POST", f"/v1/users/{quote(user, safe='')}/link")


def explain(user: str, code: str | None = None) -> Call:
    """`code`: a support code that this person has read out."""
    headers = None if code is None else {"support-code": code}
    return Call("GET", f"/v1/users/{quote(user, safe='')}/explain", headers=headers)


def _timeout(usual: httpx.Timeout, call: Call) -> httpx.Timeout:
    read = None if usual.read is None else usual.read + call.wait
    return httpx.Timeout(connect=usual.connect, read=read, write=usual.write, pool=usual.pool)


def _answer(response: httpx.Response) -> Any:  # noqa: ANN401 (JSON)
    if response.is_success:
        return response.json() if response.content else None
    try:
        problem = response.json()
    except ValueError:
        problem = {}
    if response.status_code in (429, 503):
        raise Busy(response.status_code, problem, float(response.headers.get("retry-after", "1")))
    raise Rejected(response.status_code, problem)


def _taken(content: Mapping[str, Any]) -> Taken:
    return Taken(content["accepted"], content["unknown"], content.get("receipt"))


def _feedback(content: Mapping[str, Any]) -> Feedback:
    devices = tuple(Gone(**item) for item in content["devices"])
    return Feedback(devices, content["after"])


def _explanation(content: Mapping[str, Any]) -> Explanation:
    lists = {name: tuple(content.get(name, ())) for name in ("devices", "lanes", "findings", "waiting")}
    return Explanation(store=content["store"], rest=content.get("rest"), **lists)


class Client:
    """For threads. Close it, or use it as a context manager. `options` go to httpx.Client (verify, timeout, …)."""

    def __init__(self, url: str, key: str, **options: Any) -> None:  # noqa: ANN401 (httpx's own)
        self._http = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def send(self, call: Call) -> Any:  # noqa: ANN401 (JSON)
        """Send a call; return its answer as JSON. Raises Busy, Rejected, httpx.HTTPError."""
        request = self._http.build_request(
            call.method, call.path, json=call.body, headers=call.headers, params=call.params,
            timeout=_timeout(self._http.timeout, call),
        )  # fmt: skip
        return _answer(self._http.send(request))

    def wake(self, users: Sequence[str], event_class: str | None = None, **more: Any) -> Taken:  # noqa: ANN401
        return _taken(self.send(wake(users, event_class, **more)))

    def wake_many(self, events: Sequence[Mapping[str, object]], idempotency_key: str | None = None) -> Taken:
        return _taken(self.send(wake_many(events, idempotency_key)))

    def alarm(self, receipt: str) -> Alarm:
        """Raises Rejected (404) for a receipt that is not known, or older than 24 h."""
        return Alarm(**self.send(alarm(receipt)))

    def seen(self, user: str, at: float | None = None, active_for: float | None = None) -> None:
        self.send(seen(user, at, active_for))

    def confirmed(self, user: str, device: str | None = None, **more: Any) -> None:  # noqa: ANN401
        """A device has obeyed its orders, or all of the user's have. `event_class`, `at` as of the function."""
        self.send(confirmed(user, device, **more))

    def put_device(
        self, user: str, device: str, *, platform: str, app: str | None = None, token: str | None = None
    ) -> None:
        self.send(put_device(user, device, platform=platform, app=app, token=token))

    def put_devices(self, devices: Mapping[str, Mapping[str, Mapping[str, object]]]) -> None:
        """Many users at once, each with exactly these devices."""
        self.send(put_devices(devices))

    def delete_device(self, user: str, device: str) -> None:
        self.send(delete_device(user, device))

    def delete_user(self, user: str) -> None:
        self.send(delete_user(user))

    def feedback(self, after: int, wait: float = 0.0) -> Feedback:
        return _feedback(self.send(feedback(after, wait)))

    def link(self, user: str) -> Link:
        """For who has made sure that this is the person. Raises Rejected (404) for one the relay does not know."""
        return Link(**self.send(link(user)))

    def explain(self, user: str, code: str | None = None) -> Explanation:
        """Raises Rejected (403) for a code that is not good."""
        return _explanation(self.send(explain(user, code)))


class AsyncClient:
    """For trio and asyncio; the same calls, awaited."""

    def __init__(self, url: str, key: str, **options: Any) -> None:  # noqa: ANN401 (httpx's own)
        self._http = httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def send(self, call: Call) -> Any:  # noqa: ANN401 (JSON)
        """Send a call; return its answer as JSON. Raises Busy, Rejected, httpx.HTTPError."""
        request = self._http.build_request(
            call.method, call.path, json=call.body, headers=call.headers, params=call.params,
            timeout=_timeout(self._http.timeout, call),
        )  # fmt: skip
        return _answer(await self._http.send(request))

    async def wake(self, users: Sequence[str], event_class: str | None = None, **more: Any) -> Taken:  # noqa: ANN401
        return _taken(await self.send(wake(users, event_class, **more)))

    async def wake_many(self, events: Sequence[Mapping[str, object]], idempotency_key: str | None = None) -> Taken:
        return _taken(await self.send(wake_many(events, idempotency_key)))

    async def alarm(self, receipt: str) -> Alarm:
        """Raises Rejected (404) for a receipt that is not known, or older than 24 h."""
        return Alarm(**await self.send(alarm(receipt)))

    async def seen(self, user: str, at: float | None = None, active_for: float | None = None) -> None:
        await self.send(seen(user, at, active_for))

    async def confirmed(self, user: str, device: str | None = None, **more: Any) -> None:  # noqa: ANN401
        """A device has obeyed its orders, or all of the user's have. `event_class`, `at` as of the function."""
        await self.send(confirmed(user, device, **more))

    async def put_device(
        self, user: str, device: str, *, platform: str, app: str | None = None, token: str | None = None
    ) -> None:
        await self.send(put_device(user, device, platform=platform, app=app, token=token))

    async def put_devices(self, devices: Mapping[str, Mapping[str, Mapping[str, object]]]) -> None:
        """Many users at once, each with exactly these devices."""
        await self.send(put_devices(devices))

    async def delete_device(self, user: str, device: str) -> None:
        await self.send(delete_device(user, device))

    async def delete_user(self, user: str) -> None:
        await self.send(delete_user(user))

    async def feedback(self, after: int, wait: float = 0.0) -> Feedback:
        return _feedback(await self.send(feedback(after, wait)))

    async def link(self, user: str) -> Link:
        """For who has made sure that this is the person. Raises Rejected (404) for one the relay does not know."""
        return Link(**await self.send(link(user)))

    async def explain(self, user: str, code: str | None = None) -> Explanation:
        """Raises Rejected (403) for a code that is not good."""
        return _explanation(await self.send(explain(user, code)))
