"""Forms of what can be set at a fake: JSON in, a value out, and back. What does not fit is a ValueError that says why.

A form takes what JSON has. Some take a string as well, which is easier to write on a command line; it means the same
wherever it comes from.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, Final

from relay.simulators.injections import Budget, Burst, Latency, bimodal, constant, log_normal

Json = Any
"""Whatever JSON can be; what it must be is found out here."""
Read = Callable[[Any, Random], Any]
"""(JSON, where chance comes from) → value; raises ValueError."""


@dataclass(frozen=True, slots=True)
class Form:
    """`read` makes a value of JSON, `show` the same JSON of the value; `says`: what is taken."""

    says: str
    read: Read
    show: Callable[[Any], object] = lambda value: value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _need(fits: bool, says: str) -> None:
    if not fits:
        raise ValueError(f"must be {says}")


def number(low: float = 0.0, high: float = 1e6) -> Form:
    """Seconds, bytes a second, shares: anything that can be split."""
    says = f"a number from {low:g} to {high:g}"

    def read(value: Json, _: Random) -> float:
        _need(_is_number(value) and low <= value <= high, says)
        return float(value)

    return Form(says, read)


def whole(low: int = 0, high: int = 2**31 - 1) -> Form:
    says = f"a whole number from {low} to {high}"

    def read(value: Json, _: Random) -> int:
        _need(_is_number(value) and isinstance(value, int) and low <= value <= high, says)
        return int(value)

    return Form(says, read)


def optional(form: Form) -> Form:
    """null: it does not happen."""
    return Form(
        f"{form.says}, or null",
        lambda value, rng: None if value is None else form.read(value, rng),
        lambda value: None if value is None else form.show(value),
    )


def choice(values: type[StrEnum]) -> Form:
    says = "one of " + ", ".join(values)

    def read(value: Json, _: Random) -> StrEnum:
        _need(isinstance(value, str) and value in set(values), says)
        return values(value)

    return Form(says, read, str)


def _flag(value: Json, _: Random) -> bool:
    _need(isinstance(value, bool), "true or false")
    return bool(value)


def _strings(value: Json, _: Random) -> set[str]:
    _need(isinstance(value, list) and all(isinstance(one, str) for one in value), _LIST)
    return set(value)


def shares(names: Collection[str], *, exclusive: bool = True) -> Form:
    """Names with the share of each; `exclusive`: one at a time, so that they add up to 1 at most."""
    known = {str(name): name for name in names}
    says = 'an object like {"name": 0.01}, or name:0.01,name:0.02'

    def read(value: Json, _: Random) -> dict[str, float]:
        given = _pairs(value, says) if isinstance(value, str) else value
        _need(isinstance(given, dict), says)
        for name, share in given.items():
            _need(name in known, f"made of known names, and {name} is none of {', '.join(known)}")
            _need(_is_number(share) and 0 <= share <= 1, "made of shares from 0 to 1")
        _need(not exclusive or sum(given.values()) <= 1 + 1e-9, "shares that add up to 1 at most")
        return {known[name]: float(share) for name, share in given.items()}

    return Form(says, read, lambda value: {str(name): share for name, share in value.items()})


def _pairs(text: str, says: str) -> dict[str, float]:
    try:
        split = [part.rpartition(":") for part in text.split(",") if part]
        return {name: float(share) for name, _, share in split}
    except ValueError:
        raise ValueError(f"must be {says}") from None


def seconds_by(key: Callable[[str], Any], says_key: str) -> Form:
    says = f'an object like {{"{says_key}": 0.5}}, in seconds'

    def read(value: Json, _: Random) -> dict[Any, float]:
        _need(isinstance(value, dict) and all(_is_number(each) and each >= 0 for each in value.values()), says)
        try:
            return {key(name): float(seconds) for name, seconds in value.items()}
        except ValueError:
            raise ValueError(f"must be {says}") from None

    return Form(says, read, lambda value: {str(name): seconds for name, seconds in value.items()})


_SHAPES: Final[Mapping[str, tuple[int, Callable[..., Callable[[], float]]]]] = {
    "constant": (1, lambda _, seconds: constant(seconds)),
    "log-normal": (2, log_normal),
    "bimodal": (3, bimodal),
}
_LATENCY: Final = "seconds, log-normal:MEDIAN,P99 or bimodal:USUAL,OUTLIER,SHARE"


def _latency(value: Json, rng: Random) -> Latency:
    name, _, rest = f"constant:{value}".partition(":") if _is_number(value) else str(value).partition(":")
    count, shape = _SHAPES.get(name, (0, constant))
    try:
        numbers = [float(part) for part in rest.split(",")]
    except ValueError:
        numbers = []
    _need(count == len(numbers) > 0 and all(math.isfinite(one) and one >= 0 for one in numbers), _LATENCY)
    if name == "log-normal":
        _need(0 < numbers[0] < numbers[1], f"{_LATENCY}, with 0 < MEDIAN < P99")
    if name == "bimodal":
        _need(numbers[2] <= 1, f"{_LATENCY}, with SHARE at most 1")
    text = f"{name}:" + ",".join(f"{one:g}" for one in numbers)
    return Latency(text, shape(rng, *numbers))


def _show_latency(value: object) -> object:
    return value.text if isinstance(value, Latency) else "constant:0"


def burst(names: Collection[str]) -> Form:
    says = "[name, period, lasting, share], with times in seconds"

    def read(value: Json, _: Random) -> Burst:
        _need(isinstance(value, list) and len(value) == 4 and all(map(_is_number, value[1:])), says)
        _need(value[0] in names, f"{says}; {value[0]} is none of {', '.join(names)}")
        found = Burst(value[0], *map(float, value[1:]))
        _need(0 <= found.lasting <= found.period and found.period > 0 and 0 <= found.share <= 1, says)
        return found

    return Form(says, read, lambda value: [value.name, value.period, value.lasting, value.share])


def _budget(value: Json, _: Random) -> Budget:
    fits = isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    _need(fits and isinstance(value[0], int) and value[0] >= 0 and value[1] > 0, _BUDGET)
    return Budget(value[0], float(value[1]))


def _farewell(value: Json, _: Random) -> tuple[int, bytes]:
    fits = isinstance(value, list) and len(value) == 2 and _is_number(value[0]) and isinstance(value[1], str)
    _need(fits and isinstance(value[0], int) and 0 <= value[0] < 2**32, _FAREWELL)
    return value[0], value[1].encode()


def _settings(value: Json, _: Random) -> dict[int, int]:
    _need(isinstance(value, dict) and bool(value), _SETTINGS)
    for key, each in value.items():
        _need(key.isascii() and key.isdigit() and int(key) < 2**16, _SETTINGS)
        _need(_is_number(each) and isinstance(each, int) and 0 <= each < 2**32, _SETTINGS)
    return {int(key): each for key, each in value.items()}


_LIST: Final = "a list of strings"
_BUDGET: Final = "[weight, seconds]"
_FAREWELL: Final = "[code, debug data]"
_SETTINGS: Final = 'an object like {"3": 100}: SETTINGS by number'

FLAG: Final = Form("true or false", _flag)
STRINGS: Final = Form(_LIST, _strings, sorted)
SHARE: Final = number(0.0, 1.0)
SECONDS: Final = number()
LATENCY: Final = Form(_LATENCY, _latency, _show_latency)
BUDGET: Final = Form(_BUDGET, _budget, lambda value: [value.weight, value.seconds])
FAREWELL: Final = Form(_FAREWELL, _farewell, lambda value: [value[0], value[1].decode("latin-1")])
SETTINGS: Final = Form(_SETTINGS, _settings)
