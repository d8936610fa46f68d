"""The command `sim-terminal`: a simulated terminal that dials a server's bridge."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from fxsocket_server.bootstrap.logs import configure_logs
from fxsocket_server.bootstrap.terminal import Notify, SimTerminal, TerminalNotice
from fxsocket_server.core.codec import encode
from fxsocket_server.settings import (
    SettingsError,
    TerminalSettings,
    bridge_address,
    check_terminal,
    terminal_crash_at,
)

_console = Console(stderr=True)

EXAMPLE = (
    "Example: `fxsocket-server account add --server FxSocket-Demo --login 1234567`, then "
    "`fxsocket-server sim-terminal --bridge 127.0.0.1:8002 --token fxc_... --login 1234567 "
    "--server FxSocket-Demo`"
)


def sim_terminal(
    bridge: Annotated[str, typer.Option(metavar="HOST:PORT", help="The server's bridge.")],
    token: Annotated[
        str,
        typer.Option(envvar="FXSOCKET_CONNECTOR_TOKEN", help="What `account add` printed."),
    ],
    data: Annotated[Path, typer.Option(help="Folder of the terminal's ledger.")] = Path(
        "fxsocket-terminal"
    ),
    login: Annotated[
        int | None, typer.Option(help="The account's number.", show_default="from the seed")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(help="The broker's server name.", show_default="the profile's"),
    ] = None,
    profile: Annotated[str, typer.Option(help="Broker profile: a name, or a TOML file.")] = (
        "standard"
    ),
    balance: Annotated[float, typer.Option(help="First deposit of a new account.")] = 10_000.0,
    leverage: Annotated[
        int | None, typer.Option(help="100 = 1:100.", show_default="the profile's")
    ] = None,
    currency: Annotated[
        str | None, typer.Option(help="Deposit currency.", show_default="the profile's")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Seed of the prices.", show_default="random")
    ] = None,
    sessions: Annotated[
        bool, typer.Option("--sessions", help="Keep the symbols' real trading sessions.")
    ] = False,
    sync: Annotated[
        bool, typer.Option("--sync", help="Sync each write, so that a power cut loses nothing.")
    ] = False,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[:KEY=VALUE,...]", help="Put a fault in force; repeatable."),
    ] = None,
    json: Annotated[
        bool,
        typer.Option("--json", help="Print a JSON line when ready, connected, disconnected."),
    ] = False,
) -> None:
    """Run a simulated terminal: a broker with a ledger of its own that dials the bridge."""
    try:
        host, port = bridge_address(bridge)
        settings = check_terminal(
            TerminalSettings(
                host=host, port=port, token=token, data=data, login=login, server=server,
                profile=profile, balance=balance, leverage=leverage, currency=currency, seed=seed,
                sessions=sessions, sync=sync, faults=tuple(fault or ()),
                crash_at=terminal_crash_at(),
            )
        )  # fmt: skip
        configure_logs()
        uvloop.run(_run(settings, _json_line if json else _line))
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


async def _run(settings: TerminalSettings, notify: Notify) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    terminal = SimTerminal(settings, notify)
    await terminal.start()
    await stop.wait()
    await terminal.stop()


def _json_line(notice: TerminalNotice) -> None:
    sys.stdout.write(encode(notice).decode() + "\n")
    sys.stdout.flush()


def _line(notice: TerminalNotice) -> None:
    who = f"{notice.login} on {notice.server}"
    why = f": {notice.why}" if notice.why else ""
    _console.print(f"{notice.event} ({who}){why}", highlight=False, markup=False)
