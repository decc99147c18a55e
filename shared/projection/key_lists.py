"""Functions on lists of 64-bit keys, as digests store them: eight bytes per key, big-endian, one after another."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

FEW_BUCKETS = 3  # up to so many, it is faster to sort the keys once per bucket than to sort all keys together with their positions


def _keys(lists: Collection[bytes]) -> "npt.NDArray[np.uint64]":
    return np.frombuffer(b"".join(lists), ">u8").astype(np.uint64)


def _packed(keys: "npt.NDArray[np.uint64]") -> bytes:
    return keys.astype(">u8").tobytes()


def distinct_keys(lists: Collection[bytes]) -> int:
    """The number of different keys in lists. Most lists are in order; a stable sort merges such lists, which takes a third of the time of another sort."""
    keys = np.sort(_keys(lists), kind="stable")
    return min(1, len(keys)) + int(np.count_nonzero(keys[1:] != keys[:-1]))


def united(lists: Collection[bytes]) -> bytes:
    """The union of lists: each key once, in the order of their bytes."""
    return _packed(np.unique(_keys(lists)))


def without(lists: Collection[bytes], others: bytes) -> bytes:
    """The keys that are in one of the lists and not in `others`, each once."""
    return _packed(np.setdiff1d(_keys(lists), _keys([others])))


def first_in_buckets(lists: Mapping[int, Sequence[bytes]], buckets: int) -> list[int]:
    """For each bucket from 1 to `buckets`: how many keys are in its lists and in those of no earlier bucket. Bucket 0 has the lists of the time before."""
    ordered = [bucket for bucket in sorted(lists) if any(lists[bucket])]
    new_keys_of = _new_keys_of_few_parts if len(ordered) <= FEW_BUCKETS else _new_keys_of_many_parts
    met = dict(zip(ordered, new_keys_of([lists[bucket] for bucket in ordered]), strict=True))
    return [met.get(bucket, 0) for bucket in range(1, buckets + 1)]


def _new_keys_of_few_parts(parts: Sequence[Sequence[bytes]]) -> Iterator[int]:
    before, through = 0, list[bytes]()
    for part in parts:
        through += part
        distinct = distinct_keys(through)
        yield distinct - before
        before = distinct


def _new_keys_of_many_parts(parts: Sequence[Sequence[bytes]]) -> list[int]:
    _, place = first_places(parts)
    return [int(number) for number in np.bincount(place, minlength=len(parts))]


def first_places(parts: Sequence[Sequence[bytes]]) -> "tuple[npt.NDArray[np.uint64], npt.NDArray[np.intp]]":
    """The different keys of parts, each of which has lists of keys, and the index of the first part in which each key is."""
    keys = [_keys(part) for part in parts]
    if not keys:
        return np.empty(0, np.uint64), np.empty(0, np.intp)
    different, firsts = np.unique(np.concatenate(keys), return_index=True)
    return different, np.searchsorted(np.cumsum([len(part) for part in keys]), firsts, side="right")
