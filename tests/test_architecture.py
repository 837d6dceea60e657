"""The shape of the code, enforced: layers, cages, one clock, purity. What a newcomer may rely on without reading.

    bench, tests → relay → schedules → standard library, croniter, icalendar, tzdata
                          schedules.web → schedules

Inside `relay` each part has a rank and imports only parts of a lower rank, or itself. The ranks are the table below.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted(path for package in ("relay", "schedules") for path in (ROOT / package).rglob("*.py"))

RANKS = {
    "schedules": 0,
    "schedules.web": 1,
    "relay.core": 1,
    "relay.wire": 1,
    "relay.clock": 1,
    "relay.process": 1,
    "relay.client": 1,
    "relay.client_stream": 1,
    "relay.store": 2,
    "relay.lanes": 2,
    "relay.doors": 2,
    "relay.waiting": 2,
    "relay.unix": 2,
    "relay.journal": 3,
    "relay.compiling": 3,
    "relay.dispatch": 3,
    "relay.changing": 3,
    "relay.trust": 3,
    "relay.tenure": 3,
    "relay.membership": 5,
    "relay.neighbours": 6,
    "relay.post_office": 4,
    "relay.sharing": 7,
    "relay.trial_facts": 3,
    "relay.trace_facts": 3,
    "relay.config_reader": 3,
    "relay.cold_http": 3,
    "relay.admissions": 7,
    "relay.engine": 8,
    "relay.ops": 4,
    "relay.config": 4,
    "relay.auditing": 4,
    "relay.backing_up": 5,
    "relay.config_pages": 4,
    "relay.config_proxy": 5,
    "relay.config_store": 5,
    "relay.config_web": 5,
    "relay.config_file": 6,
    "relay.loading": 5,
    "relay.init": 4,
    "relay.web": 4,
    "relay.restoring": 6,
    "relay.opening": 6,
    "relay.moving": 7,
    "relay.ways": 5,
    "relay.doctor": 6,
    "relay.cli_doctor": 8,
    "relay.service": 9,
    "relay.serving": 10,
    "relay.simulators.shown": 6,
    "relay.simulators.dev": 11,
    "relay.simulators.demo": 11,
    "relay.cli": 12,
    "relay.cli_audit": 8,
    "relay.cli_backup": 8,
    "relay.cli_config": 7,
    "relay.cli_operate": 8,
    "relay.cli_store": 8,
    "relay.cli_telling": 7,
    "relay.__main__": 13,
}
"""Part → rank. Simulators import nothing of the relay, so they have none; `dev` and `demo` run the relay."""

CAGES = {
    "croniter": {"schedules/cron.py"},
    "icalendar": {"schedules/ics_events.py"},
    "tzdata": {"schedules/walltime.py"},
    "zoneinfo": {"schedules/walltime.py"},
    "httpx": {"relay/client.py", "relay/cold_http.py", "relay/simulators/dev.py", "schedules/web/http.py"},
    "pyfcm": {"relay/doctor/library.py", "relay/lanes/fcm.py"},
    "sqlite3": {
        "relay/store/copying.py",
        "relay/store/files.py",
        "relay/store/replacing.py",
        "relay/store/sqlite.py",
        "relay/store/sqlite_chain.py",
        "relay/store/sqlite_source.py",
    },
    "psycopg": {
        "relay/store/postgres.py",
        "relay/store/postgres_connection.py",
    },
    "httptools": {"relay/doors/parser.py", "relay/simulators/http1.py"},
    "h2": {"relay/simulators/h2_connection.py"},
    "prometheus_client": {"relay/ops/metrics.py"},
    "rich": {"relay/simulators/demo/view.py"},
    "click": {
        "relay/cli.py",
        "relay/cli_audit.py",
        "relay/cli_backup.py",
        "relay/cli_config.py",
        "relay/cli_doctor.py",
        "relay/cli_operate.py",
        "relay/cli_store.py",
        "relay/cli_telling.py",
        "relay/simulators/commands.py",
        "relay/simulators/dev.py",
        "relay/simulators/options.py",
        "relay/simulators/proxy_command.py",
    },
    "hypercorn": {"schedules/web/server.py", "schedules/web/__main__.py"},
    "jinja2": {"schedules/web/texts.py"},
    "markdown_it": {"schedules/web/prose.py"},
    "babel": {"schedules/web/texts.py", "schedules/web/catalogue.py"},
    "aioapns": {"relay/core/envelope.py", "relay/doctor/library.py"},
    "jwt": {
        "relay/lanes/credentials.py",
        "relay/lanes/oauth.py",
        "relay/simulators/oauth.py",
        "relay/simulators/provider_token.py",
        "schedules/web/oidc_token.py",
    },
}
"""Library → the only files that import it: what is caged is easily replaced."""

CLOCK_READERS = {
    "relay/clock.py",
    "schedules/web/__main__.py",
    "relay/simulators/commands.py",
    "relay/simulators/dev.py",
}
CLOCK_READS = {"time.time", "time.monotonic", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}

SHOWS = {"relay.cli", "relay.simulators.dev", "relay.simulators.demo", "relay.simulators.shown"}
"""Who may import a simulator."""


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Dotted names of everything a file imports, wherever the import stands."""
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def part(name: str) -> str | None:
    """The part of the table a dotted name belongs to; the longest that fits."""
    fitting = [known for known in RANKS if name == known or name.startswith(f"{known}.")]
    return max(fitting, key=len, default=None)


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_simulator(name: str) -> bool:
    return name.startswith("relay.simulators") and part(name) is None


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_module_imports_only_from_its_own_layer_or_below(path: Path) -> None:
    own = part(module(path))
    for name in imports(path):
        if name.split(".")[0] not in ("relay", "schedules", "tests", "bench"):
            continue
        if is_simulator(module(path)):
            assert is_simulator(name), f"a simulator imports {name}: it could not disagree with the relay any more"
            continue
        if is_simulator(name):
            assert own in SHOWS, f"{name} is for development only"
            continue
        if module(path) == "relay":
            continue
        theirs = part(name)
        assert own is not None, f"{module(path)} has no rank"
        assert theirs is not None, f"{name} has no rank"
        assert theirs == own or RANKS[theirs] < RANKS[own], f"{own} imports {name}"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_caged_library_is_imported_in_its_cage_only(path: Path) -> None:
    for name in imports(path):
        cage = CAGES.get(name.split(".")[0])
        assert cage is None or relative(path) in cage, f"{name} belongs into {cage}"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_nobody_reads_a_clock_but_the_clock(path: Path) -> None:
    if relative(path) in CLOCK_READERS:
        return
    called = {
        ast.unparse(node.func)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert not called & CLOCK_READS


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_a_module_says_what_it_is_in_its_first_lines(path: Path) -> None:
    assert not tree(path).body or ast.get_docstring(tree(path))


def test_schedules_is_a_library_without_concurrency() -> None:
    for path in (ROOT / "schedules").glob("*.py"):
        found = {name.split(".")[0] for name in imports(path)}
        assert not found & {"trio", "asyncio", "threading", "httpx", "structlog"}
        assert not any(isinstance(n, (ast.AsyncFunctionDef, ast.Await)) for n in ast.walk(tree(path)))


def test_the_door_of_officers_and_the_relay_are_two_processes() -> None:
    for path in SOURCES:
        top, other = relative(path).split("/")[0], {"relay": "schedules.web", "schedules": "relay"}
        assert not [name for name in imports(path) if f"{name}.".startswith(other[top] + ".")], path


def test_the_wire_is_sans_io_except_for_its_transport() -> None:
    for path in (ROOT / "relay/wire").glob("*.py"):
        if path.name not in ("transport.py", "__init__.py"):
            assert not {name.split(".")[0] for name in imports(path)} & {"trio", "ssl", "socket"}


def test_who_judges_the_demo_shares_nothing_with_the_relay() -> None:
    for name in imports(ROOT / "relay/simulators/demo/ledger.py"):
        assert name.split(".")[0] not in ("relay", "schedules") or name.startswith("relay.simulators.world."), name


def test_the_lock_file_holds_what_is_declared() -> None:
    """`.ci/constraints.txt` is exported from `uv.lock`, and the README's commands hand it to pip."""
    constraints = (ROOT / ".ci/constraints.txt").read_text()
    lock = (ROOT / "uv.lock").read_text()
    pinned = [line.partition(" ")[0] for line in constraints.splitlines() if line and not line.startswith("#")]
    assert len(pinned) > 50
    for line in pinned:
        name, _, version = line.partition("==")
        assert f'name = "{name}"\nversion = "{version}"' in lock
