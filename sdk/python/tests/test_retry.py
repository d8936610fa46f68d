"""When to try again, and how long to wait: with given draws every delay is exact."""

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxsocket import errors
from fxsocket._problem import Problem
from fxsocket._retry import (
    REQUEST_BACKOFF,
    STREAM_BACKOFF,
    Attempts,
    RetryBudget,
    is_final_word,
    is_transient,
    may_have_executed,
)

DROP = httpx2.ReadError("reset")
TIMEOUT = httpx2.ReadTimeout("slow")
NO_HOST = httpx2.ConnectError("refused")


def failure(status, code="x", **fields):
    return errors.api_error(Problem(status=status, code=code, detail="", **fields))


@pytest.mark.parametrize(
    ("retry", "draw", "delay"),
    [(0, 0.0, 0.5), (1, 0.0, 1.0), (0, 0.5, 0.4375), (2, 1.0, 1.5), (9, 0.0, 8.0), (9, 0.4, 7.2)],
)
def test_request_backoff(retry, draw, delay):
    assert REQUEST_BACKOFF.delay_s(retry, draw) == pytest.approx(delay)


@pytest.mark.parametrize(
    ("retry", "draw", "delay"),
    [(0, 0.0, 0.2), (0, 0.5, 0.1), (3, 0.25, 1.2), (20, 0.0, 30.0), (10**6, 0.9, 3.0)],
)
def test_stream_backoff_is_fully_jittered(retry, draw, delay):
    assert STREAM_BACKOFF.delay_s(retry, draw) == pytest.approx(delay)


@given(retry=st.integers(0, 10**9), draw=st.floats(0, 1, exclude_max=True))
def test_no_delay_is_beyond_its_bounds(retry, draw):
    assert 0.375 <= REQUEST_BACKOFF.delay_s(retry, draw) <= 8.0
    assert 0 <= STREAM_BACKOFF.delay_s(retry, draw) <= 30.0


VECTORS = [
    # what the server does, the draws, the delays, the number of attempts
    (["drop", "ok"], [0.0], [0.5], 2),
    (["drop", 503, "ok"], [0.5, 0.25], [0.4375, 0.9375], 3),
    ([500, 502, "ok"], [0.0, 0.0], [0.5, 1.0], 3),
    ([408, 425, "ok"], [0.0, 1.0], [0.5, 0.75], 3),
    (["no host", "timeout", "ok"], [0.0, 0.0], [0.5, 1.0], 3),
    ([504, 504, 504], [0.0, 0.0], [0.5, 1.0], 3),
    ([501], [], [], 1),
    ([404], [], [], 1),
    ([422], [], [], 1),
    ([(409, "idempotency_in_flight"), "ok"], [0.0], [0.5], 2),
    ([(409, "account_exists")], [], [], 1),
    ([(429, "x", {"Retry_After": "7"}), "ok"], [], [7.0], 2),
    ([(429, "x", {"Retry_After": "0"}), "ok"], [0.0], [0.5], 2),
    ([(503, "x", {"Retry_After": "61"})], [], [], 1),
    ([(503, "x", {"Retry_After": "29.9"}), "ok"], [], [29.9], 2),
    ([(503, "x", {"Retry_After": "soon"}), "ok"], [0.0], [0.5], 2),
    ([(503, "x", {"x_should_retry": "false"})], [], [], 1),
    ([(404, "x", {"x_should_retry": "true"}), "ok"], [0.0], [0.5], 2),
    (
        [
            (
                503,
                "x",
                {
                    "Date": "Sun, 22 Nov 2026 10:00:00 GMT",
                    "Retry_After": "Sun, 22 Nov 2026 10:00:09 GMT",
                },
            ),
            "ok",
        ],
        [],
        [9.0],
        2,
    ),
]


@pytest.mark.parametrize(("server", "draws", "delays", "attempts"), VECTORS)
def test_vectors(rest, problem, reply, server, draws, delays, attempts):
    words = {"drop": DROP, "timeout": TIMEOUT, "no host": NO_HOST, "ok": reply([])}
    for step in server:
        if isinstance(step, tuple):
            status, code, *headers = step
            rest.answers(problem(status, code, headers=headers[0] if headers else {}))
        else:
            rest.answers(words.get(step) or problem(step))
    rest.draws.extend(draws)
    if server[-1] == "ok":
        rest.call(lambda client: client.positions.list(), total_timeout=100)
    else:
        rest.fails(errors.ApiError, lambda client: client.positions.list(), total_timeout=100)
    assert rest.slept == pytest.approx(delays)
    assert len(rest.requests) == attempts
    assert not rest.script
    assert not rest.draws


@pytest.mark.parametrize("max_retries", [0, 1, 5])
def test_max_retries_bounds_the_attempts(rest, problem, max_retries):
    rest.answers(*[problem(500)] * (max_retries + 1))
    rest.fails(errors.ServerError, lambda c: c.positions.list(), max_retries=max_retries)
    assert len(rest.requests) == max_retries + 1


def test_the_total_deadline_wins_over_retries(rest, problem):
    rest.answers(problem(500), problem(500))
    rest.fails(errors.ServerError, lambda c: c.positions.list(), max_retries=9, total_timeout=1.5)
    assert rest.slept == [0.5]  # the next wait, of 1 s, would end at the deadline
    assert rest.header("X-Request-Timeout-Ms") == ["1500", "1000"]


def test_the_remaining_time_is_told_to_the_server(rest, problem, reply):
    def late(request):
        rest.now += 22.0
        return problem(500)

    rest.answers(late, reply([]))
    rest.call(lambda c: c.positions.list())
    assert rest.header("X-Request-Timeout-Ms") == ["10000", "7500"]
    assert [r.extensions["timeout"]["read"] for r in rest.requests] == [10.0, 7.5]
    assert [r.extensions["timeout"]["connect"] for r in rest.requests] == [5.0, 5.0]


def test_an_answer_that_drips_is_cut_off(rest, reply):
    def drip():
        for _ in range(50):
            rest.now += 1.0
            yield b" "

    async def async_drip():
        for piece in drip():
            yield piece

    content = drip if rest.flavour == "sync" else async_drip
    rest.answers(lambda request: httpx2.Response(200, content=content()), reply([]))
    rest.call(lambda c: c.positions.list())
    assert len(rest.requests) == 2
    assert rest.now < 1000 + 15


def test_the_budget_stops_retries_against_a_broken_server(rest, problem):
    rest.answers(*[problem(500)] * 60)

    def one(client):
        return client.positions.list()

    def many(client):
        # 100 tokens pay for 20 retries; with 2 a call, the eleventh call gets none.
        calls = [one] * 12
        return attempt_all(client, calls) if rest.flavour == "sync" else attempt_each(client, calls)

    rest.call(many)
    assert len(rest.requests) == 12 + 20


def test_successes_earn_retries_again(rest, problem, reply):
    rest.answers(*[problem(500)] * 30, *[reply([])] * 10, *[problem(500)] * 3)

    def one(client):
        return client.positions.list()

    def many(client):
        # Ten calls spend the budget of 100; ten successes then pay for two retries of 5.
        broken, mended = [one] * 10, [one] * 10
        if rest.flavour == "sync":
            attempt_all(client, broken)
            assert [call(client) for call in mended] == [[]] * 10
            return attempt_all(client, [one])
        return spend_and_earn(client, broken, mended, [one])

    rest.call(many)
    assert len(rest.requests) == 30 + 10 + 3


async def spend_and_earn(client, broken, mended, last):
    await attempt_each(client, broken)
    assert [await call(client) for call in mended] == [[]] * 10
    await attempt_each(client, last)


def attempt_all(client, calls):
    for call in calls:
        with pytest.raises(errors.ServerError):
            call(client)


async def attempt_each(client, calls):
    for call in calls:
        with pytest.raises(errors.ServerError):
            await call(client)


def test_timeouts_cost_more_and_success_refills():
    budget = RetryBudget(capacity=20)
    assert budget.spend(errors.RequestTimeout("slow"))
    assert budget.spend(errors.ConnectionLost("reset"))
    assert not budget.spend(errors.RequestTimeout("slow"))
    for _ in range(5):
        budget.refill()
    assert budget.spend(errors.RequestTimeout("slow"))
    assert not budget.spend(errors.ConnectError("refused"))
    for _ in range(1000):
        budget.refill()
    assert [budget.spend(errors.ConnectError("refused")) for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize(
    ("error", "transient", "maybe_executed", "final"),
    [
        (errors.ConnectError("x"), True, False, False),
        (errors.RequestTimeout("x"), True, True, False),
        (errors.ConnectionLost("x"), True, True, False),
        (errors.ProtocolError("x"), False, True, False),
        (errors.ConfigError("x"), False, False, False),
        (failure(400), False, False, True),
        (failure(401), False, False, False),
        (failure(403), False, False, False),
        (failure(404), False, False, True),
        (failure(408), True, True, False),
        (failure(409), False, False, True),
        (failure(409, "idempotency_in_flight"), True, True, False),
        (failure(422), False, False, True),
        (failure(422, retcode=10019), False, False, True),
        (failure(425), True, False, False),
        (failure(429), True, False, False),
        (failure(500), True, True, False),
        (failure(501), False, True, False),
        (failure(502), True, True, False),
        (failure(503), True, False, False),
        (failure(504), True, True, False),
        (failure(302), False, False, False),
    ],
)
def test_what_each_failure_means(error, transient, maybe_executed, final):
    assert is_transient(error) is transient
    assert may_have_executed(error) is maybe_executed
    assert is_final_word(error) is final


@pytest.mark.parametrize(
    ("failures", "maybe_executed"),
    [
        ([errors.ConnectError("x")], False),
        ([errors.RequestTimeout("x")], True),
        ([errors.RequestTimeout("x"), errors.ConnectError("x")], True),
        ([errors.RequestTimeout("x"), failure(503)], True),
        ([errors.RequestTimeout("x"), failure(401)], True),
        ([errors.RequestTimeout("x"), failure(422)], False),
        ([failure(503), failure(429)], False),
        ([failure(401)], False),
    ],
)
def test_an_early_doubt_lasts_until_the_server_denies_it(failures, maybe_executed):
    attempts = Attempts(
        max_retries=len(failures) - 1,
        timeout=10,
        deadline=1e9,
        budget=RetryBudget(),
        draw=lambda: 0.0,
    )
    delays = [attempts.failed(error, 0.0) for error in failures]
    assert delays[-1] is None
    assert None not in delays[:-1]
    assert failures[-1].maybe_executed is maybe_executed
