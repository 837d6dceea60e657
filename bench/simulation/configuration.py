"""The configuration of the relays that are played: one tenant with an app of each provider."""

from __future__ import annotations

import hashlib
from pathlib import Path
from random import Random
from typing import Final

from bench.simulation.force import KINDS
from bench.simulation.providers import ANDROID, IOS, KEY_ID, TEAM_ID, TOPIC, account, team_key
from relay.config import AppConfig, Config, DoorConfig, FcmAppConfig, KeyConfig, MasterKeys, StoreConfig, TenantConfig
from relay.core.events import EventClass
from relay.doors.keys import Scope

SECRET: Final = "s" * 43
SCOPES: Final = {
    "backend": frozenset({Scope.EVENTS, Scope.ALARMS, Scope.DEVICES, Scope.ADMIN}),
    "rest": frozenset({Scope.REST}),
}


def a_tenant(rng: Random) -> TenantConfig:
    digest = hashlib.sha256(SECRET.encode()).digest()
    ios = AppConfig(
        name=IOS, topic=TOPIC, team_id=TEAM_ID, key_id=KEY_ID, key=team_key()[0], environment="production",
        connections=rng.choice((1, 1, 2)), endpoint=None, ca_file=None,
    )  # fmt: skip
    android = FcmAppConfig(
        name=ANDROID, account=account()[0], connections=1, endpoint=None, token_uri_is_overridden=False, ca_file=None
    )
    return TenantConfig(
        name="city", posts_seen=rng.random() < 0.5, device_limit=3, evict=True,
        jitter_seconds=rng.choice((0.0, 20.0, 300.0)),
        keys=tuple(KeyConfig(name, digest, scopes) for name, scopes in SCOPES.items()), apps=(ios, android),
        classes=tuple(_event_class(name) for name in KINDS),
    )  # fmt: skip


def _event_class(name: str) -> EventClass:
    kind = KINDS[name]
    answers = kind.pierces or bool(kind.through)
    return EventClass(
        name=name, scope=Scope.ADMIN if kind.renewal else Scope.ALARMS if answers else Scope.EVENTS,
        pierces=kind.pierces, through=kind.through, cancellable=kind.cancellable, deadline=kind.deadline,
        renewal=kind.renewal, roles=frozenset({"dispatch"} if answers else ()),
        reasons=frozenset({"incident"} if answers else ()),
    )  # fmt: skip


def config_of(tenant: TenantConfig) -> Config:
    masters = MasterKeys({1: b"m" * 32}, 1, 1)
    store = StoreConfig(Path("nowhere.db"), Path("nowhere.key"), masters)
    return Config(store, DoorConfig((), 100, 2**20), (), 10.0, (tenant,))
