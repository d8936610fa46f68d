"""`python -m fxsocket_server.testkit.sim --seeds A..B`: runs seeds and reports what broke."""

import argparse
import sys

from fxsocket_server.core.clock import SystemClock
from fxsocket_server.testkit.sim.runner import report_of, run_seeds
from fxsocket_server.testkit.sim.shrink import shrunk
from fxsocket_server.testkit.sim.world import Outcome

_SHOW_EVERY = 20


def _seeds(text: str) -> range:
    """`7` or `1..2000`."""
    first, _, last = text.partition("..")
    try:
        return range(int(first), int(last or first) + 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 7 nor 1..2000") from None


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


class _Progress:
    """One line that is rewritten on a terminal, else a line now and then."""

    def __init__(self, total: int, trace: bool) -> None:
        self._total = total
        self._trace = trace
        self._clock = SystemClock()
        self._began_ms = self._clock.monotonic_ms()
        self._count = 0

    def rate(self) -> float:
        """Seeds per second so far."""
        return self._count * 1000 / max(1.0, self._clock.monotonic_ms() - self._began_ms)

    def __call__(self, outcome: Outcome) -> None:
        """A seed is done."""
        self._count += 1
        if self._trace:
            _say("\n".join(outcome.trace.lines))
            _say(f"seed {outcome.seed} digest {outcome.digest}")
        if outcome.violations:
            _say(report_of(outcome))
        if self._count % _SHOW_EVERY == 0:
            sys.stderr.write(f"\r{self._count}/{self._total} seeds, {self.rate():.1f} seeds/s ")
            sys.stderr.flush()


def main() -> int:
    """Run what the command line asks for; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog=f"python -m {__package__}", description=__doc__)
    parser.add_argument("--seeds", type=_seeds, required=True, metavar="A..B")
    parser.add_argument("--trace", action="store_true", help="print all that happened")
    parser.add_argument("--shrink", action="store_true", help="find the smallest world that fails")
    options = parser.parse_args()
    progress = _Progress(len(options.seeds), options.trace)
    tally = run_seeds(options.seeds, progress)
    sys.stderr.write("\n")
    for outcome in tally.failures if options.shrink else ():
        _say(f"the smallest world of {report_of(shrunk(outcome))}")
    _say(
        f"{tally.seeds} seeds, {tally.orders} orders, {tally.crashes} crashes,"
        f" {len(tally.failures)} failures, {progress.rate():.1f} seeds/s"
    )
    for name, count in sorted(tally.marks.items()):
        _say(f"  {name} {count}")
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
