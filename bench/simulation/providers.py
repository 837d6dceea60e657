"""Apple and Google: the strict fakes, and the judge's view of what they took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Final
from urllib.parse import urlencode

import trio
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bench.simulation.frames import ProviderTap
from bench.simulation.judge import Judge
from bench.simulation.network import Line
from relay.lanes.oauth import ServiceAccount
from relay.simulators.apns import FakeApns, StreamLimit
from relay.simulators.certificates import provider_key
from relay.simulators.fcm import FakeFcm
from relay.simulators.journal import Entry, Journal
from relay.simulators.oauth import Account, FakeOauth
from relay.simulators.provider_token import TeamKey

IOS, ANDROID, OAUTH = "ios", "android", "oauth"
TOPIC, TEAM_ID, KEY_ID, PROJECT = "de.example.messenger", "ABCDE12345", "FGHIJ67890", "example-1"
FORM: Final = "application/x-www-form-urlencoded"
IDLE: Final = 6 * 3600.0
"""Seconds without a request after which the fake Google ends a connection; it does so after three minutes, and a quiet
day would consist of little else."""
DEAD: Final = {
    (410, "Unregistered"),
    (410, "ExpiredToken"),
    (400, "BadDeviceToken"),
    (404, "UNREGISTERED"),
    (400, "INVALID_ARGUMENT"),
}
TRANSIENT: Final = {200, 401, 403, 429}
"""Answers after which the notice is still owed to that phone; and 5xx."""


@cache
def team_key() -> tuple[bytes, bytes]:
    """Private and public; one for the process. Signatures differ from one to the next, their length does not."""
    return provider_key()


@cache
def account() -> tuple[ServiceAccount, bytes]:
    key = rsa.generate_private_key(65537, 2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    named = ServiceAccount(PROJECT, f"relay@{PROJECT}.example", private, "key-1", "https://oauth.example/token")
    return named, public


@dataclass(slots=True)
class Watched(Journal):
    """A journal that knows of which request a fake complains."""

    complaints: list[tuple[str, int, float]] = field(default_factory=list)
    """(breach, number of the entry that it was about, or that came next, when by trio's clock)"""

    def violate(self, what: str) -> None:
        self.violations[what] += 1
        self.complaints.append((what, len(self.entries), trio.current_time()))


class Providers:
    """Both fakes and the token endpoint, for the whole of a run."""

    def __init__(self, now: Callable[[], float], rng: Random, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._rng = rng
        keys = {KEY_ID: TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=team_key()[1])}
        limit = rng.choice(list(StreamLimit))
        self.apns = FakeApns(keys, {TOPIC}, now, limit=limit, journal=Watched(), seed=rng.getrandbits(32))
        named, public = account()
        known = Account(client_email=named.client_email, key_id=named.private_key_id, public_pem=public)
        self.oauth = FakeOauth([known], now, token_uri=named.token_uri, journal=Watched())
        self.fcm = FakeFcm(PROJECT, self.oauth.is_good, now, journal=Watched(), seed=rng.getrandbits(32))
        self.fcm.injections.idle = IDLE
        self.oauth_is_down = False
        self._seen: dict[str, int] = {IOS: 0, ANDROID: 0}
        self._complained: dict[str, int] = {IOS: 0, ANDROID: 0, OAUTH: 0}

    @property
    def fakes(self) -> Mapping[str, FakeApns | FakeFcm]:
        return {IOS: self.apns, ANDROID: self.fcm}

    def answer(self, app: str, tap: ProviderTap, line: Line) -> bool:
        """Take a line."""
        self._nursery.start_soon(self._serve, app, tap, line)
        return True

    async def _serve(self, app: str, tap: ProviderTap, line: Line) -> None:
        fake = self.fakes[app]
        tap.connection = fake.journal.connections + 1
        await fake.serve_stream(line.far)

    async def post(self, _uri: str, form: dict[str, str]) -> tuple[int, bytes]:
        """Of the token endpoint. Raises OSError when there is no answer."""
        await trio.sleep(self._rng.uniform(0.01, 0.3))
        if self.oauth_is_down:
            raise OSError
        return self.oauth.exchange(urlencode(form).encode(), FORM)

    def tell(self, judge: Judge) -> None:
        """What was answered since the last time, and what was objected to."""
        for app, fake in self.fakes.items():
            journal, first = fake.journal, self._seen[app]
            assert isinstance(journal, Watched)
            complaints: defaultdict[int, list[tuple[str, float]]] = defaultdict(list)
            for what, number, at in journal.complaints[self._complained[app] :]:
                complaints[number].append((what, at))
            for number, entry in enumerate(journal.entries[first:], first):
                for what, at in complaints.pop(number, ()):
                    judge.objected(app, entry.connection, entry.stream, what, at)
                _tell(judge, app, entry)
            for others in complaints.values():
                for what, at in others:
                    judge.conduct.objected(app, what, at)
            self._seen[app], self._complained[app] = len(journal.entries), len(journal.complaints)
        self._tell_of_tokens(judge)

    def _tell_of_tokens(self, judge: Judge) -> None:
        journal = self.oauth.journal
        assert isinstance(journal, Watched)
        for what, _, at in journal.complaints[self._complained[OAUTH] :]:
            judge.conduct.objected(OAUTH, what, at)
        self._complained[OAUTH] = len(journal.complaints)


def _tell(judge: Judge, app: str, entry: Entry) -> None:
    if entry.status == 200:
        judge.accepted(app, entry.connection, entry.stream)
        return
    is_dead = (entry.status, entry.reason) in DEAD
    is_final = is_dead or (entry.status not in TRANSIENT and entry.status < 500)
    judge.refused(
        app, entry.connection, entry.stream, f"{entry.status} {entry.reason}", is_final=is_final, is_dead=is_dead
    )
