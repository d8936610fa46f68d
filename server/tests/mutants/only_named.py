"""A pytest plugin: import the whole server, run the named test alone, write down how it ended.

Loaded by the runner of planted bugs into a process of its own: `-p only_named`.
"""

import json
import os
import pkgutil
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import fxsocket_server

WANTED = os.environ["PLANTED_TEST"]
_told: list[dict[str, Any]] = []


def pytest_sessionstart() -> None:
    """Import every module: what is planted must not break one."""
    for module in pkgutil.walk_packages(fxsocket_server.__path__, "fxsocket_server."):
        if not module.name.endswith(("__main__", ".env")):
            import_module(module.name)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what was not asked for: a parametrised test is asked for as a whole."""
    kept = [item for item in items if item.nodeid.partition("[")[0] == WANTED]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what kind of exception ended a test."""
    report = yield
    kind = None if call.excinfo is None else call.excinfo.type
    _told.append(
        {
            "when": call.when,
            "outcome": report.outcome,
            "is_assertion": kind is not None and issubclass(kind, _ASSERTIONS),
            "shown": "" if call.excinfo is None else call.excinfo.exconly()[:400],
        }
    )
    return report


# `pytest.raises` and `pytest.fail` assert, too; a time-out of the watchdog comes that way as well.
_ASSERTIONS = (AssertionError, pytest.fail.Exception)


def pytest_sessionfinish() -> None:
    """Write it down."""
    Path(os.environ["PLANTED_REPORT"]).write_text(json.dumps(_told), encoding="utf-8")
