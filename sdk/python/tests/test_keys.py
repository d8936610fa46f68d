"""Keys, the audit log, usage: what is sent, and what is made of the answer."""

from datetime import UTC, date, datetime

import pytest

from fxsocket import Key, NewKey, errors

KEY = {
    "id": "key_1", "name": "bot", "kind": "test", "scope": "trade", "accounts": ["acc_1"],
    "default_account_id": None, "ip_rules": ["203.0.113.0/24"],
    "limits": {"max_open_volume": 2, "reduce_only": None}, "created_at": "2026-11-22T10:00:00.000Z",
    "expires_at": None, "last_used_at": "2026-11-22T11:00:00.000Z", "revoked_at": None,
    "old_secret_until": None,
}  # fmt: skip
SECRET = "fxs_test_" + "A" * 38
NEW = KEY | {"secret": SECRET}
ENTRY = {
    "seq": 7, "time": "2026-11-22T10:00:00.000Z", "action": "key.created", "target": "key_1",
    "account_id": None, "key_id": None, "address": "127.0.0.1", "request_id": "req_1",
    "details": {"name": "bot"},
}  # fmt: skip


def page(*rows, cursor=None):
    return {"data": list(rows), "next_cursor": cursor}


def test_a_key_is_made_with_what_was_said_and_nothing_else(rest, reply):
    rest.answers(reply(NEW), reply(NEW))
    made = rest.call(lambda c: c.keys.create("bot", "trade"))
    assert isinstance(made, NewKey)
    assert made.secret == SECRET
    assert SECRET not in repr(made)
    rest.call(
        lambda c: c.keys.create(
            "bot", "trade", accounts=["acc_1"], ip_rules=("203.0.113.0/24",),
            limits={"max_open_volume": 2}, expires_at=datetime(2027, 1, 1, tzinfo=UTC),
        )
    )  # fmt: skip
    assert rest.sent == ["POST /v1/keys"] * 2
    assert rest.bodies() == [
        {"name": "bot", "scope": "trade"},
        {
            "name": "bot", "scope": "trade", "accounts": ["acc_1"], "ip_rules": ["203.0.113.0/24"],
            "limits": {"max_open_volume": 2}, "expires_at": "2027-01-01T00:00:00.000Z",
        },
    ]  # fmt: skip


def test_a_key_is_changed_by_what_is_named(rest, reply):
    rest.answers(reply(KEY))
    key = rest.call(lambda c: c.keys.update("key_1", accounts=None, limits=None))
    assert isinstance(key, Key)
    assert key.limits.max_open_volume == 2.0
    assert (rest.sent, rest.bodies()) == (
        ["PATCH /v1/keys/key_1"], [{"accounts": None, "limits": None}],
    )  # fmt: skip


def test_a_key_is_rotated_and_revoked(rest, reply):
    rest.answers(reply(NEW), reply(KEY | {"revoked_at": "2026-11-22T12:00:00.000Z"}))
    assert rest.call(lambda c: c.keys.rotate("key_1", overlap_s=60)).secret == SECRET
    assert rest.call(lambda c: c.keys.revoke("key_1")).revoked_at.hour == 12
    assert rest.sent == ["POST /v1/keys/key_1/rotate", "DELETE /v1/keys/key_1"]
    assert rest.bodies()[0] == {"overlap_s": 60}


def test_keys_are_listed_to_their_end(rest, reply):
    rest.answers(reply(page(KEY, cursor="key_1")), reply(page(KEY | {"id": "key_2"})))
    assert [key.id for key in rest.call(lambda c: c.keys.iter(limit=1))] == ["key_1", "key_2"]
    assert rest.sent == ["GET /v1/keys?limit=1", "GET /v1/keys?limit=1&cursor=key_1"]


def test_audit_and_usage(rest, reply):
    usage = {"key_id": "key_1", "date": "2026-11-22", "requests": 3, "orders": 1}
    rest.answers(reply(page(ENTRY)), reply(page(usage)))
    [entry] = rest.call(lambda c: c.audit.list(from_="2026-11-01"))
    assert (entry.action, entry.details, entry.key_id) == ("key.created", {"name": "bot"}, None)
    [day] = rest.call(lambda c: c.usage.list(from_=date(2026, 11, 1), to="2026-11-30"))
    assert (day.date, day.orders) == (date(2026, 11, 22), 1)
    assert rest.sent == [
        "GET /v1/audit?from=2026-11-01", "GET /v1/usage?from=2026-11-01&to=2026-11-30",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "use", [lambda c: c.keys.create("bot", "read"), lambda c: c.keys.rotate("key_1")]
)
def test_a_secret_whose_answer_was_lost_is_not_asked_for_again(rest, problem, use):
    rest.answers(problem(503))
    error = rest.fails(errors.ServerError, use, max_retries=5)
    assert len(rest.requests) == 1
    assert error.idempotency_key is not None


def test_a_change_that_is_the_same_twice_is_retried(rest, reply, problem):
    rest.draws.extend([1.0])
    rest.answers(problem(503), reply(KEY))
    rest.call(lambda c: c.keys.update("key_1", name="x"))
    assert len(rest.requests) == 2
