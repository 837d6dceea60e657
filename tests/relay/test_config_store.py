"""The table `[store]`: a file or a database, and nothing of an address or a password in what is said of them."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay import config_store
from relay.config import Address, Config, ConfigError, NodesConfig, NotAFile, PostgresConfig
from relay.config_file import examine, read
from relay.config_store import LIKE, PARAMETERS, an_address

ADDRESS = "postgresql://feierabend@db.example:5432/feierabend"
SECRET = "c0rrect h0rse"
TENANTS = [{"name": "city"}]
TABLES = ("door", "nodes", "ops", "web")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in (("master", f"0:{base64.b64encode(bytes(32)).decode()}\n"), ("password", f"{SECRET}\nmore\n")):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(content)
    return tmp_path


def config(folder: Path, name: str = "feierabend", **more: Any) -> Config:  # noqa: ANN401
    """With what is given in `store`, and in tables that are named."""
    store = {"key_file": "master"} | {key: value for key, value in more.items() if key not in TABLES}
    others: dict[str, object] = {key: more[key] for key in TABLES if key in more}
    return examine({"store": store, "tenants": TENANTS, **others}, folder, name)


def faults(folder: Path, **more: Any) -> dict[str, str]:  # noqa: ANN401
    with pytest.raises(ConfigError) as caught:
        config(folder, **more)
    return {problem.path: problem.sentence for problem in caught.value.problems}


# --- what is good


def test_a_database_with_its_password(folder: Path) -> None:
    store = config(folder, postgresql=ADDRESS, password_file="password").store
    assert store.path is None
    assert store.postgresql == PostgresConfig(ADDRESS, SECRET, "db.example:5432", is_sure=False)


def test_a_file_is_as_before(folder: Path) -> None:
    store = config(folder, path="feierabend.db").store
    assert (store.path, store.postgresql) == (folder / "feierabend.db", None)
    assert store.file == folder / "feierabend.db"


def test_who_wants_the_file_of_a_database_is_told_why_there_is_none(folder: Path) -> None:
    with pytest.raises(NotAFile, match="pg_dump"):
        _ = config(folder, postgresql=ADDRESS).store.file


def test_neither_address_nor_password_are_shown(folder: Path) -> None:
    """Not even in a traceback that prints the whole configuration."""
    found = config(folder, postgresql=f"{ADDRESS}?sslmode=verify-full", password_file="password")
    for shown in (repr(found), str(found), repr(found.store.postgresql), f"{found.store.postgresql}"):
        assert "feierabend@" not in shown
        assert "verify-full" not in shown
        assert SECRET not in shown
    assert str(found.store.postgresql) == "db.example:5432"


@pytest.mark.parametrize(
    ("address", "host", "is_sure"),
    [
        ("postgresql://db.example/relay", "db.example", False),
        ("postgresql://relay@10.0.0.7", "10.0.0.7", False),
        ("postgresql://relay@[2001:db8::1]:6432/relay", "[2001:db8::1]:6432", False),
        ("postgresql://a:1,b:2/relay?target_session_attrs=read-write", "a:1,b:2", False),
        ("postgresql://db.example/relay?sslmode=verify-full&sslrootcert=system", "db.example", True),
        ("postgresql://db.example/relay?sslmode=require", "db.example", False),
        ("postgresql:///relay?host=db.example&port=6432", "db.example:6432", False),
        ("postgresql://127.0.0.1:5432/relay", "127.0.0.1:5432", True),
        ("postgresql://localhost/relay", "localhost", True),
        ("postgresql://[::1]/relay", "[::1]", True),
        ("postgresql://localhost:1,127.0.0.1:2,[::1]:3/relay", "localhost:1,127.0.0.1:2,[::1]:3", True),
        ("postgresql://localhost:1,db.example:2/relay", "localhost:1,db.example:2", False),
        ("postgresql://[::1]:1,db.example/relay", "[::1]:1,db.example", False),
        ("postgresql://localhost/relay?hostaddr=10.0.0.7", "localhost", False),
        ("postgresql://db.example/relay?port=6432", "db.example:6432", False),
        ("postgresql:///relay?hostaddr=::1", "::1", True),
        ("postgresql:///relay", "the local socket", True),
        ("postgresql:///relay?host=/run/postgresql", "the local socket", True),
        ("postgresql://relay@%2Frun%2Fpostgresql/relay", "the local socket", True),
    ],
)
def test_where_it_is_in_words_and_whether_nobody_can_pretend_to_be_it(address: str, host: str, is_sure: bool) -> None:
    assert an_address(address) == PostgresConfig(address, None, host, is_sure)


def test_libpq_understands_every_parameter_that_is_known() -> None:
    """Or the operator would learn only at the start, and not from us."""
    from psycopg.conninfo import conninfo_to_dict

    query = "&".join(f"{name}=1" for name in PARAMETERS)
    assert conninfo_to_dict(an_address(f"postgresql:///relay?{query}").url).keys() >= set(PARAMETERS)


def test_the_example_in_the_documentation_is_good(folder: Path) -> None:
    (example,) = re.findall(r'postgresql = "(.+)"', config_store.__doc__ or "")
    assert config(folder, postgresql=example).store.postgresql == an_address(example)


# --- sockets


def test_sockets_lie_beside_the_configuration_by_its_name(folder: Path) -> None:
    text = f'[store]\npostgresql = "{ADDRESS}"\nkey_file = "master"\n[[tenants]]\nname = "city"\n'
    path = folder / "night.toml"
    path.write_text(text + '[web]\nbase_url = "https://localhost"\n')
    found = read(path)
    assert found.control == folder / "night.sock"
    assert found.web is not None
    assert found.web.socket == folder / "night.door.sock"


def test_the_socket_of_the_door_lies_beside_one_that_is_named(folder: Path) -> None:
    """Under systemd the folder of the configuration cannot be written."""
    web = {"base_url": "https://localhost"}
    found = config(folder, postgresql=ADDRESS, ops={"socket": "/var/lib/relay/relay.sock"}, web=web)
    assert found.control == Path("/var/lib/relay/relay.sock")
    assert found.web is not None
    assert found.web.socket == Path("/var/lib/relay/relay.door.sock")


def test_with_a_file_they_lie_beside_that_wherever_the_other_is(folder: Path) -> None:
    found = config(folder, path="a.db", ops={"socket": "b.sock"}, web={"base_url": "https://localhost"})
    assert found.control == folder / "b.sock"
    assert found.web is not None
    assert found.web.socket == folder / "a.db.door.sock"


# --- faults

A_PASSWORD = "holds a password, or says where one is; put it into a file and name that in password_file"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"store.path": "is missing, and so is postgresql; one of them says where the store is"}),
        ({"path": "a.db", "postgresql": ADDRESS},
         {"store.postgresql": "is named beside path; the store is in one of them"}),
        ({"path": "a.db", "password_file": "password"},
         {"store.password_file": "belongs to postgresql; a file has no password"}),
        ({"path": "nowhere/a.db", "postgresql": ADDRESS},
         {"store.path": "lies in a folder that does not exist",
          "store.postgresql": "is named beside path; the store is in one of them"}),
        ({"postgresql": ADDRESS, "password_file": "none"},
         {"store.password_file": "cannot be read: No such file or directory"}),
        ({"postgresql": ADDRESS, "password_file": ""}, {"store.password_file": "must be a path"}),
        ({"postgresql": 5}, {"store.postgresql": LIKE}),
        ({"postgresql": ""}, {"store.postgresql": LIKE}),
        ({"postgresql": ADDRESS, "key_file": "none"},
         {"store.key_file": "cannot be read: No such file or directory"}),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_path_and_a_sentence(
    folder: Path, given: dict[str, Any], expected: dict[str, str]
) -> None:
    assert faults(folder, **given) == expected


TWICE = "says twice where it is, before and behind the question mark"


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("postgresql://relay:s3cret@db.example/relay", A_PASSWORD),
        ("postgresql://relay:@db.example/relay", A_PASSWORD),
        ("postgresql://relay@db.example/relay?password=s3cret", A_PASSWORD),
        ("postgresql://relay@db.example/relay?sslpassword=s3cret", A_PASSWORD),
        ("postgresql://relay@db.example/relay?passfile=s3cret", A_PASSWORD),
        ("postgresql://localhost/relay?host=db.example", TWICE),
        ("postgresql://db.example:5432/relay?port=6432", TWICE),
        ("postgres://relay@db.example/relay", LIKE),
        ("mysql://s3cret@db.example/relay", LIKE),
        ("sqlite:///s3cret.db", LIKE),
        ("host=db.example password=s3cret", LIKE),
        ("postgresql:relay", LIKE),
        ("postgresql://db.example:s3cret/relay", LIKE),
        ("postgresql://db.example:0/relay", LIKE),
        ("postgresql://db.example:65536/relay", LIKE),
        ("postgresql://db.example/relay/s3cret", LIKE),
        ("postgresql://db.example/relay#s3cret", LIKE),
        ("postgresql://@db.example/relay", LIKE),
        ("postgresql://db example/relay", LIKE),
        ("postgresql://dé.example/relay", LIKE),
        ("postgresql://[::1/relay", LIKE),
        ("postgresql://db.example/relay?s3cret", LIKE),
        ("postgresql://db.example/relay?options=-csynchronous_commit%3Doff",
         f"has the parameter options, which is not known here; known are {', '.join(PARAMETERS)}"),
        ("postgresql://db.example/relay?S3CRET%20=1",
         f"has a parameter that is not known here; known are {', '.join(PARAMETERS)}"),
    ],
)  # fmt: skip
def test_a_bad_address_is_not_repeated(folder: Path, address: str, sentence: str) -> None:
    assert faults(folder, postgresql=address) == {"store.postgresql": sentence}
    assert "s3cret" not in sentence.lower()


@pytest.mark.parametrize(
    ("content", "mode", "sentence"),
    [
        ("", 0o600, "must begin with a line that holds the password"),
        ("\nsecond\n", 0o600, "must begin with a line that holds the password"),
        ("a\0b", 0o600, "must begin with a line that holds the password"),
        ("secret", 0o644, "can be read by others; make it private (chmod 600)"),
    ],
)
def test_a_bad_password_file(folder: Path, content: str, mode: int, sentence: str) -> None:
    (folder / "password").write_text(content)
    (folder / "password").chmod(mode)
    assert faults(folder, postgresql=ADDRESS, password_file="password") == {"store.password_file": sentence}


def test_a_password_file_that_is_no_text(folder: Path) -> None:
    (folder / "password").write_bytes(b"\xff\xfe")
    assert faults(folder, postgresql=ADDRESS, password_file="password") == {
        "store.password_file": "is not text in UTF-8"
    }


@pytest.mark.parametrize("content", ["ä ö\u20ac", " leading and trailing ", "x\r\nsecond", "tab\tinside"])
def test_a_password_is_its_first_line_to_the_letter(folder: Path, content: str) -> None:
    (folder / "password").write_bytes(content.encode())
    found = config(folder, postgresql=ADDRESS, password_file="password").store.postgresql
    assert found is not None
    assert found.password == content.partition("\r\n")[0]


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_no_address_brings_the_reader_down_or_is_told(text: str) -> None:
    said, host = "", ""
    try:
        host = an_address(f"postgresql://{text}").host
    except ValueError as error:
        said = str(error)
    assert host.isprintable()
    assert len(text) < 8 or text not in said


# --- where other nodes ask this one


def test_one_node_needs_no_word_of_others(folder: Path) -> None:
    assert config(folder, postgresql=ADDRESS).nodes == NodesConfig(Address("127.0.0.1", 0), None)
    assert config(folder, path="feierabend.db").nodes is None


def test_a_node_is_asked_where_it_listens_or_where_it_says(folder: Path) -> None:
    given = {"listen": "10.0.0.2:8090"}
    assert config(folder, postgresql=ADDRESS, nodes=given).nodes == NodesConfig(Address("10.0.0.2", 8090), None)
    given["address"] = "node-two:8090"
    named = config(folder, postgresql=ADDRESS, nodes=given).nodes
    assert named == NodesConfig(Address("10.0.0.2", 8090), "node-two:8090")


@pytest.mark.parametrize("listen", ["0.0.0.0:8090", "[::]:8090"])
def test_who_listens_everywhere_must_say_how_the_others_reach_it(folder: Path, listen: str) -> None:
    found = faults(folder, postgresql=ADDRESS, nodes={"listen": listen})
    assert found == {"nodes.address": f"is missing; nobody reaches this node at {listen}"}
    config(folder, postgresql=ADDRESS, nodes={"listen": listen, "address": "node-two:8090"})


def test_the_door_of_nodes_is_no_other_door(folder: Path) -> None:
    found = faults(folder, postgresql=ADDRESS, door={"listen": ["10.0.0.2:80"]}, nodes={"listen": "10.0.0.2:80"})
    assert found == {"nodes.listen": "is 10.0.0.2:80, which is another door's"}


def test_a_file_has_one_node(folder: Path) -> None:
    found = faults(folder, path="feierabend.db", nodes={"listen": "10.0.0.2:8090"})
    assert found == {"nodes.listen": "belongs to a store in PostgreSQL; a file has one node"}
