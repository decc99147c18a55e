"""Lists of contacts that name contacts which are another one's as a whole now: how they are read, until they are written anew.

When contacts are merged, one of them is gone, and all its touches are the other's. Lists that were made before still have the key of the
one that is gone; `renamed_contact` tells which key it stands for.
"""

from collections.abc import Mapping

import numpy as np

from shared.projection.key_lists import united
from shared.projection.sql import sql

RENAMED = sql("SELECT was, contact FROM {g}.renamed_contact WHERE ws = $1")
KEY_TYPE = ">i8"  # of a list: 64-bit keys in network order


class Renamed:
    """Puts the keys that contacts have now in place of those that they had."""

    def __init__(self, contacts: Mapping[int, int]) -> None:
        """`contacts` has by its former key which one each is now."""
        self._was = np.array(sorted(contacts), np.int64)
        self._now = np.array([contacts[was] for was in sorted(contacts)], np.int64)

    def __call__(self, keys: bytes) -> bytes:
        """A list with the keys of now. It may have a key twice, and its order may be another."""
        if not len(self._was) or not keys:
            return keys
        listed = np.frombuffer(keys, KEY_TYPE).astype(np.int64)
        places = np.minimum(np.searchsorted(self._was, listed), len(self._was) - 1)
        former = self._was[places] == listed
        if not former.any():
            return keys
        return np.where(former, self._now[places], listed).astype(KEY_TYPE).tobytes()

    def written_anew(self, keys: bytes) -> bytes:
        """A list with the keys of now, in order, each once; the very list that was given if nothing of it changes."""
        renamed = self(keys)
        return keys if renamed is keys else united([renamed])
