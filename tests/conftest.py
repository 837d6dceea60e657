"""What all tests share: hypothesis without chance and without a stopwatch, and programs that may be missing.

The suite must give the same answer twice, so examples are derived from the test itself. For a hunt, run
`pytest --hypothesis-profile=hunt`: random examples, ten times as many.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from bench.postgres import Cluster, cluster
from relay import process
from tests import effort
from tests.bytecode import Kept, kept
from tests.hanging import Watch, watch
from tests.needs import require

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

_EXAMPLES: Final = 100
"""Of a search that does not say how many."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough",
        action="store_true",
        help="what takes long too: tests/e2e/web in every look, not in one; all bench scripts; three times as many "
        "examples",
    )


_WATCH: Final = pytest.StashKey[Watch]()
_KEPT: Final = pytest.StashKey[Kept]()


def pytest_configure(config: pytest.Config) -> None:
    effort.is_thorough = config.getoption("thorough")
    settings.register_profile(
        "default", derandomize=True, deadline=None, suppress_health_check=_SLOW_IS_FINE,
        max_examples=effort.examples(_EXAMPLES),
    )  # fmt: skip
    settings.register_profile(
        "hunt", parent=settings.get_profile("default"), derandomize=False, max_examples=10 * _EXAMPLES, print_blob=True
    )
    settings.load_profile(config.getoption("--hypothesis-profile") or "default")
    config.stash[_WATCH] = watch()
    config.stash[_KEPT] = kept()


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[_WATCH].end()
    config.stash[_KEPT].end()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`@pytest.mark.needs("program", …)`: see needs.py. And no test may hang: see hanging.py."""
    item.config.stash[_WATCH].wind(time.monotonic())
    if item.get_closest_marker("thorough") is not None and not item.config.getoption("thorough"):
        pytest.skip("only with --thorough")
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            require(program, os.environ)


def pytest_collection_finish() -> None:
    """Thousands of tests are many objects, and none of them is garbage: the collector need not look at them again."""
    process.settle()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A server of our own, one for each worker. Without fsync: what is durable is shown elsewhere."""
    require("postgres", os.environ)
    with cluster("fsync = off") as server:
        yield server


@pytest.fixture
def fresh(postgres: Cluster) -> str:
    """The URL of a new database, empty and not migrated."""
    return postgres.create()
