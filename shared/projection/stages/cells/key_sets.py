"""What touches name together: the key sets of a batch, with their numbers."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from struct import Struct

from shared.projection.pipeline import Context
from shared.projection.rows import TouchRow
from shared.projection.sql import sql

KNOWN_KEY_SETS_MAX = 65_536  # that a projector remembers to have written; about 15 MB
ADD_KEY_SETS = sql("""
INSERT INTO {g}.key_set SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT DO NOTHING
""")
_three = Struct(">qqq").pack
Keys = tuple[int, int, int]
"""What a touch names together: an asset or page, what it came by, a utm value; 0 for none."""
NO_KEYS: Keys = (0, 0, 0)


def key_set_of(keys: Keys) -> int:
    """The number of a key set: a 64-bit digest, as other keys are."""
    return int.from_bytes(blake2b(_three(*keys), digest_size=8, person=b"keyset").digest(), "big", signed=True)


class KeySets:
    """The key sets of a batch's touches. `known` are those that are in the store, by keys; `new` those that may not be."""

    def __init__(self, known: Mapping[Keys, int]) -> None:
        self._known = known
        self.new: dict[Keys, int] = {}

    def of(self, row: TouchRow) -> int | None:
        """The number of a touch's key set; None if it names nothing: no campaign ever meets it."""
        keys = row.asset_or_page_key or 0, row.via or 0, row.utm or 0
        found = self._known.get(keys) or self.new.get(keys)
        if found is None and keys != NO_KEYS:
            found = self.new[keys] = key_set_of(keys)
        return found


async def save_key_sets(context: Context, new: Mapping[Keys, int]) -> None:
    """Write key sets that are not remembered to be in the store."""
    if not new:
        return
    remembered = context.remembered.key_sets
    if len(remembered) > KNOWN_KEY_SETS_MAX:
        remembered.clear()
    rows = sorted((number, *keys) for keys, number in new.items())
    await context.connection.execute(ADD_KEY_SETS, context.ws, *map(list, zip(*rows, strict=True)))
    remembered.update(new)


def columns_of(cells: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Key sets, or keys, and days, as statements take them."""
    pairs = list(cells)
    return [key_set for key_set, _ in pairs], [day for _, day in pairs]
