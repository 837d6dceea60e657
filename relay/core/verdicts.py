"""What an answer of a provider means: tables, and nothing but tables.

Sources: Apple, "Handling notification responses from APNs"; Firebase, "ErrorCode" and "Best practices when sending FCM
messages at scale". Five scopes: DEVICE (this token), MESSAGE (our request is
malformed: a bug), CONNECTION, LANE (topic, team, environment), SERVICE (the provider's side). A reason that is not in
the table is judged by its status alone; never does an unknown answer delete a token.

BadDeviceToken and DeviceTokenNotForTopic, and all that FCM says of a token, are SUSPECT: one of them is a dead device,
many of them are our wrong environment, topic or project, and deleting on them is the most dangerous act of a gateway
(core/brake.py decides).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Action(StrEnum):
    """What the lane does with the wakeup; and, for the last five, with itself."""

    ACCEPTED = "accepted"
    GIVE_UP = "give_up"
    """Never again for these events; the device stays."""
    DEAD = "dead"
    """The token is dead since the answer's timestamp."""
    SUSPECT = "suspect"
    """Dead, unless many are."""
    LATER = "later"
    """Retry this device with back-off; the attempt counts."""
    RECONNECT = "reconnect"
    """Send again over a new connection; no attempt counted."""
    NEW_TOKEN = "new_token"
    """The provider token is too old: mint one, open a new connection, send again."""
    STOP = "stop"
    """The lane's configuration is wrong: stop it, page, keep everything; probe slowly."""
    PAUSE = "pause"
    """The lane must wait; keep the current provider token."""
    OLD_TOKEN = "old_token"
    """The provider token was changed too soon: use the one before while it is good, else wait. Never mint one."""


class Scope(StrEnum):
    DEVICE = "device"
    MESSAGE = "message"
    CONNECTION = "connection"
    LANE = "lane"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Verdict:
    action: Action
    scope: Scope


_ACCEPTED: Final = Verdict(Action.ACCEPTED, Scope.DEVICE)
_BUG: Final = Verdict(Action.GIVE_UP, Scope.MESSAGE)
_WRONG_LANE: Final = Verdict(Action.STOP, Scope.LANE)
_SUSPECT: Final = Verdict(Action.SUSPECT, Scope.DEVICE)
_DEAD: Final = Verdict(Action.DEAD, Scope.DEVICE)
_BUSY: Final = Verdict(Action.LATER, Scope.SERVICE)
_RECONNECT: Final = Verdict(Action.RECONNECT, Scope.CONNECTION)

APNS: Final[dict[tuple[int, str], Verdict]] = {
    (400, "BadCollapseId"): _BUG,
    (400, "BadExpirationDate"): _BUG,
    (400, "BadMessageId"): _BUG,
    (400, "BadPriority"): _BUG,
    (400, "DuplicateHeaders"): _BUG,
    (400, "InvalidPushType"): _BUG,
    (400, "PayloadEmpty"): _BUG,
    (400, "MissingDeviceToken"): _BUG,
    (400, "BadTopic"): _WRONG_LANE,
    (400, "MissingTopic"): _WRONG_LANE,
    (400, "TopicDisallowed"): _WRONG_LANE,
    (400, "BadDeviceToken"): _SUSPECT,
    (400, "DeviceTokenNotForTopic"): _SUSPECT,
    (400, "IdleTimeout"): _RECONNECT,
    (403, "ExpiredProviderToken"): Verdict(Action.NEW_TOKEN, Scope.CONNECTION),
    (403, "InvalidProviderToken"): _WRONG_LANE,
    (403, "MissingProviderToken"): _WRONG_LANE,
    (403, "BadEnvironmentKeyIdInToken"): _WRONG_LANE,
    (403, "BadEnvironmentKeyInToken"): _WRONG_LANE,  # as seen by others; the documentation has the longer name
    (403, "Forbidden"): _WRONG_LANE,
    (403, "BadCertificate"): _WRONG_LANE,
    (403, "BadCertificateEnvironment"): _WRONG_LANE,
    (403, "UnrelatedKeyIdInToken"): _RECONNECT,
    (404, "BadPath"): _BUG,
    (405, "MethodNotAllowed"): _BUG,
    (410, "Unregistered"): _DEAD,
    (410, "ExpiredToken"): _DEAD,
    (413, "PayloadTooLarge"): _BUG,
    (429, "TooManyRequests"): Verdict(Action.LATER, Scope.DEVICE),
    (429, "TooManyProviderTokenUpdates"): Verdict(Action.OLD_TOKEN, Scope.LANE),
    (500, "InternalServerError"): _BUSY,
    (503, "ServiceUnavailable"): _BUSY,
    (503, "Shutdown"): _RECONNECT,
}


def apns(status: int, reason: str) -> Verdict:
    """Judge an answer of APNs. Unknown reasons: 2xx accepted; 429 and 5xx as busy; other 4xx as a bug of ours."""
    known = APNS.get((status, reason))
    if known is not None:
        return known
    if 200 <= status < 300:
        return _ACCEPTED
    if status == 429 or status >= 500:
        return _BUSY
    return _BUG


FCM: Final[dict[tuple[int, str], Verdict]] = {
    (400, "INVALID_ARGUMENT"): _BUG,
    (401, "THIRD_PARTY_AUTH_ERROR"): _WRONG_LANE,
    (403, "SENDER_ID_MISMATCH"): _SUSPECT,
    (404, "UNREGISTERED"): _SUSPECT,
    (429, "QUOTA_EXCEEDED"): Verdict(Action.PAUSE, Scope.LANE),
    (500, "INTERNAL"): _BUSY,
    (503, "UNAVAILABLE"): _BUSY,
}
"""By status and FcmError code."""
_FCM_STATUS: Final[dict[int, Verdict]] = {
    401: Verdict(Action.NEW_TOKEN, Scope.CONNECTION),
    403: _WRONG_LANE,
    404: _WRONG_LANE,
    429: Verdict(Action.PAUSE, Scope.LANE),
}
"""Without a code that is known: the project, its permissions or the address are wrong, never the device."""


def fcm(status: int, code: str, *, is_about_token: bool) -> Verdict:
    """Judge an answer of FCM. `is_about_token`: its message calls the registration token invalid."""
    if (status, code) == (400, "INVALID_ARGUMENT") and is_about_token:
        return _SUSPECT
    known = FCM.get((status, code)) or _FCM_STATUS.get(status)
    if known is not None:
        return known
    if 200 <= status < 300:
        return _ACCEPTED
    return _BUSY if status >= 500 else _BUG
