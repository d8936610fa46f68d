"""API keys: how they look, what is stored of them, and whom they let in."""

import re
import zlib
from pathlib import Path
from random import Random

import pytest

from fxsocket_server.core.clock import ManualClock
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.ids import base62
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.security.key_format import PATTERN, digest_of, is_mistyped, mint_secret
from fxsocket_server.security.keys import ApiKey, Keyring, bearer
from fxsocket_server.security.principal import Principal, Scope

PEPPER = b"p" * 32
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


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


def test_a_mistyped_secret_is_told_from_an_unknown_one(rng: Random) -> None:
    ring = keyring()
    for number in range(300):
        secret = mint_secret(SplitMix64(number).bytes, rng.choice(("live", "test")))
        assert not is_mistyped(secret)
        assert "unknown" in refused(ring, secret)
        at = rng.randrange(len("fxs_test_"), len(secret))
        other = rng.choice([c for c in _ALPHABET if c != secret[at]])
        swapped = secret[: at - 1] + secret[at] + secret[at - 1] + secret[at + 1 :]
        for typo in (secret[:at] + other + secret[at + 1 :], swapped):
            if typo != secret and at > len("fxs_test_"):
                assert is_mistyped(typo), (secret, typo)
                assert "mistyped" in refused(ring, typo)
    assert ring.used_ms == {}


def test_text_of_another_form_is_not_judged_by_its_checksum() -> None:
    for text in ("", "demo", "fxs_test_demo", "fxs_live_" + "x" * 37, "fxs_prod_" + "x" * 38):
        assert not is_mistyped(text)


def test_the_published_pattern_is_that_of_the_code() -> None:
    root = Path(__file__).parents[3]
    published = r"fxs_(live|test)_[0-9A-Za-z]{38}"
    assert PATTERN.replace("?:", "") == published
    assert published in (root / "docs/reference/keys.md").read_text()
    spec = (root / "spec/openapi.yaml").read_text()
    assert f"pattern: '^{published}$'" in spec


def test_after_a_rotation_both_secrets_are_the_same_key() -> None:
    clock = ManualClock()
    until = clock.wall_ms() + 10
    rotated = key("newer", old_digest=digest_of(PEPPER, "secret"), old_until_ms=until, generation=2)
    ring = keyring(rotated, clock=clock)
    old, new = ring.authenticate("secret"), ring.authenticate("newer")
    assert (old.key_id, old.generation, new.generation) == (new.key_id, 1, 2)
    assert ring.current(old) == old
    clock.advance(10)
    assert "rotated" in refused(ring, "secret")
    assert ring.authenticate("newer") == new
    ring.put(key("newest", generation=3))  # no overlap
    assert ring.current(new) is None
    refused(ring, "newer")
    ring.put(key("newest", generation=3, revoked_ms=1))
    assert ring.key("key_1") is None


def test_an_old_secret_ends_with_its_key() -> None:
    clock = ManualClock()
    end = clock.wall_ms() + 10
    old = digest_of(PEPPER, "secret")
    both = key("newer", old_digest=old, old_until_ms=end + 90, generation=2, expires_ms=end)
    ring = keyring(both, clock=clock)
    clock.advance(10)
    refused(ring, "secret")
    assert "expired" in refused(ring, "newer")


def test_a_secret_belongs_to_one_key() -> None:
    ring = keyring(key("secret"), key("secret", id="key_2"))
    assert ring.authenticate("secret").key_id == "key_2"
    ring.put(key("other"))
    assert ring.authenticate("secret").key_id == "key_2"


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
