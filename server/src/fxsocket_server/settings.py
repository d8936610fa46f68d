"""Settings of a server, from the command line and the environment; checked before anything starts.

The one place that reads the environment. Every option has a variable `FXSOCKET_` + its name.
"""

import os
from pathlib import Path

from msgspec import Struct

PORT = 8000
STREAM_PORT = 8001
BRIDGE_PORT = 8002
CRASH_POINTS = (
    "after_intent",
    "before_hand_over",
    "after_hand_over",
    "after_broker",
    "after_commit",
)


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
    tls_cert: Path | None = None
    tls_key: Path | None = None
    crash_at: str | None = None

    @property
    def tls(self) -> tuple[str, str] | None:
        """Certificate and key files, when the server speaks TLS itself."""
        if self.tls_cert is None or self.tls_key is None:
            return None
        return str(self.tls_cert), str(self.tls_key)


def check(settings: Settings) -> Settings:
    """Return the settings, or raise SettingsError for the first that cannot work."""
    for name in ("port", "stream_port", "bridge_port"):
        value = getattr(settings, name)
        if not 0 <= value <= 65_535:
            raise SettingsError(f"--{name.replace('_', '-')} {value}: a port is 0 to 65535")
    used = [p for p in (settings.port, settings.stream_port, settings.bridge_port) if p]
    if len(set(used)) != len(used):
        raise SettingsError("--port, --stream-port and --bridge-port must differ")
    if not 0 < settings.balance < 1e12:
        raise SettingsError(f"--balance {settings.balance:g}: must be above 0")
    if settings.leverage is not None and not 1 <= settings.leverage <= 10_000:
        raise SettingsError(f"--leverage {settings.leverage}: 1 to 10000, 100 for 1:100")
    currency = settings.currency
    if currency is not None and not (len(currency) == 3 and currency.isalpha()):
        raise SettingsError(f"--currency {settings.currency!r}: three letters such as USD")
    _check_api_key(settings.api_key)
    _check_tls(settings)
    _check_crash(settings.crash_at)
    return settings


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


def _check_crash(crash_at: str | None) -> None:
    point = (crash_at or CRASH_POINTS[0]).partition(":")[0]
    if point not in CRASH_POINTS:
        raise SettingsError(f"FXSOCKET_CRASH_AT {crash_at!r}: one of {', '.join(CRASH_POINTS)}")


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
