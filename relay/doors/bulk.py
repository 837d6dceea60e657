"""PUT /v1/users/{user}/devices and PUT /v1/devices: exactly these devices, of one user or of thousands, all or none.

What is not listed is deleted, and not told by feedback: the backend knows. There is no eviction, more devices than the
tenant allows are a fault. Faults are named by position (`users[3].devices[0].token`), for the names are ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import trio

from relay.core.devices import Registration
from relay.core.errors import Problem, Refused, TooManyRecipients
from relay.core.private import Private, TokenHash, UserKey
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.doors import decoding
from relay.doors.decoding import Body, Id, Silent, check_members
from relay.doors.devices import DeviceBody, checked
from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.router import Call, Handle

MOST_USERS: Final = 5_000
PIECE: Final = 100
"""Users sealed between two checkpoints: about 5 ms."""


class DevicesBody(Silent):
    devices: dict[Id, DeviceBody]


class UsersBody(Silent):
    users: dict[Id, DevicesBody]


def put_devices(records: Callable[[Tenant], Records]) -> Handle:
    """The devices of one user."""

    async def handle(call: Call, engine: Engine) -> Response:
        body = _DEVICES.decode(call.content_type, call.body)
        return await _put(call, engine, records(call.tenant), {call.ids[0]: body}, "")

    return handle


def put_users(records: Callable[[Tenant], Records]) -> Handle:
    """The devices of many users, in one commit."""

    async def handle(call: Call, engine: Engine) -> Response:
        engine.knock(call.tenant)
        body = _USERS.decode(call.content_type, call.body)
        if len(body.users) > MOST_USERS:
            raise TooManyRecipients(MOST_USERS)
        return await _put(call, engine, records(call.tenant), body.users, "users[{}].")

    return handle


async def _put(call: Call, engine: Engine, records: Records, users: Mapping[str, DevicesBody], prefix: str) -> Response:
    reading = _Reading(call.tenant, records)
    listed: dict[UserKey, list[Registration]] = {}
    for index, (user, body) in enumerate(users.items()):
        key = call.tenant.pseudonyms.user(user)
        listed[key] = list(reading.registrations(key, user, body, prefix.format(index)))
        if index % PIECE == PIECE - 1:
            await trio.lowlevel.checkpoint()
    if reading.faults:
        raise Refused(*reading.faults[: decoding.MOST_PROBLEMS])
    done = await engine.put_devices(call.tenant, listed)
    return Response(200, b'{"created":%d,"refreshed":%d,"deleted":%d}' % (done.created, done.refreshed, done.deleted))


class _Reading:
    """Turns bodies into registrations, and collects what is wrong with them."""

    def __init__(self, tenant: Tenant, records: Records) -> None:
        self._tenant = tenant
        self._records = records
        self._tokens: set[TokenHash] = set()
        self.faults: list[Problem] = []

    def registrations(self, key: UserKey, user: str, body: DevicesBody, prefix: str) -> Iterator[Registration]:
        limit = self._tenant.device_limit
        if len(body.devices) > limit:
            self.faults.append(Problem(f"{prefix}devices", f"must be at most {limit}"))
            return
        for index, (device, item) in enumerate(body.devices.items()):
            found = self._registration(key, user, device, item, f"{prefix}devices[{index}]")
            if found is not None:
                yield found

    def _registration(self, key: UserKey, user: str, device: str, body: DeviceBody, path: str) -> Registration | None:
        try:
            platform, token = checked(self._tenant, body)
        except Refused as error:
            self.faults += [Problem(f"{path}.{p.path}", p.sentence) for p in error.problems]
            return None
        names, app = self._tenant.pseudonyms, body.app or ""
        token_hash = names.token(app, token)
        if token and token_hash in self._tokens:
            self.faults.append(Problem(f"{path}.token", "stands twice in this request"))
        self._tokens.add(token_hash)
        if self.faults:
            return None
        device_key, user_id = names.device(user, device), Private(user)
        sealed = self._records.seal_device(key, device_key, user_id, Private(device), Private(token))
        sealed_id = self._records.seal_user(key, user_id)
        return Registration(key, sealed_id, device_key, app, platform, token_hash, sealed)


# --- faults of bodies that do not decode


def _device_problems(value: object, path: str) -> list[Problem]:
    checks = {"platform": decoding.a_text, "app": decoding.a_text, "token": decoding.a_text}
    return check_members(value, path, checks, frozenset({"platform"}))


def _devices_problems(value: object, path: str = "") -> list[Problem]:
    return _named(value, path, "devices", _device_problems)


def _users_problems(value: object) -> list[Problem]:
    return _named(value, "", "users", _devices_problems)


def _named(value: object, path: str, name: str, check: Callable[[object, str], list[Problem]]) -> list[Problem]:
    """Faults of an object whose only member is an object by ids."""
    problems = check_members(value, path, {name: _an_object}, frozenset({name}))
    if problems or not isinstance(value, dict):
        return problems
    for index, (key, item) in enumerate(value[name].items()):
        place = f"{path}.{name}[{index}]" if path else f"{name}[{index}]"
        sentence = decoding.an_id(key)
        problems += [Problem(place, f"its name {sentence}")] if sentence else []
        problems += check(item, place)
        if len(problems) > decoding.MOST_PROBLEMS:
            break
    return problems


def _an_object(value: object) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


_DEVICES: Final = Body(DevicesBody, _devices_problems)
_USERS: Final = Body(UsersBody, _users_problems)
