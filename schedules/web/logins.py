"""What all logins share: the providers, the seal of what is under way, and how often somebody may try."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from schedules.web.client_address import Network, client_address, networks
from schedules.web.http import over_tls
from schedules.web.limits import SPAN, Limit, LoginLimits
from schedules.web.oidc import LARGEST, Provider
from schedules.web.settings import Provider as ProviderSettings
from schedules.web.settings import Settings
from schedules.web.under_way import Sealer


@asynccontextmanager
async def providers(configured: Sequence[ProviderSettings]) -> AsyncIterator[tuple[Provider, ...]]:
    """The providers, for the length of the block. Nothing is asked of them yet. Raises OSError for a bad `ca_file`."""
    async with AsyncExitStack() as stack:
        made = []
        for each in configured:
            http = over_tls(Path(each.ca_file) if each.ca_file else None, most_bytes=LARGEST)
            made.append(Provider(each, await stack.enter_async_context(http)))
        yield tuple(made)


@dataclass(frozen=True, slots=True, repr=False)
class Logins:
    """One for the process."""

    providers: Mapping[str, Provider]
    """By what they are called in addresses, in the order in which they are offered."""
    sealer: Sealer
    limits: LoginLimits
    trusted: tuple[Network, ...]
    """Proxies."""

    def client(self, peer: str | None, forwarded: Sequence[str]) -> str:
        """What somebody is counted as."""
        return client_address(peer, forwarded, self.trusted)


def logins(settings: Settings, known: Sequence[Provider]) -> Logins:
    limits = LoginLimits(Limit(settings.login_attempts, SPAN), Limit(settings.login_attempts_together, SPAN))
    return Logins({provider.id: provider for provider in known}, Sealer(), limits, networks(settings.trusted_proxies))
