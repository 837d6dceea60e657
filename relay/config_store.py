"""The table `[store]`: a file, or a database of PostgreSQL's.

    [store]
    path = "feierabend.db"                       # SQLite: one node, nothing else to run

or

    [store]
    postgresql = "postgresql://feierabend@db.example:5432/feierabend?sslmode=verify-full"
    password_file = "database-password"          # its first line; none where the server asks for none

and, with PostgreSQL, for each of several nodes

    [nodes]
    listen = "10.0.0.2:8090"                     # where the others ask it; if not given a free port of this machine
    address = "node-two:8090"                    # how they reach it; where it listens if not given

and in both cases

    key_file = "/run/keys/master"                # master keys; on another device than the database (I6)

The address is libpq's, cut down to what is of use here. A password has no place in it, for addresses are copied into
tickets and mails; neither it nor the address is ever repeated, whatever is wrong with them.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from relay.config import PostgresConfig, StoreConfig
from relay.config_reader import Table, a_path, read_masters, read_password

SCHEME: Final = "postgresql://"
LIKE: Final = f"must be an address like {SCHEME}feierabend@db.example:5432/feierabend"
PARAMETERS: Final = (
    "channel_binding", "gssencmode", "host", "hostaddr", "krbsrvname", "load_balance_hosts", "port", "require_auth",
    "ssl_min_protocol_version", "sslcert", "sslcrl", "sslkey", "sslmode", "sslnegotiation", "sslrootcert",
    "target_session_attrs",
)  # fmt: skip
"""What may stand behind the question mark. All else is set by the relay, or would be a secret."""
LOCAL: Final = "the local socket"
_SECRETS: Final = ("password", "sslpassword", "passfile")
_ONE_HOST: Final = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+|%2[Ff][A-Za-z0-9._/%-]*)?(?::([0-9]{1,5}))?")
_PORT: Final = re.compile(r":[0-9]+(?=,|$)")
_HERE: Final = ("", "localhost", "127.0.0.1", "[::1]", "::1")


def store(table: Table, folder: Path) -> StoreConfig | None:
    """Faults are noted in the table."""
    is_postgres = table.has("postgresql")
    path = None if is_postgres and not table.has("path") else _path(table, folder)
    postgresql = _postgresql(table, folder) if is_postgres else None
    if not is_postgres and table.has("password_file"):
        table.fault("password_file", "belongs to postgresql; a file has no password")
    key_file = table.get("key_file", a_path, None)
    table.done()
    if is_postgres and table.has("path"):
        table.fault("postgresql", "is named beside path; the store is in one of them")
    if path and key_file and (folder / path).resolve() == (folder / key_file).resolve():
        table.fault("path", "is the key file; the database is another file, best on another device")
    masters = table.file("key_file", folder / key_file, read_masters) if key_file else None
    if masters is None or (path is None) == (postgresql is None):
        return None
    return StoreConfig(folder / path if path else None, folder / key_file, masters, postgresql)


def _path(table: Table, folder: Path) -> str | None:
    if not table.has("path"):
        table.lacks("path", "is missing, and so is postgresql; one of them says where the store is")
        return None
    path: str | None = table.get("path", a_path, None)
    if path and not (folder / path).parent.is_dir():
        table.fault("path", "lies in a folder that does not exist")
    if path and (folder / path).is_dir():
        table.fault("path", "is a folder")
    return path


def _postgresql(table: Table, folder: Path) -> PostgresConfig | None:
    named: PostgresConfig | None = table.get("postgresql", an_address, None)
    file = table.get("password_file", a_path, None, required=False)
    password = table.file("password_file", folder / file, read_password) if file else None
    if named is None or (file and password is None):
        return None
    return replace(named, password=password)


def an_address(value: object) -> PostgresConfig:
    """A database, without its password. Raises ValueError, which repeats nothing of the address."""
    if not isinstance(value, str) or not value.startswith(SCHEME) or not re.fullmatch(r"[!-~]+", value):
        raise ValueError(LIKE)
    try:
        parts = urlsplit(value)
        query = parts.query and parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        raise ValueError(LIKE) from None
    given = dict(query or ())
    user, at, hosts = parts.netloc.rpartition("@")
    if ":" in user or any(name in given for name in _SECRETS):
        raise ValueError("holds a password, or says where one is; put it into a file and name that in password_file")
    for name in sorted(given.keys() - set(PARAMETERS)):
        shown = f"the parameter {name}, which" if re.fullmatch(r"[a-z_]{1,40}", name) else "a parameter that"
        raise ValueError(f"has {shown} is not known here; known are {', '.join(PARAMETERS)}")
    database = parts.path.removeprefix("/")
    if parts.fragment or "/" in database or (at and not user) or not _are_hosts(hosts):
        raise ValueError(LIKE)
    if hosts and ("host" in given or ("port" in given and _PORT.search(hosts))):
        raise ValueError("says twice where it is, before and behind the question mark")
    is_sure = given.get("sslmode") == "verify-full" or _is_here(hosts, given)
    return PostgresConfig(value, None, _in_words(hosts, given), is_sure)


def _are_hosts(hosts: str) -> bool:
    """One, or several in a row as libpq tries them; each may be left out."""
    found = [_ONE_HOST.fullmatch(host) for host in hosts.split(",")]
    return all(match is not None and int(match[1] or 1) in range(1, 65_536) for match in found)


def _is_here(hosts: str, given: dict[str, str]) -> bool:
    """Whether each of the hosts that are tried is this machine."""
    named = [_PORT.sub("", unquote(host)) for host in hosts.split(",")]
    for name in ("host", "hostaddr"):
        named += given[name].split(",") if name in given else []
    return all(host in _HERE or host.startswith("/") for host in named)


def _in_words(hosts: str, given: dict[str, str]) -> str:
    host = hosts or given.get("host") or given.get("hostaddr", "")
    port = f":{given['port']}" if "port" in given else ""
    shown = unquote(host)
    return f"{shown}{port}" if shown and shown.isprintable() and not shown.startswith("/") else LOCAL
