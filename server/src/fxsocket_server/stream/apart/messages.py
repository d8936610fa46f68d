"""What crosses between the gateway's process and the stream's: msgpack structs, length first.

Down go copies, what is published on the bus, and answers; up go questions, what became of answers,
and how far each account's feed may go on. Either way they arrive in the order in which they left.
"""

from typing import TypeAlias

import msgspec
from msgspec import Struct

from fxsocket_server.core.errors import FieldError, Problem
from fxsocket_server.gateway.changes import Event
from fxsocket_server.gateway.messages import MarketMessage, MarketState
from fxsocket_server.gateway.ports import TickMessage
from fxsocket_server.gateway.terminal import TerminalMessage
from fxsocket_server.model.account import Account
from fxsocket_server.model.enums import AccountStatus
from fxsocket_server.model.facts import Quote
from fxsocket_server.model.server_time import ZONES, ServerZone
from fxsocket_server.model.symbol import SymbolSpec
from fxsocket_server.security.keys import ApiKey
from fxsocket_server.security.tickets import TicketMessage

LENGTH_BYTES = 4


class Message(Struct, frozen=True, tag=True, tag_field="_"):
    """Anything that crosses."""


# --- down --------------------------------------------------------------------------------------


class ZoneCopy(Struct, frozen=True):
    """A broker's wall clock by its name; one that is only an offset needs no more."""

    name: str
    standard_s: int

    def zone(self) -> ServerZone:
        """The clock itself."""
        return ZONES.get(self.name) or ServerZone(self.name, self.standard_s)


class AccountCopy(Struct, frozen=True, kw_only=True):
    """One account as the stream reads it at once; `epoch` None while it never had a terminal."""

    account: Account
    status: AccountStatus
    error: str | None
    epoch: str | None = None
    head: int | None = None
    specs: list[SymbolSpec] = []
    quotes: list[Quote] = []
    markets: dict[str, MarketState] = {}
    zone: ZoneCopy | None = None


class Copies(Message, frozen=True, kw_only=True):
    """What has changed of the accounts since the last time; the first holds everything."""

    accounts: list[AccountCopy] = []
    gone_accounts: list[str] = []
    defaults: dict[str, str] = {}


class Greeting(Message, frozen=True):
    """The first message: what every copy begins with."""

    pepper: bytes
    keys: list[ApiKey]
    copies: Copies


class Ticked(Message, frozen=True):
    """A price; `lossless` is None where no feed waits for it to be passed."""

    tick: TickMessage
    lossless: bool | None


class Published(Message, frozen=True):
    """Committed events of one account."""

    events: list[Event]


class TerminalChanged(Message, frozen=True):
    """An account's terminal has come or gone."""

    message: TerminalMessage


class MarketChanged(Message, frozen=True):
    """A market has opened or closed."""

    message: MarketMessage


class KeyChanged(Message, frozen=True):
    """A key was made, changed or revoked."""

    key: ApiKey


class TicketGiven(Message, frozen=True):
    """A ticket opens one stream."""

    message: TicketMessage


class AwaitReader(Message, frozen=True):
    """Say when somebody reads this account."""

    account_id: str


class Answered(Message, frozen=True):
    """The answer to a question, encoded."""

    ask: int
    body: bytes


class Refused(Message, frozen=True):
    """The problem that is a question's answer."""

    ask: int
    code: str
    detail: str
    errors: tuple[FieldError, ...]
    retry_after_s: int | None

    @classmethod
    def of(cls, ask: int, problem: Problem) -> "Refused":
        """A problem as it crosses."""
        return cls(ask, problem.kind.code, problem.detail, problem.errors, problem.retry_after_s)

    def problem(self) -> Problem:
        """The problem as it was raised."""
        return Problem(self.code, self.detail, errors=self.errors, retry_after_s=self.retry_after_s)


class Stop(Message, frozen=True):
    """Part from the clients and end."""


Down: TypeAlias = (
    Greeting | Copies | Ticked | Published | TerminalChanged | MarketChanged | KeyChanged
    | TicketGiven | AwaitReader | Answered | Refused | Stop
)  # fmt: skip

# --- up ----------------------------------------------------------------------------------------


class Listening(Message, frozen=True):
    """Clients may come."""

    port: int


class Passed(Message, frozen=True):
    """An account's feed may go on after its tick `n`."""

    account_id: str
    n: int


class ReaderCame(Message, frozen=True):
    """Somebody reads the account."""

    account_id: str


class Ask(Message, frozen=True):
    """A question by its kind; `body` holds what it is about, encoded."""

    ask: int
    kind: str
    body: bytes


class KeyUsed(Message, frozen=True):
    """Somebody has authenticated with a key."""

    key_id: str
    time_ms: int


class Delivered(Message, frozen=True):
    """What became of a trade command's answer."""

    request_id: str
    delivered: bool


Up: TypeAlias = Listening | Passed | ReaderCame | Ask | KeyUsed | Delivered

_encode = msgspec.msgpack.Encoder().encode
decode_down = msgspec.msgpack.Decoder(Down).decode
decode_up = msgspec.msgpack.Decoder(Up).decode


def framed(message: Message) -> bytes:
    """A message with its length."""
    body = _encode(message)
    return len(body).to_bytes(LENGTH_BYTES, "big") + body
