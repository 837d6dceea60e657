"""Programs that some tests need and a machine may not have: a named skip for users, an error for CI.

    @pytest.mark.needs("nghttpd")

`.ci/run` installs them, so what is missing there is a mistake, and a test that silently does not run proves nothing.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Final

import pytest

PACKAGES: Final = {"h2load": "nghttp2-client", "nghttpd": "nghttp2-server", "node": "nodejs"}
"""Program → the Debian package that has it."""


def require(program: str, environ: Mapping[str, str]) -> None:
    """Return when `program` is there; else skip the test, or fail it where `CI=true`."""
    if shutil.which(program, path=environ.get("PATH")):
        return
    sentence = f"{program} is not installed (Debian package {PACKAGES[program]})"
    if environ.get("CI") == "true":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
