"""A program that is missing: a skip that names it for users, an error for CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.needs import PACKAGES, require

CI = Path(__file__).parents[1] / ".ci/run"


@pytest.mark.parametrize("program", PACKAGES)
def test_what_is_missing_is_a_named_skip_for_users(program: str, tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match=rf"^{program} is not installed .*{PACKAGES[program]}"):
        require(program, {"PATH": str(tmp_path)})


@pytest.mark.parametrize("program", PACKAGES)
def test_what_is_missing_is_an_error_in_ci(program: str, tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=rf"^{program} is not installed"):
        require(program, {"PATH": str(tmp_path), "CI": "true"})


@pytest.mark.parametrize("ci", ["true", "false"])
def test_what_is_there_is_used(ci: str, tmp_path: Path) -> None:
    program = tmp_path / "node"
    program.touch(0o755)
    require("node", {"PATH": str(tmp_path), "CI": ci})


@pytest.mark.parametrize(("program", "package"), PACKAGES.items())
def test_ci_installs_it(program: str, package: str) -> None:
    assert f"command -v {program} >/dev/null || missing+=({package})" in CI.read_text()
