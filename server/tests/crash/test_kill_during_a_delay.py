"""SIGKILL between hand-over and execution: the order did not happen, and its key says so."""

from pathlib import Path

import requests

from fxsocket_server.testkit.process import ServerProcess

HEADERS = {"Authorization": "Bearer test-key", "Idempotency-Key": "k"}
ORDER = {"symbol": "EURUSD", "type": "BUY", "volume": 0.1}
WATCHDOG_S = 30


def test_a_late_order_of_a_killed_server_was_never_executed(tmp_path: Path) -> None:
    late = ("--fault", "slow_broker:delay_ms=600000,delay_shape=FIXED")
    server = ServerProcess(tmp_path / "data", *late)
    rest = server.start().rest
    patience = {**HEADERS, "X-Request-Timeout-Ms": "1"}
    pending = requests.post(f"{rest}/orders", headers=patience, json=ORDER, timeout=WATCHDOG_S)
    assert pending.json()["status"] == "PENDING"
    server.kill()
    with ServerProcess(tmp_path / "data") as again:
        rest = again.addresses.rest
        answer = requests.post(f"{rest}/orders", headers=HEADERS, json=ORDER, timeout=WATCHDOG_S)
        assert answer.headers["Idempotency-Replayed"] == "true"
        order = answer.json()["order"]
        assert order["id"] == pending.json()["id"]
        assert (order["status"], order["reason"]) == ("REJECTED", "lost_in_restart")
        held = requests.get(f"{rest}/positions", headers=HEADERS, timeout=WATCHDOG_S)
        assert held.json() == []
