"""`feierabend fake apns`, `fake fcm`, `fake sink` and `fake proxy`: the simulators as processes of their own.

The first line on standard output says where one listens, the last one what it saw; both are JSON. SIGTERM ends it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click
import trio

from relay.simulators import knobs
from relay.simulators.apns import FakeApns, StreamLimit
from relay.simulators.certificates import Authority, account_key, provider_key
from relay.simulators.control import apns_control, fcm_control
from relay.simulators.fcm import STREAMS, FakeFcm, RetryAfter
from relay.simulators.fcm_conduct import RAMP
from relay.simulators.injections import Latency, constant
from relay.simulators.journal import Journal
from relay.simulators.oauth import Account, FakeOauth, account_file
from relay.simulators.oauth_server import OauthServer
from relay.simulators.options import MILLISECONDS, PORT, Simulator, host_option, loopback, port_option
from relay.simulators.processes import Beside, Serve, listen, running, say
from relay.simulators.provider_token import TeamKey
from relay.simulators.proxy_command import proxy
from relay.simulators.sink import Sink
from relay.simulators.stamps import Stamps

TEAM_ID = "FAKETEAM01"
KEY_ID = "FAKEKEY001"
TOPIC = "example.feierabend.app"
PROJECT = "feierabend-fake"
ACCOUNT = f"relay@{PROJECT}.iam.gserviceaccount.com"
ACCOUNT_KEY_ID = "fakekey0001"

Decorated = TypeVar("Decorated", bound=Callable[..., object])

_directory = click.option(
    "--credentials",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for ca.pem, for apns the key AuthKey.p8, for fcm service-account.json; made anew at each start.",
)


_seed = click.option("--seed", default=0, show_default=True, help="Of everything that is left to chance.")
_control = click.option(
    "--control", type=PORT, help="Loopback port to control it by (HTTP/1.1, JSON). 0: any free port."
)
_elsewhere = (
    click.option(
        "--refuse", "refusing", multiple=True, callback=loopback,
        help="Loopback address that refuses this port, like 127.0.0.2.",
    ),
    click.option(
        "--blackhole", multiple=True, callback=loopback,
        help="Loopback address that does not answer on this port at all.",
    ),
)  # fmt: skip


def _inject(table: Sequence[knobs.Knob]) -> Callable[[Decorated], Decorated]:
    def show(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
        if "help" in given:
            click.echo(knobs.listed(table))
            raise click.exceptions.Exit
        return given

    said = "What goes wrong; can be given several times. `help` lists what there is."
    return click.option("--inject", metavar="NAME=VALUE", multiple=True, callback=show, help=said)


@click.group()
def fake() -> None:
    """Simulated providers, for development and measurement."""


fake.add_command(proxy)


@fake.command(cls=Simulator)
@host_option
@port_option
@_directory
@click.option("--streams", default=1000, show_default=True, help="Concurrent streams allowed.")
@click.option(
    "--limit",
    type=click.Choice([limit.value for limit in StreamLimit]),
    default=StreamLimit.DOC.value,
    show_default=True,
    help="When that is announced: once a token was good, as documented, or at once, as observed.",
)
@click.option("--latency-ms", type=MILLISECONDS, default=0.0, show_default=True, help="Time to an answer.")
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), help="One JSON line per request.")
@_inject(knobs.APNS)
@_control
@_seed
@_elsewhere[0]
@_elsewhere[1]
def apns(
    host: str,
    port: int,
    credentials: Path,
    streams: int,
    limit: str,
    latency_ms: float,
    journal: Path | None,
    inject: tuple[str, ...],
    control: int | None,
    seed: int,
    refusing: tuple[str, ...],
    blackhole: tuple[str, ...],
) -> None:
    """A strict APNs."""
    authority = Authority(host, "localhost")
    private, public = provider_key()
    credentials.mkdir(parents=True, exist_ok=True)
    (credentials / "AuthKey.p8").write_bytes(private)
    key = TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=public)
    sink = journal.open("a") if journal is not None else None
    service = FakeApns(
        {KEY_ID: key}, {TOPIC}, time.time, streams=streams, limit=StreamLimit(limit),
        journal=Journal(counting_only=True, sink=sink), seed=seed,
    )  # fmt: skip
    service.injections.latency = _latency(latency_ms)
    panel = knobs.apns_panel(service)
    _set(panel, inject)
    beside = Beside(control, apns_control(service, panel), refusing, blackhole)
    trio.run(_run, host, port, credentials, authority, service.serve_stream, service.journal.totals, beside)


@fake.command(cls=Simulator)
@host_option
@port_option
@_directory
@click.option("--token-port", type=PORT, default=0, show_default=True, help="Of the token endpoint. 0: any free port.")
@click.option("--streams", default=STREAMS, show_default=True, help="Concurrent streams allowed.")
@click.option(
    "--retry-after",
    type=click.Choice([form.value for form in RetryAfter]),
    default=RetryAfter.NONE.value,
    show_default=True,
    help="How a 429 says when to come again.",
)
@click.option("--token-life", default=3599, show_default=True, help="Seconds that an access token is good for.")
@click.option("--latency-ms", type=MILLISECONDS, default=0.0, show_default=True, help="Time to an answer of FCM.")
@click.option("--unregistered", multiple=True, help="A registration token that is gone. Can be given several times.")
@click.option("--bulk-peak", default=0.0, help="Take the run for a bulk send that may grow to so many a second.")
@click.option("--ramp-seconds", default=RAMP, show_default=True, help="Least time in which it may.")
@click.option("--journal", type=click.Path(dir_okay=False, path_type=Path), help="One JSON line per request.")
@_inject(knobs.FCM)
@_control
@_seed
@_elsewhere[0]
@_elsewhere[1]
def fcm(
    host: str,
    port: int,
    credentials: Path,
    token_port: int,
    streams: int,
    retry_after: str,
    token_life: int,
    latency_ms: float,
    unregistered: tuple[str, ...],
    bulk_peak: float,
    ramp_seconds: float,
    journal: Path | None,
    inject: tuple[str, ...],
    control: int | None,
    seed: int,
    refusing: tuple[str, ...],
    blackhole: tuple[str, ...],
) -> None:
    """A strict FCM, and the token endpoint it goes with."""
    authority = Authority(host, "localhost")
    private, public = account_key()
    credentials.mkdir(parents=True, exist_ok=True)
    account = Account(client_email=ACCOUNT, key_id=ACCOUNT_KEY_ID, public_pem=public)
    sink = journal.open("a") if journal is not None else None
    kept = Journal(counting_only=True, sink=sink)
    oauth = FakeOauth([account], time.time, token_life, journal=kept)
    service = FakeFcm(
        PROJECT, oauth.is_good, time.time, streams=streams, retry_after=RetryAfter(retry_after), journal=kept, seed=seed
    )
    oauth.injections.rng = service.injections.rng
    service.injections.latency = _latency(latency_ms)
    service.registry.unregistered.update(unregistered)
    if bulk_peak:
        service.begin_bulk(bulk_peak, ramp_seconds)
    panel = knobs.fcm_panel(service, oauth)
    _set(panel, inject)
    beside = Beside(control, fcm_control(service, oauth, panel), refusing, blackhole)
    trio.run(_run_fcm, host, port, token_port, credentials, authority, service, oauth, account, private, beside)


async def _run_fcm(
    host: str,
    port: int,
    token_port: int,
    credentials: Path,
    authority: Authority,
    service: FakeFcm,
    oauth: FakeOauth,
    account: Account,
    private: bytes,
    beside: Beside,
) -> None:
    async with running(credentials, authority) as (nursery, said):
        either = authority.server_context("h2", "http/1.1")
        said["listening"] = await listen(nursery, host, port, either, service.serve_stream)
        said.update(await beside.put_up(nursery, host, said["listening"]))
        tokens = authority.server_context("http/1.1")
        said["token_listening"] = await listen(nursery, host, token_port, tokens, OauthServer(oauth).serve_stream)
        oauth.token_uri = f"https://{said['token_listening']}/token"
        path = credentials / "service-account.json"
        await trio.Path(path).write_text(account_file(account, PROJECT, private, oauth.token_uri))
        said["service_account"] = str(path)
    counts = oauth.counts
    tokens_seen = {
        "exchanges": counts.exchanges,
        "fetches": counts.fetches,
        "most_outstanding": counts.most_outstanding,
    }
    say({**service.journal.totals(), "oauth": tokens_seen})


@fake.command(cls=Simulator)
@host_option
@port_option
@_directory
@click.option("--streams", default=1000, show_default=True, help="Concurrent streams allowed.")
@click.option("--dead-every", default=1000, show_default=True, help="Every n-th request is answered 410; 0: none.")
@click.option("--echo-ids", is_flag=True, help="Repeat each request's apns-id, for clients that need it; slower.")
@click.option("--stamps", type=click.Path(dir_okay=False, path_type=Path), help="One line per request: token, instant.")
@click.option("--latency-ms", type=MILLISECONDS, default=0.0, show_default=True, help="Time to an answer.")
def sink(
    host: str,
    port: int,
    credentials: Path,
    streams: int,
    dead_every: int,
    *,
    echo_ids: bool,
    stamps: Path | None,
    latency_ms: float,
) -> None:
    """Answers everything at once; for load."""
    authority = Authority(host, "localhost")
    with contextlib.ExitStack() as opened:
        kept = None
        if stamps is not None:
            kept = Stamps(opened.enter_context(stamps.open("wb", buffering=0)), time.monotonic_ns)
        service = Sink(
            time.time, dead_every=dead_every, streams=streams, echo_ids=echo_ids, stamps=kept, latency=latency_ms / 1000
        )

        def totals() -> dict[str, object]:
            seen = service.totals
            told: dict[str, object] = {
                "requests": seen.requests, "dead": seen.dead, "connections": seen.connections,
            }  # fmt: skip
            return told if kept is None else {**told, "unread": kept.unread}

        trio.run(_run, host, port, credentials, authority, service.serve_stream, totals)


def _latency(ms: float) -> Latency:
    return Latency(f"constant:{ms / 1000:g}", constant(ms / 1000))


def _set(panel: knobs.Panel, options: Sequence[str]) -> None:
    try:
        panel.set_options(options)
    except knobs.Refused as refused:
        raise click.BadParameter(str(refused), param_hint="--inject") from None


async def _run(
    host: str,
    port: int,
    credentials: Path,
    authority: Authority,
    serve: Serve,
    totals: Callable[[], dict[str, object]],
    beside: Beside | None = None,
) -> None:
    async with running(credentials, authority) as (nursery, said):
        said["listening"] = await listen(nursery, host, port, authority.server_context(), serve)
        if beside is not None:
            said.update(await beside.put_up(nursery, host, said["listening"]))
    say(totals())
