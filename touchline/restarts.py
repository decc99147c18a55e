"""How often is something started again that ended by itself? So often that a passing fault is survived, and no more."""

import time
from collections import deque
from collections.abc import Callable

RESTARTS_MAX, RESTARTS_WITHIN_S = 5, 600.0  # if it ends more often, the operator must find out why


class Restarts:
    """The latest starts of one thing."""

    def __init__(self) -> None:
        self._at_s: deque[float] = deque(maxlen=RESTARTS_MAX)

    def count(self, too_many: Callable[[str], Exception]) -> None:
        """Count a start that is about to be made. If it is one more than `RESTARTS_MAX` within `RESTARTS_WITHIN_S` seconds, raises what
        `too_many` makes of a text that says so, such as "starting it 5 times within 10 minutes did not help".
        """
        now_s = time.monotonic()
        if len(self._at_s) == RESTARTS_MAX and now_s - self._at_s[0] < RESTARTS_WITHIN_S:
            raise too_many(f"starting it {RESTARTS_MAX} times within {RESTARTS_WITHIN_S / 60:.0f} minutes did not help")
        self._at_s.append(now_s)

    def forget_last(self) -> None:
        """Do not count the latest start: it could not be made, for a reason that passes."""
        self._at_s.pop()
