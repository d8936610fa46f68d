"""The command `account`: link accounts whose terminals dial in, and list what there is."""

from pathlib import Path
from typing import Annotated

import typer

from fxsocket_server.bootstrap.linking import link_account, linked_accounts
from fxsocket_server.core.codec import encode
from fxsocket_server.model.enums import Platform
from fxsocket_server.settings import SettingsError

app = typer.Typer(help="Accounts of a data folder.", no_args_is_help=True)

Data = Annotated[Path, typer.Option(envvar="FXSOCKET_DATA", help="Folder that holds all state.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

_EXAMPLE = "Example: `fxsocket-server account add --server MyBroker-Demo --login 1234567`"


@app.callback()
def _root() -> None:
    """Accounts of a data folder."""


@app.command("add", epilog=_EXAMPLE)
def add(
    server: Annotated[str, typer.Option(help="The broker's server, as the terminal shows it.")],
    login: Annotated[int, typer.Option(help="The account's number.")],
    name: Annotated[str, typer.Option(help="A name of your own.")] = "",
    platform: Annotated[Platform, typer.Option(help="What the terminal is.")] = Platform.MT5,
    data: Data = Path("fxsocket-data"),
    json: Json = False,
) -> None:
    """Link a terminal's account and print its connector token, which is shown this once."""
    try:
        link = link_account(data, server=server, login=login, name=name, platform=platform)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    if json:
        typer.echo(encode(link).decode())
        return
    typer.echo(f"Account {link.account_id}: login {login} on {server}.")
    typer.echo(f"Connector token, shown this once; give it to the terminal:\n{link.token}")


@app.command("list")
def list_(data: Data = Path("fxsocket-data"), json: Json = False) -> None:
    """List the accounts of a data folder that no server has open."""
    try:
        accounts = linked_accounts(data)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    if json:
        typer.echo(encode(accounts).decode())
        return
    for account in accounts:
        what = f"{account.platform} {account.login} on {account.server}"
        typer.echo(f"{account.id}  {account.kind.value:8}  {what}  {account.name}")
