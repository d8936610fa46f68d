"""mt5-bridge on a stand-in for the MetaTrader5 package: fills every order at once, in memory.

The package talks to a Windows terminal; in its place stands the least that its order path asks for,
so that what is measured is the bridge. Prints one JSON line when it is ready; Ctrl-C stops it.
"""

import itertools
import json
import logging
import socket
import sys
import time
import types
from typing import Any

import uvicorn

NUMBERS = {
    "ORDER_TYPE_BUY": 0, "ORDER_TYPE_SELL": 1, "TRADE_ACTION_DEAL": 1, "ORDER_TIME_GTC": 0,
    "ORDER_FILLING_FOK": 0, "ORDER_FILLING_IOC": 1, "ORDER_FILLING_RETURN": 2,
    "TRADE_RETCODE_DONE": 10009, "TIMEFRAME_M1": 1, "COPY_TICKS_ALL": -1,
}  # fmt: skip
TICKETS = itertools.count(1_000_001)


def _terminal() -> Any:
    """The stand-in: always connected, one price, every order done."""
    module = types.ModuleType("MetaTrader5")
    vars(module).update(NUMBERS)
    calls = {
        "initialize": lambda **_: True,
        "login": lambda *_, **__: True,
        "shutdown": lambda: None,
        "last_error": lambda: (1, "Success"),
        "terminal_info": lambda: types.SimpleNamespace(connected=True),
        "symbol_select": lambda *_: True,
        "symbol_info_tick": lambda _symbol: _tick(),
        "copy_rates_from_pos": lambda *_: None,
        "order_send": lambda _request: types.SimpleNamespace(
            retcode=10009, order=next(TICKETS), comment="done"
        ),
    }
    vars(module).update(calls)
    return module


def _tick() -> Any:
    now = time.time()
    return types.SimpleNamespace(
        time=int(now), time_msc=int(now * 1000), bid=1.0834, ask=1.0835, last=0.0, volume=0,
        flags=6, volume_real=0.0,
    )  # fmt: skip


def main() -> None:
    """Serve until Ctrl-C."""
    terminal = sys.modules["MetaTrader5"] = _terminal()
    import mt5_bridge.mt5_handler as handler  # type: ignore[import-not-found]

    handler.mt5 = terminal  # it imports the package on Windows only
    from mt5_bridge.main import app  # type: ignore[import-not-found]

    logging.disable(logging.INFO)  # our own server logs no order either
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(app, access_log=False, log_config=None, timeout_keep_alive=75)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    sys.stdout.write(json.dumps({"rest": address}) + "\n")
    sys.stdout.flush()
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
