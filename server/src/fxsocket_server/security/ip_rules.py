"""Where a request comes from, and whether a key may be used from there.

The client is whoever holds the socket. Only when that is a trusted proxy is X-Forwarded-For read,
from the right: each trusted hop vouches for the one before it, and what lies left of the first
stranger is hearsay. An entry that cannot be read ends the walk without an address, and a key with
rules is not let in from nowhere.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from msgspec import Struct

from fxsocket_server.core import limits

Address = IPv4Address | IPv6Address

_MAPPED_BITS = 96  # ::ffff:0:0/96 holds the IPv4 addresses
_PREFIX = re.compile(r"[0-9]{1,3}\Z")
_PORT = re.compile(r":[0-9]{1,5}\Z")
_BRACKETED = re.compile(r"\[([^\[\]]*)\](?::[0-9]{1,5})?\Z")


class IpRuleError(ValueError):
    """A text that is no address or network: says the fix."""


class IpRule(Struct, frozen=True):
    """One network; `text` is its CIDR form."""

    text: str
    version: int
    network: int
    mask: int

    def holds(self, address: Address) -> bool:
        """Whether an address lies inside."""
        return address.version == self.version and int(address) & self.mask == self.network

    def is_within(self, other: "IpRule") -> bool:
        """Whether all its addresses lie inside another rule."""
        narrower = self.mask & other.mask == other.mask
        return (
            self.version == other.version
            and narrower
            and self.network & other.mask == (other.network)
        )


def ip_rule(text: str) -> IpRule:
    """A rule from an address or a CIDR network; raises IpRuleError."""
    address, slash, prefix = text.partition("/")
    if "%" in text or (slash and not _PREFIX.match(prefix)):
        raise IpRuleError(f"{text[:64]!r}: write an address, or a network as 203.0.113.0/24")
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise IpRuleError(
            f"{text[:64]!r} is no address or network; write 203.0.113.7, 203.0.113.0/24 or "
            "2001:db8::/32"
        ) from None
    if ip_address(address) != network.network_address:
        raise IpRuleError(f"{text[:64]!r} has bits beyond its prefix; write {network}")
    mapped = getattr(network.network_address, "ipv4_mapped", None)
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        network = ip_network((mapped, network.prefixlen - _MAPPED_BITS))
    first, mask = int(network.network_address), int(network.netmask)
    return IpRule(str(network), network.version, first, mask)


def allows(rules: Iterable[IpRule], address: Address | None) -> bool:
    """Whether one of the rules holds an address."""
    return address is not None and any(rule.holds(address) for rule in rules)


@lru_cache(maxsize=4_096)
def peer_address(text: str) -> Address | None:
    """The address of a socket's other end as the system writes it; None of what has none."""
    try:
        return _unmapped(ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def _unmapped(address: Address) -> Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


@lru_cache(maxsize=4_096)
def _hop_address(entry: str) -> Address | None:
    """One entry of X-Forwarded-For: an address, with or without a port, nothing else."""
    text = entry.strip(" \t")
    bracketed = _BRACKETED.match(text)
    if bracketed is not None:
        text = bracketed[1]
        if ":" not in text:
            return None
    elif text.count(":") == 1:
        text = _PORT.sub("", text)
    if "%" in text:
        return None  # a zone means nothing on another machine
    try:
        return _unmapped(ip_address(text))
    except ValueError:
        return None


class TrustedProxies:
    """The proxies whose word on where a request comes from is taken."""

    def __init__(self, rules: Sequence[IpRule] = ()) -> None:
        self._rules = tuple(rules)

    def client(self, peer: str, forwarded: Sequence[str]) -> Address | None:
        """Who is asking; `forwarded` are the values of all X-Forwarded-For headers, in order.

        None when it cannot be told.
        """
        address = peer_address(peer)
        if not self._rules or not forwarded or not allows(self._rules, address):
            return address
        hops = ",".join(forwarded).split(",")
        for entry in reversed(hops[-limits.FORWARDED_HOPS :]):
            address = _hop_address(entry)
            if not allows(self._rules, address):
                return address
        return address if len(hops) <= limits.FORWARDED_HOPS else None
