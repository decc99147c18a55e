"""Lists of 64-bit keys, as digests have them: eight bytes a key in network order, one after another."""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

FEW_BUCKETS = 3  # of which it is faster to sort the keys once a bucket than to sort them together with their places


def _keys(lists: Collection[bytes]) -> "npt.NDArray[np.uint64]":
    return np.frombuffer(b"".join(lists), ">u8").astype(np.uint64)


def _packed(keys: "npt.NDArray[np.uint64]") -> bytes:
    return keys.astype(">u8").tobytes()


def distinct_keys(lists: Collection[bytes]) -> int:
    """How many different keys lists hold. Most lists are in order, and a stable sort merges them, which takes a third of the time."""
    keys = np.sort(_keys(lists), kind="stable")
    return min(1, len(keys)) + int(np.count_nonzero(keys[1:] != keys[:-1]))


def united(lists: Collection[bytes]) -> bytes:
    """Lists as one: each key once, in the order of their bytes."""
    return _packed(np.unique(_keys(lists)))


def without(lists: Collection[bytes], others: bytes) -> bytes:
    """The keys of lists that another list does not have, each once."""
    return _packed(np.setdiff1d(_keys(lists), _keys([others])))


def first_met(lists: Mapping[int, Sequence[bytes]], buckets: int) -> list[int]:
    """How many keys are met in each bucket, from 1 on, and in none before it; bucket 0 is what was before all."""
    ordered = [bucket for bucket in sorted(lists) if any(lists[bucket])]
    number_of = _first_met_of_few if len(ordered) <= FEW_BUCKETS else _first_met_of_many
    met = dict(zip(ordered, number_of([lists[bucket] for bucket in ordered]), strict=True))
    return [met.get(bucket, 0) for bucket in range(1, buckets + 1)]


def _first_met_of_few(parts: Sequence[Sequence[bytes]]) -> Iterator[int]:
    before, through = 0, list[bytes]()
    for part in parts:
        through += part
        distinct = distinct_keys(through)
        yield distinct - before
        before = distinct


def _first_met_of_many(parts: Sequence[Sequence[bytes]]) -> list[int]:
    _, place = first_places(parts)
    return [int(number) for number in np.bincount(place, minlength=len(parts))]


def first_places(parts: Sequence[Sequence[bytes]]) -> "tuple[npt.NDArray[np.uint64], npt.NDArray[np.intp]]":
    """The different keys of parts, each of which has lists of keys, and in which part each key is first."""
    keys = [_keys(part) for part in parts]
    if not keys:
        return np.empty(0, np.uint64), np.empty(0, np.intp)
    different, firsts = np.unique(np.concatenate(keys), return_index=True)
    return different, np.searchsorted(np.cumsum([len(part) for part in keys]), firsts, side="right")
