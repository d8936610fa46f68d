"""Checks of the code itself that no linter has: sizes, doors, bounds, and Markdown that holds.

A rule is one small function that yields `(line, message)`. The only way past a rule is a comment
on that line or directly above it, `# tidy: <rule> because <why>`; one that excuses nothing is a
finding too. `python tools/tidy.py` prints `file:line: message [rule]`, and exits 1 if any.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 600
LINE_CHARS_MAX = 100

SERVER = "server/src/fxsocket_server/"
SDK = "sdk/python/src/fxsocket/"

EXCUSE = re.compile(r"#\s*tidy:\s*([\w-]+)\s+because\s+\S")
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(?:work|root|home/\w+|Users/\w+)/")
MARKDOWN_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)(?:\s+\"[^\"]*\")?\)")

Place = tuple[int, str]  # line, message


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule at one place."""

    path: str
    line: int
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message} [{self.rule}]"


@dataclass(frozen=True)
class Source:
    """One file: its path from the repository's root, with forward slashes, and its text."""

    path: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @cached_property
    def comments(self) -> dict[int, str]:
        """Line number -> the comment on that line."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return {token.start[0]: token.string for token in tokens if token.type == tokenize.COMMENT}

    def notes(self, line: int) -> Iterator[Place]:
        """The comment on a line, and the block of comment lines directly above it."""
        if line in self.comments:
            yield line, self.comments[line]
        above = line - 1
        while above in self.comments and self.lines[above - 1].lstrip().startswith("#"):
            yield above, self.comments[above]
            above -= 1

    @cached_property
    def imported(self) -> dict[str, str]:
        """Local name -> the dotted name that it was imported from."""
        names: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    root = alias.name.partition(".")[0]
                    names[alias.asname or root] = alias.name if alias.asname else root
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        return names

    def dotted(self, node: ast.AST) -> str:
        """`t.monotonic` after `import time as t` is "time.monotonic"; "" if not imported."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        root = self.imported.get(node.id, "") if isinstance(node, ast.Name) else ""
        return ".".join([root, *reversed(parts)]) if root else ""

    @property
    def is_test(self) -> bool:
        return "tests" in PurePosixPath(self.path).parts or self.path.endswith("conftest.py")

    @property
    def is_product(self) -> bool:
        return self.path.startswith((SERVER, SDK)) and not self.is_test

    def inside(self, *names: str) -> bool:
        """Whether this is one of these modules, or in one of these packages, of server or SDK."""
        inner = self.path.removeprefix(SERVER).removeprefix(SDK)
        return any(inner == f"{name}.py" or inner.startswith(f"{name}/") for name in names)


# --- rules about one Python file ---------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """A named check and the files it is for."""

    name: str
    applies: Callable[[Source], bool]
    check: Callable[[Source], Iterator[Place]]


RULES: list[Rule] = []
Check = Callable[[Source], Iterator[Place]]


def rule(name: str, applies: Callable[[Source], bool]) -> Callable[[Check], Check]:
    """Enter a function into the list of rules."""

    def enter(check: Check) -> Check:
        RULES.append(Rule(name, applies, check))
        return check

    return enter


def everywhere(_source: Source) -> bool:
    """Any Python file."""
    return True


def tests(source: Source) -> bool:
    """Tests and their helpers."""
    return source.is_test


def code(source: Source) -> bool:
    """Whatever runs outside tests: server, SDK, tools, benches, examples."""
    return not source.is_test


def product(source: Source) -> bool:
    """What ships: server and SDK."""
    return source.is_product


def integer_arithmetic(source: Source) -> bool:
    """Where money, volumes and prices are integers."""
    return source.path.startswith((f"{SERVER}model/", f"{SERVER}broker/"))


@rule("function-size", everywhere)
def function_size(source: Source) -> Iterator[Place]:
    """A function fits on one screen; its docstring does not count."""
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            doc = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
            spent = _height(node) - (_height(doc) if doc else 0)
            if spent > FUNCTION_LINES_MAX:
                limit = f"at most {FUNCTION_LINES_MAX}: split it by verb"
                yield node.lineno, f"{node.name} has {spent} lines, {limit}"


def _height(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


@rule("file-size", everywhere)
def file_size(source: Source) -> Iterator[Place]:
    """A file can be read in one sitting."""
    if len(source.lines) > FILE_LINES_MAX:
        yield 1, f"{len(source.lines)} lines, at most {FILE_LINES_MAX}: split it by subject"


@rule("line-length", everywhere)
def line_length(source: Source) -> Iterator[Place]:
    """A line fits beside another file."""
    for number, line in enumerate(source.lines, 1):
        if len(line) > LINE_CHARS_MAX:
            yield number, f"{len(line)} characters, at most {LINE_CHARS_MAX}"


@rule("docstring", code)
def module_docstring(source: Source) -> Iterator[Place]:
    """A module says what it is for."""
    if ast.get_docstring(source.tree) is None:
        yield 1, "the module has no docstring: say in one sentence what it is for"


@rule("todo", everywhere)
def todo(source: Source) -> Iterator[Place]:
    """Work that is left stands in the tracker, not in the code."""
    for number, comment in source.comments.items():
        if re.search(r"\b(TODO|FIXME|XXX)\b", comment):
            yield number, "unfinished work in a comment: do it, or open an issue"


@rule("print", product)
def printing(source: Source) -> Iterator[Place]:
    """Standard output belongs to the command line."""
    for node in _calls(source):
        if isinstance(node.func, ast.Name) and node.func.id == "print" and not source.inside("cli"):
            yield node.lineno, "print outside cli: log it, or return it"


def _calls(source: Source) -> Iterator[ast.Call]:
    return (node for node in source.nodes if isinstance(node, ast.Call))


def _door(
    source: Source, names: Iterable[str], keepers: Iterable[str], fix: str
) -> Iterator[Place]:
    """Names (or, ending in a dot, whole modules) that only the keepers may use."""
    exact = {name for name in names if not name.endswith(".")}
    modules = tuple(name for name in names if name.endswith("."))
    if source.inside(*keepers):
        return
    for node in source.nodes:
        if isinstance(node, ast.Name | ast.Attribute):
            name = source.dotted(node)
            if name in exact or name.startswith(modules):
                yield node.lineno, f"{name} outside {', '.join(keepers)}: {fix}"


@rule("clock", product)
def clock(source: Source) -> Iterator[Place]:
    """Time is injected, so that a world can be replayed."""
    ticking = ("time", "monotonic", "perf_counter")
    names = [f"time.{name}{unit}" for name in ticking for unit in ("", "_ns")]
    names += [f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")]
    names += ["datetime.date.today"]
    yield from _door(source, names, ("core/clock", "cli", "_runtime"), "ask the injected clock")


@rule("chance", product)
def chance(source: Source) -> Iterator[Place]:
    """Random numbers are injected too."""
    names = ("random.", "secrets.", "uuid.uuid1", "uuid.uuid4", "os.urandom")
    keepers = ("core/rng", "security", "bootstrap", "_runtime")
    yield from _door(source, names, keepers, "take injected random bytes or the seeded generator")


@rule("env", product)
def environment(source: Source) -> Iterator[Place]:
    """Settings have one reader."""
    names = ("os.environ", "os.environb", "os.getenv", "os.putenv")
    keepers = ("settings", "cli", "testkit", "_runtime")
    yield from _door(source, names, keepers, "read it in settings and pass it in")


@rule("broad-except", code)
def broad_except(source: Source) -> Iterator[Place]:
    """Whoever catches everything raises it again, or says why this is the boundary."""
    for node in source.nodes:
        if isinstance(node, ast.ExceptHandler) and _is_broad(node.type) and not _raises(node):
            yield node.lineno, "catches everything and goes on: name the errors, or say why"


def _raises(handler: ast.ExceptHandler) -> bool:
    """Whether it raises in the end; a `raise` under an `if` leaves a way on."""
    return any(isinstance(step, ast.Raise) for step in handler.body)


def _is_broad(caught: ast.expr | None) -> bool:
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"})
        for kind in kinds
    )


QUEUES = {"asyncio", "multiprocessing", "queue"}
QUEUE_KINDS = {"Queue", "LifoQueue", "PriorityQueue"}


@rule("unbounded", code)
def unbounded(source: Source) -> Iterator[Place]:
    """Every queue has a bound, or says what else bounds it."""
    for node in _calls(source):
        name = source.dotted(node.func)
        module, _, kind = name.rpartition(".")
        if module in QUEUES and kind in QUEUE_KINDS and not _bounded(node, 0, "maxsize"):
            yield node.lineno, f"{name} without maxsize: take it from core/limits.py"
        if name in {"queue.SimpleQueue", "multiprocessing.SimpleQueue"}:
            yield node.lineno, f"{name} cannot be bounded: use Queue(maxsize)"
        if name == "collections.deque" and not _bounded(node, 1, "maxlen"):
            yield node.lineno, f"{name} without maxlen: bound it, or say what does"


def _bounded(call: ast.Call, position: int, keyword: str) -> bool:
    given = [word.value for word in call.keywords if word.arg == keyword]
    given += call.args[position : position + 1]
    return any(not (isinstance(bound, ast.Constant) and not bound.value) for bound in given)


@rule("loop", code)
def endless_loop(source: Source) -> Iterator[Place]:
    """A loop without a condition says what ends it."""
    for node in source.nodes:
        if isinstance(node, ast.While) and isinstance(node.test, ast.Constant) and node.test.value:
            notes = [note for _, note in source.notes(node.lineno)]
            if not any(re.match(r"#\s*(bounded by|until)\s+\S", note) for note in notes):
                yield node.lineno, "endless loop: say `# until ...` or `# bounded by ...`"


@rule("sql", code)
def formatted_sql(source: Source) -> Iterator[Place]:
    """Values reach SQL as parameters."""
    for node in source.nodes:
        first = node.values[0] if isinstance(node, ast.JoinedStr) and node.values else None
        start = str(first.value) if isinstance(first, ast.Constant) else ""
        if first and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE)\s", start):
            yield first.lineno, "SQL in an f-string: bind the values as parameters"


@rule("float", integer_arithmetic)
def floating(source: Source) -> Iterator[Place]:
    """Points, 1e-8 lots and minor units stay integers until the wire."""
    for node in _calls(source):
        if isinstance(node.func, ast.Name) and node.func.id == "float":
            yield node.lineno, "float() in integer arithmetic: convert at the wire"


@rule("mutable-default", everywhere)
def mutable_default(source: Source) -> Iterator[Place]:
    """A default is made once and shared by every call."""
    for node in source.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for default in (*node.args.defaults, *node.args.kw_defaults):
                if default and _is_mutable(default):
                    yield default.lineno, "mutable default argument: use None or a tuple"


def _is_mutable(node: ast.expr) -> bool:
    literals = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    makers = {"list", "dict", "set", "bytearray"}
    made = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in makers
    return isinstance(node, literals) or made


@rule("sleep", tests)
def sleeping(source: Source) -> Iterator[Place]:
    """A test waits for what happens, never for time to pass; sleep(0) only yields the loop."""
    for node in _calls(source):
        name = source.dotted(node.func)
        zero = node.args and isinstance(node.args[0], ast.Constant) and not node.args[0].value
        if name == "time.sleep" or (name in {"asyncio.sleep", "anyio.sleep"} and not zero):
            yield node.lineno, f"{name} in a test: wait for the event itself"


@rule("test-package", tests)
def test_package(source: Source) -> Iterator[Place]:
    """Two folders that are both the package `tests` would shadow each other's files."""
    if source.path.endswith("__init__.py"):
        yield 1, "tests hold no __init__.py, or files of one name run twice and others never"


# --- rules about several files, and about other text -------------------------------------------


def dead_modules(sources: list[Source]) -> Iterator[tuple[Source, Place]]:
    """Modules of server and SDK that nothing but a test imports (testkit lives for tests)."""
    used = _names_used(source for source in sources if not source.is_test)
    used_by_tests = _names_used(source for source in sources if source.is_test)
    for source in filter(product, sources):
        stem = PurePosixPath(source.path).stem
        alive = used | used_by_tests if source.inside("testkit") else used
        entry = stem in {"__init__", "__main__"} or "/migrations/" in source.path
        if not entry and module_name(source.path) not in alive:
            yield source, (1, "nobody imports this module: use it or delete it")


def module_name(path: str) -> str:
    """`server/src/fxsocket_server/core/ids.py` is "fxsocket_server.core.ids"."""
    inner = path.partition("/src/")[2].removesuffix(".py").removesuffix("/__init__")
    return inner.replace("/", ".")


def _names_used(sources: Iterable[Source]) -> set[str]:
    return {name for source in sources for node in source.nodes for name in _imports(source, node)}


def _imports(source: Source, node: ast.AST) -> Iterator[str]:
    """The dotted names that a node imports; a string such as "package.module:app" counts."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        folder = PurePosixPath(source.path).parents[max(node.level - 1, 0)]
        parent = [module_name(str(folder))] if node.level else []
        base = ".".join([*parent, *([node.module] if node.module else [])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value.partition(":")[0]


def markdown(source: Source, root: Path) -> Iterator[tuple[str, Place]]:
    """One title, and links that lead somewhere inside the repository."""
    prose = list(_prose(source))
    titles = [number for number, line in prose if line.startswith("# ")]
    if len(titles) != 1:
        yield "md-title", (titles[1] if titles else 1, f"{len(titles)} titles (`# `), exactly one")
    for number, line in prose:
        for target in MARKDOWN_LINK.findall(line):
            if problem := _broken_link(root, source.path, target):
                yield "md-link", (number, f"link {target} {problem}")


def _prose(source: Source) -> Iterator[Place]:
    """The lines outside fenced code, without inline code."""
    fenced = False
    for number, line in enumerate(source.lines, 1):
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif not fenced:
            yield number, re.sub(r"`[^`]*`", "", line)


def _broken_link(root: Path, path: str, target: str) -> str:
    """What is wrong with a link's target; "" for a good one, an address or a place on the page."""
    place = unquote(target.partition("#")[0])
    if not place or re.match(r"[a-z][a-z0-9+.-]*:", place):
        return ""
    full = (root / path).parent.joinpath(place).resolve()
    if not full.is_relative_to(root.resolve()):
        return "leads out of the repository"
    return "" if full.exists() else "leads nowhere"


def machine_paths(source: Source) -> Iterator[Place]:
    """No file knows where one person keeps the checkout."""
    for number, line in enumerate(source.lines, 1):
        if found := MACHINE_PATH.search(line):
            yield number, f"{found.group()} is a path of one machine: make it relative"


# --- putting it together -----------------------------------------------------------------------


def check(sources: list[Source], root: Path) -> list[Finding]:
    """Every finding in these files, in order; `root` is where their paths start."""
    python, kept = _parsed(source for source in sources if source.path.endswith(".py"))
    found = [
        (source, rule.name, place)
        for source in python
        for rule in RULES
        if rule.applies(source)
        for place in rule.check(source)
    ]
    found += [(source, "dead-module", place) for source, place in dead_modules(python)]
    kept += _unexcused(python, found)
    for source in sources:
        kept += _findings(source, (("machine-path", place) for place in machine_paths(source)))
        if source.path.endswith(".md"):
            kept += _findings(source, markdown(source, root))
    return sorted(set(kept))


def _parsed(sources: Iterable[Source]) -> tuple[list[Source], list[Finding]]:
    """The files that are Python, and a finding for each that is not."""
    good, bad = [], []
    for source in sources:
        try:
            _ = source.tree
            good.append(source)
        except SyntaxError as error:
            bad.append(Finding(source.path, error.lineno or 1, "syntax", error.msg))
    return good, bad


def _findings(source: Source, found: Iterable[tuple[str, Place]]) -> Iterator[Finding]:
    return (Finding(source.path, line, name, message) for name, (line, message) in found)


def _unexcused(sources: list[Source], found: list[tuple[Source, str, Place]]) -> Iterator[Finding]:
    """What no comment excuses, and the excuses that excuse nothing."""
    used: set[tuple[str, int]] = set()
    for source, name, (line, message) in found:
        excuse = _excuse(source, name, line)
        if excuse:
            used.add((source.path, excuse))
        else:
            yield Finding(source.path, line, name, message)
    for source in sources:
        for line, comment in source.comments.items():
            if re.match(r"#\s*tidy:", comment) and (source.path, line) not in used:
                message = "excuses nothing: remove it, or write `# tidy: <rule> because <why>`"
                yield Finding(source.path, line, "excuse", message)


def _excuse(source: Source, name: str, line: int) -> int:
    """The line of the comment that excuses a finding, or 0."""
    for number, note in source.notes(line):
        excuse = EXCUSE.match(note)
        if excuse and excuse[1] == name:
            return number
    return 0


def repository_files(root: Path) -> list[Source]:
    """The text files of the repository: tracked, or new and not ignored."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout
    sources = []
    for path in sorted(set(listed.split("\0")) - {""}):
        try:
            sources.append(Source(path, (root / path).read_text(encoding="utf-8")))
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue  # binary, deleted but not yet committed, or a submodule
    return sources


def main() -> int:
    """Check the repository this file lies in; the number of findings decides the exit code."""
    root = Path(__file__).resolve().parent.parent
    sources = repository_files(root)
    found = check(sources, root)
    for finding in found:
        print(finding)
    print(f"tidy: {len(sources)} files, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
