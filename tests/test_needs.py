"""A program that is missing: a skip that names it for users, an error for CI."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.needs import MODULES, PACKAGES, ROOT, SHOWN_BY, require
from tests.postgres import binaries

CI = Path(__file__).parents[1] / ".ci/run"


@pytest.mark.parametrize("program", PACKAGES)
def test_what_is_missing_is_a_named_skip_for_users(program: str, tmp_path: Path) -> None:
    with pytest.raises(pytest.skip.Exception, match=rf"^{program} is not installed .*{PACKAGES[program]}"):
        require(program, {"PATH": str(tmp_path)}, debian=tmp_path)


@pytest.mark.parametrize("program", PACKAGES)
def test_what_is_missing_is_an_error_in_ci(program: str, tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=rf"^{program} is not installed"):
        require(program, {"PATH": str(tmp_path), "CI": "true"}, debian=tmp_path)


@pytest.mark.parametrize(("module", "folder"), MODULES.items())
def test_a_package_of_npm_likewise(module: str, folder: str, tmp_path: Path) -> None:
    sentence = rf"^{module} is not installed \(npm ci in {folder}\)"
    with pytest.raises(pytest.skip.Exception, match=sentence):
        require(module, {}, tmp_path)
    with pytest.raises(pytest.fail.Exception, match=sentence):
        require(module, {"CI": "true"}, tmp_path)
    (tmp_path / folder / "node_modules" / module).mkdir(parents=True)
    require(module, {"CI": "true"}, tmp_path)


@pytest.mark.parametrize(("module", "folder"), MODULES.items())
def test_a_package_of_npm_is_locked_with_all_that_it_needs(module: str, folder: str) -> None:
    wanted = json.loads((ROOT / folder / "package.json").read_text())["dependencies"]
    locked = json.loads((ROOT / folder / "package-lock.json").read_text())["packages"]
    assert wanted[module] == locked[f"node_modules/{module}"]["version"]
    assert all("integrity" in package for name, package in locked.items() if name)


@pytest.mark.parametrize("ci", ["true", "false"])
def test_what_is_there_is_used(ci: str, tmp_path: Path) -> None:
    program = tmp_path / "node"
    program.touch(0o755)
    require("node", {"PATH": str(tmp_path), "CI": ci})


def test_postgres_is_found_outside_of_the_path_the_newest_first(tmp_path: Path) -> None:
    for version in ("9.6", "17", "15"):
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "initdb").touch(0o755)
    require("postgres", {"PATH": "", "CI": "true"}, debian=tmp_path)
    assert binaries("", tmp_path) == tmp_path / "17" / "bin"


@pytest.mark.parametrize(("program", "package"), PACKAGES.items())
def test_ci_installs_it(program: str, package: str) -> None:
    looked_for = re.escape(SHOWN_BY.get(program, program))
    assert re.search(
        rf"^command -v {looked_for} >/dev/null \|\| .*missing\+=\({package}\)", CI.read_text(), re.MULTILINE
    )


@pytest.mark.parametrize(("module", "folder"), MODULES.items())
def test_ci_installs_the_packages_of_npm(module: str, folder: str) -> None:
    assert f"npm ci --ignore-scripts --no-audit --no-fund --prefix {folder}\n" in CI.read_text()
    assert f'"{module}"' in (ROOT / folder / "package.json").read_text()
