"""Every bound of the server in one place, units last, each with its reason."""

# --- HTTP ------------------------------------------------------------------------------------
HEADER_BYTES = 32 * 1024  # names, values and query; browsers send a tenth of it
HEADER_COUNT = 64  # a browser behind three proxies sends half of it
HEADER_READ_MS = 5_000  # a head that dribbles in slower than this is refused with 408
BODY_BYTES = 256 * 1024  # an order is 200 bytes; 100 of them in a batch still fit
BODY_DRAIN_BYTES = 16 * 1024 * 1024  # read and dropped so that the 413 reaches the sender
BODY_READ_MS = 10_000  # a body that dribbles in slower than this is refused with 408
CONNECTIONS = 4_096  # of the REST port; each costs a descriptor and some 10 KiB
CONNECTIONS_UNKNOWN = 256  # of one address that have not shown a key; the oldest makes room
CONNECTION_REQUESTS = 100_000  # then it closes after an answer, so that nothing lives for ever
CONNECTION_CLOSE_MS = 5_000  # a client has this long to read what is left before the cut
ANSWER_STALL_MS = 30_000  # a reader that takes less than the next line in this time is cut
ANSWER_STALL_BYTES = 64 * 1024
PARAMETER_CHARS = 8 * 1024  # one query parameter; a hundred symbols fit
SYMBOL_CHARS = 64  # MetaTrader's names have at most 31
GROUP_CHARS = 256  # masks of symbols
JSON_DEPTH = 32  # no command nests deeper than 3
PAGE_ROWS = 1_000  # rows of one page of any list
PAGE_ROWS_DEFAULT = 100
CANDLE_ROWS = 10_000  # JSON rows stay cheap up to here; CSV answers the whole range
CANDLE_ROWS_DEFAULT = 500
STATS_GROUPS = 1_000  # groups of one answer of GET /stats
STATS_CURVE_POINTS = 1_000  # minutes of one curve; of a longer one every n-th is told
STATS_PAGE_POSITIONS = 200  # closed positions that are added up in one turn of the event loop
EVENT_WAIT_MS = 30_000  # the longest long-poll of GET /events

# --- trading ---------------------------------------------------------------------------------
ORDER_WAIT_MS = 8_000  # below the 10 s that the brief's sample waits
MARKET_DEADLINE_MS = 5_000  # a market order not handed over by then is refused
COMMAND_DEADLINE_MS = 30_000  # the same for every other trade command
UNDELIVERED_MS = 60_000  # a lost answer serves an equal request without a key this long
LOOKUP_AFTER_MS = 3_000  # a terminal that has not replied by then is asked what it did
UNKNOWN_AFTER_MS = 20_000  # nobody knows the outcome by then: the order says so
SETTLE_MS = 1_000  # how often commands without an outcome are looked after
RECONCILE_OVERLAP_MS = 24 * 3_600_000  # a terminal's clock may have been set since the last deal
BATCH_ORDERS = 100  # orders of one batch
LEGS_A_TURN = 64  # legs that a command of several begins in one turn of the event loop
LEG_WAIT_MS = 60_000  # a leg without outcome by then is left to whoever sends the command again
COMMENT_CHARS = 31  # MetaTrader keeps 31 characters of a comment
CLIENT_ORDER_ID_CHARS = 64
REASON_CHARS = 256  # of a halt
IDEMPOTENCY_KEY_CHARS = 128
KEY_RETENTION_MS = 7 * 24 * 3_600_000  # stored answers are replayed for 7 days
TIME_MS_MAX = 253_370_764_800_000  # the year 9999: no zone pushes an earlier time past ISO 8601
NUMBER_MAX = 1e12  # any larger price, volume or amount is a mistake
MAGIC_MAX = 2**63 - 1
RISK_ORDERS_PER_MINUTE = 10_000  # the largest bound that a rule can set; so many are remembered
RISK_LOOK_MS = 1_000  # how often rules are read again and equity is looked at
RISK_FLATTEN_RETRY_MS = 60_000  # what the broker refused to close is tried again after this

# --- journal ---------------------------------------------------------------------------------
JOURNAL_QUEUE_CHANGES = 10_000  # waiting change sets; past it new commands are refused with 503
JOURNAL_DELIVERED_MARKS = 1_000  # delivery marks that wait for another commit to come
JOURNAL_GROUP_CHANGES = 512  # change sets that share one commit
JOURNAL_RESERVE_MB = 64  # given up when the disk is full: thousands of closes, and the WAL's growth
JOURNAL_HEADROOM_BYTES = 8 * 1024 * 1024  # free beside the reserve before opens return
RETENTION_MS = 10_000  # how often a few old rows are dropped, so that no commit waits for many
RETENTION_COMMANDS = 1_000  # dropped at once
SPACE_CHECK_MS = 1_000  # how often a disk that is full or fails is tried again
EQUITY_LOOK_MS = 1_000  # how often a worker looks whether an account's next minute has begun
EQUITY_BUFFER_SAMPLES = 500  # samples of a fast replay that are written together
EQUITY_RETENTION_MS = 400 * 24 * 3_600_000  # a year and a month to compare it with
AUDIT_FINDINGS = 1_000  # findings of verify-journal that are listed; more are counted
CHECKPOINT_MS = 1_000  # how often the last price and generator state are saved

# --- rates (the demo's plan) -----------------------------------------------------------------
REQUESTS_PER_S = 20_000
REQUESTS_BURST = 40_000
UNKNOWN_PER_S = 20  # requests of one address without a valid key
UNKNOWN_BURST = 100
RATE_KEYS = 20_000  # buckets remembered at once, keys or addresses

# --- keys ------------------------------------------------------------------------------------
FORWARDED_HOPS = 16  # entries of X-Forwarded-For that are read; no chain of proxies is longer
KEY_IP_RULES = 64  # networks of one key
KEY_ACCOUNTS = 1_000  # accounts that one key names
KEY_NAME_CHARS = 64
KEYS_OF_USER = 20_000  # keys of one user that are not revoked
KEY_OVERLAP_S = 24 * 3_600  # a replaced secret goes on working this long, unless said otherwise
KEY_OVERLAP_S_MAX = 30 * 24 * 3_600
KEYS_LOOK_MS = 500  # how often keys that another process changed are looked for
KEYS_USED_MS = 10_000  # how often it is written down when keys were last used

# --- stream ----------------------------------------------------------------------------------
STREAM_CONNECTIONS = 10_000
STREAM_FRAME_BYTES = 64 * 1024  # the largest frame a client may send
STREAM_SUBSCRIPTIONS = 1_024  # symbols of one connection
STREAM_AUTH_MS = 5_000  # the first frame must authenticate by then
STREAM_TICKET_MS = 30_000  # a ticket is used within this time, or not at all
STREAM_TICKETS = 10_000  # unused tickets at once; the oldest makes room
STREAM_FIRST_FRAME_MS = 2_000  # account events wait this long for a resume to come first
STREAM_HEARTBEAT_MS = 5_000  # a frame at least this often
STREAM_MARKET_BYTES = 256 * 1024  # unsent bytes past which market data is conflated
STREAM_EVENT_BYTES = 1024 * 1024  # unread events past which the connection is closed (4008)
STREAM_STALL_MS = 2_000  # an unpaced reader of a `max` replay has stalled after this
STREAM_RATE_PER_S = 4.0  # quotes and live candles of a symbol, unless the client says otherwise
STREAM_RATE_PER_S_MAX = 100.0  # more is what ticks are for
STREAM_ACCOUNT_PER_S = 4.0  # an account's figures
STREAM_PENDING_COMMANDS = 256  # trade commands of one connection under way at once
STREAM_RAW_FRAME_BYTES = 256 * 1024  # the largest frame read at all, to be refused with a reason
STREAM_KERNEL_BYTES = 64 * 1024  # unsent bytes left to the kernel, which nobody can conflate
STREAM_PAGE_EVENTS = 256  # logged events read and sent in one turn of the event loop
STREAM_HEARTBEAT_SCANS = 10  # looks at every connection within one heartbeat
STREAM_CLOSE_MS = 5_000  # a client has this long to read what is left and answer a close
STREAM_FLUSH_MS = 1  # ticks that come this soon after a write leave together
STREAM_FLUSH_MS_MAX = 1_000  # more would look like a dead stream
STREAM_QUEUE_MESSAGES = 256  # published between two writes to a connection; 50 KB of ticks
STREAM_GROUP_READERS = 64  # written to in one turn of the event loop: a third of a millisecond
STREAM_LINK_BYTES = 64 * 1024 * 1024  # unsent to a stream process that has stopped reading
STREAM_BACKLOG = 2_048  # clients that connect while a stream process is started again
STREAM_PROCESS_RETRY_MS = 200  # a stream process that ended is followed by another after this
STREAM_LINK_RETRY_MS = 100  # a stream process that lost the gateway's dials again this often
STREAM_LINK_DELIVERIES = 10_000  # answers on their way through a stream process
STREAM_COPIES_MS = 250  # how often a stream process is told of changed accounts and keys
REPLAY_TURN_TICKS = 64  # ticks of a `max` replay between two turns of the event loop

# --- candles ---------------------------------------------------------------------------------
LIVE_CANDLES = 20_160  # M1 candles kept in memory per symbol: two weeks

# --- bridge ----------------------------------------------------------------------------------
BRIDGE_FRAME_BYTES = 1024 * 1024  # the largest frame that a terminal may send
BRIDGE_TERMINAL_FRAME_BYTES = 256 * 1024  # the largest that it is sent: it reads with a small heap
BRIDGE_GREETING_BYTES = 16 * 1024  # the largest frame before a terminal has proved its token
BRIDGE_HELLO_MS = 5_000  # hello and proof must both come within this time
BRIDGE_RETRY_MS = 60_000  # a refused terminal is told to come back after this time
BRIDGE_CONNECTIONS = 1_000  # terminals, and callers that have not proved anything yet
BRIDGE_HEARTBEAT_MS = 5_000
BRIDGE_MISSED_BEATS = 3  # a session that is silent for so many heartbeats is over
BRIDGE_ASK_MS = 10_000  # a terminal answers a question within this time, or is not reachable
BRIDGE_PENDING_ASKS = 1_024  # questions and trades without an answer, per terminal
BRIDGE_TICK_CREDIT = 256  # tick frames that a terminal may send ahead of the server
BRIDGE_UNACKED_EVENTS = 1_000  # events that a terminal may send ahead of the server's journal
BRIDGE_ANSWER_BYTES = 64 * 1024 * 1024  # all parts of one answer
BRIDGE_PART_ROWS = 256  # rows in one part of a list: under the frame's limit at 2 KiB a row
BRIDGE_UNSENT_BYTES = 1024 * 1024  # what a terminal that stopped reading is owed before it is left
BRIDGE_BACKOFF_MS = (250, 10_000)  # a terminal dials again after this time, doubled up to that
TERMINAL_KEPT_EVENTS = 10_000  # without a server; beyond it state and history must do
TERMINAL_JOURNAL_COMMANDS = 2_000  # results that a simulated terminal still knows by their tag

# --- simulator -------------------------------------------------------------------------------
SIM_FAULTS = 32  # faults in force at once on one account
SIM_LOST_REPLIES = 1_000  # the newest ones, for whoever looks them up
SIM_WAITING_COMMANDS = 10_000  # commands that a fault delays or holds back; then 10024

# --- accounts and their secrets --------------------------------------------------------------
ACCOUNTS = 200  # of one user; a simulated one takes some memory and ticks all day
REMOVED_ACCOUNTS = 100  # the newest, which open streams may still look up
ACCOUNT_NAME_CHARS = 64
PASSWORD_CHARS = 256  # MetaTrader's own have at most 16
KEK_COMMAND_MS = 30_000  # a program that keeps keys answers within this time

# --- process ---------------------------------------------------------------------------------
SHUTDOWN_MS = 1_500  # Ctrl-C ends within 2 s
GC_ALLOCATIONS = 25_000  # between two looks for cycles; an order leaves some hundred objects

# --- market data -----------------------------------------------------------------------------
MARKET_LOOK_MS = 1_000  # how often it is looked whether a market has opened or closed
QUOTE_STALE_MS = 10_000  # an open market that is quiet for this long is not to be trusted
