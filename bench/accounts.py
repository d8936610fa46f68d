"""What an account costs: memory, CPU and time to make, and whether fifty starve each other's ticks.

`python bench/accounts.py [--accounts 50] [--seconds 10]` measures a demo server with its one
account, makes the others over REST and measures again. One connection reads every symbol of all of
them. Writes bench/results/accounts.json.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import requests
from _host import Aim, host, show_aims, table, write
from websockets.sync.client import ClientConnection, connect

from fxsocket_server.testkit.process import ServerProcess

KEY = {"Authorization": "Bearer test-key"}
MIB = 1024 * 1024


class Bench:
    """A server, its accounts, and the one connection that reads them all."""

    def __init__(self, server: ServerProcess, socket: ClientConnection) -> None:
        self._rest = server.addresses.rest
        self._socket = socket
        self._process = psutil.Process(server.pid)
        self.accounts: list[str] = []

    def get(self, path: str, account: str = "") -> Any:
        """The JSON of a GET."""
        headers = {**KEY, "X-Account-Id": account} if account else KEY
        return requests.get(self._rest + path, headers=headers, timeout=30).json()

    def make(self, seed: int) -> float:
        """Make an account; how many milliseconds it took."""
        start = time.perf_counter()
        body = {"kind": "SIM", "seed": seed}
        made = requests.post(self._rest + "/accounts", json=body, headers=KEY, timeout=30).json()
        self.subscribe(made["id"])
        return (time.perf_counter() - start) * 1000

    def subscribe(self, account: str) -> None:
        """Ask for all ticks of an account."""
        symbols = [symbol["symbol"] for symbol in self.get("/symbols", account)]
        asked = {"action": "subscribe", "account_id": account, "symbols": symbols}
        self._socket.send(json.dumps(asked))
        self.accounts.append(account)

    def measure(self, seconds: float) -> dict[str, Any]:
        """Memory, CPU and ticks by account, over so many seconds."""
        self._read_until(time.monotonic() + 1)
        before, start = self._cpu_s(), time.monotonic()
        ticks = self._read_until(start + seconds)
        took = time.monotonic() - start
        rates = sorted(ticks[account] / took for account in self.accounts)
        return {
            "accounts": len(self.accounts),
            "memory_mib": round(self._process.memory_info().rss / MIB, 1),
            "cpu_percent": round(100 * (self._cpu_s() - before) / took, 1),
            "ticks_per_s": round(sum(rates), 1),
            "ticks_per_s_least": round(rates[0], 2),
            "ticks_per_s_median": round(rates[len(rates) // 2], 2),
            "ticks_per_s_most": round(rates[-1], 2),
        }

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def _read_until(self, end: float) -> Counter[str]:
        ticks: Counter[str] = Counter()
        while (left := end - time.monotonic()) > 0:
            try:
                frame = json.loads(self._socket.recv(timeout=left))
            except TimeoutError:
                break
            if frame["type"] == "tick":
                ticks[frame["account_id"]] += 1
        return ticks


def main() -> None:
    """Measure and write down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    machine = host()
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(Path(folder) / "data") as server,
        connect(
            server.addresses.stream, additional_headers=KEY, compression=None, max_size=None,
            close_timeout=0.1,
        ) as socket,
    ):  # fmt: skip
        bench = Bench(server, socket)
        bench.subscribe(server.addresses.account_id or "")
        rows = [bench.measure(options.seconds)]
        took_ms = sorted(bench.make(seed) for seed in range(1, options.accounts))
        rows.append(bench.measure(options.seconds))
    one, many = rows
    more = many["accounts"] - one["accounts"]
    each = {
        "memory_mib": round((many["memory_mib"] - one["memory_mib"]) / more, 2),
        "cpu_percent": round((many["cpu_percent"] - one["cpu_percent"]) / more, 2),
        "made_in_ms_median": round(took_ms[len(took_ms) // 2], 1),
        "made_in_ms_most": round(took_ms[-1], 1),
    }
    aims = (
        Aim(
            name="ticks of the median account, to one alone",
            figure=round(many["ticks_per_s_median"] / one["ticks_per_s_median"], 3),
            bound=0.9,
            at_least=True,
        ),
    )
    table("accounts", list(many), [list(row.values()) for row in rows])
    table("each more", list(each), [list(each.values())])
    show_aims(aims)
    write("accounts", machine, {"rows": rows, "each_more": each, "aims": aims})


if __name__ == "__main__":
    main()
