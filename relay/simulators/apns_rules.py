"""What Apple refuses, as a table of checks in order (validations A-04 to A-10 and A-13).

Source: Apple, "Sending notification requests to APNs" and "Handling notification responses from APNs". What Apple does
not document is marked [C] and is this simulator's choice.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

Refusal = tuple[int, str]

SUFFIXES: Final = {
    "alert": "",
    "background": "",
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "mdm": "",
    "pushtotalk": ".voip-ptt",
    "voip": ".voip",
    "widgets": ".push-type.widgets",
}
"""The eleven push types and what their topic ends with."""
LARGEST: Final = 4096
LARGEST_VOIP: Final = 5120

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PATH: Final = re.compile(r"/3/device/(.*)")
_TOKEN: Final = re.compile(r"(?:[0-9a-fA-F]{2}){32,100}")
_TOPIC: Final = re.compile(r"[A-Za-z0-9.-]{1,255}")
_EXPIRATION: Final = re.compile(r"[0-9]{1,10}")


@dataclass(slots=True)
class Wakeup:
    """A request under examination."""

    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    topics: Collection[str]
    values: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.values = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(self.headers)}

    def get(self, name: str) -> str | None:
        return self.values.get(name)

    @property
    def token(self) -> str:
        """As the client wrote it; may be upper case."""
        match = _PATH.fullmatch(self.values.get(":path", ""))
        return match[1] if match else ""

    @property
    def app(self) -> str:
        """The topic without what its push type adds."""
        return self.values.get("apns-topic", "").removesuffix(self.suffix)

    @property
    def suffix(self) -> str:
        return SUFFIXES.get(self.values.get("apns-push-type", "alert"), "")


def _message_id(request: Wakeup) -> Refusal | None:
    given = request.get("apns-id")
    return None if given is None or _UUID.fullmatch(given) else (400, "BadMessageId")


def _method(request: Wakeup) -> Refusal | None:
    return None if request.get(":method") == "POST" else (405, "MethodNotAllowed")


def _path(request: Wakeup) -> Refusal | None:
    if not _PATH.fullmatch(request.values.get(":path", "")):
        return 404, "BadPath"
    if not request.token:
        return 400, "MissingDeviceToken"
    return None if _TOKEN.fullmatch(request.token) else (400, "BadDeviceToken")


def _duplicates(request: Wakeup) -> Refusal | None:
    names = [name for name, _ in request.headers if name.startswith(b"apns-") or name == b"authorization"]
    return None if len(names) == len(set(names)) else (400, "DuplicateHeaders")


def _topic(request: Wakeup) -> Refusal | None:
    topic = request.get("apns-topic")
    if topic is None:
        return 400, "MissingTopic"
    if not _TOPIC.fullmatch(topic):
        return 400, "BadTopic"
    if topic.endswith(request.suffix) and request.app in request.topics:
        return None
    is_ours = any(topic.removesuffix(suffix) in request.topics for suffix in SUFFIXES.values())
    return 400, "BadTopic" if is_ours else "TopicDisallowed"  # BadTopic for the wrong suffix: [C]


def _push_type(request: Wakeup) -> Refusal | None:
    kind = request.get("apns-push-type")
    if kind is not None and kind not in SUFFIXES:
        return 400, "InvalidPushType"
    if kind == "background" and request.get("apns-priority") == "10":
        return 400, "BadPriority"  # [C]: documented as an error, without its name
    return None


def _fields(request: Wakeup) -> Refusal | None:
    if request.get("apns-priority") not in (None, "1", "5", "10"):
        return 400, "BadPriority"
    if len((request.get("apns-collapse-id") or "").encode("latin-1")) > 64:
        return 400, "BadCollapseId"
    expiration = request.get("apns-expiration")
    return None if expiration is None or _EXPIRATION.fullmatch(expiration) else (400, "BadExpirationDate")


def _body(request: Wakeup) -> Refusal | None:
    if not request.body or request.get("content-encoding") is not None:
        return 400, "PayloadEmpty"
    most = LARGEST_VOIP if request.get("apns-push-type") == "voip" else LARGEST
    return (413, "PayloadTooLarge") if len(request.body) > most else None


BEFORE_TOKEN: Final[tuple[Callable[[Wakeup], Refusal | None], ...]] = (
    _message_id, _method, _path, _duplicates, _topic, _push_type, _fields,
)  # fmt: skip
AFTER_TOKEN: Final = (_body,)


def is_json(request: Wakeup) -> bool:
    """Whether the body is a JSON object in UTF-8 (A-13)."""
    return isinstance(_payload(request), dict)


def _payload(request: Wakeup) -> object:
    try:
        return json.loads(request.body.decode(), parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def notes(request: Wakeup) -> tuple[str, ...]:
    """Why Apple would accept this and then drop it (A-09)."""
    payload = _payload(request)
    aps = payload.get("aps", {}) if isinstance(payload, dict) else {}
    visible = isinstance(aps, dict) and bool({"alert", "badge", "sound"} & aps.keys())
    kind = request.get("apns-push-type") or "alert"
    if kind == "background" and visible:
        return ("background_with_alert",)
    return () if visible or kind != "alert" else ("alert_without_alert",)
