"""What a server looks at before it listens: settings that would give somebody's money away."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from fxsocket_server.security.ip_rules import IpRuleError, TrustedProxies, ip_rule
from fxsocket_server.security.key_format import is_mistyped
from fxsocket_server.security.origins import is_origin
from fxsocket_server.settings import Settings, SettingsError

_GUESSABLE_CHARS = 32  # a key that is shorter is no secret where others can reach the port
_GUESSABLE_KINDS = 10  # nor one that has fewer different characters

Warn = Callable[[str], object]


def check_start(settings: Settings, warn: Warn) -> None:
    """Refuse what must not be; `warn` of what may be meant. SettingsError names the fix."""
    if settings.api_key is not None and is_mistyped(settings.api_key):
        raise SettingsError("--api-key is mistyped: its checksum is wrong; copy it whole")
    if settings.tls_key is not None:
        _require_private("--tls-key", settings.tls_key)
    if is_loopback(settings.host):
        return
    if settings.crash_at is not None:
        raise SettingsError(
            f"FXSOCKET_CRASH_AT is for tests; with --host {settings.host} others could kill the "
            "server: unset it, or listen on 127.0.0.1"
        )
    if settings.api_key is not None and _is_guessable(settings.api_key):
        raise SettingsError(
            f"--api-key can be guessed by whoever reaches {settings.host}; leave it out and use "
            "the key that is printed, or one of `fxsocket-server keys create`"
        )
    warn(
        f"the bridge listens on {settings.host} and speaks no TLS; let nobody but your terminals "
        "reach its port"
    )
    if settings.tls is None:
        warn(
            f"keys travel unencrypted to {settings.host}: add --tls-cert and --tls-key, or listen "
            "on 127.0.0.1 behind a proxy that speaks TLS"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]").partition("%")[0]).is_loopback
    except ValueError:
        return False


def _is_guessable(key: str) -> bool:
    return len(key) < _GUESSABLE_CHARS or len(set(key)) < _GUESSABLE_KINDS


def _require_private(name: str, path: Path) -> None:
    # A group may read it: systems keep the keys of certificates that way.
    if path.stat().st_mode & 0o007:
        raise SettingsError(f"{name} {path} is open to every user; run: chmod o-rwx {path}")


def trusted_proxies(settings: Settings) -> TrustedProxies:
    """The proxies of `--trusted-proxy`; SettingsError names one that cannot be."""
    try:
        return TrustedProxies([ip_rule(text) for text in settings.trusted_proxy])
    except IpRuleError as error:
        raise SettingsError(f"--trusted-proxy {error}") from None


def allowed_origins(settings: Settings) -> tuple[str, ...]:
    """The web pages of `--allowed-origin`; SettingsError names one that cannot be."""
    for text in settings.allowed_origin:
        if not is_origin(text):
            raise SettingsError(
                f"--allowed-origin {text!r}: write scheme and host, such as "
                "https://app.example.com, or * for every page"
            )
    return settings.allowed_origin
