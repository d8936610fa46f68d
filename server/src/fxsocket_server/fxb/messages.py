"""The messages of FXB/1, one Struct each; spec/bridge.md says what every field means.

Prices are points of the symbol's digits, volumes 1e-8 lots, money minor units, times UTC
milliseconds; `gw_ms` and `exp` are milliseconds of the server's monotonic clock.
"""

from msgspec import UNSET, Raw, Struct, UnsetType

from fxsocket_server.model.enums import (
    FreeMarginMode,
    MarginMode,
    OrderType,
    Platform,
    Side,
    StopOutMode,
)
from fxsocket_server.model.facts import Fact, Quote
from fxsocket_server.model.symbol import SymbolSpec

VERSION = 1


class _Message(Struct, frozen=True, kw_only=True, tag_field="t", omit_defaults=True):
    """One frame's JSON object; `t` says which."""


# --- from the terminal -----------------------------------------------------------------------


class Hello(_Message, frozen=True, kw_only=True, tag="hello"):
    """Who dials; `q` is the newest event of its ledger, `epoch` the highest that it has obeyed."""

    v: tuple[int, ...]
    key: str
    login: int
    server: str
    boot: str
    cn: str
    impl: str = ""
    ledger: str = ""
    q: int = 0
    epoch: int = 0


class Auth(_Message, frozen=True, kw_only=True, tag="auth"):
    """The proof that the terminal has the token."""

    mac: str


class Pong(_Message, frozen=True, kw_only=True, tag="pong"):
    """The answer to a ping: whether the broker is reached, trading allowed, ticks dropped."""

    n: int
    conn: bool = True
    trade: bool = True
    drop: int = 0


class Failure(Struct, frozen=True, omit_defaults=True):
    """Why a request has no result."""

    c: str
    m: str = ""


class Res(_Message, frozen=True, kw_only=True, tag="res"):
    """A result, whole or (`more`) in part; `q` numbers the facts of a trade's report."""

    id: int
    ep: int
    r: Raw | UnsetType = UNSET
    e: Failure | None = None
    tag: str = ""
    part: int = 0
    more: bool = False
    q: int = 0
    dup: bool = False


class Ev(_Message, frozen=True, kw_only=True, tag="ev"):
    """Facts that became true at once."""

    q: int
    ms: int
    f: tuple[Fact, ...]


class Tk(_Message, frozen=True, kw_only=True, tag="tk"):
    """Ticks of one symbol: time, bid, ask."""

    s: str
    v: tuple[tuple[int, int, int], ...]


class State(_Message, frozen=True, kw_only=True, tag="state"):
    """Whether the terminal reaches its broker."""

    conn: bool
    why: str = ""


# --- from the server -------------------------------------------------------------------------


class Challenge(_Message, frozen=True, kw_only=True, tag="challenge"):
    """The server's nonce."""

    v: int
    sn: str
    gw_ms: int


class Ready(_Message, frozen=True, kw_only=True, tag="ready"):
    """The session begins; `rx` is the newest event that the server has of this ledger."""

    mac: str
    epoch: int
    gw_ms: int
    hb_ms: int
    credit: int
    rx: int | None = None


class Ping(_Message, frozen=True, kw_only=True, tag="ping"):
    """A sign of life, and the server's clock."""

    n: int
    gw_ms: int


class Ack(_Message, frozen=True, kw_only=True, tag="ack"):
    """Events up to `q` are durable at the server."""

    q: int


class Cr(_Message, frozen=True, kw_only=True, tag="cr"):
    """So many more tick frames may come."""

    n: int


class Req(_Message, frozen=True, kw_only=True, tag="req"):
    """A request; a trade that is not begun by `exp` must not be begun any more."""

    id: int
    op: str
    ep: int
    a: Raw | UnsetType = UNSET
    exp: int | None = None


class Bye(_Message, frozen=True, kw_only=True, tag="bye"):
    """The end of a session: why, and when another try makes sense."""

    code: str
    detail: str = ""
    retry_ms: int = 0


ToGateway = Hello | Auth | Pong | Res | Ev | Tk | State | Bye
ToTerminal = Challenge | Ready | Ping | Ack | Cr | Req | Bye


# --- arguments and results -------------------------------------------------------------------


class TerminalAccount(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`account.get`: the account behind a terminal; levels are percentages times 100.

    `zone` is the name of a rule that the server knows, or else `offset_s` holds.
    """

    company: str
    currency: str
    money_digits: int
    leverage: int
    balance: int
    credit: int
    time_ms: int
    offset_s: int
    zone: str = ""
    mode: str = "DEMO"
    platform: Platform = Platform.MT5
    margin_mode: MarginMode = MarginMode.HEDGING
    margin_call_level: int = 0
    stop_out_level: int = 0
    stop_out_mode: StopOutMode = StopOutMode.PERCENT
    free_margin_mode: FreeMarginMode = FreeMarginMode.ALL_PROFIT
    sessions_apply: bool = True
    trade_allowed: bool = True


class SymbolList(Struct, frozen=True, omit_defaults=True):
    """`symbol.list`: symbols and their newest prices."""

    symbols: tuple[SymbolSpec, ...] = ()
    quotes: tuple[Quote, ...] = ()


class HistoryRange(Struct, frozen=True):
    """`history.get` asks for the TerminalHistory since `from_ms`."""

    from_ms: int


class MarginArgs(Struct, frozen=True):
    """`calc.margin` asks for the Money of an order on its own."""

    symbol: str
    type: OrderType
    volume: int
    price: int


class ProfitArgs(Struct, frozen=True):
    """`calc.profit` asks for the Money between two prices."""

    symbol: str
    side: Side
    volume: int
    open_price: int
    close_price: int


class Money(Struct, frozen=True):
    """An amount in the account's currency, None while no rate tells it."""

    amount: int | None


class LookupArgs(Struct, frozen=True):
    """`order.lookup` asks for the Lookup of a tag; nothing of it is older than `since_ms`."""

    tag: str
    since_ms: int = 0
