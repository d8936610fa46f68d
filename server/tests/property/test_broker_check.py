"""Checking an order says what placing it does, on every profile, and changes nothing."""

from collections import Counter

import pytest

from fxsocket_server.broker.margins import NewOrder
from fxsocket_server.model.retcode import SUCCESS

from .test_broker_profiles import NAMES, Driver, broker_of, put

QUICK, SOAK = 300, 5_000  # inputs per profile


def check_agrees(name: str, seed: int, count: int) -> Counter[bool]:
    driver, broker = Driver(name, seed), broker_of(name)
    for step in driver.opening():
        put(broker, step)
    verdicts: Counter[bool] = Counter()
    for _ in range(count):
        step = driver.next(broker)
        if step[0] == "request":
            verdicts[_agrees(broker, *step[1:])] += 1
        else:
            put(broker, step)
    return verdicts


def _agrees(broker, request, now) -> bool:
    """Whether the request was taken; check and request must have said the same."""
    before = broker.snapshot(), broker.account_figures()
    check = broker.check(request, now)
    assert (broker.snapshot(), broker.account_figures()) == before
    report = broker.request(request, now)
    taken = report.retcode in SUCCESS
    assert (check.retcode == 0) == taken, (request, check, report)
    assert taken or (check.retcode, check.comment) == (report.retcode, report.comment)
    after = broker.account_figures()
    assert check.figures == after
    assert check.margin_needed == (after.margin - before[1].margin if taken else 0)
    return taken


@pytest.mark.parametrize("name", NAMES)
def test_check_says_what_the_request_does(name, seed):
    print("seed", seed)
    verdicts = check_agrees(name, seed, QUICK)
    assert min(verdicts[True], verdicts[False]) > 5, verdicts


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_check_says_what_the_request_does_soak(name, seed):
    print("seed", seed)
    check_agrees(name, seed, SOAK)


@pytest.mark.parametrize("name", NAMES)
def test_the_margin_of_an_order_alone_is_what_an_empty_account_pays(name, seed):
    print("seed", seed)
    driver, broker = Driver(name, seed), broker_of(name)
    for step in driver.opening():
        put(broker, step)
    compared = 0
    for _ in range(QUICK):
        request = driver.deal(broker)
        price = broker.quote(request.symbol)
        entry = price.ask if request.type.is_buy else price.bid
        order = NewOrder(request.type, request.volume, entry)
        alone = broker.order_margin(request.symbol, order)
        check = broker.check(request, driver.now)
        if check.retcode == 0:
            # Opening may cost more than holding afterwards.
            held_for_less = driver.profile.symbols[request.symbol].margin_maintenance > 0
            assert alone >= check.margin_needed, request
            assert alone == check.margin_needed or held_for_less, request
            compared += 1
    assert compared > 20
