"""Files of the page, in memory, each under a name with the hash of its content: kept for a year, and never stale."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

KEPT: Final = "public, max-age=31536000, immutable"
_MEDIA: Final = {".css": "text/css; charset=utf-8", ".mjs": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Asset:
    content: bytes
    media: str
    version: str


def load() -> dict[str, Asset]:
    """By file name."""
    found = {}
    for file in resources.files("schedules.web").joinpath("static").iterdir():
        suffix = file.name[file.name.rfind(".") :]
        if suffix in _MEDIA:
            content = file.read_bytes()
            found[file.name] = Asset(content, _MEDIA[suffix], sha256(content).hexdigest()[:12])
    return found


class Assets:
    """Answers for them, and knows their addresses."""

    def __init__(self) -> None:
        self._files = load()

    def address(self, name: str) -> str:
        """Raises KeyError for a file that is not there: a fault of a template."""
        return f"/static/{self._files[name].version}/{name}"

    async def answer(self, request: Request) -> Response:
        asset = self._files.get(request.path_params["name"])
        if asset is None or asset.version != request.path_params["version"]:
            return Response("There is nothing here.\n", 404, media_type="text/plain")
        return Response(asset.content, media_type=asset.media, headers={"cache-control": KEPT})
