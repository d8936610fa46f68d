"""Named crash points: the kill tests end the process exactly there."""

import os
import signal


class CrashPoint:
    """Kills the process at the n-th time that a point is reached (`after_commit:37`)."""

    def __init__(self, spec: str) -> None:
        self._point, _, count = spec.partition(":")
        self._left = int(count or 1)

    def __call__(self, point: str) -> None:
        """Called at every point of the order path."""
        if point != self._point:
            return
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def never(point: str) -> None:
    """The points of a server that nobody kills."""
