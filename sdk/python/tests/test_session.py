"""The stream's memory, without a socket: what is wanted, and what was seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxsocket import ConfigError, Gap, Heartbeat, Tick, Unknown
from fxsocket._stream.session import Session
from fxsocket.events import read_event


def wanted(session):
    return [
        (f["channels"], f["symbols"], f["pace"], f.get("account_id"))
        for f in session.greeting()
        if f["action"] != "list"
    ]


def logged(seq, prev_seq=None, epoch="e1", account_id="acc_1", kind="deal"):
    raw = {"type": kind, "account_id": account_id, "seq": seq, "prev_seq": prev_seq, "epoch": epoch}
    return Unknown(type=kind, raw=raw)


def test_frames_are_those_of_the_contract():
    session = Session(None)
    assert session.subscribe(["EURUSD"], ("ticks",), True, "acc_1") == {
        "action": "subscribe",
        "id": "1",
        "channels": ["ticks"],
        "symbols": ["EURUSD"],
        "account_id": "acc_1",
        "pace": True,
    }
    assert session.unsubscribe(["EURUSD"], ["ticks"], "acc_1") == {
        "action": "unsubscribe",
        "id": "2",
        "channels": ["ticks"],
        "symbols": ["EURUSD"],
        "account_id": "acc_1",
    }


def test_what_is_wanted_is_merged_and_forgotten():
    session = Session("acc_9")
    session.subscribe("EURUSD", "ticks", False, None)
    session.subscribe(["GBPUSD", "EURUSD"], ["ticks", "candles:M1"], False, None)
    session.subscribe([], ["deals"], False, "acc_1")
    assert wanted(session) == [
        (["ticks"], ["EURUSD", "GBPUSD"], False, "acc_9"),
        (["candles:M1"], ["GBPUSD", "EURUSD"], False, "acc_9"),
        (["deals"], [], False, "acc_1"),
    ]
    session.unsubscribe(["EURUSD"], ["ticks"], None)
    session.unsubscribe([], ["candles:M1"], None)
    session.unsubscribe([], ["deals"], "acc_1")
    session.unsubscribe(["never"], ["quotes"], None)
    assert wanted(session) == [(["ticks"], ["GBPUSD"], False, "acc_9")]
    session.unsubscribe(["GBPUSD"], ["ticks"], None)
    assert wanted(session) == []


@pytest.mark.parametrize(
    ("symbols", "channels", "says"),
    [
        (["EURUSD"], [], "channels is empty"),
        ([""], ["ticks"], "symbols"),
        ([7], ["ticks"], "symbols"),
    ],
)
def test_wrong_names_are_refused(symbols, channels, says):
    with pytest.raises(ConfigError, match=says):
        Session(None).subscribe(symbols, channels, False, None)


def test_the_first_event_is_no_gap():
    session = Session(None)
    event = logged(17, 16)
    assert session.admit(event) == (event,)


def test_following_events_pass_and_repeated_ones_do_not():
    session = Session(None)
    first, second = logged(17, 16), logged(19, 17)
    assert session.admit(first) == (first,)
    assert session.admit(second) == (second,)
    assert session.admit(first) == ()
    assert session.admit(second) == ()


@pytest.mark.parametrize(("prev_seq", "to_seq"), [(22, 22), (None, 22)])
def test_a_hole_is_announced_before_what_follows_it(prev_seq, to_seq):
    session = Session(None)
    session.admit(logged(19, 18))
    event = logged(23, prev_seq)
    gap = Gap(account_id="acc_1", from_seq=19, to_seq=to_seq, epoch="e1")
    assert session.admit(event) == (gap, event)


def test_another_epoch_is_always_a_gap():
    session = Session(None)
    session.admit(logged(19, 18))
    event = logged(3, 2, epoch="e2")
    gap = Gap(account_id="acc_1", from_seq=0, to_seq=2, epoch="e2", epoch_changed=True)
    assert session.admit(event) == (gap, event)


def test_another_epoch_is_a_gap_even_from_its_beginning():
    session = Session(None)
    session.admit(logged(19, 18))
    event = logged(1, 0, epoch="e2")
    gap = Gap(account_id="acc_1", from_seq=0, to_seq=0, epoch="e2", epoch_changed=True)
    assert session.admit(event) == (gap, event)


def test_a_new_connection_resumes_what_was_seen_before_it_subscribes():
    session = Session(None)
    session.subscribe(["EURUSD"], ["ticks", "deals"], False, None)
    session.subscribe([], ["positions"], False, "acc_1")
    session.subscribe([], ["terminal"], False, "acc_2")
    session.admit(logged(17, 16))
    session.admit(logged(19, 17))
    resume, asking, *subscribes = session.greeting()
    assert asking["action"] == "list"
    assert resume == {
        "action": "resume",
        "id": resume["id"],
        "account_id": "acc_1",
        "after": 19,
        "epoch": "e1",
        "channels": ["deals", "positions"],
    }
    assert [frame["action"] for frame in subscribes] == ["subscribe"] * 4


def test_a_connection_that_broke_before_any_event_is_resumed_from_where_the_logs_stood():
    session = Session(None)
    [asking] = session.greeting()
    accounts = [
        {"account_id": "acc_1", "epoch": "e1", "head": 7},
        {"account_id": "acc_2", "epoch": None, "head": None},
    ]
    strange = Unknown(type="list", raw={"id": "other", "accounts": accounts})
    assert session.admit(strange) == (strange,)
    told = Unknown(type="list", raw={"id": asking["id"], "accounts": accounts})
    assert session.admit(told) == ()
    resume, _ = session.greeting()
    assert (resume["account_id"], resume["after"], resume["epoch"]) == ("acc_1", 7, "e1")
    event = logged(7, 6)  # published before the answer was made, sent after it
    assert session.admit(event) == (event,)
    session.admit(logged(9, 7))
    assert session.greeting()[0]["after"] == 9


def test_what_the_server_resumes_is_no_gap():
    session = Session(None)
    session.admit(logged(19, 18))
    missed, following = logged(23, 19), logged(24, 23)
    assert session.admit(missed) == (missed,)
    seam = {"account_id": "acc_1", "after": 19, "head": 23, "epoch": "e1"}
    assert session.admit(Unknown(type="resumed", raw=seam)) == ()
    assert session.admit(following) == (following,)


def test_what_the_server_cannot_resume_is_a_gap_over_everything():
    session = Session(None)
    session.admit(logged(19, 18))
    said = {"account_id": "acc_1", "reason": "restored", "head": 7, "epoch": "e2"}
    gap = Gap(account_id="acc_1", from_seq=0, to_seq=7, epoch="e2", epoch_changed=True)
    assert session.admit(Unknown(type="reset", raw=said)) == (gap,)
    following = logged(8, 7, epoch="e2")
    assert session.admit(following) == (following,)
    assert session.greeting()[0]["after"] == 8


def test_accounts_are_followed_apart():
    session = Session(None)
    session.admit(logged(5, 4))
    other = logged(90, 89, account_id="acc_2")
    assert session.admit(other) == (other,)
    assert len(session.admit(logged(7, 6))) == 2


def test_market_data_stands_in_no_log():
    session = Session(None)
    tick = read_event(
        b'{"type":"tick","symbol":"A","bid":1,"ask":2,"timestamp":"2026-01-01T00:00:00Z"}'
    )
    assert isinstance(tick, Tick)
    for event in (tick, tick, Heartbeat(), Unknown(type="x", raw={"seq": 1, "account_id": None})):
        assert session.admit(event) == (event,)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_gaps_and_events_together_cover_the_log_without_a_hole(seqs):
    """Whatever subset of a log arrives, in whatever order, no missing line goes unannounced."""
    session, covered, first = Session(None), set[int](), seqs[0]
    for seq in seqs:
        for event in session.admit(logged(seq, seq - 1)):
            if isinstance(event, Gap):
                missed = set(range(event.from_seq + 1, event.to_seq + 1))
                assert missed
                assert not missed & covered
                covered |= missed
            else:
                assert isinstance(event, Unknown)
                assert event.raw["seq"] not in covered
                covered.add(event.raw["seq"])
    assert covered == set(range(first, max(seqs) + 1))


@given(st.binary(max_size=60))
def test_no_frame_raises(frame):
    event = read_event(frame)
    assert isinstance(event, Unknown)


@pytest.mark.parametrize(
    "frame",
    [b'{"type":"tick","symbol":1}', b'{"type":"order_update"}', b'{"type":"newer","a":1}', b"[]"],
)
def test_what_is_not_understood_is_kept_raw(frame):
    event = read_event(frame)
    assert isinstance(event, Unknown)
    assert event.raw
