"""The constant bytes of a wakeup (I3): what every request to a provider has in common.

Content-free: an alert that says nothing, which the app's notification service extension replaces after fetching. Two
wakeups of a lane differ in token, life step and provider JWT only (P1-P6). No `apns-id` (answers match by stream), a
constant collapse id (at most one banner), no sound, badge, thread or category (the extension sets them on the phone).
"""

from __future__ import annotations

from typing import Final

from aioapns import PushType

APNS_BODY: Final = b'{"aps":{"alert":{"loc-key":"W"},"mutable-content":1}}'
APNS_PATH: Final = b"/3/device/"
APNS_VARYING: Final = (b"authorization", b"apns-expiration")
"""Fields whose value differs between requests, beside `:path`."""


def apns_constant(authority: str, topic: str) -> tuple[tuple[bytes, bytes], ...]:
    """Header fields that all wakeups of one lane share, in order (Apple, "Sending notification requests to APNs").

    `content-length` is there because some HTTP/2 servers answer 411 without it; it costs one byte once indexed.
    """
    return (
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", authority.encode()),
        (b"apns-topic", topic.encode()),
        (b"apns-push-type", PushType.ALERT.value.encode()),
        (b"apns-priority", b"10"),
        (b"apns-collapse-id", b"w"),
        (b"content-length", str(len(APNS_BODY)).encode()),
    )
