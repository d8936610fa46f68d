"""API keys: how they look, what is stored of them, and whom they let in."""

import re
import zlib

import pytest

from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.ids import base62
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.security.key_format import digest_of, mint_secret
from fxsocket_server.security.keys import ApiKey, Keyring, bearer
from fxsocket_server.security.principal import Principal, Scope

PEPPER = b"p" * 32


def key(secret: str, **parts: object) -> ApiKey:
    fields = {
        "id": "key_1", "user_id": "usr_1", "name": "bot", "digest": digest_of(PEPPER, secret),
        "scope": Scope.TRADE, "account_ids": None, "default_account_id": None, "created_ms": 0,
    }  # fmt: skip
    return ApiKey(**{**fields, **parts})  # type: ignore[arg-type]


def keyring(*keys: ApiKey, clock: ManualClock | None = None) -> Keyring:
    return Keyring(PEPPER, keys, (clock or ManualClock()).wall_ms)


def refused(ring: Keyring, secret: str) -> str:
    with pytest.raises(Problem) as caught:
        ring.authenticate(secret)
    assert caught.value.kind.code == "unauthorized"
    return caught.value.detail


def test_a_secret_can_be_told_from_other_text() -> None:
    secret = mint_secret(SplitMix64(1).bytes)
    assert re.fullmatch(r"fxs_test_[0-9A-Za-z]{38}", secret)
    body, check = secret[:-6], secret[-6:]
    assert base62(zlib.crc32(body.encode())).rjust(6, "0") == check
    assert mint_secret(SplitMix64(1).bytes, "live").startswith("fxs_live_")


def test_secrets_do_not_repeat() -> None:
    source = SplitMix64(3)
    assert len({mint_secret(source.bytes) for _ in range(2_000)}) == 2_000


def test_secrets_of_small_numbers_are_as_long_as_any() -> None:
    assert len(mint_secret(lambda count: b"\0" * count)) == len("fxs_test_") + 38
    assert len(mint_secret(lambda count: b"\xff" * count)) == len("fxs_test_") + 38


def test_a_digest_depends_on_the_pepper_and_the_whole_secret() -> None:
    assert digest_of(PEPPER, "secret") == digest_of(PEPPER, "secret")
    assert digest_of(PEPPER, "secret") != digest_of(b"q" * 32, "secret")
    assert digest_of(PEPPER, "secret") != digest_of(PEPPER, "secres")
    assert len(digest_of(PEPPER, "")) == 32


def test_a_key_lets_its_user_in() -> None:
    ring = keyring(key("secret", account_ids=("acc_1",), default_account_id="acc_1"))
    assert ring.authenticate("secret") == Principal(
        user_id="usr_1",
        key_id="key_1",
        scope=Scope.TRADE,
        account_ids=("acc_1",),
        default_account_id="acc_1",
    )
    assert "unknown" in refused(ring, "other")


def test_a_revoked_key_is_forgotten() -> None:
    ring = keyring(key("secret"))
    ring.put(key("secret", revoked_ms=1))
    refused(ring, "secret")
    refused(keyring(key("secret", revoked_ms=1)), "secret")


def test_a_key_expires_on_the_wall_clock() -> None:
    clock = ManualClock()
    ring = keyring(key("secret", expires_ms=clock.wall_ms() + 10), clock=clock)
    clock.advance(9)
    ring.authenticate("secret")
    clock.advance(1)
    assert "expired" in refused(ring, "secret")


@pytest.mark.parametrize("held", Scope)
@pytest.mark.parametrize("needed", Scope)
def test_a_scope_holds_those_below_it(held: Scope, needed: Scope) -> None:
    principal = keyring(key("secret", scope=held)).authenticate("secret")
    if held >= needed:
        principal.require(needed)
        return
    with pytest.raises(
        Problem, match=f"scope {needed.name.lower()}; yours has {held.name.lower()}"
    ):
        principal.require(needed)


def test_a_key_covers_its_accounts_or_all() -> None:
    every = keyring(key("secret")).authenticate("secret")
    assert every.may_see("acc_1")
    some = keyring(key("secret", account_ids=("acc_1",))).authenticate("secret")
    assert some.may_see("acc_1")
    assert not some.may_see("acc_2")


@pytest.mark.parametrize("header", ["Bearer secret", "bearer secret", "BEARER  secret "])
def test_the_header_carries_the_secret(header: str) -> None:
    assert bearer(header) == "secret"


@pytest.mark.parametrize("header", [None, "", "secret", "Bearer", "Bearer ", "Basic secret"])
def test_another_header_is_refused_with_the_fix(header: str | None) -> None:
    with pytest.raises(Problem, match="Bearer YOUR_KEY") as caught:
        bearer(header)
    assert caught.value.kind.status == 401
