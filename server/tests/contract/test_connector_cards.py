"""Every acceptance card against every connector; what its capabilities exclude is skipped."""

from pathlib import Path

import pytest

from .bridged import BridgedTerminal
from .cards import CARDS, Card
from .desk import Desk, Kind, SimulatedBroker, play

KINDS: list[Kind] = [SimulatedBroker(), BridgedTerminal()]


def test_cards_are_numbered_without_a_hole() -> None:
    assert [card.number for card in CARDS] == list(range(1, len(CARDS) + 1))
    assert len({card.title for card in CARDS}) == len(CARDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.id} {card.title}")
def test_card(kind: Kind, card: Card, tmp_path: Path) -> None:
    missing: list[str] = []

    async def attempt(desk: Desk) -> None:
        missing.extend(name for name in card.needs if not getattr(desk.capabilities, name))
        if not missing:
            await card.play(desk)

    play(kind, card.setting, tmp_path, attempt)
    if missing:
        pytest.skip(f"capability: {kind.name} has no {', '.join(missing)}")
