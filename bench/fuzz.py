"""Whether any bytes do more to our HTTP/2 than end a connection: a seeded mutation fuzzer.

An input is a conversation that `h2` had with us in the server role (corpus.py), changed in bytes and in frames and cut
into pieces anywhere, on a connection that goes on sending meanwhile. It fails when

    anything but WireError comes out         a request has no outcome in the end, or two
    a peer makes us keep more than `KEPT`    it takes more than `PATIENCE` seconds of CPU

Each input follows from the seed and its number alone, so a failure is repeated by `--seed S --only N`.

    python -m bench.fuzz [--seconds 60] [--seed 1] [--json]
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from bench.corpus import STREAMS, TEMPLATE, Conversation, conversations, request
from bench.report import say, surroundings
from relay.wire import Connection, OriginTrust, Received, WireError

KEPT: Final = 16_393 + 65_536 + 16_384 + STREAMS * (4_096 + 16_384) + 65_536
"""Bytes: a frame, a header block and one more piece of it, error bodies with their headers, acknowledgements due."""
PATIENCE: Final = 1.0
"""Seconds of CPU for one input; milliseconds are usual."""
Mutation = Callable[[bytes, Random], bytes]


def kept(connection: Connection) -> int:
    """Bytes a peer has made us keep, apart from the tags: half a frame, half a block, answers begun, frames due."""
    block = connection._streams.block
    return (
        len(connection._buffer)
        + (len(block[2]) if block else 0)
        + sum(
            len(partial.body) + sum(len(name) + len(value) for name, value in partial.headers)
            for partial in connection._streams.partial.values()
        )
        + sum(map(len, connection._out))
    )


# --- the mutations


def _place(data: bytes, rng: Random) -> int:
    return rng.randint(0, len(data))


def _set(data: bytes, rng: Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes((rng.choice([0, 1, 0x20, 0x7F, 0x80, 0x88, 0xFF, rng.randrange(256)]),)) + data[at + 1 :]


def _flip(data: bytes, rng: Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + bytes(byte ^ 1 << rng.randrange(8) for byte in data[at : at + 1]) + data[at + 1 :]


def _lose(data: bytes, rng: Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at + rng.choice([1, 2, 9, 100]) :]


def _insert(data: bytes, rng: Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + rng.randbytes(rng.choice([1, 2, 9, 100])) + data[at:]


def _double(data: bytes, rng: Random) -> bytes:
    at = _place(data, rng)
    return data[:at] + data[at : at + rng.choice([1, 9, 50])] * rng.choice([2, 3, 100]) + data[at:]


def _in_frames(change: Callable[[list[bytes], Random], None]) -> Mutation:
    """A mutation of whole frames."""

    def mutate(data: bytes, rng: Random) -> bytes:
        frames = split(data)
        if frames:
            change(frames, rng)
        return b"".join(frames)

    return mutate


def split(data: bytes) -> list[bytes]:
    """Frames, as their lengths say; the last may be cut."""
    found, position = [], 0
    while position < len(data):
        end = position + 9 + int.from_bytes(data[position : position + 3], "big")
        found.append(data[position:end])
        position = end
    return found


def _repeat_frame(frames: list[bytes], rng: Random) -> None:
    at = rng.randrange(len(frames))
    frames[at:at] = [frames[at]] * rng.choice([1, 2, 30, 3000])


def _drop_frame(frames: list[bytes], rng: Random) -> None:
    del frames[rng.randrange(len(frames))]


def _swap_frames(frames: list[bytes], rng: Random) -> None:
    one, other = rng.randrange(len(frames)), rng.randrange(len(frames))
    frames[one], frames[other] = frames[other], frames[one]


def _change_head(frames: list[bytes], rng: Random) -> None:
    """Another type, other flags, or another stream."""
    at = rng.randrange(len(frames))
    frame = bytearray(frames[at].ljust(9, b"\0"))
    what = rng.randrange(3)
    if what == 0:
        frame[3] = rng.choice([*range(12), 0xFE])
    elif what == 1:
        frame[4] ^= 1 << rng.randrange(8)
    else:
        frame[5:9] = rng.choice([0, 1, 2, 3, 5, 7, 9, 2**31 - 1, 2**32 - 1]).to_bytes(4, "big")
    frames[at] = bytes(frame)


def _split_block(frames: list[bytes], rng: Random) -> None:
    """A frame becomes HEADERS and CONTINUATION."""
    at = rng.randrange(len(frames))
    head, payload = frames[at][:9].ljust(9, b"\0"), frames[at][9:]
    cut = rng.randint(0, len(payload))
    first, second = payload[:cut], payload[cut:]
    frames[at : at + 1] = [
        len(first).to_bytes(3, "big") + bytes((1, head[4] & ~4)) + head[5:] + first,
        len(second).to_bytes(3, "big") + b"\x09\x04" + head[5:] + second,
    ]


def _hollow_frame(frames: list[bytes], rng: Random) -> None:
    """A frame loses its payload, and has other flags."""
    at = rng.randrange(len(frames))
    head = frames[at].ljust(9, b"\0")
    frames[at] = bytes(3) + head[3:4] + bytes((rng.randrange(64),)) + head[5:9]


def _endless_block(frames: list[bytes], rng: Random) -> None:
    """A header block goes on and on."""
    at = rng.randrange(len(frames))
    stream = frames[at].ljust(9, b"\0")[5:9]
    size = rng.choice([0, 1, 1000, 16_384])
    more = size.to_bytes(3, "big") + b"\x09\0" + stream + bytes(size)
    frames[at:at] = [b"\0\0\x01\x01\0" + stream + b"\x88", *[more] * rng.choice([1, 5, 70])]


MUTATIONS: Final[tuple[Mutation, ...]] = (
    _set, _flip, _lose, _insert, _double,
    *map(_in_frames, (_repeat_frame, _drop_frame, _swap_frames, _change_head, _change_head, _hollow_frame)),
    *map(_in_frames, (_split_block, _endless_block)),
)  # fmt: skip


def mutated(data: bytes, rng: Random) -> bytes:
    for _ in range(rng.choice([0, 1, 1, 2, 3, 5])):
        data = rng.choice(MUTATIONS)(data, rng)
    return data


def pieces(data: bytes, rng: Random) -> list[bytes]:
    """The same bytes, cut anywhere; now and then into single bytes."""
    if len(data) < 3000 and rng.random() < 0.05:
        return [data[at : at + 1] for at in range(len(data))]
    cuts = sorted(rng.choices(range(len(data) + 1), k=rng.choice([0, 1, 3, 10])))
    return [data[start:end] for start, end in itertools.pairwise([0, *cuts, len(data)])]


# --- one input


def attempt(corpus: Sequence[Conversation], rng: Random) -> str | None:
    """Make an input and play it; what is wrong, or None."""
    told = rng.choice(corpus)
    if rng.random() < 0.8:
        return play(pieces(told.opening, rng) + pieces(mutated(told.rest, rng), rng))
    return play(pieces(mutated(told.opening, rng), rng) + pieces(told.rest, rng))


def play(chunks: Sequence[bytes]) -> str | None:
    """Give a server's bytes to a connection that sends what it may; what is wrong, or None."""
    connection = Connection(TEMPLATE, trust=OriginTrust(), streams=STREAMS)
    connection.initiate()
    numbers = itertools.count()
    taken: list[object] = []
    news: list[Received] = []
    began = time.process_time()
    try:
        for chunk in chunks:
            offered = [request(next(numbers)) for _ in range(connection.room())]
            count, _ = connection.take(offered)
            taken += [tag for tag, *_ in offered[:count]]
            news.append(connection.receive(chunk))
            connection.control()
            if kept(connection) > KEPT:
                return f"{kept(connection)} bytes are kept"
    except WireError as error:
        news.append(error.received)
        connection.close(error.code)
    except Exception:  # the finding
        return traceback.format_exc()
    news.append(connection.cut())
    if (took := time.process_time() - began) > PATIENCE:
        return f"{took:.1f} s of CPU"
    return _miscounted(taken, [*told_of(news), *connection.lost()])


def told_of(news: Sequence[Received]) -> list[object]:
    """Tags of everything that was told."""
    return [
        tag
        for received in news
        for tag in (
            *received.accepted,
            *(answer.tag for answer in received.answers),
            *received.unprocessed,
            *(tag for tag, _ in received.unknown),
        )
    ]


def _miscounted(taken: Sequence[object], told: Sequence[object]) -> str | None:
    if len(told) == len(taken) and set(told) == set(taken):
        return None
    return f"{len(taken)} requests, {len(set(told))} of them have an outcome, {len(told)} outcomes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, help="the number of one input, to see it fail again")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    corpus = conversations(options.seed)
    began, failures, inputs = time.perf_counter(), 0, 0
    for number in itertools.count() if options.only is None else [options.only]:
        if time.perf_counter() - began >= options.seconds:
            break
        found = attempt(corpus, Random(f"{options.seed}/{number}"))
        inputs += 1
        if found:
            failures += 1
            sys.stderr.write(f"--seed {options.seed} --only {number}: {found}\n")
    seconds = time.perf_counter() - began
    figures: dict[str, object] = {
        "inputs": inputs,
        "failures": failures,
        "seconds": round(seconds, 1),
        "per_s": round(inputs / seconds),
    }
    say({**figures, **surroundings(options.seed)}, as_json=options.json)
    if failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
