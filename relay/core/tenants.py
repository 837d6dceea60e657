"""A tenant as the running relay knows it: names, limits, classes, apps. Made from the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from relay.core.devices import Device, Platform
from relay.core.events import DEFAULT_CLASSES, TEST, EventClass
from relay.core.gate import Gate
from relay.core.halts import Halts
from relay.core.pseudonym import Pseudonyms


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    name: str
    pseudonyms: Pseudonyms
    apps: Mapping[str, Platform]
    """App name → provider; a device names the app whose token it has."""
    classes: Mapping[str, EventClass] = field(default_factory=lambda: {c.name: c for c in DEFAULT_CLASSES})
    device_limit: int = 3
    evict: bool = True
    """Over the device limit: evict the device registered longest ago and report it, or refuse with 409."""
    posts_seen: bool = False
    """The backend posts read markers: a wakeup whose life was cut by rest leaves an echo."""
    jitter: float = 300.0
    """Release after rest is spread over this many seconds."""
    gate: Gate = field(init=False, repr=False)
    slot_names: frozenset[str] = field(init=False, repr=False, compare=False)
    """Classes that somebody's slots can be of."""
    halts: Halts = field(default_factory=Halts, init=False, repr=False, compare=False)
    """What an operator holds back now; the one thing here that changes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "gate", Gate(self.jitter))
        object.__setattr__(self, "slot_names", frozenset((*self.classes, TEST.name)))

    def class_of(self, name: str) -> EventClass:
        """The class; one that the configuration no longer names is treated with the defaults of `EventClass`."""
        return self.classes.get(name) or (TEST if name == TEST.name else EventClass(name=name))

    def phones(self, devices: Iterable[Device]) -> tuple[Device, ...]:
        """Those that can be woken: of an app that is configured, at the provider whose token they have."""
        return tuple(d for d in devices if self.apps.get(d.app) is d.platform)
