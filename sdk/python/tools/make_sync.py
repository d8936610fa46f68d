"""Make the blocking client from the asyncio one: `python tools/make_sync.py [--check]`.

`src/fxsocket/_async` is written by hand, `src/fxsocket/_sync` is what comes out of here, so the two
clients are the same method for method. Only the streams are both written by hand: the blocking one
runs the asyncio one's core in a thread. With `--check` nothing is written and the exit code is 1
when `_sync` is not up to date.
"""

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "fxsocket"
BY_HAND = {"stream.py"}
MARKER = "# Made from {source} by tools/make_sync.py; edit that file instead.\n"

RULES = (
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\baclose\b", "close"),
    (r"\baiter_bytes\b", "iter_bytes"),
    (r"\basync_sleep\b", "sleep"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\b_async\b", "_sync"),
    (r"for (\w+) in (\w+):\n +yield \1\n", r"yield from \2\n"),
)
WORDS = (
    (
        "The client for asyncio; `tools/make_sync.py` makes the blocking one from it.",
        "The blocking client, made by `tools/make_sync.py`.",
    ),
)


def made_from(source: Path) -> str:
    """The blocking form of one asyncio module."""
    text = source.read_text(encoding="utf-8")
    for old, new in WORDS:
        text = text.replace(old, new)
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return MARKER.format(source=f"_async/{source.name}") + _sorted_imports(text)


def _sorted_imports(text: str) -> str:
    # Names and modules were renamed, so lines of imports and names in them may need sorting anew.
    text = re.sub(r"^(from \S+ import )([\w, ]+)$", _sort_names, text, flags=re.MULTILINE)
    return re.sub(r"(?:^from fxsocket.*\n)+", _sort_lines, text, flags=re.MULTILINE)


def _sort_names(match: re.Match[str]) -> str:
    names = match[2].split(", ")
    return match[1] + ", ".join(sorted(names, key=_import_order))


def _import_order(name: str) -> tuple[int, str]:
    kind = 0 if name.isupper() else 1 if name[0].isupper() else 2
    return kind, name


def _sort_lines(match: re.Match[str]) -> str:
    return "".join(sorted(match[0].splitlines(keepends=True), key=lambda line: line.split()[1]))


def stale() -> list[Path]:
    """The blocking modules that are missing, superfluous or not what their source makes."""
    sources = (p for p in (PACKAGE / "_async").glob("*.py") if p.name not in BY_HAND)
    made = (p for p in (PACKAGE / "_sync").glob("*.py") if p.name not in BY_HAND)
    wanted = {PACKAGE / "_sync" / source.name: made_from(source) for source in sources}
    there = {path: path.read_text(encoding="utf-8") for path in made}
    return sorted(p for p in wanted.keys() | there.keys() if wanted.get(p) != there.get(p))


def main(arguments: list[str]) -> int:
    """Write what is stale, or only name it; gives the exit code."""
    paths = stale()
    for path in paths:
        print(path.relative_to(PACKAGE))
        if "--check" not in arguments:
            _renew(path)
    return 1 if paths and "--check" in arguments else 0


def _renew(path: Path) -> None:
    source = PACKAGE / "_async" / path.name
    if source.exists():
        path.write_text(made_from(source), encoding="utf-8")
    else:
        path.unlink()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
