"""The command `profile`: make a broker profile of a real broker's symbols."""

from pathlib import Path
from typing import Annotated

import typer

from fxsocket_server.broker.clone import CloneError, profile_text
from fxsocket_server.broker.profile import ProfileError, parse_profile

app = typer.Typer(help="Broker profiles.", no_args_is_help=True)

_EXAMPLE = (
    "Example: `fxsocket-server profile import symbols.json --out mybroker.toml`, "
    "then `fxsocket-server demo --profile mybroker.toml`"
)


@app.callback()
def _root() -> None:
    """Broker profiles."""


@app.command("import", epilog=_EXAMPLE)
def import_(
    file: Annotated[Path, typer.Argument(help="JSON of MT5 symbol_info objects.", dir_okay=False)],
    out: Annotated[
        Path | None, typer.Option(help="Profile to write.", show_default="FILE with .toml")
    ] = None,
) -> None:
    """Clone your broker: write a profile from a dump of its symbols."""
    target = out or file.with_suffix(".toml")
    try:
        text = profile_text(file.read_text(encoding="utf-8"), target.stem)
        profile = parse_profile(text, target.name)
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"{file}: is not UTF-8 text") from None
    except CloneError as error:
        raise typer.BadParameter(f"{file}: {error}") from None
    except ProfileError as error:
        raise typer.BadParameter(f"{file}: a value that no broker has: {error}") from None
    target.write_text(text, encoding="utf-8")
    typer.echo(f"{target}: {len(profile.symbols)} symbols; use it with --profile {target}")
