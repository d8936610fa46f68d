"""Place an order over plain HTTP, and send it twice: it trades once.

Needs a server (`make run`) and its key in FXSOCKET_API_KEY. FXSOCKET_BASE_URL says where it is.
"""

import os
import uuid

import requests

BASE = os.environ.get("FXSOCKET_BASE_URL", "http://127.0.0.1:8000/v1")
TIMEOUT_S = 10


def place(order: dict[str, object], key: str) -> requests.Response:
    """Send an order under a key; whoever sends the same key again gets the same answer."""
    headers = {"Authorization": f"Bearer {os.environ['FXSOCKET_API_KEY']}", "Idempotency-Key": key}
    answer = requests.post(f"{BASE}/orders", headers=headers, json=order, timeout=TIMEOUT_S)
    if answer.status_code != 200:
        raise SystemExit(f"{answer.status_code}: {answer.json()['detail']}")
    return answer


def main() -> None:
    """Buy 0.1 lots of EURUSD, then pretend that the answer was lost and send it again."""
    order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.1, "sl": 1.0720, "tp": 1.0950}
    key = str(uuid.uuid4())  # one key per order that you mean, made before it is first sent

    first = place(order, key).json()
    print(f"{first['status']}: {first['id']} at {first['price']}")

    again = place(order, key)
    replayed = again.headers.get("Idempotency-Replayed", "false")
    print(f"sent again: {again.json()['id']}, replayed {replayed}")


if __name__ == "__main__":
    main()
