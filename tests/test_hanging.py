"""The watch over hanging tests: one that hangs is ended and named; the others hear nothing of it."""

from __future__ import annotations

import subprocess
import sys

from tests.hanging import APART

CODE = """
import time
from tests.hanging import Watch
watch = Watch(2, seconds=0.3)
def a_test(now, takes):
    watch.wind(now)
    time.sleep(takes)
"""


def ran(*lines: str) -> subprocess.CompletedProcess[str]:
    code = CODE + "\n".join(lines)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)


def test_a_test_that_hangs_ends_the_process_and_is_named() -> None:
    done = ran("a_test(0, 60)")
    assert done.returncode == 1
    assert "in a_test" in done.stderr


def test_it_is_wound_for_a_later_test_and_not_for_each() -> None:
    assert ran("a_test(0, 0.2)", f"a_test({APART}, 0.2)", f"a_test({2 * APART}, 0.2)").returncode == 0
    assert ran("a_test(0, 0.2)", f"a_test({APART - 1}, 60)").returncode == 1
