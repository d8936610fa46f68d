"""How values are written in answers and events."""

import pytest

from fxsocket_server.gateway.views import time_text


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (1_795_339_800_123, "2026-11-22T09:30:00.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-50_427_829_441_265, "0372-01-03T13:35:58.735Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_has_its_four_digits_of_year(ms: int, text: str) -> None:
    assert time_text(ms) == text
