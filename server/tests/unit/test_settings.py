"""Settings: what cannot work is refused before anything starts, by option and with its fix."""

from pathlib import Path
from typing import Any

import pytest

from fxsocket_server.settings import (
    CRASH_POINTS,
    Settings,
    SettingsError,
    check,
    crash_at,
    parse_speed,
)


def refusal(**parts: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        check(Settings(**parts))
    return str(caught.value)


def test_the_defaults_work() -> None:
    settings = check(Settings())
    assert (settings.port, settings.stream_port, settings.bridge_port) == (8000, 8001, 8002)
    assert (settings.balance, settings.leverage, settings.currency) == (10_000, None, None)
    assert settings.host == "127.0.0.1"
    assert settings.tls is None


@pytest.mark.parametrize(
    ("parts", "option"),
    [
        ({"port": -1}, "--port"),
        ({"stream_port": 65_536}, "--stream-port"),
        ({"bridge_port": 8000}, "--bridge-port"),
        ({"stream_port": 8002}, "--stream-port"),
        ({"balance": 0}, "--balance"),
        ({"balance": -5}, "--balance"),
        ({"balance": 1e12}, "--balance"),
        ({"balance": float("nan")}, "--balance"),
        ({"leverage": 0}, "--leverage"),
        ({"leverage": 10_001}, "--leverage"),
        ({"currency": "DOLLAR"}, "--currency"),
        ({"currency": "U$D"}, "--currency"),
        ({"api_key": ""}, "--api-key"),
        ({"api_key": "  "}, "--api-key"),
        ({"api_key": " key"}, "--api-key"),
        ({"api_key": "clé"}, "--api-key"),
        ({"api_key": "a\nb"}, "--api-key"),
        ({"tls_cert": Path("cert.pem")}, "--tls-key"),
        ({"tls_key": Path("key.pem")}, "--tls-cert"),
        ({"tls_cert": Path("none.pem"), "tls_key": Path("none.pem")}, "--tls-cert none.pem"),
        ({"crash_at": "after_lunch"}, "FXSOCKET_CRASH_AT"),
    ],
)
def test_what_cannot_work_is_named(parts: dict[str, Any], option: str) -> None:
    assert option in refusal(**parts)


def test_any_free_ports_may_be_meant_at_once() -> None:
    check(Settings(port=0, stream_port=0, bridge_port=0))


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text("")
    key.write_text("")
    assert check(Settings(tls_cert=cert, tls_key=key)).tls == (str(cert), str(key))


@pytest.mark.parametrize("point", CRASH_POINTS)
def test_a_crash_point_may_be_counted(point: str) -> None:
    check(Settings(crash_at=point))
    check(Settings(crash_at=f"{point}:37"))


@pytest.mark.parametrize(
    ("text", "speed"), [("max", 0), ("1", 1), ("10x", 10), ("0.5", 0.5), ("1e6", 1e6)]
)
def test_a_speed_is_a_number_or_max(text: str, speed: float) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "0", "-1", "fast", "nan", "inf", "2000000", "xx"])
def test_another_speed_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="--speed"):
        parse_speed(text)


def test_the_crash_point_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FXSOCKET_CRASH_AT", raising=False)
    assert crash_at() is None
    monkeypatch.setenv("FXSOCKET_CRASH_AT", "after_commit:2")
    assert crash_at() == "after_commit:2"
