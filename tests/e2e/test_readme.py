"""What the README shows is run as it stands there: the example in Python, and the configuration."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path

import click
import pytest
import trio

from relay.cli import main
from relay.config_file import read
from relay.simulators.certificates import provider_key
from tests.e2e.processes import running

README = (Path(__file__).parents[2] / "README.md").read_text()


def shown(language: str) -> str:
    """All blocks of this language, one behind the other."""
    return "".join(re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL))


@pytest.mark.processes
async def test_the_example_talks_to_a_relay() -> None:
    example = shown("python")
    assert len(example.splitlines()) <= 16
    async with running("dev", "--port", "0") as trial:
        await trial.line("Ctrl-C ends")
        (address,) = re.findall(r"runs on (\S+)\.", "\n".join(trial.lines))
        (key, *_) = re.findall(r"Bearer (backend\.[^']+)'", "\n".join(trial.lines))
        source = example.replace("http://127.0.0.1:8080", address).replace("backend.…", key)
        done = await trio.run_process([sys.executable, "-c", source], capture_stdout=True, check=False)
        said = done.stdout.decode()
        assert done.returncode == 0, said
        assert "1 to wake, 1 without a phone" in said
        assert "recipients=1" in said
        assert re.search("wakeup at APNs.*: accepted", await trial.line("wakeup at APNs"))


def test_the_configuration_is_one(tmp_path: Path) -> None:
    text = shown("toml").replace("/run/keys/master", "master").replace("…", "ab" * 32)
    (tmp_path / "feierabend.toml").write_text(text)
    (tmp_path / "master").write_text(f"0:{base64.b64encode(bytes(32)).decode()}\n")
    (tmp_path / "master").chmod(0o600)
    (tmp_path / "AuthKey_FGHIJ67890.p8").write_bytes(provider_key()[0])
    account = {
        "type": "service_account", "project_id": "example-app", "private_key_id": "k1", "private_key": _rsa_key(),
        "client_email": "relay@example-app.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
    }  # fmt: skip
    (tmp_path / "service-account.json").write_text(json.dumps(account))
    for name, secret in {"oidc-secret": "secret\n", "proxy-credentials": "relay:secret\n"}.items():
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(secret)
    for name in ("impressum", "imprint", "datenschutz", "privacy", "barrierefreiheit"):
        (tmp_path / f"{name}.md").write_text(f"# {name}\n")
    config = read(tmp_path / "feierabend.toml")
    assert config.web is not None
    assert {name: [*texts] for name, texts in config.web.pages.items()} == {
        "imprint": ["de", "en"], "privacy": ["de", "en"], "accessibility": ["de"],
    }  # fmt: skip
    assert [provider.name for provider in config.web.oidc] == ["Dienstkonto"]
    (tenant,) = config.tenants
    assert [app.name for app in tenant.apps] == ["ios", "android"]
    assert {str(app.proxy.address) for app in tenant.apps if app.proxy} == {"proxy.example.org:3128"}


def test_the_other_store_is_one(tmp_path: Path) -> None:
    """In the place of the file."""
    text = shown("toml postgresql").replace("/run/keys/master", "master") + '[[tenants]]\nname = "example"\n'
    (tmp_path / "feierabend.toml").write_text(text)
    for name, content in (("master", f"0:{base64.b64encode(bytes(32)).decode()}\n"), ("database-password", "secret\n")):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(content)
    store = read(tmp_path / "feierabend.toml").store
    assert store.postgresql is not None
    assert (store.postgresql.host, store.postgresql.password) == ("db.example.org:5432", "secret")
    assert store.postgresql.is_sure


def test_a_node_on_it_is_one(tmp_path: Path) -> None:
    text = shown("toml postgresql").replace("/run/keys/master", "master") + shown("toml nodes")
    (tmp_path / "feierabend.toml").write_text(text + '[[tenants]]\nname = "example"\n')
    for name, content in (("master", f"0:{base64.b64encode(bytes(32)).decode()}\n"), ("database-password", "secret\n")):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(content)
    nodes = read(tmp_path / "feierabend.toml").nodes
    assert nodes is not None
    assert (str(nodes.listen), nodes.address) == ("10.0.0.2:8090", "node-two:8090")


def test_every_command_it_shows_is_there() -> None:
    """By what stands at the beginning of an indented line."""
    found = re.findall(r"^    (?:FEIERABEND_KEY=\S+ )?feierabend ((?:store |key |audit )?[a-z]+)", README, re.MULTILINE)
    assert {"store migrate", "store copy", "store stats", "audit head", "audit verify", "serve", "resume"} <= set(found)
    for words in map(str.split, found):
        command: click.Command = main
        for word in words:
            assert isinstance(command, click.Group)
            command = command.commands[word]


def _rsa_key() -> str:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode()
