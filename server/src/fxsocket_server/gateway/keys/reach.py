"""How far a key reaches, and that nobody gives away more than that."""

from msgspec import Struct

from fxsocket_server.core.errors import Problem
from fxsocket_server.gateway.keys.ports import RuleTexts
from fxsocket_server.gateway.keys.rules import looser
from fxsocket_server.gateway.risk.rules import NO_RULES, RiskRules, RuleError, rules_of
from fxsocket_server.security.ip_rules import IpRule
from fxsocket_server.security.keys import ApiKey
from fxsocket_server.security.principal import Scope


class Reach(Struct, frozen=True, kw_only=True):
    """What a key may do: None and empty are without bounds."""

    scope: Scope = Scope.FULL
    account_ids: tuple[str, ...] | None = None
    networks: tuple[IpRule, ...] = ()
    rules: RiskRules = NO_RULES
    expires_ms: int | None = None


OWNER = Reach()  # whoever holds the data folder


def reach_of(key: ApiKey, texts: RuleTexts) -> Reach:
    """How far a stored key reaches."""
    try:
        rules = rules_of(texts)
    except RuleError:  # written by a newer server; what cannot be read must not be given away
        rules = RiskRules(reduce_only=True)
    return Reach(
        scope=key.scope,
        account_ids=key.account_ids,
        networks=key.networks,
        rules=rules,
        expires_ms=key.expires_ms,
    )


def beyond(wanted: Reach, own: Reach) -> tuple[str, str] | None:
    """The first field in which `wanted` is more than `own`, and why; None when it is within."""
    if wanted.scope > own.scope:
        return "scope", f"yours is {own.scope.name.lower()}"
    if own.account_ids is not None and not (
        wanted.account_ids is not None and set(wanted.account_ids) <= set(own.account_ids)
    ):
        return "accounts", f"yours are {', '.join(own.account_ids)}"
    if own.networks and not _within(wanted.networks, own.networks):
        return "ip_rules", f"yours are {', '.join(rule.text for rule in own.networks)}"
    rule = looser(wanted.rules, own.rules)
    if rule is not None:
        return f"limits/{rule}", "yours are tighter"
    if own.expires_ms is not None and (
        wanted.expires_ms is None or wanted.expires_ms > own.expires_ms
    ):
        return "expires_at", "yours ends before"
    return None


def _within(wanted: tuple[IpRule, ...], own: tuple[IpRule, ...]) -> bool:
    return bool(wanted) and all(any(rule.is_within(bound) for bound in own) for rule in wanted)


def require_within(wanted: Reach, own: Reach) -> None:
    """Raise `forbidden`, naming the field, unless `wanted` is no more than `own`."""
    found = beyond(wanted, own)
    if found is not None:
        field, why = found
        raise Problem(
            "forbidden",
            f"{field}: a key may not give more than it has itself; {why}",
            pointer="/" + field,
        )
