"""What every test of the repository shares: material beside the checkout, seeds, order and skips.

Environment: FXSOCKET_TEST_SEED chooses the order of tests and their random numbers,
FXSOCKET_SOAK=1 runs the tests marked `soak`, CI=true forbids skips where `../shared` is present.
"""

import os
import random
from collections.abc import Callable, Generator
from pathlib import Path

import hypothesis
import pytest

SHARED = Path(__file__).parent.parent / "shared"
BASE_SEED = os.environ.get("FXSOCKET_TEST_SEED", "1")
SOAK = os.environ.get("FXSOCKET_SOAK") == "1"
SOAK_WATCHDOG_S = 6 * 3600  # a large count takes longer than any other test may

NEEDS_SHARED = "needs ../shared"
CAPABILITY = "capability:"  # an acceptance card that the connector's capabilities exclude

hypothesis.settings.register_profile(
    "fxsocket", deadline=None, derandomize=not SOAK, print_blob=True
)
hypothesis.settings.load_profile("fxsocket")

_skips: list[tuple[str, str]] = []  # (node id, reason) of this run


@pytest.fixture(scope="session")
def shared_path() -> Callable[..., Path]:
    """`shared_path("brief", "snippets")` is that path in `../shared`, or skips the test."""

    def find(*parts: str) -> Path:
        if not SHARED.is_dir():
            pytest.skip(NEEDS_SHARED)
        path = SHARED.joinpath(*parts)
        if not path.exists():
            pytest.fail(f"../shared is there, but has no {'/'.join(parts)}")
        return path

    return find


def _source(nodeid: str) -> random.Random:
    """The random numbers of one test: the same for the same base seed, in any order."""
    return random.Random(f"{BASE_SEED}:{nodeid}")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random numbers of this test's own, repeated by the same FXSOCKET_TEST_SEED."""
    return _source(request.node.nodeid)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A 63-bit seed of this test's own, repeated by the same FXSOCKET_TEST_SEED."""
    return _source(request.node.nodeid).getrandbits(63)


def pytest_configure() -> None:
    """Keep a developer's own FXSOCKET_ settings away from the servers and clients under test.

    Many data folders lie on one disk until the run is over: their reserves are small.
    """
    for name in [*os.environ]:
        if name.startswith("FXSOCKET_") and not name.startswith(
            ("FXSOCKET_TEST_", "FXSOCKET_SOAK")
        ):
            del os.environ[name]
    os.environ["FXSOCKET_JOURNAL_RESERVE_MB"] = "1"


def pytest_report_header() -> str:
    """Name the seed and what this run can see."""
    shared = "present" if SHARED.is_dir() else "absent"
    return f"fxsocket: FXSOCKET_TEST_SEED={BASE_SEED}, ../shared {shared}, soak {SOAK}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out soak tests unless asked for; shuffle modules, then the tests inside each."""
    if not SOAK:
        config.hook.pytest_deselected(items=[item for item in items if _is_soak(item)])
        items[:] = [item for item in items if not _is_soak(item)]
    for item in filter(_is_soak, items):
        item.add_marker(pytest.mark.timeout(SOAK_WATCHDOG_S))
    items.sort(key=_place)


def _is_soak(item: pytest.Item) -> bool:
    return item.get_closest_marker("soak") is not None


def _place(item: pytest.Item) -> tuple[float, float]:
    """Where the seed puts a test: all of a module together, each test somewhere in it."""
    return _source(item.nodeid.partition("::")[0]).random(), _source(item.nodeid).random()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print the seed beside a failure of a test that drew random numbers."""
    report = yield
    drew = {"rng", "seed"} & set(getattr(item, "fixturenames", ()))
    if report.failed and drew:
        report.sections.append(("seed", f"repeat with FXSOCKET_TEST_SEED={BASE_SEED}"))
    return report


def _note_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        _skips.append((report.nodeid, reason.removeprefix("Skipped: ")))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember every skipped test."""
    _note_skip(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Remember every module that skipped itself."""
    _note_skip(report)


def _forbidden_skips() -> list[tuple[str, str]]:
    """In CI, beside the shared material, only a connector's capabilities excuse a skip."""
    if os.environ.get("CI") != "true" or not SHARED.is_dir():
        return []
    return [(nodeid, reason) for nodeid, reason in _skips if not reason.startswith(CAPABILITY)]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run that skipped what it could have tested."""
    if session.exitstatus == pytest.ExitCode.OK and _forbidden_skips():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Count what was skipped, by cause, and name what must not have been."""
    for cause in (NEEDS_SHARED, CAPABILITY):
        if count := sum(reason.startswith(cause) for _, reason in _skips):
            terminalreporter.write_line(f"skipped, {cause.rstrip(':')}: {count}", yellow=True)
    for nodeid, reason in _forbidden_skips():
        terminalreporter.write_line(f"skipped in CI: {nodeid}: {reason}", red=True)
