"""`feierabend init`: a folder that a relay can be served from once the providers' credentials lie in it.

The texts are files, in `relay/example`: the configuration names every key with its default, and the unit confines the
service. Here is filled in what differs from one installation to the next: digests of API keys that are made on the
spot, the place of the database, paths of the unit. Whatever is there already stays as it is.

Under systemd the service sees none of the folder. root hands over copies, which lie side by side in memory as they lie
side by side in the folder; so one configuration is good for both, for `check` by hand and for the service.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Final

from relay.config_reader import master_line
from relay.core.errors import RelayError
from relay.doors.keys import Scope, new_key

CONFIG: Final = "feierabend.toml"
UNIT: Final = "feierabend.service"
MASTER: Final = "master"
STATE: Final = Path("/var/lib/feierabend")
"""What `StateDirectory=` of the unit means."""
KEYS: Final = {
    "backend": (Scope.EVENTS, Scope.ALARMS, Scope.DEVICES),
    "settings": (Scope.REST,),
}
"""API keys of the example, and their scopes there."""

_PLAIN: Final = re.compile(r"[\w/.,+@:-]+", re.ASCII)
"""Paths that a unit can name as they are. systemd has its own ideas of spaces, quotes, % and $."""


class CannotInit(RelayError):
    """Nothing was written."""


@dataclass(frozen=True, slots=True)
class Made:
    """What `init` has made. `keys`: API keys by id, told nowhere else."""

    files: tuple[Path, ...]
    keys: dict[str, str] = field(repr=False)


def init(folder: Path, python: Path | None = None) -> Made:
    """Write configuration, master key and, with `python` to run the service by, a unit. Makes the folder, private.

    Raises CannotInit when one of the files is there already, or systemd could not be told a path; OSError.
    """
    made = {name: new_key(name) for name in KEYS}
    filled = {name.upper(): digest for name, (_, digest) in made.items()}
    filled["DATABASE"] = str(STATE / "feierabend.db") if python else "feierabend.db"
    texts = {MASTER: master_line(0), CONFIG: _filled(CONFIG, filled)}
    if python is not None:
        paths = {"FOLDER": str(folder.resolve()), "PYTHON": str(python)}
        for path in paths.values():
            if not _PLAIN.fullmatch(path):
                raise CannotInit(f"{path}: a unit cannot name this path; choose one of letters, digits and ._-")
        texts[UNIT] = _filled(UNIT, paths)
    for name in texts:
        if os.path.lexists(folder / name):
            raise CannotInit(f"{folder / name}: is there already; nothing was written")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, text in texts.items():
        _write(folder / name, text)
    return Made(tuple(folder / name for name in texts), {name: key for name, (key, _) in made.items()})


def _filled(name: str, values: dict[str, str]) -> str:
    text = (files("relay") / "example" / name).read_text("utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _write(path: Path, text: str) -> None:
    """A new private file; never one that exists. Raises OSError."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(text)


def told(folder: Path, made: Made) -> list[str]:
    """What was made, the API keys, and what to do next, line by line."""
    config = folder / CONFIG
    lines = [f"written: {file}" for file in made.files]
    lines += ["", "API keys; they are not shown again:"]
    lines += [f"  {key}   ({', '.join(KEYS[name])})" for name, key in made.keys.items()]
    lines += [
        "",
        "Next:",
        f"  1. Read {config} and change what is not yours: apps, roles, reasons.",
        "  2. Put the keys that Apple and Google hand out beside it, as AuthKey.p8 and service-account.json.",
    ]
    if folder / UNIT not in made.files:
        return [*lines, f"  3. feierabend check --config {config}", f"  4. feierabend serve --config {config}"]
    unit = (folder / UNIT).resolve()
    return [
        *lines,
        f"  3. sudo install -d -m 700 {STATE}",
        f"  4. feierabend check --config {config}     (as root, if it cannot read something)",
        f"  5. systemd-analyze verify {unit}",
        f"  6. sudo systemctl enable --now {unit}",
        "The service runs as a user of its own, which must be able to read the program, not the folder.",
    ]
