"""The catalogue of errors, and problems made of it."""

import re

import pytest
import yaml

from fxsocket_server.bootstrap.server import spec_folder
from fxsocket_server.core.catalogue import CATALOGUE
from fxsocket_server.core.errors import FieldError, JournalUnavailable, Problem
from fxsocket_server.gateway.refusals import CODE_OF_RETCODE, refusal_of
from fxsocket_server.gateway.views import problem_view
from fxsocket_server.model.facts import Report
from fxsocket_server.model.retcode import SUCCESS, Retcode


def test_the_catalogue_is_the_contract_s() -> None:
    spec = yaml.safe_load((spec_folder() / "errors.yaml").read_text())
    told = {
        code: (kind.status, kind.title, kind.retryable, kind.advice)
        for code, kind in CATALOGUE.items()
    }
    assert told == {
        code: (e["status"], e["title"], e["retryable"], e["advice"]) for code, e in spec.items()
    }


def test_only_503_is_a_server_s_fault() -> None:
    assert {kind.status for kind in CATALOGUE.values() if kind.status >= 500} == {503}
    assert all(kind.retryable for kind in CATALOGUE.values() if kind.status >= 500)


def test_a_problem_names_the_fields_at_fault() -> None:
    one = Problem("invalid_volume", "too much", pointer="/volume")
    assert one.errors == (FieldError("/volume", "too much"),)
    several = (FieldError("/sl", "a"), FieldError("/tp", "b"))
    assert Problem("invalid_stops", "both", errors=several).errors == several
    assert Problem("not_found", "nothing").errors == ()
    with pytest.raises(KeyError):
        Problem("no_such_code", "")


def test_a_journal_that_fails_can_be_asked_again() -> None:
    problem = JournalUnavailable("disk full")
    assert (problem.kind.status, problem.kind.retryable, problem.retry_after_s) == (503, True, 1)


def test_a_problem_is_shown_with_the_members_of_the_contract() -> None:
    view = problem_view(Problem("invalid_volume", "too much", pointer="/volume"), "req_1")
    assert view.type == "urn:fxsocket:error:invalid_volume"
    assert (view.status, view.code, view.instance) == (422, "invalid_volume", "req_1")
    assert (view.retryable, view.retcode, view.retcode_name) == (False, None, None)
    refused = problem_view(Problem("requote", "moved"), "req_1", retcode=Retcode.REQUOTE)
    assert (refused.retcode, refused.retcode_name) == (10004, "REQUOTE")


@pytest.mark.parametrize("retcode", sorted(set(Retcode) - SUCCESS))
def test_every_refusal_of_a_broker_is_a_422_with_words(retcode: Retcode) -> None:
    problem = refusal_of(Report(retcode=retcode, facts=(), time_ms=0))
    assert problem.kind.status == 422
    assert retcode.name in problem.detail


def test_the_codes_of_retcodes_are_the_contract_s() -> None:
    spec = yaml.safe_load((spec_folder() / "retcodes.yaml").read_text())
    told = {entry["number"]: entry.get("error") for entry in spec.values()}
    for retcode, code in CODE_OF_RETCODE.items():
        assert told[retcode] == code, retcode


@pytest.mark.parametrize(
    ("retcode", "comment", "pointer"),
    [
        (Retcode.INVALID_STOPS, "tp 1.0 must be above bid", "/tp"),
        (Retcode.INVALID_STOPS, "sl 1.0 must be below bid", "/sl"),
        (Retcode.INVALID_VOLUME, "too much", "/volume"),
        (Retcode.INVALID_PRICE, "wrong side", "/price"),
        (Retcode.INVALID_FILL, "not here", "/filling"),
        (Retcode.INVALID_EXPIRATION, "too late", "/expires_at"),
    ],
)
def test_a_refusal_points_at_the_field(retcode: Retcode, comment: str, pointer: str) -> None:
    problem = refusal_of(Report(retcode=retcode, facts=(), time_ms=0, comment=comment))
    assert problem.errors == (FieldError(pointer, comment),)


def test_an_unknown_retcode_is_rejected_by_number() -> None:
    problem = refusal_of(Report(retcode=10999, facts=(), time_ms=0))
    assert problem.kind.code == "rejected"
    assert re.search(r"\b10999\b", problem.detail)
