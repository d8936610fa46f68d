"""Runs a server until Ctrl-C or SIGTERM, and tells its user where it is."""

import asyncio
import errno
import gc
import signal
import sys
from collections.abc import Callable

import uvloop
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from fxsocket_server.bootstrap import Addresses, Server
from fxsocket_server.bootstrap.logs import configure_logs
from fxsocket_server.core import limits
from fxsocket_server.core.codec import encode
from fxsocket_server.settings import Settings, SettingsError

_console = Console(stderr=True)


def run(settings: Settings, *, demo: bool, as_json: bool) -> None:
    """Serve until told to stop; exit code 2 when a setting cannot work."""
    configure_logs()
    try:
        uvloop.run(_serve(settings, demo=demo, as_json=as_json))
    except SettingsError as error:
        _fail(str(error))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _fail(
            f"a port is in use ({error}); stop the other server, or choose ports with "
            "--port, --stream-port, --bridge-port (0 = any free one)"
        )


def _fail(text: str) -> None:
    _console.print(f"[bold red]Error:[/] {text}", highlight=False, soft_wrap=True)
    raise SystemExit(2)


async def _serve(settings: Settings, *, demo: bool, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    with Progress(
        TextColumn("reading {task.description}: {task.completed:,.0f} rows"),
        console=_console,
        transient=True,
        disable=not sys.stderr.isatty(),
    ) as bar:
        server = Server(settings, demo=demo, progress=_rows_of(bar))
        addresses = await server.start()
    _collect_seldom()
    _announce(addresses, as_json=as_json)
    await stop.wait()
    await server.stop()


def _collect_seldom() -> None:
    """Have the garbage collector leave alone what lives as long as the server.

    What a request makes has few cycles, so to look for them after every 700 allocations was a
    twentieth of an order's CPU at 64 connections (`python bench/_profile.py --connections 64`).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(limits.GC_ALLOCATIONS, *gc.get_threshold()[1:])


def _rows_of(bar: Progress) -> Callable[[str, int], None]:
    tasks: dict[str, object] = {}

    def report(name: str, rows: int) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=None)
        bar.update(tasks[name], completed=rows)  # type: ignore[arg-type]

    return report


def _announce(addresses: Addresses, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(encode(addresses).decode() + "\n")
        sys.stdout.flush()
        return
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    root = addresses.rest.removesuffix("/v1")
    rows = {
        "REST": addresses.rest,
        "Reference": root + "/docs",
        "Stream": addresses.stream,
        "Bridge": addresses.bridge,
        "Account": addresses.account_id or "-",
        "API key": addresses.api_key or "as you made it before",
    }
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/]", value)
    _console.print("\nFxSocket is ready.\n", style="bold green", highlight=False)
    _console.print(table)
    if addresses.api_key is not None:
        _console.print("\nYour first order:\n", highlight=False)
        _console.print(_curl(addresses), highlight=False, soft_wrap=True, markup=False)
    _console.print("\nCtrl-C stops it; its state stays in the data folder.\n", highlight=False)


def _curl(addresses: Addresses) -> str:
    body = '{"symbol":"EURUSD","type":"BUY","volume":0.1}'
    return (
        f"curl -s {addresses.rest}/orders -H 'Authorization: Bearer {addresses.api_key}' "
        f"-H 'Content-Type: application/json' -d '{body}'"
    )
