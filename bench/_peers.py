"""Environments of the peers: each package set in one of its own in the user's cache folder."""

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from _host import ROOT, console


class Missing(Exception):
    """A peer that cannot be installed or run; says why."""


def cache_folder() -> Path:
    """Where environments stay from run to run."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fxsocket-bench"


def environment(name: str, packages: Sequence[str]) -> Path:
    """The Python of a peer's environment, made when there is none; Missing says why not."""
    folder = cache_folder() / f"{name}-{sys.version_info.major}.{sys.version_info.minor}"
    python, stamp = folder / "bin" / "python", folder / ".installed"
    if not stamp.exists():
        console.print(f"installing {name} into {folder}; this happens once")
        called((sys.executable, "-m", "venv", "--clear", folder), None)
        pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install")
        called((*pip, *packages), None)
        stamp.touch()
    return python


def called(command: Iterable[str | Path], core: int | None) -> str:
    """What a command prints; Missing holds the last line of its complaint."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    clean["PYTHONPATH"] = str(ROOT / "server" / "src")
    pin = () if core is None else ("taskset", "--cpu-list", str(core))
    done = subprocess.run((*pin, *command), env=clean, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        raise Missing(lines[-1] if lines else f"ended with {done.returncode}")
    return done.stdout
