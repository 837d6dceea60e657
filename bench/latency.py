"""How long an event takes: from the instant it was to be posted to the phone's wakeup at the provider.

**Events.** Single POSTs at a fixed rate, each at its own instant whatever the relay does (an open loop, door.py), and
measured from that instant: what a stalled relay makes wait counts in full. The end is the moment at which the fast sink
has read the wakeup's last byte (stamps.py of the simulators; both clocks are CLOCK_MONOTONIC). In between lie parsing,
accepting, the commit with its fsync, the gate, the lane and TLS. The users have one phone each and take turns, 23,000
of them, so that no event finds the hold of another one running, which would be measured instead: after the first wakeup
a user's events wait until 5 s have passed, after the second one 15 s. So nobody is asked twice, or everybody at most
three times and more than 20 s apart; the script refuses what would not come out so. The first second is left out.

**Alarms during a release.** 23,000 other users with three phones each rest, an event for each of them waits, and the
rest of all ends at one instant: without the jitter that spreads it in life. Alarms for users of their own are posted at
a steady rate meanwhile, each with its idempotency key. Those count that were due between that instant and the arrival
of the last wakeup. At a running relay, whose users' rest is not ours to set, one POST for everybody is the release:
that is harder, for its commit comes first.

`missing`: phones for which an event was accepted, and no wakeup came. `refused`: answers other than 202.

Real life adds the way to Apple and Google and from there to the phone, 40-400 ms to a provider's answer and some
100 ms to a phone that is awake, seconds to minutes to one that dozes; the TLS proxy before the door; and it adds to an
event whose user got a wakeup lately, or rests, the hold or the rest.

    python -m bench.latency [--rate 1000] [--seconds 20] [--users 23000] [--alarm-rate 50] [--json]
    python -m bench.latency --url http://127.0.0.1:8080 --key … --ops http://127.0.0.1:9090 --stamps FILE
"""

from __future__ import annotations

import argparse
import math
import secrets
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench import door, running, stage
from bench.report import in_ms, say, surroundings
from bench.scene import Scene, scene
from bench.stamps import Arrivals, delays

WARM = 1.0
"""Seconds at the beginning that are left out."""
LEAD = 100_000_000
"""Nanoseconds between the making of a plan and its first instant."""
APART = 20.0
"""Seconds between two events of a user: more than the second hold (15 s) and what the first event took."""
TURNS = 3
"""Events of a user; the fourth one would find a hold of 60 s."""
ALARM_USERS = 500
PREPARATION = 6
"""Seconds before the end of the rest, and one for each 1,000 users: everything is put up then, and the events come."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds, and what went wrong."""

    arrived: list[float]
    accepted: list[float]
    missing: int
    refused: int


@dataclass(frozen=True, slots=True)
class Release:
    alarms: Measured
    seconds: float
    missing: int


def objection(rate: float, seconds: float, users: int) -> str | None:
    """Why events would meet holds with these figures; None when they will not."""
    turns = math.ceil(rate * (WARM + seconds) / users)
    if turns <= 1 or (turns <= TURNS and users / rate > APART):
        return None
    return f"{users} users are too few: events would wait for holds; take more users, or less time"


def measured(
    place: Scene, numbers: Sequence[int], instants: Sequence[int], answers: Sequence[door.Answer], arrivals: Arrivals
) -> Measured:
    """What became of these posts, each for a user who has one phone."""
    taken = [index for index, answer in enumerate(answers) if answer.status == 202]
    tokens = [place.tokens[numbers[index]][0] for index in taken]
    arrived, missing = delays(arrivals, tokens, [instants[index] for index in taken])
    accepted = [(answers[index].at - instants[index]) / 1e6 for index in taken]
    return Measured(arrived, accepted, missing, len(answers) - len(taken))


def events(place: Scene, options: argparse.Namespace, first: int = 0) -> Measured:
    """A steady rate of single events, for the users from number `first` on."""
    count = round(options.rate * (WARM + options.seconds))
    numbers = [first + number % options.users for number in range(count)]
    requests = [door.request(place.node.key, {"user": stage.user_id(number)}) for number in numbers]
    arrivals = Arrivals(place.stamps)
    instants = door.schedule(options.rate, WARM + options.seconds, time.monotonic_ns() + LEAD)
    answers = door.play(door.address(place.node.url), requests, instants, options.connections)
    arrivals.wait(count)
    warm = round(options.rate * WARM)
    return measured(place, numbers[warm:], instants[warm:], answers[warm:], arrivals)


def alarm(place: Scene, number: int, options: argparse.Namespace) -> bytes:
    body = {"user": stage.user_id(number), "class": "alarm", "role": options.role, "reason": options.reason}
    return door.request(place.node.key, body, headers={"idempotency-key": secrets.token_urlsafe(24)})


def release(place: Scene, options: argparse.Namespace, rest_end: float) -> Release:
    """Alarms, and after a warm second the release of everybody else: the end of their rest, or one POST."""
    users, address = options.users, door.address(place.node.url)
    everybody = door.request(place.node.key, {"users": [stage.user_id(number) for number in range(users)]})
    count = round(options.alarm_rate * (WARM + options.release_seconds))
    numbers = [users + number % ALARM_USERS for number in range(count)]
    requests = [alarm(place, number, options) for number in numbers]
    arrivals = Arrivals(place.stamps)
    start = time.monotonic_ns() + LEAD
    if place.is_ours:
        if door.play(address, [everybody], [start], 1)[0].status != 202 or time.time() > rest_end - 2 * WARM:
            raise SystemExit("the events were not accepted in time before the end of the rest")
        start = time.monotonic_ns() + round((rest_end - WARM - time.time()) * 1e9)
    began = start + round(WARM * 1e9)
    # A thread of its own: the request is long, and the loop of the alarms must not wait while it is written.
    with ThreadPoolExecutor(1) as aside:
        posted = None if place.is_ours else aside.submit(door.play, address, [everybody], [began], 1)
        instants = door.schedule(options.alarm_rate, WARM + options.release_seconds, start)
        answers = door.play(address, requests, instants, options.connections)
    if posted is not None and (status := posted.result()[0].status) != 202:
        raise SystemExit(f"the release was not accepted: {status}")
    phones = [token for mine in place.tokens[:users] for token in mine]
    arrivals.wait(len(phones) + count)
    woken = [at for token in phones if (at := arrivals.first_after(token, began)) is not None]
    ended = max(woken, default=began)
    during = [index for index, instant in enumerate(instants) if began <= instant <= ended]
    alarms = measured(
        place, [numbers[i] for i in during], [instants[i] for i in during], [answers[i] for i in during], arrivals
    )
    return Release(alarms, (ended - began) / 1e9, len(phones) - len(woken))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=1000.0, help="events per second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--users", type=int, default=23_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--alarm-rate", type=float, default=50.0, help="alarms per second during the release")
    parser.add_argument("--release-seconds", type=float, default=10.0, help="how long alarms are posted")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    running.add_options(parser)
    parser.add_argument(
        "--stamps", type=Path, help="the file that the running relay's sink writes (fake sink --stamps)"
    )
    parser.add_argument("--role", default=stage.ROLE, help="of alarms at a running relay")
    parser.add_argument("--reason", default=stage.REASON, help="of alarms at a running relay")
    options = parser.parse_args()
    if told := objection(options.rate, options.seconds, options.users):
        parser.error(told)
    if options.url and not (options.stamps and options.stamps.is_file()):
        parser.error("--url needs --stamps: the file that the sink behind this relay writes, on this machine")
    return options


def main() -> None:
    options = arguments()
    with scene(options, [1] * options.users, options.seed, stamps=True, dead_every=0) as place:
        steady = events(place, options)
    phones = [3] * options.users + [1] * ALARM_USERS
    rest_end = math.ceil(time.time() + PREPARATION + options.users / 1000)

    def rests_until_then(number: int) -> float | None:
        return rest_end if number < options.users else None

    with scene(options, phones, options.seed + 1, rest_end=rests_until_then, stamps=True, dead_every=0) as place:
        rush = release(place, options, rest_end)
        rss = place.node.rss_mb()
    alarms = rush.alarms
    figures: dict[str, object] = {
        "rate": options.rate,
        "seconds": options.seconds,
        "users": options.users,
        "resting": options.users if place.is_ours else 0,
        "p50_ms": in_ms(steady.arrived, 50),
        "p99_ms": in_ms(steady.arrived, 99),
        "accept_p50_ms": in_ms(steady.accepted, 50),
        "accept_p99_ms": in_ms(steady.accepted, 99),
        "released_wakeups": 3 * options.users,
        "release_seconds": round(rush.seconds, 2),
        "alarms_during_release": len(alarms.arrived),
        "alarm_p50_ms_during_release": in_ms(alarms.arrived, 50),
        "alarm_p99_ms_during_release": in_ms(alarms.arrived, 99),
        "alarm_accept_p99_ms_during_release": in_ms(alarms.accepted, 99),
        "missing": steady.missing + alarms.missing + rush.missing,
        "refused": steady.refused + alarms.refused,
        "rss_mb": rss,
    }
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
