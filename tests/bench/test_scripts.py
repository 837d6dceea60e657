"""The scripts, small: they run to their end, and what they say can be read by a program. No figure is judged.

Those that take long, or a machine that has time for them, run with `--thorough` only.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest

from bench import mixture, stage
from relay.core.devices import Platform

pytestmark = pytest.mark.processes
SURROUNDINGS = {"cpu", "kernel", "python", "fsyncs_per_s", "commit", "seed"}
FEW = ("--apns=300", "--fcm=300", "--aioapns=50", "--httpx=30", "--pyfcm=20")
LATENCY = ("--seconds", "1", "--rate", "50", "--users", "200", "--release-seconds", "1")


def ran(script: str, *options: str, may_object: bool = False) -> dict[str, Any]:
    """`may_object`: to what depends on time, on a machine that has other things to do."""
    command = [sys.executable, "-m", f"bench.{script}", *options, "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    figures = json.loads(ended.stdout.splitlines()[-1]) if ended.stdout else {}
    objected = bool(figures.get("objections")) if may_object else False
    assert ended.returncode == objected, ended.stderr
    assert isinstance(figures, dict)
    assert figures.keys() >= SURROUNDINGS
    return figures


@pytest.mark.thorough
def test_latency() -> None:
    figures = ran("latency", *LATENCY)
    assert (figures["rate"], figures["seconds"], figures["missing"], figures["refused"]) == (50, 1, 0, 0)
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    assert 0 < figures["accept_p50_ms"] <= figures["p50_ms"]
    assert figures["released_wakeups"] == 600
    assert figures["release_seconds"] > 0
    assert "alarm_p99_ms_during_release" in figures, "none, perhaps: so small a release is soon over"


@pytest.mark.thorough
def test_web() -> None:
    figures = ran("web", "--officers", "5", "--seconds", "1", "--rate", "50", "--users", "200")
    assert (figures["officers"], figures["missing"], figures["refused"], figures["pages_refused"]) == (5, 0, 0, 0)
    assert 0 < figures["first_view_p50_ms"] <= figures["first_view_p99_ms"]
    assert figures["pages_per_s"] > 0
    assert 10 < figures["page_kb"] <= 60
    assert 0 < figures["event_p50_ms_with_officers"] <= figures["event_p99_ms_with_officers"]
    assert figures["event_p50_ms_with_officers"] < 4000, "else it is a hold of five seconds that is measured"


@pytest.mark.thorough
def test_ingest() -> None:
    figures = ran("ingest", "--seconds", "4", "--users", "200", "--connections", "8")
    assert (figures["users"], figures["resting"]) == (200, 100)
    assert figures["single_per_s"] > 0
    assert figures["batch_per_s"] > 0
    assert 0 < figures["p50_ms"] <= figures["p99_ms"]


@pytest.mark.thorough
def test_backup() -> None:
    figures = ran("backup", "--seconds", "5", "--users", "300", "--rate", "50", "--connections", "4")
    assert (figures["users"], figures["refused"]) == (300, 0)
    assert figures["backups"] > 0
    assert figures["events_during"] > 0
    assert figures["backup_mb"] > 0
    assert 0 < figures["ack_p50_ms"] <= figures["ack_p99_ms"] <= figures["ack_most_ms"]
    assert 0 < figures["ack_p50_ms_during"] <= figures["ack_p99_ms_during"] <= figures["ack_most_ms_during"]
    assert figures["restore_s"] > 0


@pytest.mark.thorough
def test_curves(tmp_path: Path) -> None:
    plot = tmp_path / "curves.svg"
    options = ("--streams", "2", "--connections", "1", "--latency-ms", "50", "--seconds", "0.5", "--plot", str(plot))
    (point,) = ran("curves", *options)["points"]
    assert (point["streams"], point["connections"], point["latency_ms"]) == (2, 1, 50)
    assert 0 < point["per_s"] <= point["little_per_s"] * 1.2 == pytest.approx(48)
    assert ElementTree.parse(plot).getroot().tag.endswith("svg")


def test_force() -> None:
    figures = ran("force", "--users", "400", "--devices", "1000", "--runs", "1")
    assert (figures["devices"], figures["dead_expected"], figures["dead_booked"]) == (1000, 1, 1)
    assert figures["seconds"] >= figures["seconds_to_202"] > 0


@pytest.mark.thorough
@pytest.mark.needs("postgres")
def test_store() -> None:
    figures = ran("store", "--runs", "1", "--users", "300", "--devices", "600", "--seconds", "0.5")
    for kind in ("sqlite", "postgres"):
        for size in (1, 50):
            assert figures[f"store_{kind}_accepts_per_s_{size}"] > 0
            assert figures[f"store_{kind}_settles_per_s_{size}"] > 0
        assert figures[f"{kind}_per_s"] > figures[f"{kind}_single_per_s"] > 0
        assert figures[f"{kind}_force_s"] >= figures[f"{kind}_force_s_to_202"] > 0
        assert figures[f"{kind}_relay_us_per_event"] > 0
    assert figures["postgres_server_us_per_event"] > 0
    assert "store_sqlite_accepts_per_s_500" not in figures, "there are not so many people"


@pytest.mark.thorough
@pytest.mark.needs("postgres")
@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_scale(store: str) -> None:
    figures = ran("scale", "--users", "2000", "200", "--store", store)
    few, many = figures["steps"]
    assert (few["users"], many["users"]) == (200, 2000)
    for name in ("rss_mb", "pending_rss_mb", "database_mb", "pending_database_mb"):
        assert many[name] > few[name] > 0
    assert few["start_s"] > 0
    assert few["pending_start_s"] > 0
    assert figures["memory_bytes_per_user"] > 500, "three phones, and their tokens"
    assert figures["database_bytes_per_user"] > 500


@pytest.mark.thorough
@pytest.mark.needs("postgres")
def test_force_on_postgres() -> None:
    figures = ran("force", "--users", "200", "--devices", "600", "--runs", "1", "--store", "postgres")
    assert (figures["store"], figures["devices"]) == ("postgres", 600)
    assert figures["seconds"] >= figures["seconds_to_202"] > 0


@pytest.mark.thorough
def test_restart() -> None:
    figures = ran("restart", "--users", "300", "--devices", "600", "--runs", "1")
    assert figures["missing"] == 0
    assert 0 < figures["first_wakeup_s"] <= figures["last_wakeup_s"]


@pytest.mark.thorough
def test_send() -> None:
    """Our lanes beside those who are there in any environment."""
    figures = ran("send", "--runs=1", *FEW, "--apns-nghttpd=0", "--h2load=0", "--h2load-nghttpd=0")
    for name in ("apns", "fcm", "aioapns", "httpx", "pyfcm"):
        assert figures[f"{name}_per_s"] > 0
        assert figures[f"{name}_cpu_s_per_10000"] > 0
    for ratio in ("apns_ratio_aioapns", "apns_ratio_httpx", "fcm_ratio_pyfcm"):
        assert figures[ratio] > 0


@pytest.mark.thorough
@pytest.mark.needs("h2load", "nghttpd")
def test_send_beside_c() -> None:
    counts = ("--apns=300", "--apns-nghttpd=300", "--h2load=500", "--h2load-nghttpd=500")
    figures = ran("send", "--runs=1", *counts, "--fcm=0", "--aioapns=0", "--httpx=0", "--pyfcm=0")
    for name in ("apns", "apns_nghttpd", "h2load", "h2load_nghttpd"):
        assert figures[f"{name}_per_s"] > 0
    assert figures["apns_ratio_h2load"] >= 0  # to two places


@pytest.mark.thorough
def test_peers_alone() -> None:
    figures = ran(
        "peers",
        "--runs",
        "2",
        "--aioapns",
        "50",
        "--httpx",
        "30",
        "--h2load",
        "0",
        "--h2load-nghttpd",
        "0",
        "--pyfcm",
        "0",
    )
    assert figures["aioapns_ratio_httpx"] > 0
    assert len(figures["aioapns_per_s_all"]) == 2
    assert "pyfcm_per_s" not in figures, "left out"


def test_the_tokens_are_as_long_as_real_ones() -> None:
    rng = random.Random(1)
    lengths = {platform: {len(t) for (t,) in stage.new_tokens([1] * 9, rng, platform)} for platform in stage.TOKENS}
    assert lengths == {Platform.APNS: {64}, Platform.FCM: {163}}


@pytest.mark.thorough
def test_faults() -> None:
    """Some of the mixes: all of them take minutes."""
    figures = ran("faults", "--wakeups", "300", "--only", "cut")
    assert (figures["lost"], figures["violations"], figures["phones_missing"]) == (0, 0, 0)
    assert figures["mixes"] == 5
    assert figures["duplicates"] <= figures["duplicates_allowed"]
    assert figures["sent"] + figures["phones_dead"] + figures["phones_given_up"] >= 300
    assert figures["recovery_s"] < 60


@pytest.mark.thorough
def test_overload() -> None:
    figures = ran(
        "overload", "--seconds", "0.5", "--users", "300", "--alarm-rate", "10", "--fsync-ms", "40", may_object=True
    )  # fmt: skip
    for series in ("batches", "singles"):
        assert [step["factor"] for step in figures[series]][:6] == [0.5, 1.0, 2.0, 3.0, 5.0, 0.5]
        assert figures[f"{series}_accepted"] == figures[f"{series}_booked"] > 0
        for step in figures[series]:
            assert (step["others"], step["unanswered"], step["alarms_missing"], step["alarms_refused"]) == ({}, 0, 0, 0)
            assert step["rss_mb"] > 0
            assert step["loop_p99_ms"] >= step["loop_p50_ms"] > 0
            assert step["alarm_woken_p99_ms"] >= step["alarm_p50_ms"] > 0
            refused = step["refused_429_per_s"] + step["refused_503_per_s"]
            assert refused == 0 if step["retry_after_s"] is None else step["retry_after_s"][0] >= 1
    [slow] = figures["slow_disk"]
    assert slow["fsync_ms"] == 40
    assert slow["ack_p50_ms"] >= 40
    assert (slow["refused"], slow["missing"]) == (0, 0)
    assert slow["loop_p50_ms"] > 0
    assert slow["due_p50_ms"] > 0


@pytest.mark.thorough
def test_soak() -> None:
    figures = ran("soak", "--minutes", "0.1", "--every", "1", "--users", "300", "--devices", "600", may_object=True)
    assert figures["samples"] == 6
    posted = figures["posted"]
    assert posted.keys() == mixture.KINDS.keys()
    assert all(posted.values())
    for name in ("rss_mb", "descriptors", "tasks"):
        assert figures[f"{name}_second_tenth"] > 0
        assert figures[f"{name}_last_tenth"] > 0
    assert figures["database_mb_last"] > 0
    assert 0 < figures["events_p50_ms_first_tenth"] <= figures["events_p99_ms_first_tenth"]
    assert figures["alarms_p50_ms_last_tenth"] > 0
    assert figures["died"] >= 0
    assert all("has grown" in told for told in figures["objections"])


@pytest.mark.thorough
def test_fuzz() -> None:
    figures = ran("fuzz", "--seconds", "1")
    assert figures["inputs"] > 0
    assert figures["failures"] == 0
    assert figures["seconds"] >= 1
    assert figures["per_s"] > 0
    assert ran("fuzz", "--only", "7")["inputs"] == 1


def test_rest() -> None:
    figures = ran("rest", "--users", "50", "--runs", "1")
    assert figures["lookup_us"] > 0
    assert figures["table_us"] > figures["table_shared_us"] > 0
    assert figures["croniter_per_event_us"] > 0
    assert figures["bytes_per_user"] > 0


@pytest.mark.thorough
def test_year() -> None:
    """Until after the clock change of spring."""
    figures = ran("year", "--users", "12", "--days", "95", "--posts", "6")
    assert (figures["in_rest_without_bypass"], figures["lost"], figures["books_balance"]) == (0, 0, True)
    assert figures["max_late_s"] < 1
    assert figures["wakeups"] > figures["released"] > 100
    assert figures["events"] > 500


@pytest.mark.thorough
def test_against_a_relay_that_runs_already(tmp_path: Path) -> None:
    """The same, and afterwards nobody called bench-… is left, while others are where they were."""
    database, stamps = tmp_path / "relay.db", tmp_path / "stamps"
    stage.fill(database, [])
    with (
        stage.sink(tmp_path, "--stamps", str(stamps), "--dead-every", "0") as (port, ca),
        stage.node(tmp_path, database, port, ca) as node,
        httpx.Client(base_url=node.url, headers={"authorization": f"Bearer {node.key}"}) as backend,
    ):
        phone = {"platform": "apns", "app": node.app, "token": "ab" * 32}
        assert backend.put("/v1/users/anna/devices/phone", json=phone).status_code == 201
        running = ("--url", node.url, "--key", node.key, "--ops", node.ops)
        latency = ran("latency", *LATENCY, *running, "--stamps", str(stamps))
        force = ran("force", "--users", "300", "--devices", "900", "--runs", "1", *running)
        ingest = ran("ingest", "--seconds", "0.5", "--users", "200", "--connections", "8", *running)
        assert backend.get("/v1/users/anna/devices/phone").status_code == 200
        for number in (0, 199, 299, 699):
            assert backend.get(f"/v1/users/{stage.user_id(number)}/devices/phone-0").status_code == 404
    assert (latency["missing"], latency["refused"]) == (0, 0)
    assert latency["p50_ms"] > 0
    assert (force["wakeups_per_s"] > 0, force["dead_expected"]) == (True, None)
    assert (ingest["resting"], ingest["single_per_s"] > 0) == (0, True)


def test_the_list_of_scripts() -> None:
    """Each with its first line; only what can be run."""
    listed = subprocess.run([sys.executable, "-m", "bench"], capture_output=True, text=True, timeout=60, check=True)
    names = [line.split()[2] for line in listed.stdout.splitlines()]
    scripts = (
        "backup", "crash", "curves", "faults", "force", "fuzz", "ingest", "latency", "overload", "peers", "rest",
        "restart", "scale", "send", "simulate", "soak", "store", "web", "year",
    )  # fmt: skip
    assert names == [f"bench.{name}" for name in scripts]
