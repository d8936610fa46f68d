"""Where a request comes from: tricks with X-Forwarded-For, written by hand and generated."""

from ipaddress import ip_address
from itertools import product

import pytest

from fxsocket_server.core import limits
from fxsocket_server.core.rng import SplitMix64
from fxsocket_server.security.ip_rules import IpRuleError, TrustedProxies, allows, ip_rule

PROXY, INNER, V6_PROXY = "10.0.0.1", "10.0.0.2", "fd00::1"
CLIENT, LIAR = "203.0.113.7", "198.51.100.66"
PROXIES = TrustedProxies([ip_rule("10.0.0.0/8"), ip_rule("fd00::/16")])

# --- rules -----------------------------------------------------------------------------------

RULES = [
    ("203.0.113.7", "203.0.113.7/32", ["203.0.113.7"], ["203.0.113.8"]),
    ("203.0.113.0/24", "203.0.113.0/24", ["203.0.113.0", "203.0.113.255"], ["203.0.114.0"]),
    ("0.0.0.0/0", "0.0.0.0/0", ["1.2.3.4"], ["2001:db8::1"]),
    ("2001:db8::/32", "2001:db8::/32", ["2001:db8:ffff::1"], ["2001:db9::1", "32.1.13.184"]),
    ("2001:DB8::7", "2001:db8::7/128", ["2001:db8::7"], ["2001:db8::8"]),
    ("::ffff:203.0.113.0/120", "203.0.113.0/24", ["203.0.113.9"], ["203.0.114.1"]),
    ("::/0", "::/0", ["::1"], ["127.0.0.1"]),
]
NO_RULES = [
    "", " ", "203.0.113", "203.0.113.7.1", "203.0.113.256", "0203.0.113.7", "203.0.113.7/33",
    "203.0.113.7/24", "203.0.113.0/255.255.255.0", "203.0.113.0/0.0.0.255", "203.0.113.0/", "/24",
    " 203.0.113.7", "203.0.113.7 ", "example.com", "fe80::1%eth0", "2001:db8::/129", "::1::",
    "203.0.113.7,10.0.0.1",
    "\uff12\uff10\uff13.0.113.7", "203.0.113.7/+24", "203.0.113.0/2\uff14", "*",
    "3405803783", "203.0.113.7\n", "203.0.113.0/24\n",
]  # fmt: skip


@pytest.mark.parametrize(("text", "shown", "inside", "outside"), RULES)
def test_a_rule_holds_its_network(
    text: str, shown: str, inside: list[str], outside: list[str]
) -> None:
    rule = ip_rule(text)
    assert rule.text == shown
    assert all(rule.holds(ip_address(address)) for address in inside)
    assert not any(rule.holds(ip_address(address)) for address in outside)


@pytest.mark.parametrize("text", NO_RULES)
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(IpRuleError, match="write"):
        ip_rule(text)


def test_bits_beyond_the_prefix_are_refused_with_the_network() -> None:
    with pytest.raises(IpRuleError, match=r"write 203\.0\.113\.0/24"):
        ip_rule("203.0.113.7/24")


def test_a_rule_is_within_those_that_hold_all_of_it(rng) -> None:
    for _ in range(2_000):
        outer, inner = rng.randrange(33), rng.randrange(33)
        base = rng.getrandbits(32)
        one = ip_rule(_network(base, outer))
        other = ip_rule(_network(base if rng.random() < 0.7 else rng.getrandbits(32), inner))
        first = other.network
        last = other.network | (~other.mask & (2**32 - 1))
        both = one.holds(ip_address(first)) and one.holds(ip_address(last))
        assert other.is_within(one) == both, (one, other)
    assert not ip_rule("::/0").is_within(ip_rule("0.0.0.0/0"))


def _network(base: int, bits: int) -> str:
    mask = (2**32 - 1) << (32 - bits) & (2**32 - 1)
    return f"{ip_address(base & mask)}/{bits}"


# --- tricks ----------------------------------------------------------------------------------

# What a hop may look like, and the address that it is; None: cannot be read.
ENTRIES = {
    CLIENT: CLIENT, f"{CLIENT}:443": CLIENT, f"{CLIENT}:0": CLIENT, f" \t{CLIENT}\t ": CLIENT,
    "[2001:db8::7]": "2001:db8::7", "[2001:db8::7]:443": "2001:db8::7",
    "2001:db8::7": "2001:db8::7",
    "2001:DB8:0:0:0:0:0:7": "2001:db8::7", f"::ffff:{CLIENT}": CLIENT,
    f"[::ffff:{CLIENT}]:1": CLIENT,
    "::ffff:cb00:7107": CLIENT,
    "": None, " ": None, "unknown": None, "_hidden": None, "localhost": None, "-": None,
    f"[{CLIENT}]": None, f"{CLIENT}:": None, f"{CLIENT}:99999999": None, f"{CLIENT}:http": None,
    f"{CLIENT}:+1": None, f"{CLIENT}:1:2": None, "[2001:db8::7": None, "2001:db8::7]": None,
    "[[2001:db8::7]]": None, "[2001:db8::7]x": None, "[2001:db8::7]:": None, "[]": None,
    "fe80::1%eth0": None, "[fe80::1%25eth0]:80": None, "2001:db8::7%1": None,
    "203.000.113.007": None, "0203.0.113.7": None, "0xcb.0.113.7": None, "0xcb007107": None,
    "3405803783": None, "203.0.113": None, "203.0.113.7.": None, ".203.0.113.7": None,
    "203.0.113.7/32": None, "203.0.113.0/24": None, "203.0.113.-7": None, "203.0.113.+7": None,
    "203.0.113.²": None, "\uff12\uff10\uff13.0.113.7": None,
    "٢٠٣.0.113.7": None, "203。0。113。7": None,
    f'"{CLIENT}"': None, f"'{CLIENT}'": None, f"for={CLIENT}": None, f'for="{CLIENT}"': None,
    f"{CLIENT};proto=https": None, f"{CLIENT} {LIAR}": None, f"{CLIENT}\r\n {LIAR}": None,
    f"{CLIENT}\n": None, f"\v{CLIENT}": None, f"{CLIENT}\x00": None, f"{CLIENT}\xa0": None,
    f"\u200b{CLIENT}": None, f"{CLIENT}#": None, f"user@{CLIENT}": None, f"http://{CLIENT}": None,
    "::": "::", "0.0.0.0": "0.0.0.0", "255.255.255.255": "255.255.255.255",
    "2001:db8:::7": None, "1:2:3:4:5:6:7:8:9": None, "12345::": None, "::ffff:999.1.1.1": None,
}  # fmt: skip
# What stands left of the hop that counts: never read, whatever it says.
HEARSAY = ["", f"{LIAR}, ", f"{LIAR},{PROXY}, ", ",,,", "garbage, ", f"{PROXY}, ", "::1, ", "\xff,"]

Trick = tuple[str, list[str], str | None]  # peer, values of the headers, who is asking


def _by_hand() -> list[Trick]:
    many = ",".join([INNER] * limits.FORWARDED_HOPS)
    return [
        # Nobody's word is taken but a trusted proxy's.
        (CLIENT, [LIAR], CLIENT),
        (CLIENT, [PROXY], CLIENT),
        (CLIENT, ["garbage"], CLIENT),
        (CLIENT, [], CLIENT),
        ("127.0.0.1", [CLIENT], "127.0.0.1"),
        ("::1", [CLIENT], "::1"),
        ("11.0.0.1", [CLIENT], "11.0.0.1"),
        (f"::ffff:{CLIENT}", [LIAR], CLIENT),
        ("fe80::1%eth0", [LIAR], "fe80::1"),
        ("", [CLIENT], None),
        ("client-3", [CLIENT], None),
        # A trusted one's is.
        (PROXY, [CLIENT], CLIENT),
        (f"::ffff:{PROXY}", [CLIENT], CLIENT),
        (V6_PROXY, [CLIENT], CLIENT),
        (PROXY, [], PROXY),
        (PROXY, [""], None),
        # Several headers are one list, in their order.
        (PROXY, [LIAR, CLIENT], CLIENT),
        (PROXY, [LIAR, CLIENT, INNER], CLIENT),
        (PROXY, [CLIENT, LIAR], LIAR),
        (PROXY, [CLIENT, ""], None),
        (PROXY, ["", CLIENT], CLIENT),
        # Trusted hops vouch for the one before; all trusted: the first of them asks.
        (PROXY, [f"{CLIENT}, {INNER}"], CLIENT),
        (PROXY, [f"{LIAR}, {CLIENT}, {INNER}, fd00::9, 10.9.9.9"], CLIENT),
        (PROXY, [f"{INNER}, 10.0.0.3"], INNER),
        (PROXY, [f"garbage, {INNER}"], None),
        (PROXY, [f"{CLIENT}, garbage, {INNER}"], None),
        (PROXY, [f"{CLIENT},, {INNER}"], None),
        (PROXY, [f"{CLIENT},"], None),
        (PROXY, [f"{LIAR}, ::ffff:{INNER}"], LIAR),
        # A chain that is longer than any real one.
        (PROXY, [many], INNER),
        (PROXY, [f"{CLIENT},{many}"], None),
        (PROXY, [",".join([LIAR] * 1_000 + [CLIENT])], CLIENT),
    ]


def _table() -> list[Trick]:
    """Each form of a hop behind each kind of hearsay, with and without a second proxy."""
    tricks = _by_hand()
    for (entry, address), left, right in product(ENTRIES.items(), HEARSAY, ("", f", {INNER}")):
        tricks.append((PROXY, [left + entry + right], address))
    return tricks


TRICKS = _table()


def test_the_table_has_its_500_tricks() -> None:
    assert len(TRICKS) >= 500


def test_every_trick_finds_who_is_asking_or_nobody() -> None:
    for peer, forwarded, wanted in TRICKS:
        found = PROXIES.client(peer, forwarded)
        assert found == (None if wanted is None else ip_address(wanted)), (peer, forwarded)


def test_no_trick_gets_past_a_rule_that_names_another() -> None:
    rules = [ip_rule("192.0.2.0/24"), ip_rule("2001:db8:ffff::/48")]
    for peer, forwarded, _ in TRICKS:
        assert not allows(rules, PROXIES.client(peer, forwarded)), (peer, forwarded)


def test_without_trusted_proxies_only_the_socket_counts() -> None:
    alone = TrustedProxies()
    for peer, forwarded, _ in TRICKS:
        assert alone.client(peer, forwarded) == alone.client(peer, []), (peer, forwarded)


def test_whatever_a_client_sends_it_is_the_last_hop_that_the_proxy_saw(seed) -> None:
    source = SplitMix64(seed)
    alphabet = b"0123456789abcdef:.,[]% \t\"'=;/" + PROXY.encode() + CLIENT.encode()
    for _ in range(3_000):
        said = bytes(alphabet[b % len(alphabet)] for b in source.bytes(source.bytes(1)[0] % 60))
        forwarded = [f"{said.decode()}, {CLIENT}"]
        assert PROXIES.client(PROXY, forwarded) == ip_address(CLIENT), forwarded
