"""`feierabend doctor`: why an app's provider does not take what we send, step by step, with a second opinion."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

import click

from relay.cli_config import CONFIG

MADE_UP: Final = {"apns": "0" * 64, "fcm": "feierabend-doctor-0000000000000000:" + "0" * 100}
"""Device tokens of the right form that are nobody's."""
LONGEST_TOKEN: Final = 4096
_CREDENTIALS: Final = ("key_file", "service_account_file", "credentials_file", "ca_file", "password_file")
_WIDTH: Final = 12


@click.command()
@CONFIG
@click.option("--apns", metavar="APP", help="An app at Apple.")
@click.option("--fcm", metavar="APP", help="An app at Google.")
@click.option("--tenant", help="Whose app, where several have one of that name.")
@click.option(
    "--token-file",
    type=click.File("rb"),
    help="Holds a real device token (- for standard input). An iPhone rings then; Google is asked for a dry run.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, at the end.")
def doctor(
    config_path: Path, apns: str | None, fcm: str | None, tenant: str | None, token_file: IO[bytes] | None, *,
    as_json: bool,
) -> None:  # fmt: skip
    """Ask Apple or Google once by our own wire and once by the vendor's library, and say what is wrong and where.

    Needs no running relay, books nothing, and without --token-file touches no device. Exits with 0 when all is well, 1
    when there is something to mend in credentials, network, proxy or clock, and 2 when our own wire is to blame or the
    configuration cannot be used.
    """
    if (apns is None) == (fcm is None):
        raise click.UsageError("name one app: --apns APP or --fcm APP")
    provider, name = ("apns", apns) if fcm is None else ("fcm", fcm)
    token = MADE_UP[provider] if token_file is None else _read_token(token_file)
    told: dict[str, Any] = {"app": name, "provider": provider, "steps": [], "answer": None, "library": None}

    def tell(step: Any) -> None:  # noqa: ANN401 (the type is imported lazily)
        told["steps"].append(asdict(step))
        if not as_json:
            click.echo(f"{step.name:{_WIDTH}} {step.state:8} {step.says}".rstrip())

    app = _app(config_path, provider, name, tenant, tell)
    told |= _examined(app, token, tell, is_made_up=token_file is None) if app is not None else _UNUSABLE
    if as_json:
        click.echo(json.dumps(told))
    else:
        if app is not None:
            click.echo(f"{told['library']['name']:{_WIDTH}} {told['library']['answer']}")
        click.echo(told["says"])
    sys.exit(told["exit"])


def _read_token(file: IO[bytes]) -> str:
    token = file.read(2 * LONGEST_TOKEN).strip()
    if len(token) > LONGEST_TOKEN or not re.fullmatch(rb"[!-~]+", token):
        sentence = f"must hold one line of 1 to {LONGEST_TOKEN} visible ASCII characters"
        raise click.BadParameter(sentence, param_hint="--token-file")
    return token.decode("ascii")


_UNUSABLE: Final = {"blame": "configuration", "says": "The configuration cannot be used.", "exit": 2}


def _app(path: Path, provider: str, name: str | None, tenant: str | None, tell: Any) -> Any:  # noqa: ANN401
    """The app's configuration; None, and told why, when there is none."""
    from relay.config import ConfigError, FcmAppConfig
    from relay.config_file import read
    from relay.doctor.steps import Step

    try:
        config = read(path)
    except ConfigError as error:
        in_files = [problem.path.rpartition(".")[2] in _CREDENTIALS for problem in error.problems]
        if all(in_files):
            tell(Step("config", "ok", str(path)))
        says = "; ".join(f"{problem.path} {problem.sentence}" for problem in error.problems)
        tell(Step("credentials" if all(in_files) else "config", "failed", says))
        return None
    found = [
        app
        for each in config.tenants
        for app in each.apps
        if app.name == name
        and tenant in (None, each.name)
        and isinstance(app, FcmAppConfig) == (provider == "fcm")
    ]  # fmt: skip
    if len(found) != 1:
        says = "several tenants have such an app; name one by --tenant" if found else "there is no such app"
        tell(Step("config", "failed", f"{name} at {provider}: {says}"))
        return None
    tell(Step("config", "ok", str(path)))
    return found[0]


def _examined(app: Any, token: str, tell: Any, *, is_made_up: bool) -> dict[str, object]:  # noqa: ANN401
    import trio

    from relay.clock import WallClock
    from relay.doctor import examine

    try:
        ours, second, conclusion = trio.run(
            partial(examine.examine, app, token, WallClock(), tell, is_made_up=is_made_up)
        )
    except BaseExceptionGroup as group:
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        raise KeyboardInterrupt from None  # as click knows it
    return {
        "answer": None if ours.reading is None else str(ours.reading),
        "library": {"name": second.name, "answer": str(second), "asked": second.is_asked},
        "blame": conclusion.blame.value,
        "says": conclusion.says,
        "exit": conclusion.code,
    }
