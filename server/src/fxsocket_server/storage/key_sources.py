"""Key-encryption keys that are kept elsewhere: in the environment, or behind a program of yours.

A program is how a key management service is reached (AWS KMS, Vault Transit, ...): its keys never
enter this process.
"""

import subprocess
from contextlib import nullcontext
from pathlib import Path
from typing import TypeVar

import msgspec
from msgspec import Struct

from fxsocket_server.core import limits
from fxsocket_server.security.vault import LocalKey, RandomBytes, VaultError, fingerprint
from fxsocket_server.storage.key_files import key_of

T = TypeVar("T")


class EnvironmentKeys:
    """The key of now and, during a rotation, the one before it, from the environment."""

    def __init__(self, now: str, before: str | None, random_bytes: RandomBytes) -> None:
        named = {"FXSOCKET_KEK": now, "FXSOCKET_KEK_OLD": before}
        keys = [key_of(text, name) for name, text in named.items() if text is not None]
        self._keys = {f"env_{fingerprint(key)}": key for key in keys}
        self._now, *self._before = self._keys
        self._random_bytes = random_bytes

    def current(self) -> str:
        """The id of FXSOCKET_KEK."""
        return self._now

    def wrap(self, data_key: bytes, context: bytes) -> tuple[str, bytes]:
        """Wrap with FXSOCKET_KEK."""
        key = LocalKey(self._now, self._keys[self._now])
        return self._now, key.wrap(data_key, context, self._random_bytes)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Unwrap with the key of this id; VaultError when it is neither of the two."""
        key = self._keys.get(key_id)
        if key is None:
            raise VaultError(
                f"key {key_id} is neither FXSOCKET_KEK nor FXSOCKET_KEK_OLD; set the second to it"
            )
        return LocalKey(key_id, key).unwrap(wrapped, context)

    def held(self) -> nullcontext[None]:
        """The environment never changes."""
        return nullcontext()

    @property
    def is_rotating(self) -> bool:
        """Whether FXSOCKET_KEK_OLD is there."""
        return bool(self._before)

    def begin(self) -> None:
        """Refused: only the owner of the environment can."""
        raise VaultError(
            "to rotate, set FXSOCKET_KEK to a new key and FXSOCKET_KEK_OLD to the one of now, for "
            "the server (restart it) and for this command"
        )

    def retire(self) -> None:
        """Nothing to do: FXSOCKET_KEK_OLD can be taken away now."""


class KeyWords(Struct, omit_defaults=True):
    """What a program is given and answers, as JSON; binary values travel as base64."""

    key_id: str | None = None
    wrapped: bytes | None = None
    plaintext: bytes | None = None
    context: str | None = None

    def __repr__(self) -> str:
        return f"KeyWords({self.key_id!r}, ***)"


class CommandKeys:
    """A program that wraps and unwraps: `PROGRAM current|wrap|unwrap`, JSON in and out.

    `wrap` is given `plaintext` and `context` and answers `key_id` and `wrapped`; `unwrap` is given
    those three and answers `plaintext`; `current` answers `key_id`.
    """

    is_rotating = True  # the service decides which key is the one of now

    def __init__(self, program: Path) -> None:
        self._program = program

    def current(self) -> str:
        """The id of the key that the program wraps with now."""
        return self._part("current", self._ask("current", KeyWords()).key_id)

    def wrap(self, data_key: bytes, context: bytes) -> tuple[str, bytes]:
        """Have a data key wrapped."""
        told = self._ask("wrap", KeyWords(plaintext=data_key, context=context.decode()))
        return self._part("wrap", told.key_id), self._part("wrap", told.wrapped)

    def unwrap(self, key_id: str, wrapped: bytes, context: bytes) -> bytes:
        """Have a data key unwrapped."""
        asked = KeyWords(key_id=key_id, wrapped=wrapped, context=context.decode())
        return self._part("unwrap", self._ask("unwrap", asked).plaintext)

    def held(self) -> nullcontext[None]:
        """The service keeps old keys."""
        return nullcontext()

    def begin(self) -> None:
        """Never needed."""

    def retire(self) -> None:
        """Nothing to do: the service retires its keys itself."""

    def _ask(self, verb: str, asked: KeyWords) -> KeyWords:
        try:
            done = subprocess.run(  # noqa: S603 - the operator chose the program
                [self._program, verb], input=msgspec.json.encode(asked), capture_output=True,
                timeout=limits.KEK_COMMAND_MS / 1000, check=True,
            )  # fmt: skip
            return msgspec.json.decode(done.stdout, type=KeyWords)
        except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
            # What it said is not repeated: it may hold what it was given.
            raise VaultError(f"{self._program} {verb} failed: {type(error).__name__}") from None

    def _part(self, verb: str, part: T | None) -> T:
        if part is None:
            raise VaultError(f"{self._program} {verb} has left out a part of its answer")
        return part
