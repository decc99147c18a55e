"""Lists of keys that name contacts by a former key: see `shared.projection.renamed_contacts`."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from shared.projection.renamed_contacts import Renamed

# Few last parts, so that many keys share one with a former key.
KEYS = st.builds(
    lambda first, last: (first << 16) | last, st.integers(-(2**47), 2**47 - 1), st.sampled_from([0, 1, 255, 256, 65535])
)


def _listed(keys: list[int]) -> bytes:
    return np.array(keys, ">i8").tobytes()


@given(st.lists(KEYS), st.dictionaries(KEYS, KEYS, max_size=8), st.data())
def test_former_keys_are_replaced_and_no_others(keys: list[int], now: dict[int, int], data: st.DataObject) -> None:
    if now:
        keys = keys + data.draw(st.lists(st.sampled_from(sorted(now))))
    renamed = Renamed(now)(_listed(keys))
    assert renamed == _listed([now.get(key, key) for key in keys])


def test_a_list_without_former_keys_is_left_as_it_is() -> None:
    keys = _listed([5, 2**40 + 5])
    assert Renamed({7: 8, (1 << 20) + 5: 9})(keys) is keys
