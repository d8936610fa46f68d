"""The reference pages say what the program, the contract and the stream say."""

import json
import re
from pathlib import Path

import pytest
import typer.main
import yaml
from click import Command, Option
from websockets.sync.client import connect

from fxsocket_server.bootstrap.accounts import load_profile
from fxsocket_server.broker.faults import SCENARIOS, Fault
from fxsocket_server.broker.profile import ProfileError, parse_profile
from fxsocket_server.channels.close_codes import CloseCode
from fxsocket_server.cli.app import app
from fxsocket_server.gateway.answers import ANSWERS
from fxsocket_server.settings import CRASH_POINTS, TERMINAL_CRASH_POINTS
from fxsocket_server.testkit.process import ServerProcess

from .blocks import KEY, ROOT, blocks_of, inline_code

REFERENCE = ROOT / "docs/reference"
PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md"))]

# Words like options and variables that belong to somebody else than the server.
OTHERS_OPTIONS = {"--cacert", "--seeds", "--shrink", "--trace"}  # of curl, and of testkit.sim
CLIENT_VARIABLES = {"FXSOCKET_API_KEY", "FXSOCKET_BASE_URL", "FXSOCKET_STREAM_URL"}
TEST_VARIABLES = {
    "FXSOCKET_CRASH_AT", "FXSOCKET_TERMINAL_CRASH_AT", "FXSOCKET_TEST_SEED", "FXSOCKET_SOAK",
}  # fmt: skip
KEY_VARIABLES = {"FXSOCKET_KEK", "FXSOCKET_KEK_OLD"}  # no options: a command line is no secret
SERVERS = ("demo", "serve")


def page(name: str) -> str:
    """A reference page's text."""
    return (REFERENCE / name).read_text()


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, inline code without its marks."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip(" `") for cell in line.strip().strip("|").split("|")] for line in lines]


def commands() -> dict[str, Command]:
    """Every command by its words, such as `account add`."""
    found: dict[str, Command] = {}
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", {"": command})
        found |= {f"{name} {word}".strip(): one for word, one in inner.items()}
    return found


def options(of: tuple[str, ...] = ()) -> dict[str, dict[str, Option]]:
    """The options of commands (all by default) by name, each by the commands that have it."""
    found: dict[str, dict[str, Option]] = {}
    for name, command in commands().items():
        for option in command.params:
            if option.param_type_name == "option" and (not of or name in of):
                found.setdefault(option.opts[0], {})[name] = option  # type: ignore[assignment]
    return found


def every_option() -> set[str]:
    """The names of the options of all commands."""
    found, commands = set(), [typer.main.get_command(app)]
    for command in commands:
        commands += getattr(command, "commands", {}).values()
        found |= {name for option in command.params for name in option.opts}
    return found


# --- configuration ---------------------------------------------------------------------------


def test_every_option_is_documented_with_its_variable_and_default() -> None:
    documented = {row[0]: row for row in rows(page("configuration.md")) if row[0][:2] == "--"}
    assert documented.keys() - options(SERVERS).keys() == {"--help"}
    for name, by_command in options(SERVERS).items():
        option = next(iter(by_command.values()))
        _, variable, default, commands, meaning = documented[name]
        assert variable == (option.envvar or ""), name
        assert commands == ("both" if len(by_command) == 2 else next(iter(by_command))), name
        assert default == shown_default(option), name
        assert meaning, name


@pytest.mark.parametrize("command", ["account add", "sim-terminal"])
def test_every_option_of_a_terminal_is_documented(command: str) -> None:
    section = page("terminals.md").partition(f"\n## {command}\n")[2].partition("\n## ")[0]
    documented = {row[0]: row for row in rows(section) if row[0][:2] == "--"}
    assert documented.keys() == options((command,)).keys()
    for name, by_command in options((command,)).items():
        option = by_command[command]
        _, default, meaning = documented[name]
        assert default == ("required" if option.required else shown_default(option)), name
        assert option.envvar is None or str(option.envvar) in meaning, name


def shown_default(option: Option) -> str:
    """The default as the page writes it."""
    if isinstance(option.show_default, str):
        return option.show_default
    if option.default is None or option.default == "":
        return ""
    return "off" if option.default is False else str(option.default)


def test_no_page_names_an_option_or_variable_that_is_not_there() -> None:
    known_variables = {o.envvar for by in options().values() for o in by.values() if o.envvar}
    known_variables |= CLIENT_VARIABLES | TEST_VARIABLES | KEY_VARIABLES
    known_options = every_option() | OTHERS_OPTIONS | {"--help"}
    for name in PAGES:
        code = " ".join(inline_code(name))
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", code)) <= known_options, name
        variables = re.findall(r"FXSOCKET_[A-Z_]+", (ROOT / name).read_text())
        assert set(variables) <= known_variables, name


def test_what_a_command_block_starts_is_there() -> None:
    """`make run ARGS="..."`: its options exist, and so do the files that it replays."""
    seen = 0
    for name in PAGES:
        for block in blocks_of(name, "sh"):
            command = block.code.replace("\\\n", "")
            for file in re.findall(r"--replay (server\S+)", command):
                assert (ROOT / file).is_file(), block
                seen += 1
            if "make run" in command:
                assert set(re.findall(r"--[a-z-]+", command)) <= options().keys(), block
    assert seen


def test_crash_points_are_documented() -> None:
    assert all(point in page("configuration.md") for point in CRASH_POINTS)
    assert all(point in page("terminals.md") for point in TERMINAL_CRASH_POINTS)


# --- errors ----------------------------------------------------------------------------------


def test_every_error_code_is_documented_as_the_contract_has_it() -> None:
    contract = yaml.safe_load((ROOT / "spec/errors.yaml").read_text())
    documented = {
        row[0]: row[1:] for row in rows(page("errors.md")) if row[1:] and row[1].isdigit()
    }
    assert documented == {
        code: [str(kind["status"]), "yes" if kind["retryable"] else "no", kind["advice"]]
        for code, kind in contract.items()
    }


def test_every_scenario_and_setting_of_a_fault_is_documented() -> None:
    path = "docs/how-to/chaos-sandbox.md"
    first = " ".join(row[0] for row in rows((ROOT / path).read_text()))
    named = set(re.findall(r"[a-z]+(?:_[a-z]+)*", first)) - {"scenario", "setting"}
    settings = set(Fault.__struct_fields__) - {"scenario"}
    assert named == set(SCENARIOS) | settings
    contract = yaml.safe_load((ROOT / "spec/openapi.yaml").read_text())["components"]["schemas"]
    assert contract["ScenarioName"]["enum"] == list(SCENARIOS)


def test_every_retcode_is_documented_as_the_contract_has_it() -> None:
    contract = yaml.safe_load((ROOT / "spec/retcodes.yaml").read_text())
    documented = {row[1]: row for row in rows(page("errors.md")) if row[0].isdigit()}
    assert documented == {
        name: [
            str(retcode["number"]), name, retcode["error"] or "success", str(retcode["mt4"] or "")
        ]
        for name, retcode in contract.items()
    }  # fmt: skip


# --- events and frames -----------------------------------------------------------------------


def test_every_event_type_is_documented() -> None:
    gateway = Path(load_profile.__code__.co_filename).parents[1] / "gateway"
    modules = {path.name: path.read_text() for path in gateway.rglob("*.py")}
    word = re.compile(r'"((?:order|deal|position|balance|terminal|account)\.[a-z_]+)"')
    named = set(word.findall("".join(modules.values())))
    makers = "".join(modules[name] for name in ("recorder.py", "terminal.py", "guard.py"))
    made = set(word.findall(makers)) - set(ANSWERS)
    documented = {row[0] for row in rows(page("events.md")) if "." in row[0]} - set(ANSWERS)
    assert made <= documented <= named


def test_every_close_code_is_documented() -> None:
    documented = {int(row[0]) for row in rows(page("stream.md")) if row[0].isdigit()}
    assert documented == {code.value for code in CloseCode}


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """How the stream answers an action and a channel that it does not have."""
    data = tmp_path_factory.mktemp("reference") / "data"
    asked = [{"action": "nothing"}, {"action": "subscribe", "channels": ["nothing"]}]
    with ServerProcess(data, api_key=KEY) as server:
        headers = {"Authorization": f"Bearer {KEY}"}
        with connect(server.addresses.stream, additional_headers=headers) as stream:
            for frame in asked:
                stream.send(json.dumps(frame))
            return [json.loads(stream.recv(timeout=30))["detail"] for _ in asked]


def test_every_action_is_documented(refusals: list[str]) -> None:
    offered = set(refusals[0].removeprefix("action must be one of ").split(", "))
    sent = page("stream.md").partition("## What a client sends")[2].partition("\n## ")[0]
    assert {row[0] for row in rows(sent)} - {"action", "---"} == offered


def test_every_channel_is_documented(refusals: list[str]) -> None:
    offered = refusals[1].partition("available are ")[2].split(", ")
    (row,) = [row for row in rows(page("stream.md")) if row[0] == "subscribe"]
    assert offered
    assert all(channel in row[1] for channel in offered)


# --- profiles --------------------------------------------------------------------------------


def known_keys(text: str) -> set[str]:
    """The keys that a profile may have where this text has `zzzz`, as its refusal lists them."""
    with pytest.raises(ProfileError) as refusal:
        parse_profile(text, "test.toml")
    return set(str(refusal.value).partition("known: ")[2].split(", "))


def test_every_profile_key_is_documented() -> None:
    keys = known_keys('zzzz = "1"\n') | known_keys('[symbols.X]\nzzzz = "1"\n')
    documented = {key.strip(" `") for row in rows(page("profiles.md")) for key in row[0].split(",")}
    assert documented - {"key", "---"} == keys


def test_the_profile_on_the_page_works() -> None:
    (block,) = blocks_of("docs/reference/profiles.md", "toml")
    profile = parse_profile(block.code, "page.toml")
    assert profile.symbols["EURUSD.m"].stops_level == 20


def test_the_standard_symbols_are_listed() -> None:
    listed = page("profiles.md").partition("`standard` has ")[2].partition("Volumes")[0]
    assert set(re.findall(r"[A-Z0-9]{4,}", listed)) == set(load_profile("standard").symbols)


# --- decisions -------------------------------------------------------------------------------

DECISIONS = sorted((ROOT / "docs/decisions").glob("*.md"))
HEADINGS = ["Context", "Decision", "Consequences", "Alternatives", "References"]


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_is_short_whole_and_listed(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(f"# {path.name[:4]} ")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert len(text.splitlines()) <= 50
    assert f"decisions/{path.name}" in (ROOT / "docs/README.md").read_text()


def test_decisions_are_numbered_without_a_hole() -> None:
    assert [int(path.name[:4]) for path in DECISIONS] == [*range(1, len(DECISIONS) + 1)]
