"""What others reach as shipped: aioapns, httpx over HTTP/2 and pyfcm, beside our lanes, in turns in the same run.

    apns     our lane for APNs, as in bench.send: from the first look at the due slots to the last verdict booked. Every
             1,000th answer is 410; each is judged, committed and in the books, which must balance
    aioapns  sends, and reads answers. Keeps nothing: what to do about a 410 or a lost connection is its caller's. It
             finds answers by `apns-id`, so its sink repeats that
    httpx    AsyncClient(http2=True), given ready header fields and body: HTTP/2 and no more. No provider token, no
             verdict; that there was an answer is all that is looked at
    h2load   where it is installed (Debian: nghttp2-client): a load generator in C. It repeats one request, so that all
             of it, token and authorization too, is in the header table after the first; it reads statuses, no more
    fcm      our lane for FCM, measured the same way. A connection takes 100 requests at a time, as Google's do; the
             access token is there at once. All answers are good: the sink says only Apple's way that somebody is dead
    pyfcm    `notify` in threads, each with its connection and its access token before the clock starts. Raises for a
             bad answer; keeps nothing. It speaks HTTP/1.1, which the sink does not: it plays against the strict fake,
             which checks all it reads. So compare CPU seconds rather than rates: the fake's are not among them

All but the last send to the fast sink. Each has this process to itself in its turn. The garbage collector is set as for
the relay, which helps the others too.

    python -m bench.peers [--wakeups 30000] [--runs 3] [--json]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import resource
import shutil
import ssl
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import UUID

import httpx
import trio
from pyfcm import FCMNotification

from bench import stage
from bench.report import say, surroundings
from bench.send import IN_FLIGHT, MESSAGE, Sent, aioapns_as_shipped, apns_app, configuration, measure
from relay import process
from relay.config import Address, FcmAppConfig
from relay.core.devices import Platform
from relay.lanes.oauth import PostForm, ServiceAccount
from relay.ops import logs
from relay.service import Seams
from relay.simulators.certificates import account_key
from relay.simulators.commands import ACCOUNT, ACCOUNT_KEY_ID, PROJECT

APNS_CONNECTIONS, FCM_CONNECTIONS = 2, 4
"""Defaults of the configuration."""
FCM_STREAMS = 100
WAKEUP: dict[str, Any] = {"data_payload": {"w": ""}, "android_config": {"priority": "HIGH", "ttl": "604800s"}}


@dataclass(frozen=True, slots=True)
class Round:
    """What every contender gets."""

    folder: Path
    options: argparse.Namespace
    rng: random.Random


def filled(place: Round, platform: Platform) -> Path:
    """A store in which three phones each of many users wait for a wakeup."""
    wakeups = place.options.wakeups
    path = place.folder / f"{platform}.db"
    tokens = stage.new_tokens(stage.phones(-(-wakeups // 3), wakeups), place.rng, platform)
    stage.fill(path, tokens, pending=True)
    return path


def our_apns(place: Round) -> Sent:
    path = filled(place, Platform.APNS)
    with stage.sink(place.folder) as (port, ca):
        return trio.run(measure, configuration(path, apns_app(port, ca, APNS_CONNECTIONS)))


def our_fcm(place: Round) -> Sent:
    path = filled(place, Platform.FCM)
    account = ServiceAccount(PROJECT, ACCOUNT, account_key()[0].decode(), ACCOUNT_KEY_ID, "https://127.0.0.1:1/token")
    with stage.sink(place.folder, "--streams", str(FCM_STREAMS), "--dead-every", "0") as (port, ca):
        app = FcmAppConfig(
            name=stage.ANDROID, account=account, connections=FCM_CONNECTIONS,
            endpoint=Address("127.0.0.1", port), token_uri_is_overridden=True, ca_file=ca,
        )  # fmt: skip
        return trio.run(measure, configuration(path, app), Seams(post=token_at_once))


def token_at_once(_app: FcmAppConfig) -> PostForm:
    """Access tokens, as long as Google's, from nowhere."""

    async def post(_uri: str, _form: dict[str, str]) -> tuple[int, bytes]:
        return 200, json.dumps({"access_token": "ya29." + "a" * 219, "expires_in": 3599}).encode()

    return post


def aioapns(place: Round) -> Sent:
    with stage.sink(place.folder, "--echo-ids") as (port, ca):
        return asyncio.run(aioapns_as_shipped(port, ca, place.options.aioapns, place.rng))


def httpx_http2(place: Round) -> Sent:
    with stage.sink(place.folder) as (port, ca):
        return asyncio.run(httpx_as_shipped(port, ca, place.options.httpx, place.rng))


async def httpx_as_shipped(port: int, ca: Path, count: int, rng: random.Random) -> Sent:
    """Requests shaped as for APNs."""
    body = json.dumps(MESSAGE, separators=(",", ":")).encode()
    same = {
        "authorization": "bearer " + "a" * 180, "apns-topic": stage.TOPIC, "apns-push-type": "alert",
        "apns-priority": "10", "apns-expiration": "0",
    }  # fmt: skip
    requests = [(stage.apns_token(rng), str(UUID(bytes=rng.randbytes(16)))) for _ in range(count)]
    context = ssl.create_default_context(cafile=str(ca))

    async def send(client: httpx.AsyncClient, mine: list[tuple[str, str]]) -> None:
        for token, request_id in mine:
            answer = await client.post(f"/3/device/{token}", content=body, headers={**same, "apns-id": request_id})
            assert answer.http_version == "HTTP/2"

    base = f"https://127.0.0.1:{port}"
    async with httpx.AsyncClient(http2=True, verify=context, base_url=base, trust_env=False) as client:
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(send(client, requests[i::IN_FLIGHT]) for i in range(IN_FLIGHT)))
        return Sent(count, time.perf_counter() - began, time.process_time() - cpu)


def h2load(place: Round) -> Sent:
    body = place.folder / "body"
    body.write_text(json.dumps(MESSAGE, separators=(",", ":")))
    with stage.sink(place.folder, "--dead-every", "0") as (port, _ca):
        fields = {"authorization": "bearer " + "e" * 180, "apns-topic": stage.TOPIC, "apns-push-type": "alert",
                  "apns-priority": "10", "apns-expiration": "1760000000"}  # fmt: skip
        headers = [part for name, value in fields.items() for part in ("-H", f"{name}: {value}")]
        count, connections = str(place.options.h2load), str(APNS_CONNECTIONS)
        url = f"https://127.0.0.1:{port}/3/device/{stage.apns_token(place.rng)}"
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = ["h2load", "-n", count, "-c", connections, "-m", "500", "-d", str(body), *headers, url]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    rate = re.search(r"([0-9.]+) req/s", said)
    succeeded = re.search(r"(\d+) succeeded", said)
    if rate is None or succeeded is None or succeeded[1] != count:
        raise SystemExit(f"h2load did not get all its answers: {said}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sent(place.options.h2load, place.options.h2load / float(rate[1]), cpu)


def pyfcm(place: Round) -> Sent:
    with (
        stage.fake("fcm", place.folder) as said,
        patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": said["ca"]}),
    ):
        client = FCMNotification(service_account_file=said["service_account"], project_id=PROJECT)
        client.FCM_END_POINT_BASE = f"https://{said['listening']}/v1/projects"
        return pyfcm_as_shipped(client, place.options.pyfcm, place.options.threads, place.rng)


def pyfcm_as_shipped(client: FCMNotification, count: int, threads: int, rng: random.Random) -> Sent:
    """Raises what pyfcm does when an answer is not good."""
    tokens = [stage.fcm_token(rng) for _ in range(count + threads)]
    together, alone = threading.Barrier(threads), threading.Lock()

    def send(token: str) -> None:
        client.notify(fcm_token=token, **WAKEUP)

    def warm(token: str) -> None:
        together.wait()  # so that each thread gets one of these
        with alone:  # its credentials are made by the first who needs them, and not for several at once
            send(token)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(warm, tokens[count:]))
        began, cpu = time.perf_counter(), time.process_time()
        list(pool.map(send, tokens[:count]))
        return Sent(count, time.perf_counter() - began, time.process_time() - cpu)


CONTENDERS: dict[str, Callable[[Round], Sent]] = {
    "apns": our_apns,
    "aioapns": aioapns,
    "httpx": httpx_http2,
    "h2load": h2load,
    "fcm": our_fcm,
    "pyfcm": pyfcm,
}
NEEDS = {"h2load": "h2load"}
"""Contender → program that may be missing."""
RATIOS = {
    "apns_ratio_aioapns": ("apns", "aioapns"),
    "apns_ratio_h2load": ("apns", "h2load"),
    "fcm_ratio_pyfcm": ("fcm", "pyfcm"),
}


def figures(sent: dict[str, list[Sent]]) -> dict[str, object]:
    """Medians over the rounds; a ratio is that of two who took turns in one round."""
    told: dict[str, object] = {
        f"{n}_per_s": round(statistics.median(s.per_s for s in all_)) for n, all_ in sent.items()
    }
    for name, (ours, theirs) in RATIOS.items():
        if theirs not in sent:
            continue
        ratios = [our.per_s / their.per_s for our, their in zip(sent[ours], sent[theirs], strict=True)]
        told[name] = round(statistics.median(ratios), 1)
    for name, all_ in sent.items():
        told[f"{name}_cpu_s_per_10000"] = round(statistics.median(s.cpu_s_per_10000 for s in all_), 3)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wakeups", type=int, default=30_000, help="through each of our lanes")
    parser.add_argument("--aioapns", type=int, default=4_000, help="wakeups through aioapns")
    parser.add_argument("--httpx", type=int, default=2_000, help="through httpx")
    parser.add_argument("--h2load", type=int, default=100_000, help="through h2load")
    parser.add_argument("--pyfcm", type=int, default=1_000, help="through pyfcm")
    parser.add_argument("--threads", type=int, default=8, help="for pyfcm")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    logs.configure(time.time)
    process.prepare()
    rng = random.Random(options.seed)
    there = {name: play for name, play in CONTENDERS.items() if name not in NEEDS or shutil.which(NEEDS[name])}
    sent: dict[str, list[Sent]] = {name: [] for name in there}
    for _ in range(options.runs):
        for name, contender in there.items():
            with tempfile.TemporaryDirectory() as folder:
                sent[name].append(contender(Round(Path(folder), options, rng)))
    counts = {name: getattr(options, name) for name in ("runs", "wakeups", "aioapns", "httpx", "pyfcm", "threads")}
    say({**counts, **figures(sent), **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
