"""The command `account`: make, list and remove the accounts of a data folder."""

from pathlib import Path
from typing import Annotated

import typer

from fxsocket_server.bootstrap.linking import add_account, linked_accounts, remove_account
from fxsocket_server.core.codec import encode
from fxsocket_server.core.secret import Secret
from fxsocket_server.model.enums import AccountKind, Platform
from fxsocket_server.settings import KEK_FILE, SettingsError, check_kek

app = typer.Typer(
    help="Accounts of a data folder that no server has open; of a running server: /v1/accounts.",
    no_args_is_help=True,
)

Data = Annotated[Path, typer.Option(envvar="FXSOCKET_DATA", help="Folder that holds all state.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]

_ADD_EXAMPLE = (
    "Example: `fxsocket-server account add --server MyBroker-Demo --login 1234567`\n\n"
    "Example: `fxsocket-server account add --kind SIM --profile ecn --balance 50000`"
)
_REMOVE_EXAMPLE = "Example: `fxsocket-server account remove acc_5kT1mQ8rWz0XbN3d`"


@app.callback()
def _root() -> None:
    """Accounts of a data folder that no server has open; of a running server: /v1/accounts."""


@app.command("add", epilog=_ADD_EXAMPLE)
def add(
    kind: Annotated[
        AccountKind, typer.Option(help="TERMINAL: one will dial in. SIM: simulated.")
    ] = AccountKind.TERMINAL,
    server: Annotated[
        str | None, typer.Option(help="The broker's server, as the terminal shows it.")
    ] = None,
    login: Annotated[int | None, typer.Option(help="The account's number.")] = None,
    password_file: Annotated[
        Path | None,
        typer.Option(help="File with the broker's password, which is kept encrypted."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name of your own.")] = None,
    platform: Annotated[
        Platform | None, typer.Option(help="What the terminal is.", show_default="MT5")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Broker profile of a SIM account.")] = None,
    balance: Annotated[
        float | None, typer.Option(help="First deposit of a SIM account.", show_default="10000.0")
    ] = None,
    leverage: Annotated[int | None, typer.Option(help="Of a SIM account; 100 is 1:100.")] = None,
    currency: Annotated[str | None, typer.Option(help="Of a SIM account.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of a SIM account's prices.")] = None,
    kek: Annotated[
        str, typer.Option(envvar="FXSOCKET_KEK_PROVIDER", help="Who keeps the key of passwords.")
    ] = KEK_FILE,
    data: Data = Path("fxsocket-data"),
    json: Json = False,
) -> None:
    """Make an account; of a terminal's, print its connector token, which is shown this once."""
    given = {
        "kind": kind, "server": server, "login": login, "name": name, "platform": platform,
        "profile": profile, "balance": balance, "leverage": leverage, "currency": currency,
        "seed": seed, "password": _password(password_file),
    }  # fmt: skip
    try:
        check_kek(kek)
        body = {field: value for field, value in given.items() if value is not None}
        link = add_account(data, body, kek=kek)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    if json:
        typer.echo(encode(link).decode())
        return
    typer.echo(f"Account {link.account_id} is there.")
    if link.token:
        typer.echo(f"Connector token, shown this once; give it to the terminal:\n{link.token}")


def _password(file: Path | None) -> Secret | None:
    if file is None:
        return None
    try:
        return Secret(file.read_text().rstrip("\r\n"))
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"--password-file {file}: {type(error).__name__}") from None


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


@app.command("remove", epilog=_REMOVE_EXAMPLE)
def remove(
    account: Annotated[str, typer.Argument(help="Id of the account.")],
    data: Data = Path("fxsocket-data"),
) -> None:
    """Remove an account: its token and password are forgotten, its journal stays."""
    try:
        gone = remove_account(data, account)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None
    typer.echo(f"Account {gone.id} ({gone.name}) is removed.")
