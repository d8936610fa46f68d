"""The channels of the stream by their names; candles have one per timeframe, such as candles:M1."""

from collections.abc import Iterable

from msgspec import Struct

from fxsocket_server.model.timeframe import Timeframe, parse

TICKS, QUOTES, CANDLES, MARKET_OPEN = "ticks", "quotes", "candles", "market_open"
ACCOUNT, DEALS, POSITIONS, TERMINAL = "account", "deals", "positions", "terminal"

KINDS = (TICKS, QUOTES, CANDLES, POSITIONS, ACCOUNT, DEALS, TERMINAL, MARKET_OPEN)
OFFERED = tuple(kind if kind != CANDLES else "candles:TIMEFRAME" for kind in KINDS)
_OF_SYMBOLS = frozenset((TICKS, QUOTES, CANDLES, MARKET_OPEN))

# The channels that are read from the account's log, and the family of events that each carries.
EVENT_FAMILIES = {DEALS: "deal", POSITIONS: "position", TERMINAL: "terminal"}


class Channel(Struct, frozen=True, gc=False):
    """A channel; `timeframe` is that of candles."""

    kind: str
    timeframe: Timeframe | None = None

    @property
    def name(self) -> str:
        """As clients write it."""
        return self.kind if self.timeframe is None else f"{self.kind}:{self.timeframe}"

    @property
    def has_symbols(self) -> bool:
        """Whether it is subscribed symbol by symbol."""
        return self.kind in _OF_SYMBOLS


def channel_of(name: str, timeframes: tuple[Timeframe, ...]) -> Channel:
    """The channel of a name; ValueError says what there is."""
    kind, _, frame = name.partition(":")
    if kind == CANDLES:
        return Channel(kind, parse(frame, timeframes))
    if name not in KINDS:
        raise ValueError(f"no channel {name[:32]!r}")
    return Channel(name)


def families(channels: Iterable[Channel]) -> frozenset[str]:
    """The families of logged events that channels carry."""
    return frozenset(EVENT_FAMILIES[c.kind] for c in channels if c.kind in EVENT_FAMILIES)
