"""What a server looks at before it listens: settings that would give somebody's money away."""

from fxsocket_server.security.ip_rules import IpRuleError, TrustedProxies, ip_rule
from fxsocket_server.settings import Settings, SettingsError


def trusted_proxies(settings: Settings) -> TrustedProxies:
    """The proxies of `--trusted-proxy`; SettingsError names one that cannot be."""
    try:
        return TrustedProxies([ip_rule(text) for text in settings.trusted_proxy])
    except IpRuleError as error:
        raise SettingsError(f"--trusted-proxy {error}") from None
