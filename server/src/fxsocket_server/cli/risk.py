"""The command `risk`: rules of an account or a key, in the folder of a server that may run."""

from pathlib import Path
from typing import Annotated

import typer

from fxsocket_server.gateway.risk.rules import RULE_NAMES, RuleError, rules_of
from fxsocket_server.storage.app.store import AppStore

app = typer.Typer(
    help="Risk rules. A running server takes a change within 1 second.", no_args_is_help=True
)

_SET_EXAMPLE = (
    "Example: `fxsocket-server risk set --account acc_5kT1mQ8rWz0XbN3d max_daily_loss=500 "
    "max_open_volume=2`\n\n"
    f"Rules: {', '.join(RULE_NAMES)}."
)

Data = Annotated[Path, typer.Option(envvar="FXSOCKET_DATA", help="Folder that holds all state.")]
AccountOption = Annotated[
    str | None, typer.Option("--account", help="Id of the account that the rules bind.")
]
KeyOption = Annotated[
    str | None, typer.Option("--key", help="Id of the API key that the rules bind.")
]


@app.callback()
def _root() -> None:
    """Risk rules. A running server takes a change within 1 second."""


@app.command("set", epilog=_SET_EXAMPLE)
def set_(
    rules: Annotated[list[str], typer.Argument(metavar="RULE=VALUE...", help="Rules to set.")],
    account: AccountOption = None,
    key: KeyOption = None,
    data: Data = Path("fxsocket-data"),
) -> None:
    """Set rules; the ones that are not named stay."""
    store = _open(data)
    whose = _whose(store, account, key)
    texts = {**store.risk_rules().get(whose, {}), **dict(_pair(rule) for rule in rules)}
    try:
        rules_of(texts)
    except RuleError as error:
        raise typer.BadParameter(str(error)) from None
    store.put_risk_rules(*whose, texts)
    _print(whose, texts)
    store.close()


@app.command()
def show(
    account: AccountOption = None, key: KeyOption = None, data: Data = Path("fxsocket-data")
) -> None:
    """Show the rules of an account or key, or all there are."""
    store = _open(data)
    stored = store.risk_rules()
    if account is not None or key is not None:
        whose = _whose(store, account, key)
        stored = {whose: stored.get(whose, {})}
    for whose, texts in sorted(stored.items()):
        _print(whose, texts)
    if not stored:
        typer.echo("no rules")
    store.close()


@app.command()
def clear(
    rules: Annotated[
        list[str] | None, typer.Argument(metavar="[RULE]...", help="Rules to drop; none: all.")
    ] = None,
    account: AccountOption = None,
    key: KeyOption = None,
    data: Data = Path("fxsocket-data"),
) -> None:
    """Drop rules of an account or key."""
    store = _open(data)
    whose = _whose(store, account, key)
    texts = store.risk_rules().get(whose, {})
    for name in rules or list(texts):
        if name not in texts:
            held = ", ".join(texts) or "none"
            raise typer.BadParameter(f"{name!r} is not set here; set are: {held}")
        del texts[name]
    store.put_risk_rules(*whose, texts)
    _print(whose, texts)
    store.close()


def _open(data: Path) -> AppStore:
    if not (data / "app.db").is_file():
        raise typer.BadParameter(f"--data {data}: holds no app.db; start a server on it first")
    return AppStore(f"sqlite:///{data / 'app.db'}")


def _whose(store: AppStore, account: str | None, key: str | None) -> tuple[str, str]:
    """Whose rules: of an account or key that there is."""
    if (account is None) == (key is None):
        raise typer.BadParameter("name one of --account and --key")
    kind, wanted = ("account", account) if account is not None else ("key", key)
    held = [a.id for a in store.accounts()] if kind == "account" else _keys(store)
    ids = [entry.partition(" ")[0] for entry in held]
    if wanted not in ids:
        choices = ", ".join(held) or "none"
        raise typer.BadParameter(
            f"--{kind} {wanted}: there is no such {kind}; there are: {choices}"
        )
    return kind, str(wanted)


def _keys(store: AppStore) -> list[str]:
    return [f"{key.id} ({key.name})" for key in store.keys.valid()]


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{text!r}: write RULE=VALUE, such as max_daily_loss=500")
    return name, value


def _print(whose: tuple[str, str], texts: dict[str, str]) -> None:
    typer.echo(f"{whose[0]} {whose[1]}: " + (" ".join(f"{n}={v}" for n, v in texts.items()) or "-"))
