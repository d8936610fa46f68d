"""Who keeps the key-encryption key, as the settings say."""

import os
from pathlib import Path

from fxsocket_server.security.rotation import RotatingKeys
from fxsocket_server.security.vault import Vault, VaultError
from fxsocket_server.settings import (
    KEK_COMMAND,
    KEK_ENVIRONMENT,
    KEK_FILE,
    SettingsError,
    kek_from_environment,
)
from fxsocket_server.storage.key_files import KeyFiles
from fxsocket_server.storage.key_sources import CommandKeys, EnvironmentKeys


def key_provider(kek: str, folder: Path) -> RotatingKeys:
    """The provider of a data folder; SettingsError when its keys cannot be read."""
    try:
        if kek == KEK_FILE:
            files = KeyFiles(folder, os.urandom)
            files.check()
            return files
        if kek == KEK_ENVIRONMENT:
            return EnvironmentKeys(*kek_from_environment(), os.urandom)
        return CommandKeys(Path(kek.removeprefix(KEK_COMMAND)))
    except VaultError as error:
        raise SettingsError(f"--kek {kek}: {error}") from None


def rotating_vault(kek: str, folder: Path) -> tuple[RotatingKeys, Vault]:
    """The keys that are kept there, and the vault that uses them."""
    keys = key_provider(kek, folder)
    return keys, Vault(keys, os.urandom)
