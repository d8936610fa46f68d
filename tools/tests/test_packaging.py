"""What is installed: pins with hashes and no addresses, one list of needs, a whole wheel."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
REQUIREMENTS = REPO / "requirements"
PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)")


def pins(name):
    """Package -> pinned version of one compiled file."""
    lines = (REQUIREMENTS / f"{name}.txt").read_text().splitlines()
    return {found[1]: found[2] for line in lines if (found := PIN.match(line))}


def needs(name):
    """Package -> its line in one hand-written list, without blanks."""
    lines = (REQUIREMENTS / f"{name}.in").read_text().splitlines()
    wanted = [line.replace(" ", "") for line in lines if re.match(r"[A-Za-z]", line)]
    return {package(line): line.replace('"', "'") for line in wanted}


def package(requirement):
    """`PyYAML>=6` is about "pyyaml"."""
    return re.split(r"[<>=;\[ ]", requirement)[0].lower()


@pytest.mark.parametrize("name", ["run", "dev"])
def test_every_pin_has_hashes_and_no_file_records_an_address(name):
    text = (REQUIREMENTS / f"{name}.txt").read_text()
    blocks = re.split(r"^(?=[a-z0-9.-]+==)", text, flags=re.MULTILINE)[1:]
    assert blocks
    assert [block for block in blocks if "--hash=sha256:" not in block] == []
    assert not re.search(r"https?://|index-url|find-links|file:", text)
    assert set(needs(name)) <= set(pins(name))


def test_tests_run_against_what_is_served():
    run, dev = pins("run"), pins("dev")
    assert {name: dev.get(name) for name in run} == run


@pytest.mark.parametrize("project", ["server", "sdk/python"])
def test_a_package_needs_nothing_that_is_not_pinned(project):
    settings = tomllib.loads((REPO / project / "pyproject.toml").read_text())["project"]
    wanted = {package(line) for line in settings["dependencies"]}
    assert wanted <= set(needs("run"))


def test_server_and_requirements_name_the_same_lower_bounds():
    settings = tomllib.loads((REPO / "server" / "pyproject.toml").read_text())["project"]
    wanted = {line.replace(" ", "") for line in settings["dependencies"]}
    assert wanted <= set(needs("run").values())


def test_wheel_holds_the_whole_package_and_the_contract(tmp_path):
    """Every file of the package that is not a cache, and spec/ as `_spec`, is in the wheel."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=REPO / "server", check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())

    roots = {"server/src/fxsocket_server": "fxsocket_server", "spec": "fxsocket_server/_spec"}
    for folder, inside in roots.items():
        files = [path for path in (REPO / folder).rglob("*") if path.is_file()]
        wanted = {
            f"{inside}/{path.relative_to(REPO / folder).as_posix()}"
            for path in files
            if "__pycache__" not in path.parts
        }
        assert wanted, folder
        assert wanted <= held
    assert "fxsocket_server/LICENSE" in held
