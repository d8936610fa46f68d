"""Settings: where they come from, what is refused, and that the key shows nowhere."""

import pickle

import pytest

from fxsocket import AsyncFxSocketClient, ConfigError, FxSocketClient
from fxsocket._config import Config, Secret, configure, is_loopback


def settings(environ=None, **given) -> Config:
    named = {"api_key": "fxs_1", "base_url": None, "stream_url": None, "account_id": None}
    patience = {"max_retries": 2, "timeout": 10, "total_timeout": 30}
    return configure(**named | patience | given, environ=environ or {})


def test_addresses_default_to_this_machine():
    config = settings()
    assert config.base_url == "http://127.0.0.1:8000/v1"
    assert config.stream_url == "ws://127.0.0.1:8001/v1/stream"


def test_environment_fills_what_is_left_out():
    environ = {
        "FXSOCKET_API_KEY": "fxs_env",
        "FXSOCKET_BASE_URL": "http://10.0.0.5:9000/v1/",
        "FXSOCKET_STREAM_URL": "wss://ticks.test/v1/stream",
    }
    config = settings(environ, api_key=None)
    assert config.key.authorization() == "Bearer fxs_env"
    assert config.base_url == "http://10.0.0.5:9000/v1"
    assert config.stream_url == "wss://ticks.test/v1/stream"
    assert settings(environ).key.authorization() == "Bearer fxs_1"


@pytest.mark.parametrize(
    ("base_url", "stream_url"),
    [
        ("http://10.0.0.5:9000/v1", "ws://10.0.0.5:8001/v1/stream"),
        ("https://fx.test/v1", "wss://fx.test:8001/v1/stream"),
        ("http://[::1]:8000/v1", "ws://[::1]:8001/v1/stream"),
    ],
)
def test_stream_stands_beside_the_base_url(base_url, stream_url):
    assert settings(base_url=base_url).stream_url == stream_url


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"api_key": None}, "pass api_key=... or set FXSOCKET_API_KEY"),
        ({"api_key": ""}, "no API key"),
        ({"api_key": "fxs_secret\n"}, "copy it again"),
        ({"api_key": "fxs secret"}, "copy it again"),
        ({"base_url": "127.0.0.1:8000"}, "base_url must start with http:// or https://"),
        ({"base_url": "ftp://host/v1"}, "base_url must start with"),
        ({"base_url": "http://user:secret@host/v1"}, "base_url must hold no user"),
        ({"base_url": "http://host:99999/v1"}, "base_url is no URL"),
        ({"base_url": "http:///v1"}, "name a host"),
        ({"stream_url": "http://host/v1/stream"}, "stream_url must start with ws:// or wss://"),
        ({"stream_url": "ws://host/v1/stream?api_key=secret"}, "no user, password, query"),
        ({"max_retries": -1}, "max_retries must be a whole number of at least 0"),
        ({"timeout": 0}, "timeout must be a positive number of seconds"),
        ({"total_timeout": float("nan")}, "total_timeout must be a positive"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong, says):
    with pytest.raises(ConfigError) as caught:
        settings(**wrong)
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", [FxSocketClient, AsyncFxSocketClient])
def test_the_key_shows_in_no_repr(kind, key):
    client = kind(api_key=key, account_id="acc_1")
    shown = [client, client._requester, client.orders, client._requester.config, Secret(key)]
    assert not any(key in repr(part) or key in str(part) for part in shown)
    assert "acc_1" in repr(client)


def test_a_secret_stays_secret_in_containers(key):
    secret = Secret(key)
    assert key not in f"{secret} {[secret]} { ({'key': secret})!r}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("ws://[::1]:8001/v1", True),
        ("http://127.0.0.1.evil.test/v1", False),
        ("https://fx.test/v1", False),
    ],
)
def test_loopback_is_told_from_the_network(url, here):
    assert is_loopback(url) is here


def test_options_make_another_client_on_the_same_connections(rest, reply):
    rest.answers(reply([]), reply([]))

    def use(client):
        other = client.with_options(account_id="acc_2", timeout=3)
        assert other._requester.transport is client._requester.transport
        assert client._requester.config.account_id is None
        return other.positions.list()

    rest.call(use)
    assert rest.header("X-Account-Id") == ["acc_2"]
    assert rest.header("X-Request-Timeout-Ms") == ["3000"]
