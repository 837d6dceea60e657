"""What goes wrong in `bench.faults`: a table, each row for as long as its share of the wakeups takes.

`slow`: the relay keeps quiet afterwards for as long as a rule of the provider's, or its own caution, demands (a minute
after 429, five after "you are wrong"); such a row is left out of a short run. Cuts are few: a provider that closes
every connection at once is down, and one that sees more than sixty new connections in a minute complains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Knobs = Mapping[str, Any]
Act = tuple[str, str, Knobs]
"""(fake, path, body)"""


@dataclass(frozen=True, slots=True)
class Mix:
    """`apns`, `fcm`: injections while it lasts. `acts`: between the first half of its wakeups and the second."""

    name: str
    apns: Knobs = field(default_factory=dict)
    fcm: Knobs = field(default_factory=dict)
    acts: tuple[Act, ...] = ()
    slow: bool = False


def _both(name: str, acts: tuple[Act, ...] = (), *, slow: bool = False, **knobs: object) -> Mix:
    named = {key.replace("_", "-"): value for key, value in knobs.items()}
    return Mix(name, named, named, acts, slow)


_GOING: Final = "Maximum active streams violated for this endpoint."
_WINDOW: Final = {"4": 0}
MIXES: Final = (
    Mix("errors of the service",
        {"shares": {"InternalServerError": 0.02, "ServiceUnavailable": 0.02, "not-json-502": 0.01,
                    "unknown-503": 0.01, "no-body-500": 0.01}},
        {"shares": {"500": 0.02, "503": 0.01, "502-html": 0.01, "503-seconds": 0.01, "500-truncated": 0.01,
                    "503-wrong-type": 0.01}}),
    Mix("too many to one token, and a stream limit of one after each error",
        {"shares": {"TooManyRequests": 0.02}, "dance": True}, {"most-at-once": 20, "dance": True}),
    Mix("phones that are gone, and one that was long ago",
        {"gone": 0.02, "shares": {"ExpiredToken": 0.01, "Unregistered-old": 0.01}}, {"gone": 0.01}),
    Mix("answers that are seldom seen",
        {"odd": {"interim": 0.3, "trailers": 0.3, "split-body": 0.5, "no-apns-id": 0.3, "ping": 0.02},
         "shares": {"unknown-400": 0.01, "not-json-400": 0.005, "PayloadEmpty": 0.005}},
        {"odd": {"interim": 0.3, "trailers": 0.3, "split-body": 0.5, "ping": 0.02},
         "shares": {"200-empty": 0.2, "200-truncated": 0.2, "200-wrong-type": 0.2}}),
    _both("latencies as they are usually spread", latency="log-normal:0.04,0.4", odd="ping:0.01"),
    _both("latencies by connection", latency="log-normal:0.05,0.5", latency_per="connection"),
    _both("latencies by phone, and bodies that come late",
          latency="bimodal:0.02,2,0.02", latency_per="token", body_delay=0.05),
    _both("cut between processing and answer", drop_share=0.01, latency="constant:0.02"),
    _both("reset in the middle of a head", drop_share=0.01, drop_at="head", drop_how="reset"),
    Mix("cut between head and body of an error",
        {"shares": {"TooManyRequests": 0.01}, "drop-at": "body", "drop-share": 1.0}, {"body-delay": 0.1}),
    _both("one connection cut, and the first ones slow", drop_after=10, connection_delays={"1": 0.3, "2": 0.3}),
    _both("everything cut", (("apns", "/connections/cut", {"how": "reset"}), ("fcm", "/connections/cut", {})),
          latency="constant:0.1"),
    _both("cut before anything is said", (("apns", "/connections/cut", {}), ("fcm", "/connections/cut", {})),
          drop_share=0.5, drop_at="settings"),
    _both("GOAWAY, and answers to those below it", goaway_every=200, goaway_unprocessed=5, latency="constant:0.05"),
    _both("GOAWAY, announced", goaway_every=200, goaway_graceful=True, latency="constant:0.05"),
    _both("GOAWAY after a while", (("apns", "/connections/cut", {}), ("fcm", "/connections/cut", {})),
          goaway_lifetime=0.5, goaway_farewell=[7, _GOING]),
    Mix("GOAWAY that denies everything",
        {"goaway-after": 20, "goaway-last-stream": 0, "goaway-farewell": [0, "BadCertificateEnvironment"]},
        {"goaway-after": 20, "goaway-last-stream": 0}),
    _both("GOAWAY on all", (("apns", "/connections/goaway", {}), ("fcm", "/connections/goaway", {"graceful": False})),
          latency="constant:0.05"),
    Mix("going down", {"shares": {"Shutdown-goaway": 0.005}}, {"goaway-every": 300}),
    _both("SETTINGS at random", settings_every=0.2, latency="constant:0.02"),
    _both("no table, and a small window", initial_window=1000, table_size=0),
    _both("a window that opens late",
          (("apns", "/connections/settings", {"settings": _WINDOW}), ("apns", "/connections/cut", {}),
           ("fcm", "/connections/cut", {})), initial_window=0, window_raised_after=0.5),
    _both("no window comes back", withhold_window=True),
    Mix("few streams, then many", {"most-at-once": 2}, {}, (("apns", "/connections/streams", {"streams": 3}),
                                           ("fcm", "/connections/streams", {"streams": 3}))),
    _both("idle connections end", idle=0.3),
    _both("idle connections end without a word", idle=0.3, idle_goaway=False),
    Mix("a budget of errors", {"shares": {"TooManyRequests": 0.03}, "error-budget": [5, 60]},
        {"error-budget": [5, 60]}),
    _both("a slow reader", read_pace=20_000.0, slow=True),
    _both("some are never answered", unanswered=0.01, late=True, slow=True),
    _both("nobody is there, says TCP, and one that goes silent with a GOAWAY",
          (("apns", "/connections/cut", {}), ("fcm", "/connections/cut", {})),
          stall=0.3, half_open=0.3, half_open_after=50, goaway_every=500, goaway_silence=True, slow=True),
    Mix("bursts of errors", {"burst": ["ServiceUnavailable", 20, 5, 0.7]}, {"burst": ["503", 20, 5, 0.7]}, slow=True),
    Mix("outliers of half a minute", {"latency": "bimodal:0.05,30,0.002"}, {"latency": "bimodal:0.05,30,0.002"},
        slow=True),
    Mix("the access token ends early, and the next one is late",
        {}, {"oauth-latency": "constant:5", "oauth-drop-after": 1, "oauth-shares": {"503": 0.5}},
        (("fcm", "/tokens/revoke", {}),), slow=True),
    Mix("every phone was written to too often", {"token-rate": 0, "token-rate-seconds": 60}, {}, slow=True),
    _both("nobody answers", silence=True, slow=True),
    _both("no connection is taken", (("apns", "/connections/cut", {}), ("fcm", "/connections/cut", {})),
          accepting=False, slow=True),
    Mix("a quota used up", {}, {"shares": {"429": 0.01}}, slow=True),
    Mix("a quota with a date", {}, {"shares": {"429-date": 0.01}}, slow=True),
    Mix("every phone is unknown, and nobody may send", {"shares": {"BadDeviceToken": 1.0}},
        {"permitted": False}, slow=True),
    Mix("forbidden, and nothing is found", {"shares": {"Forbidden": 1.0}}, {"shares": {"404-html": 1.0}}, slow=True),
)  # fmt: skip
