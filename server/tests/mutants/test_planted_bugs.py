"""Planted bugs: each patch beside this page breaks a promise, and a named test must notice.

A patch is applied to a copy of the server, never to the checkout. There every module must still be
importable (in `make soak`: every test collected), and the test that the patch names must fail by an
assertion: a bug that only breaks an import, or hangs, proves nothing. `make test` plants the
quickest few, `make soak` all.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
COPIED = ("README.md", "conftest.py", "docs", "pyproject.toml", "server", "spec", "tools")
QUICK = (
    "publish_before_commit",
    "key_ignores_account",
    "fingerprint_ignores_volume",
    "lookup_concludes_while_started",
    "one_lost_answer_serves_two",
)
WATCHDOG_S = 300


class Bug(Struct):
    """A patch with its heading: what it breaks, and `Caught by: <node id>`."""

    name: str
    path: Path
    caught_by: str


def bugs() -> list[Bug]:
    """All patches by name."""
    return [_bug(path) for path in sorted(HERE.glob("*.patch"))]


def _bug(path: Path) -> Bug:
    named = re.search(r"^Caught by: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert named is not None, f"{path.name} must name its test in a line 'Caught by: <node id>'"
    return Bug(path.stem, path, named[1])


class Copy:
    """The server in a folder of its own, where bugs are planted and pulled out again."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "copy"
        self.root.mkdir()
        skipped = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.pyc")
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, self.root / name, ignore=skipped)
            else:
                shutil.copy2(source, self.root / name)
        shared = ROOT.parent / "shared"
        if shared.is_dir():
            (folder / "shared").symlink_to(shared)

    def plant(self, bug: Bug, *, back: bool = False) -> None:
        """Apply a patch where it fits exactly, or take it out again."""
        # No repository around the copy: git must not look for one, nor find the checkout.
        done = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", *(["--reverse"] if back else []), bug.path],
            cwd=self.root,
            env={**os.environ, "GIT_CEILING_DIRECTORIES": str(self.root.parent)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (
            f"{bug.path.name} does not apply any more:\n{done.stderr}\nPlant the bug by hand in "
            "the file that it names, put its `git diff` below the patch's heading, and take it out "
            "of the checkout again."
        )

    def run(self, test: str, *, collecting: str) -> subprocess.CompletedProcess[str]:
        """Import the whole server, collect from a path and run one test; `told` has its story."""
        (self.root / "told.json").unlink(missing_ok=True)
        own = [str(self.root / "server/src"), str(HERE)]
        kept = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTEST_ADDOPTS")}
        return subprocess.run(
            [sys.executable, "-m", "pytest", collecting, "-q", "-p", "only_named",
             "-p", "no:cacheprovider", "-p", "no:schemathesis"],
            cwd=self.root,
            env={
                **kept,
                "PLANTED_TEST": test,
                "PLANTED_REPORT": str(self.root / "told.json"),
                "PYTHONPATH": os.pathsep.join(own),
            },
            capture_output=True,
            text=True,
            timeout=WATCHDOG_S,
            check=False,
        )  # fmt: skip

    def told(self) -> list[dict[str, object]]:
        """What the plugin wrote down of the test that was run."""
        story: list[dict[str, object]] = json.loads((self.root / "told.json").read_text())
        return story


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    made = Copy(tmp_path_factory.mktemp("planted"))
    yield made
    shutil.rmtree(made.root)  # what a run leaves is searched, and the source is no finding


def is_caught(copy: Copy, bug: Bug, *, collecting: str) -> None:
    """The named test passes without the bug (it ran in this very suite) and fails with it."""
    copy.plant(bug)
    try:
        done = copy.run(bug.caught_by, collecting=collecting)
    finally:
        copy.plant(bug, back=True)
    said = done.stdout[-4_000:] + done.stderr[-2_000:]
    assert done.returncode in (0, 1), f"with {bug.name} not everything can be collected:\n{said}"
    calls = [told for told in copy.told() if told["when"] == "call"]
    assert calls, f"{bug.caught_by} was not run; is that its name?\n{said}"
    failed = [told for told in calls if told["outcome"] == "failed"]
    assert failed, f"{bug.name} was not noticed by {bug.caught_by}"
    by_assertion = [f for f in failed if f["is_assertion"] and "Timeout" not in str(f["shown"])]
    assert by_assertion, (
        f"{bug.name} ended {bug.caught_by} otherwise than by an assertion: {failed}"
    )


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_bug_is_caught(name: str, copy: Copy) -> None:
    bug = _bug(HERE / f"{name}.patch")
    is_caught(copy, bug, collecting=bug.caught_by.partition("::")[0])


@pytest.mark.soak
@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_every_planted_bug_is_caught(bug: Bug, copy: Copy) -> None:
    is_caught(copy, bug, collecting="server/tests")


def test_there_are_enough_bugs_and_each_names_a_test_that_is_there() -> None:
    assert len(bugs()) >= 25
    assert set(QUICK) <= {bug.name for bug in bugs()}
    for bug in bugs():
        path, _, test = bug.caught_by.partition("::")
        assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), bug.name


@pytest.mark.parametrize("bug", bugs(), ids=lambda bug: bug.name)
def test_a_patch_still_applies(bug: Bug, copy: Copy) -> None:
    copy.plant(bug)
    copy.plant(bug, back=True)
