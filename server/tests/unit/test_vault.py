"""The vault: what is sealed opens at its own place with its own key, and nowhere else."""

import copy
import json
import os
import pickle
from base64 import b64encode
from pathlib import Path

import msgspec
import pytest
import structlog
from msgspec.structs import replace

from fxsocket_server.bootstrap.vaults import key_provider
from fxsocket_server.core.codec import convert, encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.secret import Secret
from fxsocket_server.security.vault import (
    KeyProvider,
    Vault,
    VaultError,
    parse_envelope,
    place_of_secret,
)
from fxsocket_server.settings import SettingsError
from fxsocket_server.storage.key_files import KeyFiles
from fxsocket_server.storage.key_sources import CommandKeys, EnvironmentKeys

PLACE = place_of_secret("sec_1", "acc_1", 1)
SECRET = Secret("canary-password")

# A key management service in six lines: two keys, the second one is that of now.
PROGRAM = """#!/usr/bin/env python3
import base64, json, sys
asked, verb = json.load(sys.stdin), sys.argv[1]
mask = lambda text, key: bytes(b ^ key for b in base64.b64decode(text))
text = lambda data: base64.b64encode(data).decode()
if verb == "current": told = {"key_id": "arn:2"}
elif verb == "wrap": told = {"key_id": "arn:2", "wrapped": text(mask(asked["plaintext"], 2))}
else: told = {"plaintext": text(mask(asked["wrapped"], int(asked["key_id"][-1])))}
print(json.dumps(told))
"""


def program(folder: Path, text: str = PROGRAM) -> CommandKeys:
    path = folder / "keeper"
    path.write_text(text)
    path.chmod(0o700)
    return CommandKeys(path)


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(KeyFiles(tmp_path, os.urandom), os.urandom)


def random_key() -> str:
    return b64encode(os.urandom(32)).decode()


# --- every provider --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "env", "command"])
def test_what_was_sealed_opens_again(kind: str, tmp_path: Path) -> None:
    providers: dict[str, KeyProvider] = {
        "file": KeyFiles(tmp_path, os.urandom),
        "env": EnvironmentKeys(random_key(), None, os.urandom),
        "command": program(tmp_path),
    }
    vault = Vault(providers[kind], os.urandom)
    with vault.keys.held():
        sealed = vault.seal(SECRET, PLACE)
    assert vault.open(sealed, PLACE) == SECRET
    assert "canary" not in sealed
    assert parse_envelope(sealed).key_id == vault.keys.current()
    assert vault.open(vault.rewrap(sealed, PLACE), PLACE) == SECRET


def test_the_same_password_never_seals_alike(vault: Vault) -> None:
    one, two = (parse_envelope(vault.seal(SECRET, PLACE)) for _ in range(2))
    assert (one.nonce, one.wrapped, one.ciphertext) != (two.nonce, two.wrapped, two.ciphertext)
    assert one.ciphertext != two.ciphertext


def test_nonces_are_unique(vault: Vault) -> None:
    unique_nonces(vault, 10_000)


@pytest.mark.soak
def test_a_million_nonces_are_unique(vault: Vault) -> None:
    unique_nonces(vault, 500_000)


def unique_nonces(vault: Vault, count: int) -> None:
    """Two of each secret: its own, and that of its data key."""
    nonces = set()
    for _ in range(count):
        envelope = parse_envelope(vault.seal(SECRET, PLACE))
        nonces |= {envelope.nonce, envelope.wrapped[:12]}
    assert len(nonces) == 2 * count


# --- what must not open ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"row": "sec_2"},
        {"account": "acc_2"},
        {"key_version": 2},
        {"table": "users"},
        {"column": "name"},
    ],
    ids=str,
)
def test_a_secret_opens_nowhere_but_at_its_place(change: dict[str, object], vault: Vault) -> None:
    sealed = vault.seal(SECRET, PLACE)
    moved = replace(PLACE, **change)
    for use in (vault.open, vault.rewrap):
        with pytest.raises(VaultError, match="changed, moved") as caught:
            use(sealed, moved)
        assert "canary" not in str(caught.value)


def test_the_parts_of_two_secrets_do_not_mix(vault: Vault) -> None:
    one, two = (parse_envelope(vault.seal(SECRET, PLACE)) for _ in range(2))
    for part in ("wrapped", "nonce", "ciphertext"):
        with pytest.raises(VaultError):
            vault.open(replace(one, **{part: getattr(two, part)}).text, PLACE)


def test_every_cut_and_every_flipped_bit_is_refused(vault: Vault) -> None:
    sealed = vault.seal(SECRET, PLACE)
    for length in range(len(sealed)):
        with pytest.raises(VaultError):
            vault.open(sealed[:length], PLACE)
    parts = parse_envelope(sealed)
    for name in ("wrapped", "nonce", "ciphertext"):
        whole = getattr(parts, name)
        for index in range(len(whole)):
            bad = whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :]
            with pytest.raises(VaultError):
                vault.open(replace(parts, **{name: bad}).text, PLACE)


@pytest.mark.parametrize(
    "bad",
    ["", "v0.{rest}", "v2.{rest}", "{rest}", "v1.{rest}.", "v1.{rest}.x", "v1.{rest}=",
     " v1.{rest}", "v1.{rest}\n", "canary-password"],
)  # fmt: skip
def test_other_forms_are_refused(bad: str, vault: Vault) -> None:
    rest = vault.seal(SECRET, PLACE).partition(".")[2]
    with pytest.raises(VaultError):
        vault.open(bad.format(rest=rest), PLACE)


def test_another_key_does_not_open(vault: Vault, tmp_path: Path) -> None:
    sealed, folder = vault.seal(SECRET, PLACE), tmp_path / "other"
    folder.mkdir()
    with pytest.raises(VaultError, match="bring it back from a backup"):
        Vault(KeyFiles(folder, os.urandom), os.urandom).open(sealed, PLACE)
    environment = EnvironmentKeys(random_key(), random_key(), os.urandom)
    with pytest.raises(VaultError, match="FXSOCKET_KEK_OLD"):
        Vault(environment, os.urandom).open(sealed, PLACE)
    key_id = parse_envelope(sealed).key_id
    other = KeyFiles(folder, os.urandom)
    path = folder / other.current()
    path.rename(path.with_name(key_id))  # one key under another's name
    with pytest.raises(VaultError, match="damaged"):
        Vault(other, os.urandom).open(sealed, PLACE)


def test_a_wrapped_key_is_bound_to_the_name_of_its_key() -> None:
    first, second = random_key(), random_key()
    sealed = Vault(EnvironmentKeys(first, None, os.urandom), os.urandom).seal(SECRET, PLACE)
    both = Vault(EnvironmentKeys(second, first, os.urandom), os.urandom)
    assert both.open(sealed, PLACE) == SECRET
    renamed = replace(parse_envelope(sealed), key_id=both.keys.current()).text
    with pytest.raises(VaultError):
        both.open(renamed, PLACE)


# --- keys ------------------------------------------------------------------------------------


def test_key_files_are_for_their_owner_only(vault: Vault, tmp_path: Path) -> None:
    sealed = vault.seal(SECRET, PLACE)
    path = tmp_path / vault.keys.current()
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o640)
    with pytest.raises(VaultError, match=f"chmod 600 {path}"):
        vault.open(sealed, PLACE)


def test_nothing_starts_on_keys_that_others_can_read_or_that_are_damaged(
    vault: Vault, tmp_path: Path
) -> None:
    path = tmp_path / vault.keys.current()
    key_provider("file", tmp_path)
    path.chmod(0o644)
    with pytest.raises(SettingsError, match=f"chmod 600 {path}"):
        key_provider("file", tmp_path)
    path.chmod(0o600)
    path.write_text(random_key())
    with pytest.raises(SettingsError, match="damaged"):
        key_provider("file", tmp_path)


@pytest.mark.parametrize("text", ["", "short", b64encode(b"x" * 31).decode(), "x" * 44])
def test_a_key_that_is_none_is_named_by_its_source(text: str) -> None:
    with pytest.raises(VaultError, match=r"FXSOCKET_KEK must be .*openssl rand") as caught:
        EnvironmentKeys(text, None, os.urandom)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("#!/bin/sh\necho canary-password >&2; exit 3", "CalledProcessError"),
        ("#!/bin/sh\necho canary-password", "DecodeError"),
        ("#!/bin/sh\necho '{}'", "left out"),
        ("no program", "OSError"),
    ],
)
def test_a_failing_program_is_named_and_not_quoted(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(VaultError, match=f"keeper current .*{why}") as caught:
        program(tmp_path, text).current()
    assert "canary" not in str(caught.value)


def test_ids_of_keys_stay_in_the_form(tmp_path: Path) -> None:
    keys = program(tmp_path, PROGRAM.replace("arn:2", "arn.2"))
    with pytest.raises(VaultError, match=r"arn\.2"):
        Vault(keys, os.urandom).seal(SECRET, PLACE)


# --- Secret ----------------------------------------------------------------------------------


class Body(msgspec.Struct):
    password: Secret
    count: int = 0


def test_a_secret_shows_itself_to_nobody() -> None:
    shown = [
        str(SECRET), repr(SECRET), f"{SECRET}", f"{SECRET:>20}", f"{SECRET!r} {SECRET!s}",
        repr([SECRET]), repr(Body(SECRET)), repr({"password": SECRET}), str(ValueError(SECRET)),
        structlog.processors.JSONRenderer()(None, "", {"password": SECRET}),
        structlog.dev.ConsoleRenderer()(None, "", {"password": SECRET, "event": "x"}),
        structlog.processors.LogfmtRenderer()(None, "", {"password": SECRET}),
    ]  # fmt: skip
    assert not [text for text in shown if "canary" in str(text)]
    assert all("***" in str(text) for text in shown)


def test_a_secret_is_neither_encoded_nor_copied() -> None:
    for leak in (
        encode, msgspec.json.encode, msgspec.msgpack.encode, msgspec.to_builtins, json.dumps,
        pickle.dumps, copy.copy, copy.deepcopy, hash,
    ):  # fmt: skip
        with pytest.raises(TypeError) as caught:
            leak(SECRET)
        assert "canary" not in str(caught.value)
    with pytest.raises(TypeError):
        encode(Body(SECRET))


def test_secrets_are_compared_by_what_they_hold() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"


def test_a_body_that_does_not_fit_never_repeats_its_secret() -> None:
    assert convert({"password": "canary-password"}, Body).password == SECRET
    for bad in ({"password": ["canary"]}, {"password": "canary-password", "count": "x"}):
        with pytest.raises(Problem) as caught:
            convert(bad, Body)
        assert "canary" not in caught.value.detail + repr(caught.value.errors)
