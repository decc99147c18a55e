"""How are lists of contacts read that still have the former key of a merged contact?

After a merge, all touches of one contact belong to the other. Lists that were made before the merge still have the key of the first one.
The table `renamed_contact` has its present key. `shared.projection.rewrite_renamed_contacts` writes the present keys into the lists, in the background.
"""

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from shared.projection.key_lists import united
from shared.projection.sql import sql

RENAMED = sql("SELECT was, contact FROM {g}.renamed_contact WHERE ws = $1")
PARTS_A_KEY = 4  # of 16 bits


class Renamed:
    """Replaces the former keys of contacts in lists by their present keys.

    Lists have 64-bit keys, big-endian. This class compares and copies their bytes and does not convert them to numbers.
    """

    def __init__(self, contacts: Mapping[int, int]) -> None:
        """`contacts` has the present key of each contact by its former key."""
        was, now = _as_listed(contacts.keys()), _as_listed(contacts.values())
        order = np.argsort(was)
        self._was, self._now = was[order], now[order]
        self._last_parts = np.zeros(1 << 16, np.bool_)
        self._last_parts[_last_part(was)] = True

    def __call__(self, keys: bytes) -> bytes:
        """A list with present keys. A key may be in it twice, and it may be out of order.

        Keys are random, so few of them have the same last part as a former key. Only these are searched for.
        """
        if not len(self._was) or not keys:
            return keys
        listed = np.frombuffer(keys, np.uint64)
        places = np.flatnonzero(self._last_parts[_last_part(listed)])
        found = np.minimum(np.searchsorted(self._was, listed[places]), len(self._was) - 1)
        former = self._was[found] == listed[places]
        if not former.any():
            return keys
        renamed = listed.copy()
        renamed[places[former]] = self._now[found[former]]
        return renamed.tobytes()

    def with_present_keys(self, keys: bytes) -> bytes:
        """A list with present keys, in order, each once. The same object as `keys` if no key in it was renamed."""
        renamed = self(keys)
        return keys if renamed is keys else united([renamed])


def _as_listed(keys: Collection[int]) -> "npt.NDArray[np.uint64]":
    """Keys with their bytes in the order in which lists have them."""
    return np.fromiter(keys, ">i8", len(keys)).view(np.uint64)


def _last_part(listed: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint16]":
    return listed.view(np.uint16)[PARTS_A_KEY - 1 :: PARTS_A_KEY]
