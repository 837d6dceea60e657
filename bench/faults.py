"""Nothing is lost, whatever goes wrong: wakeups through every fault that the strict fakes can play.

The relay runs in a process of its own, and so do a fake APNs and a fake FCM that judge its conduct. Every user has a
phone at each, and gets one event, so that each phone is owed exactly one wakeup. The users come in as many portions as
there are mixes of faults (mixes.py, in an order that the seed decides); each mix is set over the fakes' control ports
before its portion is posted, and lasts until the portion is through, or for some seconds. Then everything is mended,
and the relay has to bring what is still pending.

lost: users none of whose living phones was woken by the end. A phone is dead, and owed nothing, when its provider has
said so by an answer that means just that; and not when everybody was told the same by mistake. duplicates: wakeups
beyond the one. duplicates_allowed: requests that a fake accepted and whose answer cannot be known to have arrived.
violations: what the fakes have to object to. recovery_s: the longest time from an end of the faults until every living
phone that a provider has not refused for good was woken, and nothing was queued or in flight; after a slow mix
everything is mended before the next one begins. phones_missing: living phones, not refused for good, that were not
woken, though their users perhaps were, at the other provider. Exits with 1 when somebody is lost, a phone is missing or
a rule was violated.

    python -m bench.faults [--wakeups 100000] [--seed 1] [--slow | --no-slow] [--json]
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench import stage
from bench.mixes import MIXES, Mix
from bench.report import say, surroundings
from relay.client import Client

SLOW_FROM = 10_000
"""Wakeups from which on the slow mixes are played."""
LASTS, LASTS_SLOW = 0.4, 20.0
"""Most seconds of a mix."""
RECOVERY, RECOVERY_SLOW = 120.0, 900.0
"""Most seconds that are waited for the relay."""
LOOK = 0.05
FORGOTTEN = 90.0
"""Seconds of quiet; longer than the first retries of any phone lie apart."""
PIECE = 5_000
"""Users of one POST."""
STREAMS = {"apns": 1000, "fcm": 100}
"""Streams that the fakes allow when nothing goes wrong."""
GIVEN_UP = {"NeverHeardOf", "", "PayloadEmpty"}
"""Reasons of a 400 after which this event is not brought to that phone."""
DEAD = {"ExpiredToken"}
"""Said of one phone, and meant."""


@dataclass(frozen=True, slots=True)
class Phones:
    """What the fakes know, of all phones."""

    accepted: Counter[str]
    dead: set[str]
    given_up: set[str]

    def missing(self, tokens: Sequence[str]) -> list[str]:
        """Of those, whoever is still owed a wakeup."""
        done = self.accepted.keys() | self.dead | self.given_up
        return [token for token in tokens if token not in done]


class Fakes:
    """Both, over their control ports."""

    def __init__(self, apns: str, fcm: str) -> None:
        self._clients = {
            "apns": httpx.Client(base_url=f"http://{apns}", timeout=60, trust_env=False),
            "fcm": httpx.Client(base_url=f"http://{fcm}", timeout=60, trust_env=False),
        }
        self._usual = {name: client.get("/injections").json() for name, client in self._clients.items()}

    def play(self, mix: Mix | None) -> None:
        """Set this mix, and nothing else; None: nothing goes wrong any more."""
        for name, client in self._clients.items():
            changes = {} if mix is None else {"apns": mix.apns, "fcm": mix.fcm}[name]
            answer = client.patch("/injections", json={**self._usual[name], **changes})
            assert answer.status_code == 204, answer.text
            client.post("/connections/streams", json={"streams": STREAMS[name]}).raise_for_status()

    def act(self, mix: Mix) -> None:
        for name, path, body in mix.acts:
            answer = self._clients[name].post(path, json=body)
            assert answer.status_code == 204, answer.text

    def phones(self) -> Phones:
        accepted: Counter[str] = Counter()
        dead: set[str] = set()
        given_up: set[str] = set()
        for client in self._clients.values():
            told = client.get("/tokens").json()
            accepted.update({token: count for token, (count, _) in told["accepted"].items()})
            dead.update(told["dead"])
            for token, (status, reason) in told["refused"].items():
                if status == 400 and reason in GIVEN_UP:
                    given_up.add(token)
                elif reason in DEAD:
                    dead.add(token)
        return Phones(accepted, dead, given_up)

    def journals(self) -> dict[str, dict[str, Any]]:
        return {name: client.get("/journal").json() for name, client in self._clients.items()}


@contextmanager
def playing(folder: Path, tokens: stage.Tokens, seed: int) -> Iterator[tuple[stage.Node, Fakes]]:
    """The relay between both fakes."""
    database, at_apns, at_fcm = folder / "bench.db", folder / "apns", folder / "fcm"
    stage.fill(database, tokens)
    options = ("--control", "0", "--seed", str(seed))
    with (
        stage.fake("apns", at_apns, *options, "--limit", "observed") as apns,
        stage.fake("fcm", at_fcm, *options) as fcm,
    ):
        android = f"""
[[tenants.apps]]
name = "{stage.ANDROID}"
provider = "fcm"
service_account_file = "{fcm["service_account"]}"
endpoint = "{fcm["listening"]}"
ca_file = "{fcm["ca"]}"
"""
        port, ca, key = stage.port_of(apns["listening"]), Path(apns["ca"]), at_apns / "AuthKey.p8"
        with stage.node(folder, database, port, ca, key_file=key, more=android) as node:
            yield node, Fakes(apns["control"], fcm["control"])


_APPS = (stage.APP, stage.ANDROID)


def is_quiet(node: stage.Node) -> bool:
    """Nothing is under way, and both lanes may send: what is still owed is retried later, or never."""
    metrics = node.metrics()
    waiting = [f'feierabend_lane_{what}{{app="{app}"}}' for what in ("queued", "in_flight") for app in _APPS]
    up = all(metrics.get(f'feierabend_lane_up{{app="{app}"}}') for app in _APPS)
    return up and not any(metrics.get(name) for name in (*waiting, "feierabend_verdicts_waiting"))


def wait(node: stage.Node, fakes: Fakes, tokens: Sequence[str], longest: float) -> float:
    """Seconds until nobody of these is owed a wakeup and the relay is quiet; at most so many.

    A relay that is quiet for long enough while somebody is owed one has forgotten them.
    """
    began = moved_at = time.monotonic()
    pause, owed = LOOK, -1
    while (now := time.monotonic()) - began < longest:
        missing, quiet = len(fakes.phones().missing(tokens)), is_quiet(node)
        if quiet and not missing:
            break
        if missing != owed or not quiet:
            moved_at, owed = now, missing
        if now - moved_at > FORGOTTEN:
            break
        time.sleep(pause)
        pause = min(2.0, pause * 1.2)
    return time.monotonic() - began


def post(client: Client, numbers: range) -> None:
    """One event for each of these users."""
    for first in range(numbers.start, numbers.stop, PIECE):
        users = [stage.user_id(number) for number in range(first, min(first + PIECE, numbers.stop))]
        assert client.wake(users).accepted == len(users)


def portions(count: int, parts: int) -> Iterator[range]:
    edges = [count * part // parts for part in range(parts + 1)]
    yield from (range(first, last) for first, last in itertools.pairwise(edges))


def run(node: stage.Node, fakes: Fakes, tokens: stage.Tokens, mixes: Sequence[Mix], *, slow: bool) -> float:
    """Play all mixes; seconds of the longest recovery."""
    longest, recovered = RECOVERY_SLOW if slow else RECOVERY, 0.0
    with Client(node.url, node.key, timeout=120) as client:
        for mix, some in zip(mixes, portions(len(tokens), len(mixes)), strict=True):
            fakes.play(mix)
            middle = (some.start + some.stop) // 2
            post(client, range(some.start, middle))
            fakes.act(mix)
            post(client, range(middle, some.stop))
            mine = [token for number in some for token in tokens[number]]
            wait(node, fakes, mine, LASTS_SLOW if slow else LASTS)
            sys.stderr.write(f"{mix.name}: {len(fakes.phones().missing(mine))} of {len(mine)} left\n")
            if mix.slow:
                fakes.play(None)
                recovered = max(recovered, wait(node, fakes, mine, longest))
        fakes.play(None)
        return max(recovered, wait(node, fakes, [token for mine in tokens for token in mine], longest))


def judged(phones: Phones, journals: Mapping[str, Mapping[str, Any]], tokens: stage.Tokens) -> dict[str, object]:
    """The figures, from what both fakes have seen of these users' phones."""
    lost = 0
    for mine in tokens:
        alive = [token for token in mine if token not in phones.dead]
        lost += bool(alive) and not any(phones.accepted[token] for token in alive)
    violations: Counter[str] = Counter()
    for name, journal in journals.items():
        violations.update({f"{name}: {what}": count for what, count in journal["violations"].items()})
    every = [token for mine in tokens for token in mine]
    return {
        "sent": phones.accepted.total(),
        "lost": lost,
        "duplicates": sum(count - 1 for count in phones.accepted.values()),
        "duplicates_allowed": sum(journal["unanswered"] for journal in journals.values()),
        "violations": violations.total(),
        "violations_by_kind": dict(violations),
        "phones_missing": len(phones.missing(every)),
        "phones_dead": len(phones.dead),
        "phones_given_up": len(phones.given_up - phones.accepted.keys()),
        "connections": {name: journal["connections"] for name, journal in journals.items()},
        "answers": {name: journal["by_status"] for name, journal in journals.items()},
    }


def new_tokens(users: int, rng: random.Random) -> stage.Tokens:
    """One of APNs and one of FCM for each."""
    return [
        [rng.randbytes(32).hex(), f"{rng.randbytes(11).hex()}:APA91b{rng.randbytes(67).hex()}"] for _ in range(users)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wakeups", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    told = f"with what makes the relay wait for minutes; default: from {SLOW_FROM:,} wakeups on"
    parser.add_argument("--slow", action=argparse.BooleanOptionalAction, help=told)
    parser.add_argument("--only", help="only mixes whose name has this in it")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    slow = options.wakeups >= SLOW_FROM if options.slow is None else options.slow
    rng = random.Random(options.seed)
    tokens = new_tokens(options.wakeups // 2, rng)
    mixes = [mix for mix in MIXES if (slow or not mix.slow) and (options.only or "") in mix.name]
    first, rest = mixes[:2], mixes[2:]
    if slow:
        first, rest = [], mixes
    rng.shuffle(rest)
    with tempfile.TemporaryDirectory() as name, playing(Path(name), tokens, options.seed) as (node, fakes):
        began = time.monotonic()
        recovery = run(node, fakes, tokens, [*first, *rest], slow=slow)
        figures = {"wakeups": options.wakeups, "mixes": len(mixes), **judged(fakes.phones(), fakes.journals(), tokens)}
        figures |= {"recovery_s": round(recovery, 1), "seconds": round(time.monotonic() - began, 1)}
    say({**figures, **surroundings(options.seed)}, as_json=options.json)
    if figures["lost"] or figures["phones_missing"] or figures["violations"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
