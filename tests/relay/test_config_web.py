"""The table `[web]`: what becomes of it, what is wrong in it, and what the process of the officers' door is told."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import trustme

from relay import config_web
from relay.config import Address, ConfigError, OidcConfig, WebConfig
from relay.config_file import examine
from relay.config_web import document

MASTER = "0:" + "A" * 43 + "="
SECRET = "s3cret-canary"
PROVIDER = {"issuer": "https://login.example.org/realms/police", "client_id": "feierabend"}
ADDRESS = "must be an address like https://ruhe.example.org, without a path"
ISSUER = "must be an address like https://login.example.org"
NETWORKS = "must be a list of addresses and networks, like 127.0.0.1 and 10.1.0.0/16"
HTTPS = "must be https; http is for localhost only"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("master", MASTER), ("secret", f"{SECRET}\n"), ("open", SECRET)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o644 if name == "open" else 0o600)
    for name, text in (("impressum.md", "# Impressum\n"), ("imprint.md", "# Imprint\n")):
        (tmp_path / name).write_text(text)
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path


def web_of(folder: Path, web: object, tenants: tuple[str, ...] = ("city",)) -> WebConfig:
    content = {
        "store": {"path": "relay.db", "key_file": "master"},
        "tenants": [{"name": name} for name in tenants],
        "web": web,
    }
    found = examine(content, folder).web
    assert found is not None
    return found


def problems(folder: Path, web: object, tenants: tuple[str, ...] = ("city",)) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        web_of(folder, web, tenants)
    assert SECRET not in str(caught.value)
    return {problem.path: problem.sentence for problem in caught.value.problems}


def with_provider(**members: object) -> dict[str, Any]:
    return {"base_url": "https://ruhe.example.org", "oidc": [PROVIDER | members]}


def test_without_the_table_there_is_no_door(folder: Path) -> None:
    content = {"store": {"path": "relay.db", "key_file": "master"}, "tenants": [{"name": "city"}]}
    assert examine(content, folder).web is None


def test_what_is_not_said_has_a_default(folder: Path) -> None:
    assert web_of(folder, with_provider()) == WebConfig(
        listen=(Address("127.0.0.1", 8081),),
        base_url="https://ruhe.example.org",
        oidc=(
            OidcConfig(
                tenant="city", name="login.example.org", issuer=PROVIDER["issuer"], client_id="feierabend",
                client_secret=None, user_claim="sub", acr_values=(), amr=(), scopes=("openid",), ca_file=None,
            ),
        ),
        socket=folder / "relay.db.door.sock",
        trusted_proxies=("127.0.0.0/8", "::1"),
        login_attempts=30,
    )  # fmt: skip


def test_the_example_in_the_documentation_becomes_what_the_process_is_told(folder: Path) -> None:
    text = re.sub(r"^    ", "", config_web.__doc__ or "", flags=re.MULTILINE)
    text = text[text.index("[web]\n") : text.index("Without the table")].replace("oidc-secret", "secret")
    web = web_of(folder, tomllib.loads(text)["web"], ("example", "other"))
    assert SECRET not in repr(web)
    assert json.loads(json.dumps(document(web, 2.5))) == {
        "socket": str(folder / "relay.db.door.sock"),
        "listen": ["127.0.0.1:8081"],
        "base_url": "https://ruhe.example.org",
        "oidc": [
            {
                "tenant": "example", "name": "Dienstausweis", "issuer": "https://login.example.org",
                "client_id": "feierabend", "client_secret": SECRET, "user_claim": "sub",
                "acr_values": ["urn:example:two-factors"], "amr": ["hwk"], "scopes": ["openid"],
                "ca_file": str(folder / "ca.pem"),
            }
        ],
        "grace_seconds": 2.5,
        "trusted_proxies": ["127.0.0.0/8", "::1"],
        "login_attempts": 30,
        "pages": {"imprint": {"de": "# Impressum\n", "en": "# Imprint\n"}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://ruhe.example.org/", "https://ruhe.example.org"),
        ("https://Ruhe.Example.org:8443", "https://ruhe.example.org:8443"),
        ("https://ruhe.example.org:443", "https://ruhe.example.org"),
        ("https://ruhe.example.org:80", "https://ruhe.example.org:80"),
        ("http://localhost:80/", "http://localhost"),
        ("http://[::1]:80", "http://[::1]"),
        ("http://localhost:8081", "http://localhost:8081"),
        ("http://127.0.0.1", "http://127.0.0.1"),
        ("http://[::1]:8081", "http://[::1]:8081"),
    ],
)
def test_an_origin_is_taken_as_browsers_write_it(folder: Path, given: str, taken: str) -> None:
    assert web_of(folder, {"base_url": given}).base_url == taken


@pytest.mark.parametrize(
    ("web", "path", "sentence"),
    [
        ("on", "web", "must be a table"),
        ({}, "web.base_url", "is missing"),
        ({"base_url": 5}, "web.base_url", ADDRESS),
        ({"base_url": "ruhe.example.org"}, "web.base_url", ADDRESS),
        ({"base_url": "https://"}, "web.base_url", ADDRESS),
        ({"base_url": "https://a b"}, "web.base_url", ADDRESS),
        ({"base_url": "https://ruhe.example.org/rest"}, "web.base_url", ADDRESS),
        ({"base_url": "https://ruhe.example.org?a"}, "web.base_url", ADDRESS),
        ({"base_url": "https://ruhe.example.org/#"}, "web.base_url", ADDRESS),
        ({"base_url": "https://me@ruhe.example.org"}, "web.base_url", ADDRESS),
        ({"base_url": "https://ruhe.example.org:99999"}, "web.base_url", ADDRESS),
        ({"base_url": "ftp://ruhe.example.org"}, "web.base_url", ADDRESS),
        ({"base_url": "http://ruhe.example.org"}, "web.base_url", HTTPS),
        ({"base_url": "http://localhost.example.org"}, "web.base_url", HTTPS),
        ({"base_url": "https://a", "url": 1}, "web.url",
         "is not known here; known are base_url, listen, login_attempts, oidc, pages, tenant, trusted_proxies"),
        ({"base_url": "https://a", "trusted_proxies": ["10.0.0.1/8"]}, "web.trusted_proxies", NETWORKS),
        ({"base_url": "https://a", "trusted_proxies": ["proxy"]}, "web.trusted_proxies", NETWORKS),
        ({"base_url": "https://a", "trusted_proxies": "::1"}, "web.trusted_proxies", "must be a list of texts"),
        ({"base_url": "https://a", "login_attempts": 0}, "web.login_attempts",
         "must be a whole number from 1 to 6000"),
        ({"base_url": "https://a", "tenant": "county"}, "web.tenant", "must be one of city"),
        ({"base_url": "https://a", "listen": []}, "web.listen", "must name at least 1"),
        ({"base_url": "https://a", "listen": ["nowhere"]}, "web.listen[0]",
         "must be an address like 127.0.0.1:8080 or [::1]:8080"),
        ({"base_url": "https://a", "listen": ["127.0.0.1:8080"]}, "web.listen",
         "has 127.0.0.1:8080, where the relay itself listens"),
        ({"base_url": "https://a", "listen": ["127.0.0.1:9090"]}, "web.listen",
         "has 127.0.0.1:9090, where the relay itself listens"),
        ({"base_url": "https://a", "oidc": {}}, "web.oidc", "must be a list of tables; write [[web.oidc]]"),
        (with_provider(issuer=5), "web.oidc[0].issuer", ISSUER),
        (with_provider(issuer="https://login.example.org?x"), "web.oidc[0].issuer", ISSUER),
        (with_provider(issuer="http://login.example.org"), "web.oidc[0].issuer", HTTPS),
        (with_provider(client_id=""), "web.oidc[0].client_id", "must be a text of the form [!-~]{1,200}"),
        (with_provider(tenant="county"), "web.oidc[0].tenant", "must be one of city"),
        (with_provider(name=" "), "web.oidc[0].name", r"must be a text of the form \S(?:.{0,58}\S)?"),
        (with_provider(user_claim="a b"), "web.oidc[0].user_claim", "must be a text of the form [!-~]{1,200}"),
        (with_provider(acr_values="gold"), "web.oidc[0].acr_values", "must be a list of texts"),
        (with_provider(amr=["hwk pin"]), "web.oidc[0].amr", "must be a list of words without spaces"),
        (with_provider(scopes=["email"]), "web.oidc[0].scopes", "must name openid"),
        (with_provider(secret="x"), "web.oidc[0].secret",
         "is not known here; known are acr_values, amr, ca_file, client_id, client_secret_file, issuer, name, scopes, "
         "tenant, user_claim"),
        (with_provider(client_secret_file="none"), "web.oidc[0].client_secret_file",
         "cannot be read: No such file or directory"),
        (with_provider(client_secret_file="open"), "web.oidc[0].client_secret_file",
         "can be read by others; make it private (chmod 600)"),
        (with_provider(ca_file="none"), "web.oidc[0].ca_file", "cannot be read: No such file or directory"),
        (with_provider(ca_file="open"), "web.oidc[0].ca_file", "holds no PEM certificate"),
        ({"base_url": "https://a", "oidc": [PROVIDER, PROVIDER]}, "web.oidc",
         "has login.example.org twice; two buttons would say the same"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_path_and_a_sentence(folder: Path, web: object, path: str, sentence: str) -> None:
    """And nothing else is."""
    assert problems(folder, web) == {path: sentence}


@pytest.mark.parametrize("text", ["", "\n", "two words", "two\nlines", "k\u00e4se", "x" * 1001])
def test_a_secret_is_one_line_of_visible_characters(folder: Path, text: str) -> None:
    (folder / "secret").write_text(text)
    path = "web.oidc[0].client_secret_file"
    assert problems(folder, with_provider(client_secret_file="secret")) == {
        path: "must hold one line of visible ASCII characters"
    }


def test_of_several_tenants_a_provider_must_say_whose_people_it_knows(folder: Path) -> None:
    """Or the table does, for all of them."""
    both = ("city", "county")
    assert problems(folder, with_provider(), both) == {"web.oidc[0].tenant": "is missing"}
    web = web_of(folder, with_provider() | {"tenant": "county"}, both)
    assert [provider.tenant for provider in web.oidc] == ["county"]
    assert web_of(folder, with_provider(tenant="city") | {"tenant": "county"}, both).oidc[0].tenant == "city"


def test_the_two_sockets_are_two(folder: Path) -> None:
    content = {
        "store": {"path": "relay.db", "key_file": "master"},
        "tenants": [{"name": "city"}],
        "ops": {"socket": "relay.db.door.sock"},
        "web": {"base_url": "https://a"},
    }
    with pytest.raises(ConfigError, match=r"^ops\.socket: is the one of the officers' door$"):
        examine(content, folder)
