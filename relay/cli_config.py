"""The option --config of most commands, and the configuration behind it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

CONFIG = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The configuration file (TOML).",
)


def read_config(path: Path) -> Any:  # noqa: ANN401 (the type is imported lazily)
    """The configuration; exits with 2, and says everything that is wrong, when it cannot be used."""
    from relay.config import ConfigError
    from relay.config_file import read

    try:
        return read(path)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"{problem.path}: {problem.sentence}", err=True)
        sys.exit(2)
