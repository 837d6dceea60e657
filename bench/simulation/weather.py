"""What goes wrong, drawn by the seed: network, disk, clock, process and providers.

Each fault is an entry of a table, begins at once, and either is over at once or ends after a while. Whatever is still
going on at the end of a run is ended by `clear`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import trio

from bench.simulation.caller import DOOR
from bench.simulation.calm import Calm
from bench.simulation.clock import HOUR, Times
from bench.simulation.disk import USUAL, Disk
from bench.simulation.judge import Judge
from bench.simulation.machine import Faults, Machine
from bench.simulation.network import FOREVER, Climate, Line, Network
from bench.simulation.providers import ANDROID, IOS, Providers
from bench.simulation.trace import Trace
from relay.simulators.injections import DropAt, DropHow, Injections

LASTING: Final = (2.0, 20.0, 90.0, 400.0)
"""Seconds of a fault, one of these; mostly the shorter ones."""
BAD_ANSWERS: Final[dict[str, tuple[str, ...]]] = {
    IOS: (
        "InternalServerError", "ServiceUnavailable", "Shutdown", "Shutdown-goaway", "TooManyRequests", "Unregistered",
        "Unregistered-old", "BadDeviceToken", "TooManyProviderTokenUpdates", "ExpiredProviderToken", "PayloadEmpty",
        "unknown-503", "not-json-502", "InvalidProviderToken",
    ),
    ANDROID: (
        "500", "503", "503-seconds", "429-short", "429", "UNREGISTERED", "INVALID_ARGUMENT-token",
        "401", "502-html", "500-truncated",
    ),
}  # fmt: skip


class Weather:
    """Makes things go wrong at a machine that is alone."""

    names: tuple[str, ...] = (IOS, ANDROID, DOOR)
    """Of lines."""

    def __init__(
        self, machines: Sequence[Machine], network: Network, providers: Providers, judge: Judge, trace: Trace,
        calm: Calm, rng: Random, nursery: trio.Nursery,
    ) -> None:  # fmt: skip
        self.machines = machines
        self.machine = machines[0]
        """The one at which something goes wrong now."""
        self.network = network
        self.providers = providers
        self.streams = {app: fake.streams for app, fake in providers.fakes.items()}
        """What they grant where nothing is wrong."""
        self.judge = judge
        self.rng = rng
        self.trace = trace
        self.calm = calm
        self.nursery = nursery

    def faults(self) -> Faults:
        raise NotImplementedError

    @property
    def times(self) -> Times:
        return self.machine.times

    def strike(self) -> None:
        """Something goes wrong now."""
        if len(self.machines) > 1:
            self.machine = self.rng.choice(self.machines)
        fault = self.rng.choice(self.faults())
        seconds = self.rng.choices(LASTING, (4, 4, 2, 1))[0] * self.rng.uniform(0.5, 1.5)
        name = fault.__name__.strip("_")
        self.trace.fault(f"{name} for {seconds:.1f} s")
        self.calm.disturb(seconds)
        end = fault(self, seconds)
        if end is not None:
            self.nursery.start_soon(later, seconds, end)

    def some_lines(self) -> list[Line]:
        lines = self.network.open(self.rng.choice(self.names), *self.rng.sample(self.names, 1))
        return [line for line in lines if self.rng.random() < 0.7]

    def injections(self) -> tuple[str, Injections[Any]]:
        app = self.rng.choice((IOS, ANDROID))
        return app, self.providers.fakes[app].injections

    def clear(self) -> None:
        """Everything works again, and every clock is right."""
        for machine in self.machines:
            machine.spring_trap()
        for line in self.network.lines:
            line.out.jam(0.0)
        self.network.refusing.clear()
        self.network.swallowing.clear()
        self.network.climate.delay, self.network.climate.cut = Climate().delay, Climate().cut
        self.providers.oauth_is_down = False
        for app, fake in self.providers.fakes.items():
            fake.accepting = True
            _mend(fake.injections)
            if app == ANDROID:
                self.providers.fcm.is_permitted = True
        for machine in self.machines:
            machine.times.set_right()
        self.calm.disturb(HOUR)


class LoneWeather(Weather):
    """With a disk."""

    def __init__(
        self, machines: Sequence[Machine], network: Network, providers: Providers, judge: Judge, trace: Trace,
        calm: Calm, rng: Random, nursery: trio.Nursery, disk: Disk,
    ) -> None:  # fmt: skip
        super().__init__(machines, network, providers, judge, trace, calm, rng, nursery)
        self.disk = disk

    def faults(self) -> Faults:
        return FAULTS

    def clear(self) -> None:
        self.disk.seconds, self.disk.failing = USUAL, 0
        super().clear()


async def later(seconds: float, end: Callable[[], None]) -> None:
    await trio.sleep(seconds)
    end()


def _mend(faults: Injections[Any]) -> None:
    usual: Injections[Any] = Injections()
    for name in ("shares", "latency", "unanswered", "late", "silence", "drop_share", "stall", "half_open"):
        setattr(faults, name, getattr(usual, name))
    faults.drop_after = faults.goaway_after = None


# --- the network


def _refused(weather: Weather, _seconds: float) -> Callable[[], None]:
    name = weather.rng.choice(weather.names)
    weather.network.refusing.add(name)
    return lambda: weather.network.refusing.discard(name)


def _swallowed(weather: Weather, _seconds: float) -> Callable[[], None]:
    name = weather.rng.choice(weather.names)
    weather.network.swallowing.add(name)
    return lambda: weather.network.swallowing.discard(name)


def _reset(weather: Weather, _seconds: float) -> None:
    for line in weather.some_lines():
        line.reset()


def _silence(weather: Weather, seconds: float) -> None:
    until = trio.current_time() + seconds if weather.rng.random() < 0.7 else FOREVER
    for line in weather.some_lines():
        line.silence(until)


def _jam(weather: Weather, seconds: float) -> None:
    """Nobody takes the relay's bytes; a wakeup must not wait in there until its user rests."""
    for line in weather.network.open(IOS, ANDROID):
        line.out.jam(trio.current_time() + min(seconds, weather.rng.uniform(1.0, 30.0)))


def _slow(weather: Weather, _seconds: float) -> Callable[[], None]:
    climate, usual = weather.network.climate, Climate()
    climate.delay, climate.cut = weather.rng.choice(((0.1, 1.0), (0.5, 8.0), (0.0, 0.5))), 0.5

    def end() -> None:
        climate.delay, climate.cut = usual.delay, usual.cut

    return end


# --- the disk


def _failing_disk(weather: LoneWeather, _seconds: float) -> None:
    weather.disk.failing += weather.rng.choice((1, 1, 2, 5, 12))


def _slow_disk(weather: LoneWeather, _seconds: float) -> Callable[[], None]:
    weather.disk.seconds = weather.rng.choice(((0.05, 0.5), (0.5, 3.0), (2.0, 12.0)))

    def end() -> None:
        weather.disk.seconds = USUAL

    return end


# --- the process and its clock


def _death(weather: Weather, _seconds: float) -> None:
    weather.machine.kill(weather.rng.choice((0.1, 2.0, 45.0, 600.0)))


def _trap(weather: Weather, _seconds: float) -> None:
    """A death at an instant at which it is instructive."""
    weather.machine.set_trap(
        weather.rng.choice(("written", "synced", "left", "heard")), weather.rng.choice((1, 1, 2, 4))
    )


def _stop(weather: Weather, _seconds: float) -> None:
    weather.machine.stop(weather.rng.choice((0.1, 5.0, 300.0)))


def _clock(weather: Weather, _seconds: float) -> None:
    """Set forward or back, or right again."""
    size = weather.rng.choice((2.0, 15.0, 120.0, 900.0, HOUR)) * weather.rng.uniform(0.5, 1.0)
    wanted = weather.rng.choice((0.0, size, -size))
    weather.times.step(wanted - weather.times.error)
    weather.calm.disturb(HOUR)


def suspended(weather: Weather, _seconds: float) -> None:
    """The machine sleeps; its connections may have ended meanwhile."""
    weather.times.suspend(weather.rng.choice((20.0, 300.0, HOUR)) * weather.rng.uniform(0.5, 1.0))
    if weather.rng.random() < 0.5:
        for line in weather.network.open(IOS, ANDROID):
            line.reset()


# --- the providers


def _bad_answers(weather: Weather, _seconds: float) -> Callable[[], None]:
    app, faults = weather.injections()
    names = weather.rng.sample(BAD_ANSWERS[app], weather.rng.choice((1, 2)))
    if "401" in names:
        weather.judge.conduct.forgiven.add("token_refreshed_too_often")
    faults.shares = {name: weather.rng.choice((0.1, 0.3, 0.5)) for name in names}
    return lambda: _mend(faults)


def _no_answers(weather: Weather, _seconds: float) -> Callable[[], None]:
    _, faults = weather.injections()
    faults.unanswered, faults.late = weather.rng.choice((0.3, 1.0)), weather.rng.random() < 0.5
    return lambda: _mend(faults)


def _slow_answers(weather: Weather, _seconds: float) -> Callable[[], None]:
    _, faults = weather.injections()
    rng, most = weather.rng, weather.rng.choice((0.5, 5.0, 35.0))
    faults.latency = lambda: rng.uniform(0.0, most)
    return lambda: _mend(faults)


def _drops(weather: Weather, _seconds: float) -> Callable[[], None]:
    """Connections end when they should not: before an answer, within one, or with a goodbye."""
    _, faults = weather.injections()
    faults.drop_at = weather.rng.choice((DropAt.ANSWER, DropAt.HEAD, DropAt.BODY, DropAt.SETTINGS))
    faults.drop_share = weather.rng.choice((0.2, 0.5))
    if weather.rng.random() < 0.5:
        faults.goaway_after = weather.rng.choice((1, 2, 5))
    return lambda: _mend(faults)


def _closed(weather: Weather, _seconds: float) -> Callable[[], None]:
    fake = weather.providers.fakes[weather.rng.choice((IOS, ANDROID))]
    fake.accepting = False
    fake.cut(weather.rng.choice(list(DropHow)))

    def end() -> None:
        fake.accepting = True

    return end


def _few_streams(weather: Weather, _seconds: float) -> Callable[[], None]:
    app = weather.rng.choice((IOS, ANDROID))
    fake, usual = weather.providers.fakes[app], weather.streams[app]
    weather.nursery.start_soon(fake.set_streams, weather.rng.choice((0, 1, 3)))
    return lambda: weather.nursery.start_soon(fake.set_streams, usual)


def _not_permitted(weather: Weather, _seconds: float) -> Callable[[], None]:
    """Somebody has taken the account's right to send."""
    weather.providers.fcm.is_permitted = False

    def end() -> None:
        weather.providers.fcm.is_permitted = True

    return end


def _no_tokens(weather: Weather, _seconds: float) -> Callable[[], None]:
    """Google's token endpoint is away; or all its tokens end."""
    if weather.rng.random() < 0.5:
        weather.providers.oauth.revoke_all()
        weather.judge.conduct.forgiven.add("token_refreshed_too_often")
    weather.providers.oauth_is_down = True

    def end() -> None:
        weather.providers.oauth_is_down = False

    return end


def _dead_phones(weather: Weather, _seconds: float) -> None:
    """An app is deleted from a phone: its token is dead from now on."""
    for app, fake in weather.providers.fakes.items():
        known = sorted({entry.token for entry in fake.journal.entries if entry.status == 200})
        if known and weather.rng.random() < 0.5:
            token = weather.rng.choice(known)
            if app == IOS:
                weather.providers.apns.registry.unregistered[token] = weather.times.true()
            else:
                weather.providers.fcm.registry.unregistered.add(token)


COMMON: Final[Faults] = (
    _refused, _swallowed, _reset, _reset, _silence, _silence, _jam, _slow, _death, _death, _trap, _trap, _trap, _stop,
    _bad_answers, _bad_answers, _no_answers, _slow_answers, _drops, _closed, _few_streams, _no_tokens, _not_permitted,
    _dead_phones,
)  # fmt: skip
"""Whatever there is."""
FAULTS: Final[Faults] = (
    _refused, _swallowed, _reset, _reset, _silence, _silence, _jam, _slow, _failing_disk, _failing_disk, _slow_disk,
    _death, _death, _trap, _trap, _trap, _stop, _clock, _clock, suspended, _bad_answers, _bad_answers, _no_answers,
    _slow_answers, _drops, _closed, _few_streams, _no_tokens, _not_permitted, _dead_phones,
)  # fmt: skip
