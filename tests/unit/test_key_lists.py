"""Lists of keys: what is counted by sorting is what sets count."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.projection import key_lists
from shared.projection.key_lists import distinct_keys, first_in_buckets, united, without

KEYS = st.integers(min_value=0, max_value=30).map(lambda n: (n * 0x0123_4567_89AB_CDEF) % 2**64)
LISTS = st.lists(st.lists(KEYS, max_size=8), max_size=4)


def packed(keys: list[int]) -> bytes:
    return b"".join(key.to_bytes(8, "big") for key in keys)


@given(LISTS)
def test_each_key_counts_once_whatever_the_order(lists: list[list[int]]) -> None:
    together = {key for keys in lists for key in keys}
    assert distinct_keys([packed(keys) for keys in lists]) == len(together)
    assert united([packed(keys) for keys in lists]) == packed(sorted(together))


@given(LISTS, st.lists(KEYS, max_size=8))
def test_keys_of_another_list_are_left_out(lists: list[list[int]], others: list[int]) -> None:
    left = {key for keys in lists for key in keys} - set(others)
    assert without([packed(keys) for keys in lists], packed(others)) == packed(sorted(left))


@pytest.mark.parametrize("few", [0, 3, 99], ids=["sorted together", "as it is", "sorted once a bucket"])
@given(by_bucket=st.dictionaries(st.integers(min_value=0, max_value=6), LISTS, max_size=7))
def test_each_key_is_counted_in_the_first_bucket_that_has_it(few: int, by_bucket: dict[int, list[list[int]]]) -> None:
    seen: set[int] = set()
    expected = {}
    for bucket in range(7):
        keys = {key for some in by_bucket.get(bucket, []) for key in some}
        expected[bucket] = len(keys - seen)
        seen |= keys
    lists = {bucket: [packed(keys) for keys in some] for bucket, some in by_bucket.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_lists, "FEW_BUCKETS", few)
        assert first_in_buckets(lists, 6) == [expected[bucket] for bucket in range(1, 7)]
