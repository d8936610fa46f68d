"""`--fault`: faults in force from the start, or a refusal that names the option and the fix."""

from pathlib import Path

import httpx2
import pytest

from fxsocket_server.bootstrap.faults import put_faults
from fxsocket_server.broker.faults import DelayShape, Fault, Faults
from fxsocket_server.settings import SettingsError
from fxsocket_server.storage import tick_files
from fxsocket_server.testkit.process import ServerProcess


class Switch:
    """Faults without a terminal."""

    def __init__(self) -> None:
        self._faults = Faults()

    def put_fault(self, fault: Fault) -> Fault:
        return self._faults.put(fault)

    def faults_in_force(self) -> tuple[Fault, ...]:
        return self._faults.in_force()

    def clear_faults(self) -> None:
        self._faults.clear()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("lost_reply", Fault(scenario="lost_reply", lose_reply=True, times=1)),
        ("delay_ms=500,times=1", Fault(delay_ms=500, times=1)),
        ("lost_reply:times=null", Fault(scenario="lost_reply", lose_reply=True)),
        (
            "slow_broker:delay_ms=5, delay_shape=UNIFORM,seed=7,freeze=true",
            Fault(
                scenario="slow_broker", delay_ms=5, delay_shape=DelayShape.UNIFORM, seed=7,
                freeze=True,
            ),
        ),
        (
            "partial_fills:partial_volume=0.5",
            Fault(scenario="partial_fills", partial_volume=50_000_000),
        ),
    ],
)  # fmt: skip
def test_a_fault_is_read(text: str, fault: Fault) -> None:
    switch = Switch()
    put_faults([text], switch)
    assert switch.faults_in_force() == (fault,)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("doom", "scenario: must be one of slow_broker, requotes"),
        ("", "scenario: must be one of slow_broker, requotes"),
        ("requotes:times=0", "times: must be 1 to 1000000"),
        ("requotes:times=many", "times: must be a whole number"),
        ("requotes:times", "times: must be a whole number"),
        ("requotes:colour=red", "unknown field 'colour'; known are scenario, delay_ms"),
        ("requotes:lose_reply=maybe", "lose_reply: must be true or false"),
        ("partial_fills:partial_volume=-1", "partial_volume: must be above 0"),
    ],
)
def test_what_cannot_be_names_the_option_and_the_fix(text: str, fix: str) -> None:
    with pytest.raises(SettingsError) as caught:
        put_faults(["lost_reply", text], Switch())
    assert str(caught.value).startswith(f"--fault {text}: ")
    assert fix in str(caught.value)


def test_a_server_starts_with_its_faults_in_force(tmp_path: Path) -> None:
    options = ("--fault", "requotes:times=2", "--fault", "news_spread")
    with ServerProcess(tmp_path / "data", *options) as server:
        own = {"Authorization": "Bearer test-key"}
        with httpx2.Client(base_url=server.addresses.rest, headers=own, verify=False) as client:
            found = client.get("/sim/faults").json()["data"]
            assert [(f["scenario"], f["times"]) for f in found] == [
                ("requotes", 2), ("news_spread", None),
            ]  # fmt: skip
            order = {"symbol": "EURUSD", "type": "BUY", "volume": 0.1}
            answers = [client.post("/orders", json=order) for _ in range(3)]
            assert [answer.status_code for answer in answers] == [422, 422, 200]
            assert answers[0].json()["retcode_name"] == "REQUOTE"


def test_a_replay_has_faults_too(tmp_path: Path) -> None:
    day = Path(tick_files.__file__).parent / "history/data/darwinex_ticks_WS30_2018-10-01.csv.gz"
    options = ("--replay", str(day), "--speed", "max", "--fault", "no_connection:times=1")
    with ServerProcess(tmp_path / "data", *options) as server:
        own = {"Authorization": "Bearer test-key"}
        with httpx2.Client(base_url=server.addresses.rest, headers=own, verify=False) as client:
            order = {"symbol": "WS30", "type": "BUY", "volume": 1.0}
            answers = [client.post("/orders", json=order).json() for _ in range(2)]
            # Nobody reads the replay, so that no price has come when the fault is over.
            assert [answer["retcode_name"] for answer in answers] == ["CONNECTION", "PRICE_OFF"]
            put = client.post("/sim/faults", json={"scenario": "flash_crash"})
            assert put.json()["data"][0]["price_jump_points"] == -2_000
