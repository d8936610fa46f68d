"""The command `verify-audit`: was an entry of the audit log changed, lost or moved?"""

from pathlib import Path
from typing import Annotated

import typer

from fxsocket_server.bootstrap.data_folder import APP, app_url
from fxsocket_server.storage.app.store import AppStore

VERIFY_AUDIT_EXAMPLE = "Example: `fxsocket-server verify-audit --data /var/lib/fxsocket`"


def verify_audit(
    data: Annotated[
        Path, typer.Option(envvar="FXSOCKET_DATA", help="Folder that holds all state.")
    ] = Path("fxsocket-data"),
) -> None:
    """Verify the chain of the audit log.

    Exit code 0: intact; 1: damage was found; 2: there is no log. The server may run.
    """
    if not (data / APP).is_file():
        raise typer.BadParameter(f"--data {data}: holds no app.db; start a server on it first")
    store = AppStore(app_url(data))
    try:
        check = store.keys.check_audit()
    finally:
        store.close()
    for fault in check.faults:
        typer.echo(f"damaged: {fault}")
    typer.echo(f"{check.entries:,} entries, " + ("not intact" if check.faults else "intact"))
    raise typer.Exit(1 if check.faults else 0)
