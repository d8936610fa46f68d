"""Who has which of the newest-value channels, and the feeds that make what they get."""

from collections.abc import Collection, Iterable, Iterator

from fxsocket_server.channels import frames
from fxsocket_server.channels.feeds import FeedReaders
from fxsocket_server.channels.names import ACCOUNT, CANDLES, MARKET_OPEN, QUOTES, Channel
from fxsocket_server.channels.topics import Topic, Topics
from fxsocket_server.gateway.messages import MarketMessage, MarketState
from fxsocket_server.gateway.ports import TickMessage
from fxsocket_server.gateway.views import time_or_none, time_text
from fxsocket_server.stream.connection import Connection
from fxsocket_server.stream.values import AccountFeed, CandleFeed, Desk, Feed, QuoteFeed, Tell

_FED = frozenset((QUOTES, CANDLES))  # made of ticks: a feed that waits for readers waits for these


class Latest:
    """The subscriptions of quotes, candles, accounts and market hours."""

    def __init__(self, desk: Desk, readers: FeedReaders[Connection]) -> None:
        self._desk = desk
        self._readers = readers
        self._topics: Topics[Connection] = Topics()
        self._feeds: dict[tuple[Topic, float], Feed] = {}
        # By account and symbol; None stands for every symbol of the account.
        self._by_symbol: dict[tuple[str, str | None], dict[Feed, Topic]] = {}

    # --- subscriptions -----------------------------------------------------------------------

    def topics(self, connection: Connection) -> dict[Topic, float]:
        """What a client has, each with its rate."""
        return self._topics.of_reader(connection)

    def subscribe(
        self, connection: Connection, account_id: str, channel: Channel, symbols: Iterable[str],
        rate: float,
    ) -> None:  # fmt: skip
        """Subscribe one channel, or change its rate."""
        held = self.topics(connection)
        for topic in topics_of(account_id, channel, symbols):
            if held.get(topic) == rate:
                continue
            self._remove(connection, topic)
            self._topics.add(connection, topic, rate)
            if (topic, rate) not in self._feeds:
                self._open(topic, channel, rate)
        self._follow_or_leave(connection, account_id)

    def unsubscribe(self, connection: Connection, topics: Collection[Topic]) -> None:
        """End subscriptions; ones that never were are fine."""
        for topic in topics:
            self._remove(connection, topic)
            connection.abandon_value(topic)
        for account_id in {topic.account_id for topic in topics}:
            self._follow_or_leave(connection, account_id)

    def drop(self, connection: Connection) -> None:
        """Forget a client; the feeds' readers forget it on their own."""
        for topic in self.topics(connection):
            self._remove(connection, topic)

    def _remove(self, connection: Connection, topic: Topic) -> None:
        rate = self._topics.remove(connection, topic)
        feed = None if rate is None else self._feeds.pop((topic, rate), None)
        if feed is None:
            return
        feed.stop()
        feeds = self._by_symbol[topic.account_id, topic.symbol]
        del feeds[feed]
        if not feeds:
            del self._by_symbol[topic.account_id, topic.symbol]

    def _follow_or_leave(self, connection: Connection, account_id: str) -> None:
        kinds = {
            t.channel.partition(":")[0] for t in self.topics(connection)
            if t.account_id == account_id
        }  # fmt: skip
        if _FED.isdisjoint(kinds):
            self._readers.unfollow(connection, account_id)
        else:
            self._readers.follow(connection, account_id)

    # --- feeds -------------------------------------------------------------------------------

    def _open(self, topic: Topic, channel: Channel, rate: float) -> None:
        feed = self._made(topic, channel, rate)
        if feed is not None:
            self._feeds[topic, rate] = feed
            self._by_symbol.setdefault((topic.account_id, topic.symbol), {})[feed] = topic

    def _made(self, topic: Topic, channel: Channel, rate: float) -> Feed | None:
        tell = self._teller(topic, rate)
        if channel.kind == ACCOUNT:
            return AccountFeed(self._desk, topic.account_id, rate, tell)
        if topic.symbol is not None and channel.kind == QUOTES:
            return QuoteFeed(self._desk, topic.account_id, topic.symbol, rate, tell)
        if topic.symbol is not None and channel.timeframe is not None:
            return CandleFeed(
                self._desk, topic.account_id, topic.symbol, channel.timeframe, rate, tell
            )
        return None  # market_open is told by the bus

    def _teller(self, topic: Topic, rate: float) -> Tell:
        def tell(frame: bytes, closed: str | None) -> None:
            for connection in self._topics.readers(topic, rate):
                connection.latest(topic, frame, closed)

        return tell

    def live_candles(
        self, account_id: str, channel: Channel, symbols: Iterable[str]
    ) -> list[dict[str, object]]:
        """The candles of a channel that are not closed yet."""
        rows: list[dict[str, object]] = []
        for topic in topics_of(account_id, channel, symbols):
            feeds = self._by_symbol.get((account_id, topic.symbol), {})
            feed = next((f for f, of in feeds.items() if of == topic), None)
            row = feed.live_row() if isinstance(feed, CandleFeed) else None
            if row is not None:
                rows.append(row)
        return rows

    # --- what is published -------------------------------------------------------------------

    def on_tick(self, message: TickMessage) -> None:
        """A new price: whatever is made of it."""
        if not self._by_symbol:
            return
        for place in (message.quote.symbol, None):
            for feed in tuple(self._by_symbol.get((message.account_id, place), ())):
                feed.on_tick(message)

    def on_change(self, account_id: str) -> None:
        """Something has happened in an account that may show in its figures."""
        for feed in tuple(self._by_symbol.get((account_id, None), ())):
            if isinstance(feed, AccountFeed):
                feed.touch()

    def on_market(self, message: object) -> None:
        """A market has opened or closed."""
        assert isinstance(message, MarketMessage)
        topic = Topic(message.account_id, MARKET_OPEN, message.symbol)
        row = market_row(message.symbol, message.state)
        frame = frames.flat(MARKET_OPEN, message.account_id, row, time=time_text(message.time_ms))
        for connection in self._topics.all_readers(topic):
            connection.latest(topic, frame, None)

    # --- who has what of a symbol ------------------------------------------------------------

    def watched(self) -> Iterator[tuple[str, str]]:
        """Accounts and symbols that somebody has quotes or candles of."""
        for account_id, symbol in self._by_symbol:
            if symbol is not None:
                yield account_id, symbol

    def channels_of_symbol(self, account_id: str, symbol: str) -> dict[str, list[Connection]]:
        """Who has quotes or candles of a symbol, by channel."""
        topics = set(self._by_symbol.get((account_id, symbol), {}).values())
        return {topic.channel: self._topics.all_readers(topic) for topic in sorted(topics)}


def topics_of(account_id: str, channel: Channel, symbols: Iterable[str]) -> list[Topic]:
    """What a channel is subscribed as: one topic, or one per symbol."""
    if not channel.has_symbols:
        return [Topic(account_id, channel.name)]
    return [Topic(account_id, channel.name, symbol) for symbol in symbols]


def market_row(symbol: str, state: MarketState) -> dict[str, object]:
    """Whether a symbol may be traded, and when that changes, as GET /symbols shows it."""
    return {
        "symbol": symbol,
        "market_open": state.is_open,
        "next_open": time_or_none(state.next_open_ms),
        "next_close": time_or_none(state.next_close_ms),
    }
