"""A secret text that shows itself to nobody by accident: not in logs, errors, JSON or pickles."""

import re
from typing import NoReturn

_SHOWN = "***"
_KEY_SHAPED = re.compile(r"fx([sc])_(?:test_|live_)?[0-9A-Za-z]{16,}")


class Secret:
    """A password or the like; only `reveal` gives it away, so that its readers can be found."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return _SHOWN

    def __format__(self, spec: str) -> str:
        return _SHOWN

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return self._text == other._text

    __hash__ = None  # type: ignore[assignment]  # a hash would tell equal secrets apart

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is neither pickled nor copied")


def secret_of(value: object) -> Secret:
    """A secret from decoded JSON; TypeError does not repeat the value."""
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str):
        raise TypeError("Expected `str`")
    return Secret(value)


def redacted(text: str) -> str:
    """A text without the API keys and connector tokens that somebody put in a wrong place."""
    return _KEY_SHAPED.sub(r"fx\1_***", text) if "fx" in text else text
