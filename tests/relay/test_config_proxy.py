"""The tables `proxy`: the common one, an app's own, and what is no proxy; nothing of a secret is ever repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from relay.cli import main
from relay.config import Address, ProxyConfig
from relay.config_file import examine
from tests.relay.test_config import APP, KEY, content, problems
from tests.relay.test_config import folder as folder

OTHER = {**APP, "name": "beta", "topic": "de.example.beta"}
COMMON = {"url": "http://proxy.example:3128", "credentials_file": "keys/proxy"}
LIKE = "must be an address like http://proxy.example:3128"
URL, FILE = "proxy.url", "proxy.credentials_file"


@pytest.fixture(autouse=True)
def credentials(folder: Path) -> Path:
    file = folder / "keys" / "proxy"
    file.touch(0o600)
    file.write_text("relay:s3cret:with a colon\nand a remark\n")
    return file


def ways(folder: Path, *apps: dict[str, Any], **more: Any) -> list[ProxyConfig | None]:  # noqa: ANN401
    found = examine(content({"tenants[0].apps": list(apps), **more}), folder)
    return [app.proxy for app in found.tenants[0].apps]


def test_apps_go_the_common_way_or_their_own_or_directly(folder: Path, credentials: Path) -> None:
    own = {"url": "http://[2001:db8::1]:8080/"}
    third = {**OTHER, "name": "third", "topic": "de.example.third"}
    assert ways(folder, APP, {**OTHER, "proxy": own}, {**third, "proxy": False}, proxy=COMMON) == [
        ProxyConfig(Address("proxy.example", 3128), "relay:s3cret:with a colon", credentials),
        ProxyConfig(Address("2001:db8::1", 8080)),
        None,
    ]
    assert ways(folder, APP) == [None]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://relay:s3cret@proxy.example:3128",
         "holds a user; put user:password into a file and name that in credentials_file"),
        ("https://proxy.example:3128", "must begin with http://; TLS to the proxy itself is not spoken"),
        *((wrong, LIKE) for wrong in ("proxy.example:3128", "http://proxy.example", "http://proxy.example:0",
                                      "http://proxy.example:3128/path", "socks5://proxy.example:1080", "", 3128, None)),
    ],
)  # fmt: skip
def test_what_is_no_proxy_is_refused_and_not_repeated(folder: Path, url: object, sentence: str) -> None:
    edits = {"proxy": {"url": url}} if url is not None else {"proxy": {}}
    assert problems(edits, folder) == {URL: sentence if url is not None else "is missing"}


@pytest.mark.parametrize("wrong", ["relay", ":s3cret", "relay:s3\x07cret"])
def test_a_file_of_another_form_is_refused_and_not_repeated(folder: Path, credentials: Path, wrong: str) -> None:
    credentials.write_text(wrong)
    assert problems({"proxy": COMMON}, folder) == {FILE: "must begin with a line like user:password"}


def test_a_file_that_others_can_read_is_refused_and_one_that_is_not_there_is_named(
    folder: Path, credentials: Path
) -> None:
    credentials.chmod(0o640)
    assert problems({"proxy": COMMON}, folder) == {FILE: "can be read by others; make it private (chmod 600)"}
    credentials.unlink()
    assert problems({"proxy": COMMON}, folder) == {FILE: "cannot be read: No such file or directory"}


@pytest.mark.parametrize("value", [True, "http://proxy.example:3128", 1, []])
def test_an_apps_proxy_is_a_table_or_false(folder: Path, value: object) -> None:
    sentence = "must be a table with the url of a proxy, or false for none"
    assert problems({"tenants[0].apps[0].proxy": value}, folder) == {"tenants[0].apps[0].proxy": sentence}


def test_check_tells_which_apps_go_through_which_proxy_and_no_secret(folder: Path) -> None:
    def table(name: str, values: dict[str, Any]) -> str:
        return f"{name}\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())

    config = folder / "feierabend.toml"
    parts: list[tuple[str, dict[str, Any]]] = [
        ("[store]", {"path": "data.db", "key_file": "keys/master"}),
        ("[proxy]", COMMON),
    ]
    parts += [("[[tenants]]", {"name": "city"}), ("[[tenants.keys]]", KEY), ("[[tenants.apps]]", APP)]
    parts += [("[[tenants.apps]]", OTHER)]
    config.write_text("".join(table(*part) for part in parts))
    said = CliRunner().invoke(main, ["check", "--config", str(config)])
    assert "proxy proxy.example:3128, with credentials: ios, beta\n" in said.stdout
    assert "s3cret" not in said.output
