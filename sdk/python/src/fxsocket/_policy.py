"""How hard the SDK tries, on one screen: the constants of `spec/sdk_policy.json`.

Every SDK holds the same numbers; a test compares this module with the file.
"""

from typing import Final

MAX_RETRIES: Final = 2
BACKOFF_INITIAL_MS: Final = 500
BACKOFF_FACTOR: Final = 2
BACKOFF_MAX_MS: Final = 8_000
JITTER: Final = 0.25
RETRY_AFTER_MAX_MS: Final = 60_000
RETRY_STATUS: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
RETRY_409_CODES: Final = frozenset({"idempotency_in_flight"})
SHOULD_RETRY_HEADER: Final = "x-should-retry"

RETRY_BUDGET_CAPACITY: Final = 100
RETRY_BUDGET_COST: Final = 5
RETRY_BUDGET_COST_TIMEOUT: Final = 10
RETRY_BUDGET_REFILL_ON_SUCCESS: Final = 1

ATTEMPT_TIMEOUT_MS: Final = 10_000
TOTAL_TIMEOUT_MS: Final = 30_000
CONNECT_TIMEOUT_MS: Final = 5_000

STREAM_BACKOFF_INITIAL_MS: Final = 200
STREAM_BACKOFF_MAX_MS: Final = 30_000
STREAM_JITTER: Final = 1.0
STREAM_PING_MS: Final = 20_000
STREAM_PONG_MS: Final = 10_000
STREAM_QUEUE_BYTES: Final = 1_048_576
STREAM_DEAD_AFTER_MS: Final = 45_000
