"""Privacy as a type: a string that cannot be printed by accident.

User ids, device ids and tokens travel as `Private`. `str`, `repr`, `format` and pickling show nothing or fail;
`reveal()` is the one way in, and easy to grep for. Not a `str` subclass: a subclass would pass silently wherever a
string is formatted.
"""

from __future__ import annotations

from typing import Final, NewType, NoReturn, final

UserKey = NewType("UserKey", bytes)
"""Pseudonym of a user: 16 bytes, keyed by tenant (core/pseudonym.py)."""

DeviceKey = NewType("DeviceKey", bytes)
"""Pseudonym of a device of a user: 16 bytes."""

TokenHash = NewType("TokenHash", bytes)
"""Keyed hash of an app's device token: 16 bytes."""

ReceiptKey = NewType("ReceiptKey", bytes)
"""What a backend asks for an alarm by: 16 bytes that nobody can guess (core/pseudonym.py)."""

PassKey = NewType("PassKey", bytes)
"""Keyed hash of a link, a token, a session or a support code: 16 bytes (core/passes.py)."""

KEY_BYTES: Final = 16


@final
class Private:
    """A text that never reaches a log, a metric, an error or a trace."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "<private>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Private) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private value does not leave the process")
