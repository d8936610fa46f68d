"""What a server refuses to start with, and what it warns of."""

from pathlib import Path

import pytest

from fxsocket_server.bootstrap.secure_start import (
    check_start,
    is_loopback,
    trusted_proxies,
)
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.security.key_format import mint_secret
from fxsocket_server.settings import Settings, SettingsError

SECRET = mint_secret(SplitMix64(5).bytes)
PUBLIC = ("0.0.0.0", "::", "203.0.113.7", "example.com", "[::]")
LOCAL = ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost")


def warnings_of(settings: Settings) -> list[str]:
    said: list[str] = []
    check_start(settings, said.append)
    return said


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate's file and its key's, which only the owner may read."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    for path in (cert, key):
        path.write_text("-")
    key.chmod(0o600)
    return cert, key


@pytest.mark.parametrize("host", PUBLIC)
def test_beyond_this_machine_plain_http_is_warned_of(host: str, pair: tuple[Path, Path]) -> None:
    assert not is_loopback(host)
    bridge, http = warnings_of(Settings(host=host))
    assert "bridge" in bridge
    assert "--tls-cert" in http
    cert, key = pair
    assert warnings_of(Settings(host=host, tls_cert=cert, tls_key=key)) == [bridge]


@pytest.mark.parametrize("host", LOCAL)
def test_on_this_machine_anything_goes(host: str) -> None:
    assert is_loopback(host)
    assert warnings_of(Settings(host=host, api_key="demo", crash_at="after_commit:1")) == []


@pytest.mark.parametrize("host", PUBLIC)
@pytest.mark.parametrize("key", ["demo", "changeme", "fxs_test_demo", "x" * 64, "ab" * 40])
def test_a_key_that_can_be_guessed_is_for_this_machine_only(host: str, key: str) -> None:
    with pytest.raises(SettingsError, match="keys create"):
        check_start(Settings(host=host, api_key=key), print)


def test_a_minted_key_may_be_named_anywhere() -> None:
    assert len(warnings_of(Settings(host="::", api_key=SECRET))) == 2  # of bridge and plain HTTP


def test_a_mistyped_key_is_refused_everywhere() -> None:
    with pytest.raises(SettingsError, match="checksum"):
        check_start(Settings(api_key=SECRET[:-1] + ("1" if SECRET[-1] == "0" else "0")), print)


def test_what_is_for_tests_is_for_this_machine_only() -> None:
    with pytest.raises(SettingsError, match="FXSOCKET_CRASH_AT"):
        check_start(Settings(host="::", api_key=SECRET, crash_at="after_commit:1"), print)


@pytest.mark.parametrize(
    ("mode", "fine"), [(0o600, True), (0o640, True), (0o644, False), (0o602, False)]
)
def test_a_private_key_is_private(pair: tuple[Path, Path], mode: int, fine: bool) -> None:
    cert, key = pair
    key.chmod(mode)
    settings = Settings(tls_cert=cert, tls_key=key)
    if fine:
        assert warnings_of(settings) == []
        return
    with pytest.raises(SettingsError, match=rf"chmod o-rwx {key}"):
        check_start(settings, print)


def test_a_proxy_that_is_no_address_is_refused_by_name() -> None:
    assert (
        trusted_proxies(Settings(trusted_proxy=("10.0.0.0/8", "::1"))).client("::1", []) is not None
    )
    with pytest.raises(SettingsError, match="--trusted-proxy 'nginx'"):
        trusted_proxies(Settings(trusted_proxy=("10.0.0.1", "nginx")))
