"""Settings of a server, from the command line and the environment; checked before anything starts.

The one place that reads the environment. Every option has a variable `FXSOCKET_` + its name.
"""

import os
from pathlib import Path

from msgspec import Struct

from fxsocket_server.core import limits

PORT = 8000
STREAM_PORT = 8001
BRIDGE_PORT = 8002
TERMINAL_CRASH_POINTS = (
    "before_start", "after_start", "after_execute", "after_done", "after_reply",
)  # fmt: skip
CRASH_POINTS = (
    "after_intent",
    "before_hand_over",
    "after_hand_over",
    "after_broker",
    "after_commit",
)


KEK_FILE, KEK_ENVIRONMENT, KEK_COMMAND = "file", "env", "command:"


class SettingsError(Exception):
    """A setting that cannot work; the text names the option and the fix."""


class Settings(Struct, frozen=True, kw_only=True):
    """How to run one server. Ports 0 mean any free one; `speed` 0 means `max`.

    A `leverage` or `currency` of None is the broker profile's own.
    """

    data: Path = Path("fxsocket-data")
    host: str = "127.0.0.1"
    port: int = PORT
    stream_port: int = STREAM_PORT
    bridge_port: int = BRIDGE_PORT
    api_key: str | None = None
    profile: str = "standard"
    balance: float = 10_000.0
    leverage: int | None = None
    currency: str | None = None
    seed: int | None = None
    sessions: bool = False
    replay: tuple[str, ...] = ()
    speed: float = 1.0
    fault: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    trusted_proxy: tuple[str, ...] = ()
    allowed_origin: tuple[str, ...] = ()
    journal_reserve_mb: int = limits.JOURNAL_RESERVE_MB
    stream_flush_ms: float = limits.STREAM_FLUSH_MS
    stream_process: bool = False
    account_limit: int = limits.ACCOUNTS
    kek: str = KEK_FILE
    crash_at: str | None = None

    @property
    def tls(self) -> tuple[str, str] | None:
        """Certificate and key files, when the server speaks TLS itself."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return str(self.tls_cert), str(self.tls_key)


class TerminalSettings(Struct, frozen=True, kw_only=True):
    """How to run one simulated terminal.

    What is None is as it was at the first start on the same folder, or else chosen then.
    """

    host: str
    port: int
    token: str
    data: Path = Path("fxsocket-terminal")
    login: int | None = None
    server: str | None = None
    profile: str = "standard"
    balance: float = 10_000.0
    leverage: int | None = None
    currency: str | None = None
    seed: int | None = None
    sessions: bool = False
    sync: bool = False
    faults: tuple[str, ...] = ()
    crash_at: str | None = None


def bridge_address(text: str) -> tuple[str, int]:
    """Host and port of `--bridge HOST:PORT`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= 65_535:
        raise SettingsError(f"--bridge {text!r}: must be HOST:PORT, such as 127.0.0.1:8002")
    return host.strip("[]"), int(port)


def check_terminal(settings: TerminalSettings) -> TerminalSettings:
    """Return the settings, or raise SettingsError for the first that cannot work."""
    _check_account(settings.balance, settings.leverage, settings.currency)
    _check_crash("FXSOCKET_TERMINAL_CRASH_AT", settings.crash_at, TERMINAL_CRASH_POINTS)
    return settings


def check(settings: Settings) -> Settings:
    """Return the settings, or raise SettingsError for the first that cannot work."""
    for name in ("port", "stream_port", "bridge_port"):
        value = getattr(settings, name)
        if not 0 <= value <= 65_535:
            raise SettingsError(f"--{name.replace('_', '-')} {value}: a port is 0 to 65535")
    used = [p for p in (settings.port, settings.stream_port, settings.bridge_port) if p]
    if len(set(used)) != len(used):
        raise SettingsError("--port, --stream-port and --bridge-port must differ")
    _check_account(settings.balance, settings.leverage, settings.currency)
    if not 0 <= settings.journal_reserve_mb <= 65_536:
        raise SettingsError(f"--journal-reserve-mb {settings.journal_reserve_mb}: 0 to 65536")
    if not 0 <= settings.stream_flush_ms <= limits.STREAM_FLUSH_MS_MAX:
        most = limits.STREAM_FLUSH_MS_MAX
        raise SettingsError(
            f"--stream-flush-ms {settings.stream_flush_ms:g}: 0 (never wait) to {most}"
        )
    if not 1 <= settings.account_limit <= 10_000:
        raise SettingsError(f"--account-limit {settings.account_limit}: 1 to 10000")
    check_kek(settings.kek)
    _check_api_key(settings.api_key)
    _check_tls(settings)
    _check_crash("FXSOCKET_CRASH_AT", settings.crash_at, CRASH_POINTS)
    return settings


def check_kek(kek: str) -> None:
    """Raise SettingsError unless `--kek` names a keeper of the key-encryption key."""
    if kek in (KEK_FILE, KEK_ENVIRONMENT):
        return
    program = Path(kek.removeprefix(KEK_COMMAND))
    if not kek.startswith(KEK_COMMAND) or not program.is_absolute() or not program.is_file():
        raise SettingsError(
            f"--kek {kek!r}: must be file, env, or command:PATH with the whole path of a program"
        )


def _check_account(balance: float, leverage: int | None, currency: str | None) -> None:
    if not 0 < balance < 1e12:
        raise SettingsError(f"--balance {balance:g}: must be above 0")
    if leverage is not None and not 1 <= leverage <= 10_000:
        raise SettingsError(f"--leverage {leverage}: 1 to 10000, 100 for 1:100")
    if currency is not None and not (len(currency) == 3 and currency.isalpha()):
        raise SettingsError(f"--currency {currency!r}: three letters such as USD")


def _check_api_key(text: str | None) -> None:
    if text is None:
        return
    if not text.strip():
        raise SettingsError("--api-key is empty; give any text, or leave it out to get a new key")
    if text != text.strip() or not (text.isascii() and text.isprintable()):
        raise SettingsError("--api-key travels in an HTTP header: ASCII, no spaces at its ends")


def _check_tls(settings: Settings) -> None:
    if (settings.tls_cert is None) != (settings.tls_key is None):
        raise SettingsError("--tls-cert and --tls-key go together")
    for name, path in (("--tls-cert", settings.tls_cert), ("--tls-key", settings.tls_key)):
        if path is not None and not path.is_file():
            raise SettingsError(f"{name} {path}: no such file")


def _check_crash(name: str, crash_at: str | None, points: tuple[str, ...]) -> None:
    point = (crash_at or points[0]).partition(":")[0]
    if point not in points:
        raise SettingsError(f"{name} {crash_at!r}: one of {', '.join(points)}")


def parse_speed(text: str) -> float:
    """`max` is 0; otherwise how many times faster than recorded."""
    if text == "max":
        return 0.0
    try:
        speed = float(text.removesuffix("x"))
    except ValueError:
        speed = -1.0
    if not 0 < speed <= 1e6:
        raise SettingsError(f"--speed {text!r}: a number above 0 such as 1 or 10, or max")
    return speed


def crash_at() -> str | None:
    """The named point at which tests end the process: FXSOCKET_CRASH_AT=after_commit:37."""
    return os.environ.get("FXSOCKET_CRASH_AT") or None


def kek_from_environment() -> tuple[str, str | None]:
    """The key-encryption key of now, and the one before it: FXSOCKET_KEK, FXSOCKET_KEK_OLD."""
    key = os.environ.get("FXSOCKET_KEK")
    if not key:
        raise SettingsError("--kek env: FXSOCKET_KEK is not set; it is 32 random bytes in base64")
    return key, os.environ.get("FXSOCKET_KEK_OLD") or None


def terminal_crash_at() -> str | None:
    """The point at which tests end a simulated terminal: FXSOCKET_TERMINAL_CRASH_AT."""
    return os.environ.get("FXSOCKET_TERMINAL_CRASH_AT") or None
