"""What a step that failed, or an answer, means: who must mend it, and a sentence that says what to look at. Tables."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.core.verdicts import Action


class Blame(StrEnum):
    """Where to look."""

    NOBODY = "nobody"
    CONFIGURATION = "configuration"
    CREDENTIALS = "credentials"
    TOPIC = "topic"
    DEVICE_TOKEN = "device_token"
    CLOCK = "clock"
    PROXY = "proxy"
    DNS = "dns"
    NETWORK = "network"
    TLS = "tls"
    PROVIDER = "provider"
    WIRE = "wire"
    """Our own HTTP/2, which others do better."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a provider answered, as our lane reads it. `reason`: its own word, or "status_NNN"."""

    status: int
    reason: str
    action: Action

    def __str__(self) -> str:
        return f"{self.status}" if self.status == 200 else f"{self.status} {self.reason}"

    @property
    def is_good(self) -> bool:
        """Everything but the device's token was found right."""
        return self.action in (Action.ACCEPTED, Action.SUSPECT, Action.DEAD)


KEY: Final = (
    "key_file, key_id and team_id do not belong together, or the key was revoked; compare all three with "
    "developer.apple.com (Keys, Membership). A clock that is more than an hour ahead is answered the same"
)
ENVIRONMENT: Final = "the key is not for this environment; Apple's keys are for sandbox, production, or both"
TOPIC: Final = "topic must be the bundle id of an app of this team, exactly as it is written there"
RIGHTS: Final = (
    "the service account may not send for this project; enable the Firebase Cloud Messaging API there, and give the "
    "account the role Firebase Cloud Messaging API Admin"
)
LATER: Final = "the provider is in trouble or has too much of us; ask again in a minute"

APNS: Final[dict[str, tuple[Blame, str]]] = {
    "InvalidProviderToken": (Blame.CREDENTIALS, KEY),
    "MissingProviderToken": (Blame.WIRE, "our request bears a provider token, and Apple has seen none"),
    "ExpiredProviderToken": (
        Blame.CLOCK,
        "a fresh token is called expired: this machine's clock is behind; set it",
    ),
    "BadEnvironmentKeyIdInToken": (Blame.CREDENTIALS, ENVIRONMENT),
    "BadEnvironmentKeyInToken": (Blame.CREDENTIALS, ENVIRONMENT),
    "Forbidden": (Blame.CREDENTIALS, "Apple refuses this team or key; see what developer.apple.com has to say to you"),
    "TopicDisallowed": (Blame.TOPIC, TOPIC),
    "BadTopic": (Blame.TOPIC, TOPIC),
    "MissingTopic": (Blame.TOPIC, TOPIC),
    "BadDeviceToken": (
        Blame.DEVICE_TOKEN,
        "key, team and topic are right; the device token is none of this environment (sandbox has others)",
    ),
    "DeviceTokenNotForTopic": (
        Blame.TOPIC,
        "the device token is another app's; is this the topic of its app?",
    ),
    "Unregistered": (Blame.DEVICE_TOKEN, "key, team and topic are right; the app was removed from that device"),
    "ExpiredToken": (Blame.DEVICE_TOKEN, "key, team and topic are right; the device has another token by now"),
    "TooManyProviderTokenUpdates": (
        Blame.PROVIDER,
        "the team has used too many provider tokens lately, perhaps by other senders; ask again in 20 minutes",
    ),
}
FCM: Final[dict[str, tuple[Blame, str]]] = {
    "UNAUTHENTICATED": (Blame.CREDENTIALS, "FCM does not take the access token that Google has just given us"),
    "ACCESS_TOKEN_EXPIRED": (Blame.CREDENTIALS, "FCM does not take the access token that Google has just given us"),
    "PERMISSION_DENIED": (Blame.CREDENTIALS, RIGHTS),
    "IAM_PERMISSION_DENIED": (Blame.CREDENTIALS, RIGHTS),
    "SERVICE_DISABLED": (Blame.CREDENTIALS, RIGHTS),
    "NOT_FOUND": (Blame.CREDENTIALS, "Google knows no such project, or FCM is not enabled in it"),
    "SENDER_ID_MISMATCH": (Blame.DEVICE_TOKEN, "the registration token is of another project than the service account"),
    "UNREGISTERED": (Blame.DEVICE_TOKEN, "account and project are right; the app was removed from that device"),
    "INVALID_ARGUMENT": (Blame.DEVICE_TOKEN, "account and project are right; what was sent as a token is none"),
    "THIRD_PARTY_AUTH_ERROR": (
        Blame.DEVICE_TOKEN,
        "the registration token is an iPhone's or a browser's",
    ),
    "QUOTA_EXCEEDED": (Blame.PROVIDER, "the project has used up its quota; ask again in a minute"),
}
OAUTH: Final[dict[str, tuple[Blame, str]]] = {
    "invalid_grant": (
        Blame.CREDENTIALS,
        "Google does not take the account's signature: its key was deleted, or the clock is wrong; make a new key "
        "(console.firebase.google.com, Service accounts)",
    ),
    "invalid_client": (Blame.CREDENTIALS, "Google knows no such service account any more; make a new key"),
    "unauthorized_client": (Blame.CREDENTIALS, "the service account was disabled, or may not ask for FCM"),
}
PROXY: Final[dict[str, str]] = {
    "proxy_refuses_credentials": "the proxy refuses our credentials (407); look at credentials_file",
    "proxy_wants_credentials": "the proxy wants credentials (407); name them in credentials_file",
    "proxy_status_403": "the proxy does not let us through to {host} (403); have it allowed there",
    "proxy_status_502": "the proxy does not reach {host} (502)",
    "proxy_status_503": "the proxy does not reach {host} (503)",
    "proxy_status_504": "the proxy does not reach {host} (504)",
    "proxy_speaks_no_http": "what listens there is no HTTP proxy; look at url",
    "proxy_closed": "the proxy has closed the connection without an answer",
    "proxy_silent": "the proxy does not answer; perhaps it waits for {host}",
    "proxy_unreachable": "the proxy is not reached; look at url",
    "proxy_not_found": "the name of the proxy is not found; look at url, and at this machine's name server",
}


def of_answer(reading: Reading) -> tuple[Blame, str]:
    """Who must mend what an answer complains of, and how. For one that is not 200."""
    known = APNS.get(reading.reason) or FCM.get(reading.reason)
    if known is not None and (reading.reason != "INVALID_ARGUMENT" or reading.is_good):
        return known
    if reading.action in (Action.LATER, Action.PAUSE, Action.RECONNECT):
        return Blame.PROVIDER, LATER
    if reading.action is Action.STOP:
        return Blame.CREDENTIALS, "the provider refuses whom we say we are, in words that are not known here"
    return Blame.WIRE, "the provider finds our request malformed"


def of_proxy(reason: str, host: str) -> str:
    """What went wrong at a proxy. `reason`: as relay/lanes/proxy.py has it."""
    said = PROXY.get(reason, f"the proxy gives no way to {{host}} ({reason.removeprefix('proxy_').replace('_', ' ')})")
    return said.format(host=host)
