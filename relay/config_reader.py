"""Reading tables member by member, collecting faults instead of stopping at the first one; and the files they name.

A reader takes a value, or a path, and raises ValueError with a sentence that tells nothing of what is inside.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import ssl
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from relay.core.chain import Notary
from relay.core.errors import Problem
from relay.core.pseudonym import MASTER_KEY_BYTES
from relay.lanes.oauth import ServiceAccount

T = TypeVar("T")
INDEX = re.compile(r"\[\d+\]")


class Table:
    """One TOML table under examination."""

    def __init__(self, content: object, path: str, problems: list[Problem]) -> None:
        self._path = path
        self._problems = problems
        self._content: dict[str, object] = content if isinstance(content, dict) else {}
        self._asked: set[str] = set()
        self._is_table = isinstance(content, dict)
        if not self._is_table:
            self.fault("", "must be a table")

    def fault(self, name: str, sentence: str) -> None:
        path = ".".join(part for part in (self._path, name) if part)
        problem = Problem(path or "file", sentence)
        if problem not in self._problems:
            self._problems.append(problem)

    def lacks(self, name: str, sentence: str) -> None:
        """A fault of a table that is one."""
        if self._is_table:
            self.fault(name, sentence)

    def get(self, name: str, read: Callable[[object], T], default: Any, *, required: bool = True) -> Any:  # noqa: ANN401
        """A member; `default` when absent (None with `required`: then it must be there)."""
        self._asked.add(name)
        if name not in self._content:
            if default is None and required:
                self.lacks(name, "is missing")
            return default
        try:
            return read(self._content[name])
        except ValueError as error:
            self.fault(name, str(error))
            return default

    def file(self, name: str, path: Path, read: Callable[[Path], T]) -> T | None:
        """What a file holds that a member names; a fault when it cannot be read."""
        try:
            if path.is_fifo():
                raise ValueError("is a pipe, at which one could wait for ever; it must be a file")
            return read(path)
        except OSError as error:
            self.fault(name, f"cannot be read: {error.strerror}")
        except ValueError as error:
            self.fault(name, str(error))
        return None

    def has(self, name: str) -> bool:
        """Whether it is there, whatever it is."""
        self._asked.add(name)
        return name in self._content

    def table(self, name: str) -> Table:
        self._asked.add(name)
        path = ".".join(part for part in (self._path, name) if part)
        return Table(self._content.get(name, {}), path, self._problems)

    def tables(self, name: str, *, least: int = 0) -> Iterator[Table]:
        self._asked.add(name)
        items = self._content.get(name, [])
        prefix = ".".join(part for part in (self._path, name) if part)
        if not isinstance(items, list):
            self.fault(name, f"must be a list of tables; write [[{re.sub(INDEX, '', prefix)}]]")
            return
        if len(items) < least:
            self.fault(name, f"must name at least {least}")
        for index, item in enumerate(items):
            yield Table(item, f"{prefix}[{index}]", self._problems)

    def done(self) -> None:
        """Whatever was not asked for is not known."""
        for name in sorted(self._content.keys() - self._asked):
            shown = name if re.fullmatch(r"[\w-]{1,40}", name) else "(other)"
            known = ", ".join(sorted(self._asked))
            self.fault(shown, f"is not known here; known are {known}")


def text(pattern: str | None = None) -> Callable[[object], str]:
    def read(value: object) -> str:
        if not isinstance(value, str) or not value or (pattern is not None and not re.fullmatch(pattern, value)):
            raise ValueError(f"must be a text of the form {pattern}" if pattern else "must be a text")
        return value

    return read


def a_path(value: object) -> str:
    if not isinstance(value, str) or not value or any(ord(character) < 32 for character in value):
        raise ValueError("must be a path")
    return value


def whole(low: int, high: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return read


def number(low: float, high: float) -> Callable[[object], float]:
    def read(value: object) -> float:
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"must be a number from {low:.12g} to {high:.12g}")
        return float(value)

    return read


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def choice(*names: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in names or not isinstance(value, str):
            raise ValueError(f"must be one of {', '.join(names)}")
        return value

    return read


def strings(*allowed: str, least: int = 0) -> Callable[[object], tuple[str, ...]]:
    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise ValueError("must be a list of texts")
        unknown = [item for item in value if allowed and item not in allowed]
        if unknown:
            raise ValueError(f"must name only {', '.join(allowed)}")
        if len(value) < least:
            raise ValueError(f"must name at least {least}")
        return tuple(value)

    return read


def an_address(value: object) -> tuple[str, int]:
    """`127.0.0.1:8080`, `[::1]:8080` or `name:443`; port 0 is any free one. Raises ValueError."""
    match = ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match["port"]) > 65_535 or not _is_host(match):
        raise ValueError("must be an address like 127.0.0.1:8080 or [::1]:8080")
    return match["six"] or match["host"], int(match["port"])


def _are_labels(host: str) -> bool:
    """Whether a host's name can be looked up at all: one to 63 characters between dots (RFC 1035, 2.3.4)."""
    return all(0 < len(label) <= 63 for label in host.removesuffix(".").split("."))


ADDRESS = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[A-Za-z0-9._-]{1,253})):(?P<port>[0-9]{1,5})")


def _is_host(match: re.Match[str]) -> bool:
    """Brackets hold an IPv6 address; four numbers are an IPv4 address and no name."""
    if match["host"] and not _are_labels(match["host"]):
        return False
    number = match["six"] or (match["host"] if re.fullmatch(r"[0-9.]+", match["host"]) else None)
    try:
        return number is None or ip_address(number).version == (6 if match["six"] else 4)
    except ValueError:
        return False


def a_token_uri(value: object) -> str:
    """Where access tokens are fetched. Over TLS, for what is sent there shows who we are. Raises ValueError."""
    match = _TOKEN_URI.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(LIKE_TOKEN_URI)
    try:
        _, port = an_address(match["authority"] if match["port"] else f"{match['authority']}:443")
    except ValueError:
        raise ValueError(LIKE_TOKEN_URI) from None
    if not port:
        raise ValueError(LIKE_TOKEN_URI)
    return match[0]


_TOKEN_URI = re.compile(r"https://(?P<authority>[^/?#@\s]*?(?P<port>:[0-9]{1,5})?)(?:/[!-~]{0,400})?")
LIKE_TOKEN_URI = "must be an address like https://oauth2.googleapis.com/token"


# --- files; each of these raises OSError too


@dataclass(frozen=True, slots=True)
class MasterKeys:
    keys: Mapping[int, bytes] = field(repr=False)
    first: int
    """Names people and devices: never change it while the store lives."""
    current: int
    """Seals new records."""

    def notary(self) -> Notary:
        """Who makes the digests of records (core/chain.py)."""
        return Notary(self.keys[self.first])


def read_masters(path: Path) -> MasterKeys:
    """Master keys: a line `id:base64` for each (32 bytes)."""
    content = _read_private(path)
    keys: dict[int, bytes] = {}
    for line in content.split():
        name, _, encoded = line.partition(b":")
        if not re.fullmatch(rb"[0-9]{1,3}", name):
            raise ValueError("has a line that is not id:base64")
        try:
            key_id, key = int(name), base64.b64decode(encoded, validate=True)
        except ValueError:
            raise ValueError("has a line that is not id:base64") from None
        if key_id > 255 or len(key) != MASTER_KEY_BYTES or key_id in keys:
            raise ValueError(f"needs ids from 0 to 255, each once, and keys of {MASTER_KEY_BYTES} bytes")
        keys[key_id] = key
    if not keys:
        raise ValueError("holds no key; make one with feierabend key master")
    return MasterKeys(keys, next(iter(keys)), next(reversed(keys)))


def read_secret(path: Path) -> str:
    """A secret that somebody else has made: visible ASCII characters, on one line."""
    try:
        secret = _read_private(path).decode("ascii").strip()
    except UnicodeDecodeError:
        secret = ""
    if not re.fullmatch(r"[!-~]{1,1000}", secret):
        raise ValueError("must hold one line of visible ASCII characters")
    return secret


def read_password(path: Path) -> str:
    """The first line of a file that others cannot read."""
    try:
        line = _read_private(path).partition(b"\n")[0].removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("is not text in UTF-8") from None
    if not line or "\0" in line:
        raise ValueError("must begin with a line that holds the password")
    return line


def read_credentials(path: Path) -> str:
    """`user:password`: the first line of a file that others cannot read. A user holds no colon (RFC 7617)."""
    line = read_password(path)
    if not line.partition(":")[0] or ":" not in line or not line.isprintable():
        raise ValueError("must begin with a line like user:password")
    return line


def _read_private(path: Path) -> bytes:
    """Raises ValueError when others could read it too."""
    content = path.read_bytes()
    if stat.S_IMODE(path.stat().st_mode) & (0o037 if _is_credential(path) else 0o077):
        raise ValueError("can be read by others; make it private (chmod 600)")
    return content


def _is_credential(path: Path) -> bool:
    """systemd handed it over: in a folder of the service's own, by an access list, which shows as the group's right."""
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and path.parent == Path(folder)


def master_line(key_id: int) -> str:
    """A new master key as a line of its file."""
    return f"{key_id}:{base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES)).decode()}\n"


def read_provider_key(path: Path) -> bytes:
    """The PEM of an APNs key."""
    pem = path.read_bytes()
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("is not a PEM private key without password") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise ValueError("is not an EC P-256 key, as Apple hands out for APNs")
    return pem


def key_id_of(path: Path) -> str | None:
    """The id of an APNs key by the name of its file, links followed, as Apple hands it out; None for another name."""
    named = re.fullmatch(r"AuthKey_([A-Z0-9]{10})\.p8", path.resolve().name)
    return named[1] if named else None


def read_certificates(path: Path) -> Path:
    """The path itself, when the file holds certificates to trust."""
    path.open("rb").close()  # ssl's own words for a missing file are no better, and it takes a folder for an empty file
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise ValueError("holds no PEM certificate") from None
    return path


def read_service_account(path: Path) -> ServiceAccount:
    """A service account as Google hands it out (JSON). Raises ValueError with a sentence, OSError."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        raise ValueError("is not JSON, as Google hands out service accounts") from None
    fields = ("project_id", "client_email", "private_key", "private_key_id", "token_uri")
    values: dict[str, str] = {}
    for name in fields:
        value = content.get(name) if isinstance(content, dict) else None
        if not isinstance(value, str) or not value:
            raise ValueError(f"has no {name}; download the key of the service account anew")
        values[name] = value
    try:
        a_token_uri(values["token_uri"])
    except ValueError as error:
        raise ValueError(f"has a token_uri that {error}") from None
    try:
        key = load_pem_private_key(values["private_key"].encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("has a private_key that is not a PEM key without password") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("has a private_key that is not an RSA key")
    return ServiceAccount(**values)
