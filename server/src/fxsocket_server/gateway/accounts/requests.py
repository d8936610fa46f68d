"""Bodies that make and change accounts, and what must hold before anything is stored."""

import hashlib
from enum import StrEnum
from typing import Any

from msgspec import UNSET, Struct, UnsetType

from fxsocket_server.core import limits
from fxsocket_server.core.codec import convert, encode
from fxsocket_server.core.errors import Problem
from fxsocket_server.core.secret import Secret
from fxsocket_server.model.enums import AccountKind, Platform

LOGIN_MAX = 2**53 - 1
LEVERAGE_MAX = 10_000
_SERVER_CHARS = 64
_SEED_MAX = 2**53 - 1
_OF_TERMINALS = ("server", "login", "password", "driver")
_OF_SIMULATED = ("profile", "balance", "leverage", "currency", "seed")


class Driver(StrEnum):
    """Who runs an account's terminal."""

    EXTERNAL = "external"
    PROCESS = "process"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"


class AccountRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /accounts, for kinds TERMINAL and SIM."""

    kind: AccountKind
    platform: Platform | None = None
    name: str | None = None
    server: str | None = None
    login: int | None = None
    password: Secret | None = None
    driver: Driver | None = None
    profile: str | None = None
    balance: float | None = None
    leverage: int | None = None
    currency: str | None = None
    seed: int | None = None


class AccountPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """PATCH /accounts/{id}: what is absent stays; a `password` of null is forgotten."""

    name: str | UnsetType = UNSET
    is_default: bool | UnsetType = UNSET
    password: Secret | None | UnsetType = UNSET


def changes_of(patch: AccountPatch) -> dict[str, object]:
    """What a patch changes, as the audit log has it: never a password itself."""
    parts = {name: getattr(patch, name) for name in patch.__struct_fields__}
    changes = {name: value for name, value in parts.items() if value is not UNSET}
    if "password" in changes:
        changes["password"] = "forgotten" if patch.password is None else "changed"
    return changes


def account_request(body: dict[str, Any]) -> AccountRequest:
    """A request for an account that can be made here; raises `validation_error`."""
    if body.get("kind") == AccountKind.REPLAY:
        raise _refused(
            "kind",
            "replays are not made over REST yet; start one with "
            "`fxsocket-server demo --replay FILE`",
        )
    request = convert(body, AccountRequest)
    is_terminal = request.kind is AccountKind.TERMINAL
    for field in _OF_SIMULATED if is_terminal else _OF_TERMINALS:
        if getattr(request, field) is not None:
            kind = "SIM" if is_terminal else "TERMINAL"
            raise _refused(field, f"{field} belongs to accounts of kind {kind}; leave it out")
    check_name(request.name)
    if is_terminal:
        _check_terminal(request)
    else:
        _check_simulated(request)
    return request


def digest_of(request: AccountRequest) -> str:
    """What tells whether two requests ask for the same; a password is no part of it."""
    asked = {name: getattr(request, name) for name in request.__struct_fields__}
    return hashlib.sha256(encode({**asked, "password": None})).hexdigest()


def check_name(name: str | UnsetType | None) -> None:
    """Raise unless a name can be shown on one line."""
    if not isinstance(name, str):
        return
    if not (name.strip() and name.isprintable() and len(name) <= limits.ACCOUNT_NAME_CHARS):
        most = limits.ACCOUNT_NAME_CHARS
        raise _refused("name", f"name must be 1 to {most} printable characters")


def check_password(password: Secret | UnsetType | None) -> None:
    """Raise unless a password may be one; its text is not repeated."""
    if isinstance(password, Secret) and not 0 < len(password.reveal()) <= limits.PASSWORD_CHARS:
        raise _refused("password", f"password must have 1 to {limits.PASSWORD_CHARS} characters")


def _check_terminal(request: AccountRequest) -> None:
    server, login = request.server, request.login
    if server is None or not is_server_name(server):
        raise _refused(
            "server",
            f"server must be the broker server's name as the terminal shows it, 1 to "
            f"{_SERVER_CHARS} characters without |",
        )
    if login is None or not 0 < login <= LOGIN_MAX:
        raise _refused("login", f"login must be the account's number, 1 to {LOGIN_MAX}")
    if request.driver not in (None, Driver.EXTERNAL):
        raise _refused(
            "driver",
            f"driver {request.driver.value} is not offered yet; use external and run the terminal "
            "yourself",
        )
    check_password(request.password)


def is_server_name(server: str) -> bool:
    """Whether this can be the name of a broker's server."""
    return 0 < len(server) <= _SERVER_CHARS and server.isprintable() and "|" not in server


def _check_simulated(request: AccountRequest) -> None:
    balance, leverage, currency, seed = (
        request.balance, request.leverage, request.currency, request.seed,
    )  # fmt: skip
    if balance is not None and not 0 < balance < limits.NUMBER_MAX:
        raise _refused("balance", f"balance must be above 0 and below {limits.NUMBER_MAX:g}")
    if leverage is not None and not 1 <= leverage <= LEVERAGE_MAX:
        raise _refused("leverage", f"leverage must be 1 to {LEVERAGE_MAX}; 100 means 1:100")
    if currency is not None and not is_currency(currency):
        raise _refused("currency", "currency must be three letters such as USD")
    if seed is not None and not 0 <= seed <= _SEED_MAX:
        raise _refused("seed", f"seed must be 0 to {_SEED_MAX}")


def is_currency(text: str) -> bool:
    """Whether this can be the code of a currency."""
    return len(text) == 3 and text.isascii() and text.isalpha()


def _refused(field: str, detail: str) -> Problem:
    return Problem("validation_error", detail, pointer="/" + field)
