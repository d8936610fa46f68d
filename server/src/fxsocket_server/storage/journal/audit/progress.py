"""How far an audit has come: events first, then the records that they told of."""

from collections.abc import Callable

Told = Callable[[int, int], None]  # rows verified since the last call, rows in all as far as known

_EVERY_ROWS = 5_000


class Progress:
    """Counts rows and tells of them now and then."""

    def __init__(self, told: Told, total: int) -> None:
        self._told = told
        self._total = total
        self._untold = 0

    def more(self, rows: int) -> None:
        """More rows are to be verified than was known."""
        self._total += rows

    def row(self) -> None:
        """One row is verified."""
        self._untold += 1
        if self._untold == _EVERY_ROWS:
            self.tell()

    def tell(self) -> None:
        """Tell of the rows that nobody has heard of."""
        self._told(self._untold, self._total)
        self._untold = 0
