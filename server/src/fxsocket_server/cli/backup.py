"""The commands `backup` and `restore`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from fxsocket_server.bootstrap.backup import BackupError, back_up
from fxsocket_server.bootstrap.backup import Progress as Told
from fxsocket_server.bootstrap.backup import restore as restore_archive
from fxsocket_server.bootstrap.server import server_version
from fxsocket_server.core.codec import encode

BACKUP_EXAMPLE = (
    "Example: `fxsocket-server backup /backups --data /var/lib/fxsocket`\n\n"
    "The archive opens every account that this server trades: keep it as safe as the server."
)
RESTORE_EXAMPLE = (
    "Example: `fxsocket-server restore /backups/fxsocket-2026-12-01T03-00-00Z.tar.gz "
    "--data /var/lib/fxsocket-restored`"
)

Data = Annotated[Path, typer.Option(envvar="FXSOCKET_DATA", help="Folder that holds all state.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object when done.")]

_console = Console(stderr=True)


def backup(
    target: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="New archive, or a folder to put it in.")
    ],
    data: Data = Path("fxsocket-data"),
    json: Json = False,
) -> None:
    """Back up everything that a data folder holds into one archive. The server may run."""
    with _telling() as told:
        done = back_up(data, target, server_version(), told)
    files = {member.name: member.bytes for member in done.manifest.files}
    if json:
        sys.stdout.write(encode({"path": str(done.path), "files": files}).decode() + "\n")
        return
    size = sum(files.values())
    _say(f"{done.path}: {', '.join(files)}; {size:,} bytes of data")


def restore(
    archive: Annotated[
        Path, typer.Argument(metavar="FILE", help="Archive that `backup` has written.")
    ],
    data: Data = Path("fxsocket-data"),
    json: Json = False,
) -> None:
    """Restore a backup into an empty data folder, and verify it.

    Every event log begins a new epoch: a client that resumes is told `reset`.
    """
    with _telling() as told:
        done = restore_archive(archive, data, told)
    if json:
        accounts = {account.account_id: account.events for account in done.report.accounts}
        about = {"created_at": done.manifest.created_at, "events": accounts}
        sys.stdout.write(encode(about).decode() + "\n")
        return
    for account in done.report.accounts:
        _say(f"{account.account_id}: {account.events:,} events, {account.orders:,} orders, intact")
    _say(f"{data} is as it was at {done.manifest.created_at}; what happened later is not in it")


@contextmanager
def _telling() -> Iterator[Told]:
    """A bar for each thing that is done; an error that can be mended ends the command."""
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(
        *columns, console=_console, transient=True, disable=not sys.stderr.isatty()
    ) as bar:
        tasks: dict[str, TaskID] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=None)
            bar.update(tasks[what], completed=done, total=total or None)

        try:
            yield told
        except BackupError as error:
            bar.stop()
            _console.print(f"[bold red]Error:[/] {error}", highlight=False, soft_wrap=True)
            raise typer.Exit(1) from None


def _say(line: str) -> None:
    Console().print(line, highlight=False, soft_wrap=True)
