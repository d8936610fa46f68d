"""API keys at the command line: create, list, rotate, revoke."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from msgspec import UNSET

from fxsocket_server.bootstrap.owner import as_owner
from fxsocket_server.core import limits
from fxsocket_server.core.codec import convert, encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.keys.requests import KeyRequest, RotateRequest, ScopeName
from fxsocket_server.gateway.keys.rules import KeyLimits
from fxsocket_server.gateway.keys.service import Actor, Keys
from fxsocket_server.gateway.keys.views import KeyView, NewKeyView
from fxsocket_server.settings import SettingsError

T = TypeVar("T")

_CREATE_EXAMPLE = (
    "Example: `fxsocket-server keys create --name 'grid bot' --scope trade "
    "--account acc_5kT1mQ8rWz0XbN3d --ip 203.0.113.0/24 --limit max_open_volume=2`"
)

Data = Annotated[Path, typer.Option(envvar="FXSOCKET_DATA", help="Folder that holds all state.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="Such as key_8hJ2kL5nQ1sT4vX7.")]
Overlap = Annotated[
    int, typer.Option(help="Seconds for which the secret of now goes on working; 0 ends it.")
]


def add_to(app: typer.Typer) -> None:
    """Offer the commands in a group."""
    app.command("create", epilog=_CREATE_EXAMPLE)(create)
    app.command("list")(list_)
    app.command("rotate")(rotate)
    app.command("revoke")(revoke)


def create(
    name: Annotated[str, typer.Option(help="For people; need not be unique.")],
    scope: Annotated[ScopeName, typer.Option(help="What it may do.")] = ScopeName.trade,
    account: Annotated[
        list[str] | None, typer.Option(help="Account that it may use; repeatable; none: all.")
    ] = None,
    ip: Annotated[
        list[str] | None, typer.Option(help="Address or network it works from; repeatable.")
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(metavar="RULE=VALUE", help="Risk rule that binds it; repeatable."),
    ] = None,
    expires_at: Annotated[
        str | None, typer.Option(help="When it ends, ISO 8601 with zone.")
    ] = None,
    data: Data = Path("fxsocket-data"),
    json: Json = False,
) -> None:
    """Make an API key and print it, which happens this once."""
    asked = KeyRequest(
        name=name,
        scope=scope,
        accounts=tuple(account) if account else UNSET,
        ip_rules=tuple(ip or ()),
        limits=_limits(limit or []),
        expires_at=expires_at or UNSET,
    )
    _tell_secret(_done(data, lambda keys, owner: keys.create(owner, asked)), json=json)


def list_(data: Data = Path("fxsocket-data"), json: Json = False) -> None:
    """List the keys that are not revoked."""
    rows = _done(data, _all_keys)
    if json:
        typer.echo(encode(rows).decode())
        return
    for row in rows:
        accounts = "all accounts" if row.accounts is None else " ".join(row.accounts)
        until = f"until {row.expires_at}" if row.expires_at else "without end"
        used = f"used {row.last_used_at}" if row.last_used_at else "never used"
        typer.echo(f"{row.id}  {row.scope:5}  {row.name}  {accounts}  {until}  {used}")


def rotate(
    key_id: KeyId,
    overlap_s: Overlap = limits.KEY_OVERLAP_S,
    data: Data = Path("fxsocket-data"),
    json: Json = False,
) -> None:
    """Give a key a new secret; the one of now works on for a while."""
    asked = RotateRequest(overlap_s=overlap_s)
    _tell_secret(_done(data, lambda keys, owner: keys.rotate(owner, key_id, asked)), json=json)


def revoke(key_id: KeyId, data: Data = Path("fxsocket-data")) -> None:
    """End a key for good; a running server closes its streams within a second."""
    row = _done(data, lambda keys, owner: keys.revoke(owner, key_id))
    typer.echo(f"{row.id} ({row.name}) is revoked.")


def _done(data: Path, work: Callable[[Keys, Actor], Awaitable[T]]) -> T:
    try:
        return as_owner(data, work)
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


async def _all_keys(keys: Keys, owner: Actor) -> list[KeyView]:
    rows: list[KeyView] = []
    after = None
    while True:  # bounded by the keys that a user may have
        page = await keys.page(owner, after, limits.PAGE_ROWS)
        rows += page.data
        after = page.next_cursor
        if after is None:
            return rows


def _limits(pairs: list[str]) -> KeyLimits:
    fields: dict[str, Any] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"{pair!r}: write RULE=VALUE, such as max_open_volume=2")
        fields[name] = value
    try:
        return convert(fields, KeyLimits, from_text=True)
    except Problem as problem:
        raise typer.BadParameter(f"--limit {problem.detail}") from None


def _tell_secret(row: NewKeyView, *, json: bool) -> None:
    if json:
        typer.echo(encode(row).decode())
        return
    typer.echo(f"Key {row.id} ({row.name}), scope {row.scope}. Its secret, shown this once:")
    typer.echo(row.secret)
