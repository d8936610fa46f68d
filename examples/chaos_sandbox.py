"""Send a bot through every scenario of the chaos sandbox: it must know what it holds at the end.

The bot is an ordinary one: plain HTTP, no idempotency key, three attempts. It retries what may not
have arrived (a time limit, a broken connection, a 5xx) and takes a 422 for a no. Needs a server
(`make run`) and its key in FXSOCKET_API_KEY; FXSOCKET_BASE_URL says where it is.
"""

import os
import time
from typing import Any

import requests

BASE = os.environ.get("FXSOCKET_BASE_URL", "http://127.0.0.1:8000/v1")
HEADERS = {"Authorization": f"Bearer {os.environ['FXSOCKET_API_KEY']}"}
SYMBOL, LOTS = "EURUSD", 0.1
ATTEMPTS, TIMEOUT_S, PAUSE_S = 3, 1.0, 0.2
OPEN_OUTCOMES = ("PENDING", "UNKNOWN")

# What a scenario is given beside its own settings, so that all of them take half a minute.
OWN = {"timeout": {"delay_ms": 2_000}, "slow_broker": {"seed": 7}}
# One more: the answer comes after the bot has given up waiting, so it asks again.
IMPATIENT = {"delay_ms": 1_500, "times": 1}


def api(method: str, path: str, body: object = None) -> Any:
    """One request that must succeed."""
    answer = requests.request(method, BASE + path, headers=HEADERS, json=body, timeout=30)
    answer.raise_for_status()
    return answer.json()


class Bot:
    """Buys once when told to, and keeps what it believes to hold: lots by position."""

    def __init__(self) -> None:
        self.believed: dict[str, float] = {}
        self._seen = api("GET", "/events?limit=1")["head"]

    def buy(self, patience_ms: int | None) -> dict[str, Any] | str:
        """The order, or why there is none."""
        body = {"symbol": SYMBOL, "type": "BUY", "volume": LOTS, "sl": 1.0720}
        patience = {} if patience_ms is None else {"X-Request-Timeout-Ms": str(patience_ms)}
        for attempt in range(ATTEMPTS):
            try:
                answer = requests.post(
                    BASE + "/orders", headers=HEADERS | patience, json=body, timeout=TIMEOUT_S
                )
            except (requests.Timeout, requests.ConnectionError):
                time.sleep(PAUSE_S * 2**attempt)
                continue
            if answer.status_code == 200:
                return dict(answer.json())
            if answer.status_code < 500:  # a no: asking again would be another order
                problem = answer.json()
                return str(problem.get("retcode_name") or problem["code"])
            time.sleep(PAUSE_S * 2**attempt)
        raise SystemExit("the server did not answer: look at the account before going on")

    def learn(self, order: dict[str, Any]) -> str:
        """Wait for an order's outcome and take it in; its status."""
        while order["status"] in OPEN_OUTCOMES:  # until the broker is itself again
            time.sleep(PAUSE_S)
            order = api("GET", f"/orders/{order['id']}")
        if order["filled_volume"]:
            self.believed[order["position_id"]] = order["filled_volume"]
        return str(order["status"])

    def hear(self) -> None:
        """Forget the positions that were closed behind its back, by their stops."""
        while page := api("GET", f"/events?after={self._seen}")["data"]:
            for event in page:
                self._seen = event["seq"]
                if event["type"] == "position.closed":
                    self.believed.pop(event["position"]["id"], None)


def await_tick() -> None:
    """Let a price come, if any comes, so that a fault of prices is met."""
    before = api("GET", f"/quotes/{SYMBOL}")["timestamp"]
    for _ in range(10):
        if api("GET", f"/quotes/{SYMBOL}")["timestamp"] != before:
            return
        time.sleep(0.1)


def held() -> dict[str, float]:
    """What the account holds: lots by position."""
    return {position["id"]: position["volume"] for position in api("GET", "/positions")}


def meet(bot: Bot, name: str, fault: dict[str, Any], patience_ms: int | None) -> bool:
    """Buy once under a fault, take it away, and compare belief and account."""
    api("POST", "/sim/faults", fault)
    await_tick()
    answer = bot.buy(patience_ms)
    api("DELETE", "/sim/faults")
    word = answer if isinstance(answer, str) else bot.learn(answer)
    bot.hear()
    account = held()
    verdict = "same" if account == bot.believed else "DIFFERS"
    believed, there = sum(bot.believed.values()), sum(account.values())
    print(f"{name:24}{word:22}{believed:8.2f}{there:8.2f}  {verdict}", flush=True)
    return account == bot.believed


def main() -> None:
    """All scenarios, one after another, on one account."""
    if held():
        raise SystemExit("the account holds positions already; start with another --data folder")
    bot, scenarios = Bot(), api("GET", "/sim/faults")["scenarios"]
    print(f"{'scenario':24}{'what the bot got':22}{'believes':>8}{'holds':>8}")
    results = [
        meet(bot, name, {"scenario": name} | OWN.get(name, {}), patience_ms=800)
        for name in scenarios
    ]
    results.append(meet(bot, "(late for the bot)", IMPATIENT, patience_ms=None))
    print(f"{len(results)} scenarios, {results.count(False)} differ, {len(held())} positions held")
    if not all(results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
