"""The option --config of most commands, the configuration behind it, and what in it is perhaps not meant."""

from __future__ import annotations

import sys
from collections.abc import Iterator
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


def proxies(config: Any) -> Iterator[str]:  # noqa: ANN401 (the type is imported lazily)
    """Through which proxies Apple and Google are reached; nothing where they are reached directly."""
    apps = [app for tenant in config.tenants for app in tenant.apps]
    for way in dict.fromkeys(app.proxy for app in apps if app.proxy is not None):
        named = ", ".join(app.name for app in apps if app.proxy == way)
        yield f"proxy {way.address}, {'with' if way.credentials else 'without'} credentials: {named}"


def stream_warnings(config: Any) -> Iterator[str]:  # noqa: ANN401 (the type is imported lazily)
    """What works, and is perhaps not meant, of the stream door."""
    from relay.config_web import LOCAL

    for address in config.stream.listen if config.stream is not None else ():
        if address.host not in LOCAL:
            yield f"stream.listen: {address} is not loopback; keys and ids are in plain sight, put a TLS proxy in front"


def web_warnings(config: Any) -> Iterator[str]:  # noqa: ANN401 (the type is imported lazily)
    """What works, and is perhaps not meant, of the officers' door."""
    from relay.config_pages import warnings
    from relay.config_web import LOCAL
    from relay.doors.keys import Scope

    web = config.web
    if web is None:
        return
    for address in web.listen:
        if address.host not in LOCAL:
            yield f"web.listen: {address} is not loopback; it speaks plain HTTP, put a TLS proxy in front"
    if web.base_url.startswith("http://"):
        yield "web.base_url: is plain HTTP; cookies are not protected, so only for trying it on this machine"
    for index, provider in enumerate(web.oidc):
        if provider.issuer.startswith("http://"):
            yield f"web.oidc[{index}].issuer: is plain HTTP; only for trying it on this machine"
    yield from warnings(web.pages)
    vouched = {provider.tenant for provider in web.oidc}
    for index, tenant in enumerate(config.tenants):
        has_links = any(Scope.REST in key.scopes for key in tenant.keys)
        if tenant.name not in vouched and not has_links:
            yield f"tenants[{index}]: nobody of it can sign in; it has no web.oidc, and no key with rest to make links"
