"""From an error answer to the right class, with everything a bot needs to react."""

import pickle

import httpx2
import pytest

from fxsocket import errors
from fxsocket.errors import FieldError

RETRIED = {429, 500, 503}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.ApiError),
        (401, errors.AuthError),
        (402, errors.ApiError),
        (403, errors.ForbiddenError),
        (404, errors.NotFoundError),
        (409, errors.ConflictError),
        (413, errors.ApiError),
        (422, errors.ValidationError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (503, errors.ServerError),
    ],
)
def test_the_status_chooses_the_class(rest, problem, status, kind):
    rest.answers(problem(status, "some_code"))
    error = rest.fails(errors.ApiError, lambda c: c.account.get(), max_retries=0)
    assert type(error) is kind
    assert (error.status, error.code, error.detail) == (status, "some_code", "what is wrong")
    assert error.request_id == "req_1"
    assert error.raw["title"] == "some_code"


def test_a_validation_error_points_at_the_field(rest, problem):
    detail = "volume 0.015 is not a multiple of 0.01; nearest 0.01 or 0.02"
    rest.answers(
        problem(
            422,
            "invalid_volume",
            detail=detail,
            errors=[{"pointer": "/volume", "message": "not a multiple of 0.01"}],
        )
    )
    error = rest.fails(
        errors.ValidationError,
        lambda c: c.orders.create(symbol="EURUSD", type="BUY", volume=0.015),
    )
    assert error.errors == (FieldError("/volume", "not a multiple of 0.01"),)
    assert str(error) == (
        f"422 invalid_volume: {detail} [/volume: not a multiple of 0.01] (request req_1)"
    )
    assert not error.maybe_executed


def test_the_brokers_refusal(rest, problem, order_row):
    refused = order_row(status="REJECTED", retcode=10019)
    rest.answers(
        problem(
            422,
            "not_enough_money",
            retcode=10019,
            retcode_name="NO_MONEY",
            order=refused,
        )
    )
    error = rest.fails(
        errors.OrderRejected, lambda c: c.orders.create(symbol="EURUSD", type="BUY", volume=99)
    )
    assert issubclass(errors.OrderRejected, errors.ValidationError)
    assert (error.retcode, error.retcode_name) == (10019, "NO_MONEY")
    assert error.order.id == "ord_1"
    assert "(retcode 10019 NO_MONEY)" in str(error)


@pytest.mark.parametrize("order", [None, "ord_1", {"id": "ord_1"}])
def test_a_refusal_without_the_whole_order(rest, problem, order):
    rest.answers(problem(422, "requote", retcode=10004, order=order))
    error = rest.fails(errors.OrderRejected, lambda c: c.orders.cancel("ord_1"))
    assert error.order is None
    assert "(retcode 10004)" in str(error)


def test_rate_limits_are_read_from_the_headers(rest, problem):
    headers = {"Retry_After": "2.5", "X_RateLimit_Limit": "100", "X_RateLimit_Remaining": "0",
               "X_RateLimit_Reset": "3"}  # fmt: skip
    rest.answers(problem(429, "rate_limited", retryable=True, headers=headers))
    error = rest.fails(errors.RateLimitError, lambda c: c.account.get(), max_retries=0)
    assert (error.limit, error.remaining, error.reset) == (100, 0, 3.0)
    assert (error.retry_after, error.retryable) == (2.5, True)


def test_a_refused_key_says_where_to_look(rest, problem):
    rest.answers(problem(401, "key_unknown"))
    error = rest.fails(errors.AuthError, lambda c: c.account.get())
    assert "FXSOCKET_API_KEY" in str(error)


@pytest.mark.parametrize(
    ("body", "content_type", "detail"),
    [
        (b"<html>Bad\n  Gateway</html>", "text/html", "<html>Bad Gateway</html>"),
        (b"\xff\xfe", "application/octet-stream", "HTTP 502"),
        (b"[1, 2]", "application/json", "HTTP 502"),
        (b"", "text/plain", "HTTP 502"),
        (b'{"title": "down"}', "application/json", "down"),
        (b'{"errors": "x", "status": "?", "code": 7}', "application/json", "HTTP 502"),
    ],
)
def test_an_answer_that_is_no_problem_document(rest, body, content_type, detail):
    rest.answers(httpx2.Response(502, content=body, headers={"Content-Type": content_type}))
    error = rest.fails(errors.ServerError, lambda c: c.account.get(), max_retries=0)
    assert (error.status, error.detail, error.errors) == (502, detail, ())
    assert error.code in ("http_502", "7")


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (httpx2.ConnectError("refused"), errors.ConnectError),
        (httpx2.ConnectTimeout("slow"), errors.ConnectError),
        (httpx2.PoolTimeout("busy"), errors.ConnectError),
        (httpx2.ReadTimeout("slow"), errors.RequestTimeout),
        (httpx2.WriteTimeout("slow"), errors.RequestTimeout),
        (httpx2.ReadError(""), errors.ConnectionLost),
        (httpx2.WriteError("broken pipe"), errors.ConnectionLost),
        (httpx2.RemoteProtocolError("cut off"), errors.ConnectionLost),
        (httpx2.DecodingError("bad gzip"), errors.TransportError),
    ],
)
def test_the_networks_errors(rest, raised, kind):
    rest.answers(raised)
    error = rest.fails(errors.TransportError, lambda c: c.account.get(), max_retries=0)
    assert type(error) is kind
    assert error.__cause__ is raised
    assert "GET /account" in str(error)
    assert not error.maybe_executed  # nothing is executed by a GET


def test_the_key_is_blotted_out_of_an_answer_that_echoes_it(rest, problem, key):
    rest.answers(problem(403, "forbidden", detail=f"Bearer {key} may not trade", seen=[key]))
    error = rest.fails(errors.ForbiddenError, lambda c: c.account.get())
    assert error.detail == "Bearer *** may not trade"
    assert key not in f"{error} {error!r} {error.raw} {error.problem!r}"


@pytest.mark.parametrize(
    "error",
    [
        errors.api_error(errors.Problem(status=422, code="x", detail="d", retcode=10004)),
        errors.StreamError(4501, "unauthorised"),
        errors.OrderOutcomeUnknown("mine"),
        errors.ConnectionLost("x"),
    ],
)
def test_errors_survive_pickling(error):
    twin = pickle.loads(pickle.dumps(error))
    assert type(twin) is type(error)
    assert str(twin) == str(error)


def test_an_outcome_without_a_client_names_the_way(rest):
    with pytest.raises(errors.ConfigError, match=r"get_by_client_id\('mine'\)"):
        errors.OrderOutcomeUnknown("mine").resolve()


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    tree = errors.__doc__.split("```")[1]
    drawn = {word for word in tree.replace("(", " ").split() if word[0].isupper()}
    classes = {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.FxSocketError)
    }
    assert {kind.__name__ for kind in classes} <= drawn
    parents = {}
    depths: list[tuple[int, str]] = []
    for line in tree.strip().splitlines():
        depth = next(i for i, char in enumerate(line) if char.isalpha())
        name = line[depth:].split()[0]
        depths = [d for d in depths if d[0] < depth]
        parents[name] = depths[-1][1] if depths else "Exception"
        depths.append((depth, name))
    assert parents == {kind.__name__: kind.__mro__[1].__name__ for kind in classes}
