"""Lists of contacts that name contacts which are another one's as a whole now: how they are read, until they are written anew.

When contacts are merged, one of them is gone, and all its touches are the other's. Lists that were made before still have the key of the
one that is gone; `renamed_contact` tells which key it stands for.
"""

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from shared.projection.key_lists import united
from shared.projection.sql import sql

RENAMED = sql("SELECT was, contact FROM {g}.renamed_contact WHERE ws = $1")
PARTS_A_KEY = 4  # of 16 bits


class Renamed:
    """Puts the keys that contacts have now in place of those that they had.

    Lists hold 64-bit keys in network order. Their bytes are compared as they are: a key is never taken for a number here.
    """

    def __init__(self, contacts: Mapping[int, int]) -> None:
        """`contacts` has by its former key which one each is now."""
        was, now = _as_listed(contacts.keys()), _as_listed(contacts.values())
        order = np.argsort(was)
        self._was, self._now = was[order], now[order]
        self._last_parts = np.zeros(1 << 16, np.bool_)
        self._last_parts[_last_part(was)] = True

    def __call__(self, keys: bytes) -> bytes:
        """A list with the keys of now. It may have a key twice, and its order may be another.

        Keys are random, so the last part of a key leaves few that can be former ones. Only these are searched for.
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

    def written_anew(self, keys: bytes) -> bytes:
        """A list with the keys of now, in order, each once; the very list that was given if nothing of it changes."""
        renamed = self(keys)
        return keys if renamed is keys else united([renamed])


def _as_listed(keys: Collection[int]) -> "npt.NDArray[np.uint64]":
    """Keys with their bytes in the order in which lists have them."""
    return np.fromiter(keys, ">i8", len(keys)).view(np.uint64)


def _last_part(listed: "npt.NDArray[np.uint64]") -> "npt.NDArray[np.uint16]":
    return listed.view(np.uint16)[PARTS_A_KEY - 1 :: PARTS_A_KEY]
