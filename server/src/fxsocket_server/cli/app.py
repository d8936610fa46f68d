"""Options of `demo` and `serve`, and what they print."""

from pathlib import Path
from typing import Annotated

import typer

from fxsocket_server.cli import account as account_commands
from fxsocket_server.cli import keys as keys_commands
from fxsocket_server.cli import profile as profile_commands
from fxsocket_server.cli import risk as risk_commands
from fxsocket_server.cli.backup import BACKUP_EXAMPLE, RESTORE_EXAMPLE, backup, restore
from fxsocket_server.cli.run import run
from fxsocket_server.cli.stream import stream_process as stream_process_command
from fxsocket_server.cli.terminal import EXAMPLE as TERMINAL_EXAMPLE
from fxsocket_server.cli.terminal import sim_terminal
from fxsocket_server.cli.verify import VERIFY_EXAMPLE, verify_journal
from fxsocket_server.cli.verify_audit import VERIFY_AUDIT_EXAMPLE, verify_audit
from fxsocket_server.core import limits
from fxsocket_server.settings import (
    BRIDGE_PORT,
    KEK_FILE,
    PORT,
    STREAM_PORT,
    Settings,
    SettingsError,
    check,
    crash_at,
    parse_speed,
)

app = typer.Typer(
    help="MetaTrader accounts behind one REST API and one real-time stream.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.add_typer(account_commands.app, name="account")
app.add_typer(keys_commands.app, name="keys")
app.add_typer(profile_commands.app, name="profile")
app.add_typer(risk_commands.app, name="risk")
app.command("backup", epilog=BACKUP_EXAMPLE)(backup)
app.command("restore", epilog=RESTORE_EXAMPLE)(restore)
app.command("verify-audit", epilog=VERIFY_AUDIT_EXAMPLE)(verify_audit)
app.command("verify-journal", epilog=VERIFY_EXAMPLE)(verify_journal)
app.command(name="stream-process", hidden=True)(stream_process_command)
app.command(name="sim-terminal", epilog=TERMINAL_EXAMPLE)(sim_terminal)

Data = Annotated[Path, typer.Option(envvar="FXSOCKET_DATA", help="Folder that holds all state.")]
Host = Annotated[str, typer.Option(envvar="FXSOCKET_HOST", help="Address to listen on.")]
Port = Annotated[int, typer.Option(envvar="FXSOCKET_PORT", help="REST port, 0 = any free one.")]
StreamPort = Annotated[
    int, typer.Option(envvar="FXSOCKET_STREAM_PORT", help="Stream port, 0 = any free one.")
]
BridgePort = Annotated[
    int, typer.Option(envvar="FXSOCKET_BRIDGE_PORT", help="Bridge port, 0 = any free one.")
]
ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        envvar="FXSOCKET_DEMO_API_KEY",
        help="Use this text as the API key (demo mints one otherwise, serve keeps those it has).",
        show_default="none",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON line on standard output when ready.")
]
Profile = Annotated[
    str,
    typer.Option(envvar="FXSOCKET_PROFILE", help="Broker profile: a name, or a TOML file."),
]
Balance = Annotated[
    float, typer.Option(envvar="FXSOCKET_BALANCE", help="First deposit of a new account.")
]
Leverage = Annotated[
    int | None,
    typer.Option(
        envvar="FXSOCKET_LEVERAGE",
        help="Leverage of a new account, 100 = 1:100.",
        show_default="the profile's",
    ),
]
Currency = Annotated[
    str | None,
    typer.Option(
        envvar="FXSOCKET_CURRENCY",
        help="Currency of a new account.",
        show_default="the profile's",
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        envvar="FXSOCKET_SEED",
        help="Seed of a new account's prices: the same seed, the same market.",
        show_default="random",
    ),
]
Sessions = Annotated[
    bool,
    typer.Option(
        "--sessions", envvar="FXSOCKET_SESSIONS",
        help="Keep the symbols' real trading sessions instead of trading round the clock.",
    ),
]  # fmt: skip
JournalReserve = Annotated[
    int,
    typer.Option(
        envvar="FXSOCKET_JOURNAL_RESERVE_MB",
        help="Megabytes kept free for closing and cancelling on a full disk.",
    ),
]
StreamProcess = Annotated[
    bool,
    typer.Option(
        "--stream-process", envvar="FXSOCKET_STREAM_PROCESS",
        help="Run the stream as a process of its own, so that it and orders use two cores.",
    ),
]  # fmt: skip
StreamFlush = Annotated[
    float,
    typer.Option(
        envvar="FXSOCKET_STREAM_FLUSH_MS",
        metavar="MS",
        help="Ticks that come this soon after a write leave the stream together; 0 = never wait.",
    ),
]
AccountLimit = Annotated[
    int,
    typer.Option(envvar="FXSOCKET_ACCOUNT_LIMIT", help="Accounts that a user may have."),
]
Kek = Annotated[
    str,
    typer.Option(
        envvar="FXSOCKET_KEK_PROVIDER",
        metavar="file|env|command:PATH",
        help="Who keeps the key under which brokers' passwords are sealed.",
    ),
]
Replay = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE|SYMBOL=FILE",
        help="Feed recorded ticks or bars (CSV, Parquet, .gz) to a new account; repeatable.",
    ),
]
Speed = Annotated[str, typer.Option(metavar="N|max", help="Pace of a replay: 1, 10, ... or max.")]
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        envvar="FXSOCKET_FAULT",
        metavar="NAME[:KEY=VALUE,...]",
        help="Put a fault in force on the simulated accounts, such as lost_reply:times=3; "
        "repeatable.",
    ),
]
TlsCert = Annotated[
    Path | None, typer.Option(envvar="FXSOCKET_TLS_CERT", help="Certificate file (PEM).")
]
TlsKey = Annotated[
    Path | None, typer.Option(envvar="FXSOCKET_TLS_KEY", help="Private key file (PEM).")
]
TrustedProxy = Annotated[
    list[str] | None,
    typer.Option(
        envvar="FXSOCKET_TRUSTED_PROXY",
        metavar="ADDRESS|CIDR",
        help="A reverse proxy whose X-Forwarded-For is believed; repeatable.",
    ),
]
AllowedOrigin = Annotated[
    list[str] | None,
    typer.Option(
        envvar="FXSOCKET_ALLOWED_ORIGIN",
        metavar="ORIGIN|*",
        help="A web page's origin that may open the stream without a header; repeatable.",
    ),
]

_DEMO_EXAMPLE = (
    "Example: `fxsocket-server demo --balance 50000 --seed 7`\n\n"
    "Example: `fxsocket-server demo --replay darwinex_ticks_WS30_2018-10-01.csv.gz --speed max`\n\n"
    "Example: `fxsocket-server demo --fault requotes:times=5 --fault slow_broker:seed=7`"
)
_SERVE_EXAMPLE = "Example: `fxsocket-server serve --data /var/lib/fxsocket --host 0.0.0.0`"


@app.callback()
def _root() -> None:
    """MetaTrader accounts behind one REST API and one real-time stream."""


@app.command(epilog=_DEMO_EXAMPLE)
def demo(
    data: Data = Path("fxsocket-data"),
    host: Host = "127.0.0.1",
    port: Port = PORT,
    stream_port: StreamPort = STREAM_PORT,
    bridge_port: BridgePort = BRIDGE_PORT,
    api_key: ApiKeyOption = None,
    json: Json = False,
    profile: Profile = "standard",
    balance: Balance = 10_000.0,
    leverage: Leverage = None,
    currency: Currency = None,
    seed: Seed = None,
    sessions: Sessions = False,
    replay: Replay = None,
    speed: Speed = "1",
    fault: FaultOption = None,
    journal_reserve_mb: JournalReserve = limits.JOURNAL_RESERVE_MB,
    stream_flush_ms: StreamFlush = limits.STREAM_FLUSH_MS,
    stream_process: StreamProcess = False,
    account_limit: AccountLimit = limits.ACCOUNTS,
    kek: Kek = KEK_FILE,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    trusted_proxy: TrustedProxy = None,
    allowed_origin: AllowedOrigin = None,
) -> None:
    """Serve a simulated MT5 account and print an address, a key and an order to try."""
    settings = _settings(
        data=data, host=host, port=port, stream_port=stream_port, bridge_port=bridge_port,
        api_key=api_key, profile=profile, balance=balance, leverage=leverage, currency=currency,
        seed=seed, sessions=sessions, replay=tuple(replay or ()), speed=speed,
        journal_reserve_mb=journal_reserve_mb, stream_flush_ms=stream_flush_ms,
        stream_process=stream_process,
        tls_cert=tls_cert, tls_key=tls_key, fault=tuple(fault or ()),
        account_limit=account_limit, kek=kek,
        trusted_proxy=tuple(trusted_proxy or ()), allowed_origin=tuple(allowed_origin or ()),
    )  # fmt: skip
    run(settings, demo=True, as_json=json)


@app.command(epilog=_SERVE_EXAMPLE)
def serve(
    data: Data = Path("fxsocket-data"),
    host: Host = "127.0.0.1",
    port: Port = PORT,
    stream_port: StreamPort = STREAM_PORT,
    bridge_port: BridgePort = BRIDGE_PORT,
    api_key: ApiKeyOption = None,
    json: Json = False,
    profile: Profile = "standard",
    sessions: Sessions = False,
    replay: Replay = None,
    speed: Speed = "1",
    fault: FaultOption = None,
    journal_reserve_mb: JournalReserve = limits.JOURNAL_RESERVE_MB,
    stream_flush_ms: StreamFlush = limits.STREAM_FLUSH_MS,
    stream_process: StreamProcess = False,
    account_limit: AccountLimit = limits.ACCOUNTS,
    kek: Kek = KEK_FILE,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    trusted_proxy: TrustedProxy = None,
    allowed_origin: AllowedOrigin = None,
) -> None:
    """Serve the accounts and keys that the data folder holds."""
    settings = _settings(
        data=data, host=host, port=port, stream_port=stream_port, bridge_port=bridge_port,
        api_key=api_key, profile=profile, sessions=sessions, replay=tuple(replay or ()),
        speed=speed, journal_reserve_mb=journal_reserve_mb, stream_flush_ms=stream_flush_ms,
        stream_process=stream_process,
        tls_cert=tls_cert, tls_key=tls_key, fault=tuple(fault or ()),
        account_limit=account_limit, kek=kek,
        trusted_proxy=tuple(trusted_proxy or ()), allowed_origin=tuple(allowed_origin or ()),
    )  # fmt: skip
    run(settings, demo=False, as_json=json)


def _settings(**options: object) -> Settings:
    """Checked settings; an option that cannot work ends the command with its fix."""
    try:
        options["speed"] = parse_speed(str(options["speed"]))
        return check(Settings(crash_at=crash_at(), **options))  # type: ignore[arg-type]
    except SettingsError as error:
        raise typer.BadParameter(str(error)) from None


def main() -> None:
    """Entry point of the `fxsocket-server` command."""
    app()
