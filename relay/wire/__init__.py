"""HTTP/2 for identical requests: a sans-IO client connection and its trio transport.

Knows nothing of wakeups. The rules cited as (rule N) are those of relay/README.md, "HTTP/2 as real servers speak it".
"""

from relay.wire.answers import Answer, GoAway, Received
from relay.wire.connection import Connection
from relay.wire.errors import ConnectionLost, ErrorCode, WireError
from relay.wire.hpack_trust import OriginTrust
from relay.wire.template import Request, Template
from relay.wire.transport import Beneath, Transport, connect, open_tcp, resolve, secure

__all__ = [
    "Answer", "Beneath", "Connection", "ConnectionLost", "ErrorCode", "GoAway", "OriginTrust", "Received", "Request",
    "Template", "Transport", "WireError", "connect", "open_tcp", "resolve", "secure",
]  # fmt: skip
