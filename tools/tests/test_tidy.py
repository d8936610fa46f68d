"""Each rule of tidy bites on a small sample, lets its repaired form pass, and can be excused."""

import subprocess
import sys
from pathlib import Path

import pytest

import tidy

ENGINE = "server/src/fxsocket_server/gateway/engine.py"
BROKER = "server/src/fxsocket_server/broker/engine.py"
TEST = "server/tests/test_engine.py"
ROOT = Path("/")

BODY = '"""What it is for."""\n'
LONG = "def place():\n" + "    step()\n" * 70
DOCUMENTED = 'def place():\n    """' + "One.\n" * 9 + '    """\n' + "    step()\n" * 69
SWALLOW = "try:\n    step()\nexcept {}:\n    {}\n"

# rule, path, a sample that breaks it, the same repaired
SAMPLES = [
    ("function-size", ENGINE, LONG, DOCUMENTED),
    ("function-size", TEST, f"async {LONG}", f"async {DOCUMENTED}"),
    ("file-size", ENGINE, "x = 1\n" * 600, "x = 1\n" * 599),
    ("line-length", ENGINE, f"x = '{'a' * 95}'\n", f"x = '{'a' * 94}'\n"),
    ("docstring", ENGINE, None, "x = 1\n"),
    ("todo", ENGINE, "x = 1  # TODO: more\n", "x = 'TODO'  # all of it\n"),
    ("print", ENGINE, "print(1)\n", "log.print(1)\n"),
    ("clock", ENGINE, "import time\ntime.time()\n", "clock.time()\n"),
    ("clock", ENGINE, "import time as t\nf(t.monotonic)\n", "import time as t\nt.gmtime(0)\n"),
    ("clock", ENGINE, "from time import time_ns\ntime_ns()\n", "time_ns()\n"),
    ("clock", ENGINE, "import datetime\ndatetime.date.today()\n", "date.today()\n"),
    (
        "clock",
        ENGINE,
        "from datetime import UTC, datetime\ndatetime.now(UTC)\n",
        "from datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)\n",
    ),
    ("chance", ENGINE, "import random\nrandom.Random(1)\n", "rng.random()\n"),
    ("chance", ENGINE, "from uuid import uuid4\nuuid4()\n", "from uuid import UUID\nUUID(x)\n"),
    ("chance", ENGINE, "import os\nos.urandom(8)\n", "import os\nos.getpid()\n"),
    ("env", ENGINE, "import os\nos.environ['A']\n", "import os\nos.fspath('A')\n"),
    ("env", ENGINE, "from os import getenv\ngetenv('A')\n", "getenv('A')\n"),
    (
        "broad-except",
        ENGINE,
        SWALLOW.format("Exception", "pass"),
        SWALLOW.format("Exception", "raise Failed from None"),
    ),
    (
        "broad-except",
        ENGINE,
        SWALLOW.format("Exception", "if fatal:\n        raise"),
        SWALLOW.format("Exception", "if fatal:\n        stop()\n    raise"),
    ),
    (
        "broad-except",
        ENGINE,
        SWALLOW.format("(OSError, BaseException)", "pass"),
        SWALLOW.format("(OSError, ValueError)", "pass"),
    ),
    (
        "unbounded",
        ENGINE,
        "import asyncio\nasyncio.Queue()\n",
        "import asyncio\nasyncio.Queue(QUEUE_MAX)\n",
    ),
    (
        "unbounded",
        ENGINE,
        "from queue import Queue\nQueue(maxsize=0)\n",
        "from queue import Queue\nQueue(maxsize=8)\n",
    ),
    (
        "unbounded",
        ENGINE,
        "import queue\nqueue.SimpleQueue()\n",
        "import queue\nqueue.LifoQueue(8)\n",
    ),
    (
        "unbounded",
        ENGINE,
        "from collections import deque\ndeque(rows)\n",
        "from collections import deque\ndeque(rows, 8)\n",
    ),
    ("loop", ENGINE, "while True:\n    step()\n", "while True:  # until stopped\n    step()\n"),
    ("loop", ENGINE, "while 1:\n    step()\n", "# bounded by the file\nwhile 1:\n    step()\n"),
    ("sql", ENGINE, 'f"SELECT {a} FROM b"\n', 'f"select the {a}"\n"SELECT ?"\n'),
    ("float", BROKER, "float(1)\n", "int(1)\n"),
    ("mutable-default", ENGINE, "def f(a=[]): ...\n", "def f(a=(), *, b=None): ...\n"),
    ("mutable-default", TEST, "def f(*, a=dict()): ...\n", "def f(*, a=tuple()): ...\n"),
    ("sleep", TEST, "import time\ntime.sleep(0)\n", "import time\ntime.gmtime(0)\n"),
    (
        "sleep",
        TEST,
        "from asyncio import sleep\nawait sleep(0.1)\n",
        "from asyncio import sleep\nawait sleep(0)\n",
    ),
    ("test-package", "server/tests/__init__.py", "x = 1\n", None),
]

# A rule's name and a file that it leaves alone, with the sample of the same rule above.
KEEPERS = [
    ("print", "server/src/fxsocket_server/cli/demo.py"),
    ("clock", "server/src/fxsocket_server/core/clock.py"),
    ("clock", "sdk/python/src/fxsocket/_runtime.py"),
    ("clock", "bench/orders.py"),
    ("chance", "server/src/fxsocket_server/security/keys.py"),
    ("env", "server/src/fxsocket_server/settings.py"),
    ("env", "tools/spec.py"),
    ("float", ENGINE),
    ("sleep", "bench/orders.py"),
    ("docstring", TEST),
    ("loop", TEST),
]


def rules_broken(path: str, text: str) -> list[str]:
    """The names of the rules that one file breaks, that nobody imports it left aside."""
    found = tidy.check([tidy.Source(path, text)], ROOT)
    return [finding.rule for finding in found if finding.rule != "dead-module"]


def bad_sample(rule: str) -> str:
    """The first sample above that breaks a rule, with a docstring unless that is the rule."""
    sample = next(bad for name, _, bad, _ in SAMPLES if name == rule)
    return "x = 1\n" if sample is None else BODY + sample


@pytest.mark.parametrize(("rule", "path", "bad", "good"), SAMPLES)
def test_rule_bites_and_lets_the_repair_pass(rule, path, bad, good):
    """A sample breaks its rule and no other; the repaired sample breaks none."""
    assert rules_broken(path, "x = 1\n" if bad is None else BODY + bad) == [rule]
    if good is not None:
        assert rules_broken(path, BODY + good) == []


@pytest.mark.parametrize(("rule", "path"), KEEPERS)
def test_rule_leaves_its_keepers_alone(rule, path):
    assert rule not in rules_broken(path, bad_sample(rule))


def test_every_rule_has_a_sample():
    assert {rule.name for rule in tidy.RULES} == {sample[0] for sample in SAMPLES}


@pytest.mark.parametrize(
    "text",
    [
        "print(1)  # tidy: print because it is the last word of a dying process\n",
        "# tidy: print because it is the last word\n# of a dying process\nprint(1)\n",
    ],
)
def test_a_reason_on_the_line_or_above_it_excuses(text):
    assert rules_broken(ENGINE, BODY + text) == []


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("print(1)  # tidy: print\n", ["excuse", "print"]),
        ("print(1)  # tidy: clock because why not\n", ["excuse", "print"]),
        ("step()  # tidy: print because it used to print\n", ["excuse"]),
        ("# tidy: print because of this\nstep()\nprint(1)\n", ["excuse", "print"]),
    ],
)
def test_an_excuse_without_reason_or_finding_is_a_finding(text, rules):
    assert sorted(rules_broken(ENGINE, BODY + text)) == rules


def test_finding_names_file_line_and_rule():
    [finding] = tidy.check([tidy.Source("tools/x.py", f"{BODY}# FIXME\n")], ROOT)
    assert str(finding).startswith("tools/x.py:2: ")
    assert str(finding).endswith(" [todo]")


def test_a_file_that_is_not_python_is_a_finding_and_hides_no_other():
    found = tidy.check([tidy.Source("tools/a.py", "def"), tidy.Source("tools/b.py", "")], ROOT)
    assert [(finding.path, finding.rule) for finding in found] == [
        ("tools/a.py", "syntax"),
        ("tools/b.py", "docstring"),
    ]


PACKAGE = "server/src/fxsocket_server"


@pytest.mark.parametrize(
    ("path", "importer", "line", "dead"),
    [
        ("core/ids.py", f"{PACKAGE}/cli/__init__.py", "import json", True),
        (
            "core/ids.py",
            f"{PACKAGE}/cli/__init__.py",
            "from fxsocket_server.core import ids",
            False,
        ),
        ("core/ids.py", f"{PACKAGE}/core/__init__.py", "from .ids import base62", False),
        ("core/ids.py", f"{PACKAGE}/core/__init__.py", "from . import ids", False),
        ("core/ids.py", f"{PACKAGE}/cli/__init__.py", 'run("fxsocket_server.core.ids:app")', False),
        ("core/ids.py", "server/tests/test_ids.py", "import fxsocket_server.core.ids", True),
        (
            "testkit/world.py",
            "server/tests/test_a.py",
            "import fxsocket_server.testkit.world",
            False,
        ),
        ("__main__.py", f"{PACKAGE}/cli/__init__.py", "import json", False),
        ("storage/migrations/env.py", f"{PACKAGE}/cli/__init__.py", "import json", False),
    ],
)
def test_modules_that_nothing_but_a_test_imports_are_dead(path, importer, line, dead):
    sources = [tidy.Source(f"{PACKAGE}/{path}", BODY), tidy.Source(importer, f"{BODY}{line}\n")]
    found = [(source.path, place[0]) for source, place in tidy.dead_modules(sources)]
    assert found == ([(f"{PACKAGE}/{path}", 1)] if dead else [])


@pytest.fixture
def docs(tmp_path):
    """A repository with one page to link to, beside a file that is not in it."""
    (tmp_path / "repo" / "docs").mkdir(parents=True)
    (tmp_path / "repo" / "docs" / "how to.md").write_text("# How to\n")
    (tmp_path / "outside.md").write_text("# Outside\n")
    return tmp_path / "repo"


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("# One\n\n[ok](how%20to.md#top) [ok](#one) [ok](https://example.com/x)\n", []),
        ("# One\n```sh\n# not a title, [not a link](x.md)\n```\n`[nor](here.md)`\n", []),
        ("## None\n", ["md-title"]),
        ("# One\n\n# Two\n", ["md-title"]),
        ("# One\n[gone](gone.md)\n", ["md-link"]),
        ('# One\n![gone](gone.png "a title")\n', ["md-link"]),
        ("# One\n[out](../../outside.md)\n", ["md-link"]),
    ],
)
def test_markdown_has_one_title_and_links_that_lead_somewhere(docs, text, rules):
    found = tidy.check([tidy.Source("docs/index.md", text)], docs)
    assert [finding.rule for finding in found] == rules


@pytest.mark.parametrize("folder", ["work", "root", "home/ann", "Users/ann"])
def test_a_path_of_one_machine_is_found_in_any_file(folder):
    found = tidy.check([tidy.Source("Makefile", f"run:\n\tcd /{folder}/main\n")], ROOT)
    assert [(finding.rule, finding.line) for finding in found] == [("machine-path", 2)]
    relative = f"cd ./{folder}/main; cd ../{folder}/x; GET https://example.com/{folder}/x\n"
    assert tidy.check([tidy.Source("Makefile", relative)], ROOT) == []


def test_command_reads_what_git_would_commit_and_exits_one_on_findings(tmp_path):
    """Run as a program in a small repository: new files count, ignored and binary ones do not."""
    (tmp_path / "tools").mkdir()
    program = tmp_path / "tools" / "tidy.py"
    program.write_text(Path(tidy.__file__).read_text())
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("ignored.md\n")
    (tmp_path / "ignored.md").write_text("no title\n")
    (tmp_path / "binary.md").write_bytes(b"\xff\xfe")

    clean = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)
    (tmp_path / "new.md").write_text("no title\n")
    untidy = subprocess.run([sys.executable, program], capture_output=True, text=True, check=False)

    assert (clean.returncode, clean.stdout) == (0, "tidy: 2 files, 0 findings\n")
    assert untidy.returncode == 1
    assert untidy.stdout.startswith("new.md:1: ")
