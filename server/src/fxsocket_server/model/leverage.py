"""Floating leverage: the margin of a larger exposure is charged at rates that rise by tiers."""

from collections.abc import Sequence
from typing import NamedTuple

from fxsocket_server.model.conversion import Ratio
from fxsocket_server.model.units import LOT


class Tier(NamedTuple):
    """A slice of the exposure up to `upper` (1e-8 lots or money; None: without end).

    Its share of the margin is multiplied by `factor` (1e-8).
    """

    upper: int | None
    factor: int


def tiered_margin(margin: Ratio, exposure: Ratio, tiers: Sequence[Tier]) -> Ratio:
    """Margin after floating leverage, exact.

    `exposure` is what the tiers are counted in, over all positions and orders that the rule names:
    volume in lots, notional value or margin in money; hedged volume counts for as much of it as it
    is charged. Each slice takes its share of the margin, times the slice's factor. Tiers ascend;
    the last one's factor holds beyond its end.
    """
    whole, unit = exposure[0] * LOT, exposure[1]
    if not whole or not tiers:
        return margin
    charged = start = 0
    for tier in tiers:
        end = whole if tier.upper is None else min(tier.upper * unit, whole)
        charged += max(end - start, 0) * tier.factor
        start = max(start, end)
    charged += (whole - start) * tiers[-1].factor
    return margin[0] * charged, margin[1] * whole * LOT


def charged_volume(uncovered: int, covered: int, margin_hedged: int, contract_size: int) -> Ratio:
    """Lots that hedged positions are charged for: covered ones by their share of a contract."""
    return uncovered * contract_size + covered * margin_hedged, LOT * contract_size
