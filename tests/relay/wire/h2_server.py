"""A server on `h2`: an implementation that can disagree with ours, strict about every byte it gets.

It enforces what it has announced (stream limit, windows, table size) as soon as that is acknowledged; a breach raises
`h2.exceptions.ProtocolError`. What `h2` cannot send is written by hand and put behind what it has sent so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import h2.config
import h2.connection
import h2.events
import h2.settings
import hpack

from tests.relay.wire import by_hand


class Server:
    """One connection's server. `obedient`: whether it heeds the table size we announce for its answers."""

    def __init__(self, settings: Mapping[int, int], *, obedient: bool = True, disguise: Random | None = None) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self.h2 = h2.connection.H2Connection(config)
        initial = {h2.settings.SettingCodes(code): value for code, value in settings.items()}
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=initial)
        self.h2.decoder.max_allowed_table_size = self.h2.local_settings.header_table_size
        self.h2.initiate_connection()
        self.headers: dict[int, list[tuple[bytes, bytes]]] = {}
        """Requests whose headers have come, by stream."""
        self.bodies: dict[int, bytes] = {}
        """Complete ones."""
        self.cancelled: set[int] = set()
        """Streams the client has reset."""
        self.pongs: list[bytes] = []
        self.unacknowledged = 1
        """SETTINGS not acknowledged yet. `h2` takes one acknowledgement for all of them: announce one at a time."""
        self._parts: dict[int, bytes] = {}
        self._obedient = obedient
        self._disguise = disguise
        self._out = b""

    def receive(self, data: bytes) -> None:
        """Take bytes from the client. Raises ProtocolError when it breaks the protocol."""
        for event in self.h2.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                assert event.stream_id is not None
                self.headers[event.stream_id] = [(bytes(n), bytes(v)) for n, v in event.headers or ()]
                self._parts[event.stream_id] = b""
            elif isinstance(event, h2.events.DataReceived):
                assert event.stream_id is not None
                self._parts[event.stream_id] += event.data or b""
            elif isinstance(event, h2.events.StreamEnded):
                assert event.stream_id is not None
                self.bodies[event.stream_id] = self._parts[event.stream_id]
            elif isinstance(event, h2.events.StreamReset):
                assert event.stream_id is not None
                self.cancelled.add(event.stream_id)
            elif isinstance(event, h2.events.PingAckReceived):
                self.pongs.append(event.ping_data or b"")
            elif isinstance(event, h2.events.SettingsAcknowledged):
                self.unacknowledged -= 1
            elif isinstance(event, h2.events.RemoteSettingsChanged) and not self._obedient:
                self.h2.encoder = hpack.Encoder()

    def announce(self, settings: Mapping[int, int]) -> None:
        """Change settings; enforced when the client has acknowledged them."""
        assert not self.unacknowledged
        self.h2.update_settings({h2.settings.SettingCodes(code): value for code, value in settings.items()})
        self.unacknowledged += 1

    def by_hand(self, frames: bytes) -> None:
        """Send frames `h2` knows nothing of."""
        self._collect()
        self._out += frames

    def send(self) -> bytes:
        """All bytes for the client since the last time."""
        self._collect()
        out, self._out = self._out, b""
        return out

    def _collect(self) -> None:
        sent = self.h2.data_to_send()
        self._out += disguised(sent, self._disguise) if self._disguise else sent


def disguised(sent: bytes, random: Random) -> bytes:
    """The same frames as another server might write them: blocks in pieces, padding, priorities, frames in between."""
    out = b""
    for frame in by_hand.split(sent):
        if frame.kind == by_hand.HEADERS:
            out += _headers(frame, random)
        elif frame.kind == by_hand.DATA and random.random() < 0.3 and len(frame.payload) < 16_000:
            padding = random.choice([0, 1, 255])
            out += by_hand.data(
                frame.stream, bytes((padding,)) + frame.payload + bytes(padding), frame.flags | by_hand.PADDED
            )
        else:
            out += by_hand.frame(*frame)
        if random.random() < 0.1:
            out += by_hand.frame(0xFA, random.randrange(256), frame.stream, random.randbytes(5))
    return out


def _headers(frame: by_hand.Frame, random: Random) -> bytes:
    flags, block = frame.flags, frame.payload
    pieces = [block]
    if random.random() < 0.3:
        cuts = sorted(random.choices(range(len(block) + 1), k=random.choice([1, 2, 5])))
        pieces = [block[start:end] for start, end in zip([0, *cuts], [*cuts, len(block)], strict=True)]
        flags &= ~by_hand.END_HEADERS
    first = pieces[0]
    if random.random() < 0.2:
        flags |= by_hand.PRIORITIZED
        first = random.randbytes(5) + first
    if first and random.random() < 0.2:  # `hyperframe` takes padding without content for a mistake
        flags |= by_hand.PADDED
        first = b"\x07" + first + bytes(7)
    out = by_hand.headers(frame.stream, first, flags)
    for number, piece in enumerate(pieces[1:], start=2):
        out += by_hand.continuation(frame.stream, piece, by_hand.END_HEADERS if number == len(pieces) else 0)
    return out
