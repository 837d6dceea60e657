"""APNs as a provider: the bytes of a request, and the reading of an answer."""

from __future__ import annotations

import pytest

from relay.core.devices import Device, Platform
from relay.core.envelope import APNS_BODY
from relay.core.flight import Flight
from relay.core.people import Person
from relay.core.private import DeviceKey, TokenHash, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.tenants import Tenant
from relay.core.verdicts import Action
from relay.lanes.apns import HOSTS, PORT, Apns
from relay.lanes.credentials import ProviderToken
from relay.wire import Answer
from tests.relay.world import KEY_ID, NOON, TEAM_ID, TOPIC, signing_key, virtual, world

TENANT = Tenant(name="t", pseudonyms=Pseudonyms(b"m" * 32, "t"), apps={"ios": Platform.APNS})
TOKEN = "0123456789abcdef" * 4
KEY = UserKey(b"u" * 16)


def _provider(host: str = HOSTS["production"], port: int = PORT) -> Apns:
    return Apns(TOPIC, ProviderToken(TEAM_ID, KEY_ID, signing_key()[0]), host=host, port=port)


def _flight(life: int = 300) -> Flight:
    device = Device(DeviceKey(KEY), KEY, "ios", Platform.APNS, TokenHash(KEY), b"", registered_at=0.0)
    flight = Flight(Person(TENANT, KEY, b""), device, urgent=False)
    flight.life = life
    return flight


def test_a_request_is_the_token_the_jwt_and_the_life_and_nothing_else() -> None:
    provider, flight = _provider(), _flight(3600)
    request = provider.request(flight, TOKEN, NOON)
    assert request.tag is flight
    assert request.path == b"/3/device/" + TOKEN.encode()
    assert request.body == APNS_BODY
    bearer, expiration = request.varying
    assert bearer.startswith(b"bearer ")
    assert expiration == b"%d" % (NOON + 3600)


def test_now_or_never_is_an_expiration_of_zero() -> None:
    assert _provider().request(_flight(0), TOKEN, NOON).varying[1] == b"0"


def test_wakeups_of_one_moment_and_life_share_their_varying_fields() -> None:
    """One object, so that the wire encodes it once; another life step or five minutes later it is another."""
    provider = _provider()
    first = provider.request(_flight(), TOKEN, NOON).varying
    assert provider.request(_flight(), TOKEN[::-1], NOON + 299).varying is first
    assert provider.request(_flight(900), TOKEN, NOON).varying is not first
    later = provider.request(_flight(), TOKEN, NOON + 300).varying
    assert later[0] is first[0]
    assert later[1] != first[1]


def test_the_cache_of_varying_fields_stays_small_over_a_day() -> None:
    provider = _provider()
    for minute in range(24 * 60):
        for life in (0, 300, 900, 3600):
            provider.request(_flight(life), TOKEN, NOON + 60 * minute)
    assert len(provider._by_life) < 50


def test_the_authority_names_the_port_only_where_it_is_not_apples() -> None:
    template = dict(_provider().template().constant)
    assert template[b":authority"] == b"api.push.apple.com"
    assert template[b"apns-topic"] == TOPIC.encode()
    assert dict(_provider("localhost", 8443).template().constant)[b":authority"] == b"localhost:8443"


@pytest.mark.parametrize(
    ("body", "reason", "since"),
    [
        (b'{"reason":"Unregistered","timestamp":1789000000123}', "Unregistered", 1789000000.123),
        (b'{"timestamp":1789000000000,"reason":"ExpiredToken"}', "ExpiredToken", 1789000000.0),
        (b'{"reason":"Unregistered","timestamp":"1789000000000"}', "Unregistered", None),
        (b'{"reason":"Unregistered","timestamp":true}', "Unregistered", None),
        (b'{"reason":"Unregistered","timestamp":-1}', "Unregistered", None),
        (b'{"reason":"Unregistered","timestamp":1e400}', "Unregistered", None),
        (b'{"reason":"Unregistered","timestamp":99999999999999999999}', "Unregistered", None),
        (b'{"reason":"Unregistered","timestamp":null}', "Unregistered", None),
        (b'{"reason":""}', "status_410", None),
        (b'{"reason":"token 0123456789abcdef"}', "status_410", None),
        (b'{"reason":"' + b"a" * 41 + b'"}', "status_410", None),
        (b'{"reason":["Unregistered"]}', "status_410", None),
        (b"[" * 100_000, "status_410", None),
        (b"", "status_410", None),
        (b"\xff\xfe", "status_410", None),
        (b'"Unregistered"', "status_410", None),
    ],
)
def test_an_answers_body_is_read_with_distrust(body: bytes, reason: str, since: float | None) -> None:
    """Only words of letters pass: the reason reaches logs and metrics."""
    judgement = _provider().judge(Answer(None, 410, body), NOON)
    assert (judgement.reason, judgement.dead_since) == (reason, since)


def test_a_410_that_cannot_be_read_does_not_delete_a_device() -> None:
    assert _provider().judge(Answer(None, 410, b""), NOON).verdict.action is Action.GIVE_UP


@virtual
async def test_two_wakeups_differ_in_token_life_and_jwt_only() -> None:
    """I3, P1-P3: seen at the provider, for events of different classes and people."""
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.register("bert")
        await w.post("anna", event_class="roster")
        await w.post("bert", "bert", at=w.now - 30, ttl=600)
        await w.pass_time(60)
        await w.alarm("anna", "bert")
        await w.pass_time(60)
        entries = w.wakeups()
        assert len(entries) == 6
        varying = {b":path", b"authorization", b"apns-expiration"}
        shapes = {tuple((n, b"" if n in varying else v) for n, v in entry.headers) for entry in entries}
        assert len(shapes) == 1
        assert {entry.body for entry in entries} == {APNS_BODY}
        assert len({entry.value(b"authorization") for entry in entries}) == 1
        assert not any(entry.notes for entry in entries)
