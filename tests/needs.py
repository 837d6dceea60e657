"""What some tests need and a machine may not have: a named skip for users, an error for CI.

    @pytest.mark.needs("nghttpd")                 a program
    @pytest.mark.needs("node", "oidc-provider")   and a package of npm, in the folder that locks it

`.ci/run` installs them, so what is missing there is a mistake, and a test that silently does not run proves nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from bench.postgres import DEBIAN, binaries

PACKAGES: Final = {
    "chromium": "chromium",
    "h2load": "nghttp2-client",
    "nghttpd": "nghttp2-server",
    "node": "nodejs",
    "postgres": "postgresql",
}
"""Program → the Debian package that has it."""
SHOWN_BY: Final = {"postgres": "initdb"}
"""Which other program shows that it is there; Debian keeps both out of PATH."""
ROOT: Final = Path(__file__).parents[1]
MODULES: Final = {"axe-core": "tests/node", "oidc-provider": "tests/node"}
"""Package of npm → the folder whose package-lock.json names it and all that it needs."""


def require(needed: str, environ: Mapping[str, str], root: Path = ROOT, debian: Path = DEBIAN) -> None:
    """Return when it is there; else skip the test, or fail it where `CI=true`."""
    if needed in MODULES:
        if (root / MODULES[needed] / "node_modules" / needed).is_dir():
            return
        sentence = f"{needed} is not installed (npm ci in {MODULES[needed]})"
    elif _is_there(needed, environ.get("PATH"), debian):
        return
    else:
        sentence = f"{needed} is not installed (Debian package {PACKAGES[needed]})"
    if environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def _is_there(program: str, path: str | None, debian: Path) -> bool:
    if program == "postgres":
        return binaries(path, debian) is not None
    return shutil.which(program, path=path) is not None
