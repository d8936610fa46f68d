"""The command `keys`: API keys, and the key under which passwords are sealed."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from fxsocket_server.bootstrap.data_folder import app_url
from fxsocket_server.bootstrap.vaults import rotating_vault
from fxsocket_server.cli import api_keys
from fxsocket_server.security.rotation import rotate
from fxsocket_server.security.vault import VaultError
from fxsocket_server.settings import KEK_FILE, SettingsError, check_kek
from fxsocket_server.storage.app.store import AppStore

app = typer.Typer(help="Keys of a data folder; its server may run.", no_args_is_help=True)
api_keys.add_to(app)

_ROTATE_EXAMPLE = "Example: `fxsocket-server keys rotate-kek --data /var/lib/fxsocket`"

_console = Console(stderr=True)


@app.callback()
def _root() -> None:
    """Keys of a data folder; its server may run."""


@app.command("rotate-kek", epilog=_ROTATE_EXAMPLE)
def rotate_kek(
    data: Annotated[
        Path, typer.Option(envvar="FXSOCKET_DATA", help="Folder that holds all state.")
    ] = Path("fxsocket-data"),
    kek: Annotated[
        str,
        typer.Option(
            envvar="FXSOCKET_KEK_PROVIDER",
            help="Who keeps the key of passwords: file, env, or command:PATH.",
        ),
    ] = KEK_FILE,
) -> None:
    """Change the key under all stored passwords, while the server runs.

    Cut off at any moment it loses nothing: run it again, and it goes on where it was.
    """
    if not (data / "app.db").is_file():
        raise typer.BadParameter(f"--data {data}: holds no app.db; start a server on it first")
    try:
        check_kek(kek)
        done = _with_progress(data, kek)
    except (SettingsError, VaultError) as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"{done} stored passwords are under the key of now; older keys are not needed.")


def _with_progress(data: Path, kek: str) -> int:
    keys, vault = rotating_vault(kek, data)
    store = AppStore(app_url(data))
    columns = (
        TextColumn("rotating"), BarColumn(), MofNCompleteColumn(), TextColumn("passwords"),
        TimeRemainingColumn(),
    )  # fmt: skip
    try:
        with Progress(
            *columns, console=_console, transient=True, disable=not sys.stderr.isatty()
        ) as bar:
            task = bar.add_task("rotating", total=None)
            return rotate(
                keys,
                vault,
                store.secrets,
                lambda done, total: bar.update(task, completed=done, total=total),
            )
    finally:
        store.close()
