"""From the relay's JSON to the values of the port. Raises Away for a shape we do not know."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from schedules import Wake
from schedules.errors import Text
from schedules.web.port import (
    Away,
    Bypass,
    Code,
    Device,
    DeviceTest,
    Kept,
    Leaving,
    Look,
    Opened,
    OpenSession,
    Piercing,
    Secret,
    Support,
    Trace,
    Traced,
    WakeTest,
)

_ETAG: Final = re.compile(r'(?:W/)?"(\d{1,18})"')
_Given = ParamSpec("_Given")
_Value = TypeVar("_Value")


def _shaped(read: Callable[_Given, _Value]) -> Callable[_Given, _Value]:
    """Another version of the relay may answer otherwise: told as no answer, not as a fault of ours."""

    @wraps(read)
    def reading(*args: _Given.args, **kwargs: _Given.kwargs) -> _Value:
        try:
            return read(*args, **kwargs)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError):
            raise Away from None

    return reading


def etag(value: str) -> int | None:
    match = _ETAG.fullmatch(value.strip())
    return int(match[1]) if match else None


def _text(sentence: Any) -> Text:  # noqa: ANN401 (JSON)
    return Text(sentence["en"], sentence["de"])


@_shaped
def opened(answer: Any) -> Opened:  # noqa: ANN401
    return Opened(Secret(answer["session"]), answer["expires_in"])


@_shaped
def kept(document: Any, tag: str) -> Kept:  # noqa: ANN401
    found = etag(tag)
    if found is None or not isinstance(document, dict):
        raise ValueError("no version")
    return Kept(document, found)


@_shaped
def version(answer: Any) -> int:  # noqa: ANN401
    return int(answer["version"])


@_shaped
def version_after(answer: Any) -> int | None:  # noqa: ANN401
    return None if answer["version"] is None else int(answer["version"])


@_shaped
def waiting(answer: Any) -> int:  # noqa: ANN401
    return sum(int(each["notices"]) for each in answer["waiting"])


@_shaped
def effect(answer: Any) -> tuple[Leaving, ...]:  # noqa: ANN401
    return tuple(Leaving(each["notices"], each["due_before"], each["due_after"]) for each in answer["effect"]["leaves"])


@_shaped
def devices(answer: Any) -> tuple[Device, ...]:  # noqa: ANN401
    return tuple(
        Device(each["device"], each["platform"], each["app"], each["registered_at"], Wake(each["wake"]))
        for each in answer["devices"]
    )


@_shaped
def piercing(answer: Any) -> tuple[Piercing, ...]:  # noqa: ANN401
    return tuple(
        Piercing(
            each["class"],
            None if each["pierces"] == "all" else tuple(each["pierces"]),
            tuple(each["roles"]),
            tuple(each["reasons"]),
        )
        for each in answer["classes"]
    )


@_shaped
def bypasses(answer: Any) -> tuple[Bypass, ...]:  # noqa: ANN401
    return tuple(Bypass(each["at"], each["class"], each["role"], each["reason"]) for each in answer["bypasses"])


@_shaped
def tested(answer: Any) -> WakeTest:  # noqa: ANN401
    return WakeTest(
        answer["at"],
        tuple(DeviceTest(each["device"], each["state"], _text(each["sentence"])) for each in answer["devices"]),
    )


@_shaped
def trace(answer: Any) -> Trace | None:  # noqa: ANN401
    if answer["since"] is None:
        return None
    entries = tuple(
        Traced(
            each["at"], each["what"], each["why"], tuple(each["classes"]), each["device"], each["notices"],
            _text(each["sentence"]),
        )
        for each in answer["entries"]
    )  # fmt: skip
    return Trace(answer["since"], answer["until"], answer["most"], answer["lost"], entries)


@_shaped
def sessions(answer: Any) -> tuple[OpenSession, ...]:  # noqa: ANN401
    return tuple(
        OpenSession(each["kind"], each["begun_at"], each["used_at"], each["expires_at"], each["this"])
        for each in answer["sessions"]
    )


@_shaped
def support(answer: Any) -> Support:  # noqa: ANN401
    looks = tuple(Look(each["at"], each["key"], each["what"]) for each in answer["visits"])
    return Support(answer["until"], looks)


@_shaped
def code(answer: Any) -> Code:  # noqa: ANN401
    return Code(answer["code"], answer["expires_in"])
