"""Connector tokens: derived, never stored, proved without being sent."""

import random

import pytest

from fxsocket_server.security.connector_tokens import (
    TokenError,
    is_proof,
    mint_key,
    parse_token,
    server_proof,
    terminal_proof,
    token_of,
)

PEPPER = b"p" * 32


def test_a_token_is_read_as_it_was_written(rng: random.Random) -> None:
    for _ in range(200):
        token = token_of(PEPPER, mint_key(rng.randbytes))
        assert parse_token(token.text) == token
        assert len(token.text) == 58
        assert token.text.startswith("fxc_")


def test_the_secret_needs_the_pepper(rng: random.Random) -> None:
    key = mint_key(rng.randbytes)
    assert token_of(PEPPER, key) == token_of(PEPPER, key)
    assert token_of(PEPPER, key).secret != token_of(b"q" * 32, key).secret
    assert token_of(PEPPER, key).secret != token_of(PEPPER, mint_key(rng.randbytes)).secret


def test_a_secret_does_not_show(rng: random.Random) -> None:
    token = token_of(PEPPER, mint_key(rng.randbytes))
    assert token.secret.decode() not in repr(token)
    with pytest.raises(TokenError) as refused:
        parse_token(token.text[:-1] + ("a" if token.text[-1] != "a" else "b"))
    assert token.secret.decode() not in str(refused.value)


@pytest.mark.parametrize("change", [lambda t: "", lambda t: t[1:], lambda t: t + "0", str.swapcase])
def test_a_mistyped_token_is_refused(change: object, rng: random.Random) -> None:
    token = token_of(PEPPER, mint_key(rng.randbytes))
    with pytest.raises(TokenError):
        parse_token(change(token.text))  # type: ignore[operator]


def test_a_proof_holds_for_its_account_and_nonces_only(rng: random.Random) -> None:
    token = token_of(PEPPER, mint_key(rng.randbytes))
    proof = terminal_proof(token, 7, "S", ("b", "c", "s"))
    assert is_proof(proof, terminal_proof(token, 7, "S", ("b", "c", "s")))
    others = [
        terminal_proof(token, 8, "S", ("b", "c", "s")),
        terminal_proof(token, 7, "T", ("b", "c", "s")),
        terminal_proof(token, 7, "S", ("b", "c", "t")),
        terminal_proof(token, 7, "S", ("x", "c", "s")),
        terminal_proof(token_of(PEPPER, "0" * 16), 7, "S", ("b", "c", "s")),
        server_proof(token, ("c", "s")),
    ]
    assert not any(is_proof(proof, other) for other in others)
    assert not is_proof("é", proof)
