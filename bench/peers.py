"""What others reach as shipped, side by side: aioapns, httpx over HTTP/2, h2load and pyfcm.

    aioapns   sends, and reads answers. Keeps nothing: what to do about a 410 or a lost connection is its caller's. It
              finds answers by `apns-id`, so its sink repeats that
    httpx     AsyncClient(http2=True), given ready header fields and body: HTTP/2 and no more. No provider token, no
              verdict; that there was an answer is all that is looked at
    h2load    where it is installed (Debian: nghttp2-client): a load generator in C. It repeats one request, so that all
              of it, token and authorization too, is in the header table after the first; it reads statuses, no more
    h2load_nghttpd
              the same against nghttpd (nghttp2-server) instead of our sink: C against C
    pyfcm     `notify` in threads, each with its connection and its access token before the clock starts. Raises for a
              bad answer; keeps nothing. It speaks HTTP/1.1, which the sink does not: it plays against the strict fake,
              which checks all it reads. So compare CPU seconds rather than rates: the fake's are not among them

Where nothing else is said, they send to the fast sink. bench.send sets our lanes beside them.

    python -m bench.peers [--runs 3] [--aioapns 4000] [--h2load 0] [--json]
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import re
import resource
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

import httpx as httpx_client
import trustme
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsKeyConnectionPool, APNsTLSClientProtocol
from pyfcm import FCMNotification

from bench import contest, stage
from bench.contest import Contender, Sent, Turn
from relay.simulators.certificates import provider_key
from relay.simulators.commands import PROJECT

MESSAGE: Final = {"aps": {"alert": {"loc-key": "W"}, "mutable-content": 1}}
"""What others send to Apple."""
WAKEUP: Final[dict[str, Any]] = {"data_payload": {"w": ""}, "android_config": {"priority": "HIGH", "ttl": "604800s"}}
"""And to Google."""
IN_FLIGHT: Final = 200
"""Requests they are given at a time."""
THREADS: Final = 8
"""For pyfcm, which sends one at a time in each."""
CONNECTIONS: Final = 2
"""Of h2load, as many as our lane has."""


def aioapns(turn: Turn) -> Sent:
    with stage.sink(turn.folder, "--echo-ids") as (port, ca):
        return asyncio.run(aioapns_as_shipped(port, ca, turn.wakeups, turn.rng))


async def aioapns_as_shipped(port: int, ca_file: Path, count: int, rng: random.Random) -> Sent:
    """Through aioapns, as many in flight as its pool takes. What it says of each 410 would cost it a write each."""
    logging.getLogger("aioapns").addHandler(logging.NullHandler())

    class Protocol(APNsTLSClientProtocol):
        APNS_SERVER = "127.0.0.1"
        APNS_PORT = port

    context = ssl.create_default_context(cafile=str(ca_file))
    context.set_alpn_protocols(["h2"])
    private, _ = provider_key()
    client = APNs(key=private.decode(), key_id=stage.KEY, team_id=stage.TEAM, topic=stage.TOPIC, ssl_context=context)
    pool = client.pool
    assert isinstance(pool, APNsKeyConnectionPool)
    pool.protocol_class = Protocol

    async def send(requests: list[NotificationRequest]) -> None:
        for request in requests:
            await client.send_notification(request)

    requests = [
        NotificationRequest(device_token=stage.apns_token(rng), message=MESSAGE, push_type=PushType.ALERT)
        for _ in range(count)
    ]
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(send(requests[i::IN_FLIGHT]) for i in range(IN_FLIGHT)))
    return Sent(count, time.perf_counter() - began, time.process_time() - cpu)


def httpx(turn: Turn) -> Sent:
    with stage.sink(turn.folder) as (port, ca):
        return asyncio.run(httpx_as_shipped(port, ca, turn.wakeups, turn.rng))


async def httpx_as_shipped(port: int, ca: Path, count: int, rng: random.Random) -> Sent:
    """Requests shaped as for APNs."""
    body = json.dumps(MESSAGE, separators=(",", ":")).encode()
    same = {
        "authorization": "bearer " + "a" * 180, "apns-topic": stage.TOPIC, "apns-push-type": "alert",
        "apns-priority": "10", "apns-expiration": "0",
    }  # fmt: skip
    requests = [(stage.apns_token(rng), str(UUID(bytes=rng.randbytes(16)))) for _ in range(count)]
    context = ssl.create_default_context(cafile=str(ca))

    async def send(client: httpx_client.AsyncClient, mine: list[tuple[str, str]]) -> None:
        for token, request_id in mine:
            answer = await client.post(f"/3/device/{token}", content=body, headers={**same, "apns-id": request_id})
            assert answer.http_version == "HTTP/2"

    base = f"https://127.0.0.1:{port}"
    async with httpx_client.AsyncClient(http2=True, verify=context, base_url=base, trust_env=False) as client:
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.gather(*(send(client, requests[i::IN_FLIGHT]) for i in range(IN_FLIGHT)))
        return Sent(count, time.perf_counter() - began, time.process_time() - cpu)


def h2load(turn: Turn) -> Sent:
    with stage.sink(turn.folder, "--dead-every", "0") as (port, _ca):
        return h2load_as_shipped(port, stage.apns_token(turn.rng), turn)


def h2load_nghttpd(turn: Turn) -> Sent:
    token = stage.apns_token(turn.rng)
    with nghttpd(turn.folder, [token]) as (port, _ca):
        return h2load_as_shipped(port, token, turn)


@contextlib.contextmanager
def nghttpd(folder: Path, tokens: Iterable[str]) -> Iterator[tuple[int, Path]]:
    """A server in C, which answers 200 for the tokens that have a file, and an empty body: (port, CA file)."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    ca, key, chain = folder / "ca.pem", folder / "key.pem", folder / "chain.pem"
    authority.cert_pem.write_to_path(ca)
    certificate.private_key_pem.write_to_path(key)
    for part in certificate.cert_chain_pems:
        part.write_to_path(chain, append=True)
    root = folder / "root"
    devices = root / "3/device"
    devices.mkdir(parents=True)
    for token in tokens:
        (devices / token).touch()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["nghttpd", "--address=127.0.0.1", f"--htdocs={root}", str(port), str(key), str(chain)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not _listens(port):
            if server.poll() is not None:
                raise SystemExit("nghttpd did not start")
            time.sleep(0.02)
        yield port, ca
    finally:
        server.terminate()
        server.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def h2load_as_shipped(port: int, token: str, turn: Turn) -> Sent:
    body = turn.folder / "body"
    body.write_text(json.dumps(MESSAGE, separators=(",", ":")))
    fields = {"authorization": "bearer " + "e" * 180, "apns-topic": stage.TOPIC, "apns-push-type": "alert",
              "apns-priority": "10", "apns-expiration": "1760000000"}  # fmt: skip
    headers = [part for name, value in fields.items() for part in ("-H", f"{name}: {value}")]
    url = f"https://127.0.0.1:{port}/3/device/{token}"
    command = ["h2load", "-n", str(turn.wakeups), "-c", str(CONNECTIONS), "-m", "500", "-d", str(body), *headers, url]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    rate = re.search(r"([0-9.]+) req/s", process.stdout)
    succeeded = re.search(r"(\d+) succeeded", process.stdout)
    if rate is None or succeeded is None or int(succeeded[1]) != turn.wakeups:
        raise SystemExit(f"h2load did not get all its answers: {process.stdout}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sent(turn.wakeups, turn.wakeups / float(rate[1]), cpu)


def pyfcm(turn: Turn) -> Sent:
    with (
        stage.fake("fcm", turn.folder) as said,
        patch.dict(os.environ, {"REQUESTS_CA_BUNDLE": said["ca"]}),
    ):
        client = FCMNotification(service_account_file=said["service_account"], project_id=PROJECT)
        client.FCM_END_POINT_BASE = f"https://{said['listening']}/v1/projects"
        return pyfcm_as_shipped(client, turn.wakeups, THREADS, turn.rng)


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


CONTENDERS = {
    "aioapns": Contender(aioapns, 6_000),
    "httpx": Contender(httpx, 2_000),
    "h2load": Contender(h2load, 100_000, needs=("h2load",)),
    "h2load_nghttpd": Contender(h2load_nghttpd, 200_000, needs=("h2load", "nghttpd")),
    "pyfcm": Contender(pyfcm, 1_000),
}
RATIOS = {"aioapns_ratio_httpx": ("aioapns", "httpx"), "h2load_ratio_aioapns": ("h2load", "aioapns")}

if __name__ == "__main__":
    contest.run(__doc__, CONTENDERS, RATIOS, runs=3)
