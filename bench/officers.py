"""Officers at the page: each with a session and a connection of its own, loading and saving one after the other.

A process of its own, so that it takes no time from the loop that posts events. What it is to do it reads from its
standard input, one JSON document; when all have signed in and have seen their page it says "running"; when its input
ends it stops and says what it has measured. `Page` is the client, for other scripts too.

Nobody pauses to read: this is a closed loop, and so many officers keep the door as busy as it can be.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

import trio

SAVES_EVERY: Final = 5
"""Of so many pages one is saved."""
SIGN_IN_AT_ONCE: Final = 8
CSRF: Final = re.compile(rb'name="csrf" value="([^"]+)"')
VERSION: Final = re.compile(rb'name="version" value="(\d*)"')
UNTIL: Final = re.compile(rb'name="until" value="(\d+)"')
COOKIE: Final = re.compile(rb"set-cookie: (feierabend=[^;]+)", re.IGNORECASE)


@dataclass(slots=True)
class Page:
    """A browser that renders nothing: one connection, and the cookie of a session."""

    host: str
    port: int
    cookie: str = ""
    _stream: trio.SocketStream | None = None

    async def ask(self, method: str, path: str, fields: dict[str, str] | None = None) -> tuple[int, bytes, bytes]:
        """Status, head and body. A connection that the door has ended meanwhile is opened anew, once."""
        content = urlencode(fields or {}).encode()
        lines = [f"{method} {path} HTTP/1.1", f"host: {self.host}:{self.port}", "sec-fetch-site: same-origin"]
        if self.cookie:
            lines.append(f"cookie: {self.cookie}")
        if method == "POST":
            lines += ["content-type: application/x-www-form-urlencoded", f"content-length: {len(content)}"]
        request = "\r\n".join([*lines, "", ""]).encode() + content
        is_new = self._stream is None
        try:
            return await self._send(request)
        except (trio.BrokenResourceError, EOFError):
            await self.aclose()
            if is_new:
                raise
            return await self._send(request)

    async def _send(self, request: bytes) -> tuple[int, bytes, bytes]:
        if self._stream is None:
            self._stream = await trio.open_tcp_stream(self.host, self.port)
        await self._stream.send_all(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += await self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += await self._more()
        return int(head[9:12]), head, body

    async def _more(self) -> bytes:
        assert self._stream is not None
        data = await self._stream.receive_some(65_536)
        if not data:
            raise EOFError
        return bytes(data)

    async def sign_in(self, link: str) -> None:
        status, head, _ = await self.ask("POST", f"/link/{link}")
        found = COOKIE.search(head)
        if status != 303 or found is None:
            raise SystemExit(f"the link was not redeemed: {status}")
        self.cookie = found[1].decode()

    async def aclose(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await trio.aclose_forcefully(stream)


@dataclass(slots=True)
class Tally:
    """What all officers have seen, while it is measured."""

    pages: list[float] = field(default_factory=list)
    """Milliseconds of each answer that was a page."""
    saved: int = 0
    refused: int = 0
    """Answers other than pages and redirects."""


async def officer(page: Page, tally: Tally, number: int) -> None:
    """Loads the main page over and over; every fifth time goes off duty, or takes that back.

    `number`: of pages already seen, so that not all officers save at once.
    """
    is_off = False
    while True:
        began = time.monotonic()
        status, _, html = await page.ask("GET", "/de/")
        if status != 200:
            tally.refused += 1
            await trio.sleep(1)
            continue
        tally.pages.append((time.monotonic() - began) * 1e3)
        number += 1
        if number % SAVES_EVERY:
            continue
        csrf, version, until = CSRF.search(html), VERSION.search(html), UNTIL.search(html)
        assert csrf is not None
        fields = {"csrf": csrf[1].decode(), "version": "" if version is None else version[1].decode()}
        if not is_off:
            assert until is not None
            fields["until"] = until[1].decode()
        status, _, _ = await page.ask("POST", "/de/undo" if is_off else "/de/off-duty", fields)
        is_off = not is_off
        if status == 303:
            tally.saved += 1
        else:
            tally.refused += 1


async def main() -> None:
    stdin = trio.lowlevel.FdStream(0)
    told = json.loads(await _line(stdin))
    pages = [Page("127.0.0.1", told["door"]) for _ in told["links"]]
    limit = trio.CapacityLimiter(SIGN_IN_AT_ONCE)

    async def begin(page: Page, link: str) -> None:
        async with limit:
            await page.sign_in(link)
            await page.ask("GET", "/de/")

    async with trio.open_nursery() as nursery:
        for page, link in zip(pages, told["links"], strict=True):
            nursery.start_soon(begin, page, link)
    tally = Tally()
    began = time.monotonic()
    async with trio.open_nursery() as nursery:
        for number, page in enumerate(pages):
            nursery.start_soon(officer, page, tally, number % SAVES_EVERY)
        sys.stdout.write("running\n")
        sys.stdout.flush()
        while await stdin.receive_some(1024):
            pass
        nursery.cancel_scope.cancel()
    figures = {
        "pages": tally.pages, "saved": tally.saved, "refused": tally.refused, "seconds": time.monotonic() - began
    }  # fmt: skip
    sys.stdout.write(json.dumps(figures) + "\n")


async def _line(stream: trio.abc.ReceiveStream) -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        data = await stream.receive_some(65_536)
        if not data:
            raise SystemExit("nothing was told")
        line += data
    return line


if __name__ == "__main__":
    trio.run(main)
