"""Which contacts did a campaign or an asset influence, and on which days? And which of them may be on a page of a list?"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.campaign_cells import BucketSums, add_of_cells, renamed_of
from shared.projection.days import ALWAYS, Days
from shared.projection.key_lists import first_places
from shared.projection.sql import sql
from shared.reading.cells import WHOLE_DAYS, days_read
from shared.reading.snapshot import Snapshot

CONTACTS_OF_DAYS = sql(f"SELECT d.day, d.contacts FROM {WHOLE_DAYS} AND d.contacts <> ''::bytea")


class Piece(NamedTuple):
    """A time, `[from_us, to_us)`, and lists of the 64-bit keys of contacts that a campaign or asset influenced in it. A key may be in several lists."""

    from_us: int
    to_us: int
    contacts: Sequence[bytes]


def pieces_of(sums: BucketSums, edges_us: Sequence[int]) -> list[Piece]:
    """The pieces of one subject, in order: before the first instant, and between each two. Times without contacts are left out."""
    between = enumerate(pairwise([BEGINNING_US, *edges_us]))
    return [Piece(from_us, to_us, sums.contacts[n]) for n, (from_us, to_us) in between if n in sums.contacts]


async def influenced_by_day(snapshot: Snapshot, days: Days, campaign: int, edges_us: tuple[int, int]) -> list[Piece]:
    """The contacts that a campaign (its key) influenced before the second of two instants, in order: a piece for each day. A day that an instant divides
    is two pieces. While a campaign has no rows in `campaign_day`, a piece may be longer than a day.
    """
    read = await days_read(snapshot, days, [campaign], edges_us)
    spans, pieces = read.spans(), []
    if not read.through:
        spans = {campaign: ALWAYS}
    renamed = await renamed_of(snapshot)
    for day, contacts in await snapshot.fetch(CONTACTS_OF_DAYS, *read.arguments()):
        pieces.append(Piece(days.start_us(day), days.start_us(day + 1), [renamed(contacts)]))
    if spans:
        bounds = {at_us for span in spans[campaign] for at_us in _day_bounds(days, span)}
        finer_us = sorted({*edges_us, *bounds})
        sums = {campaign: BucketSums()}
        await add_of_cells(sums, snapshot, days, finer_us, spans)
        pieces += pieces_of(sums[campaign], finer_us)
    return sorted(piece for piece in pieces if piece.to_us <= edges_us[1])


def _day_bounds(days: Days, span: tuple[int, int]) -> list[int]:
    """The instants at which a span of time begins and ends, and, if it has a begin and an end, those at which its days begin."""
    from_us, to_us = span
    if from_us > BEGINNING_US and to_us < END_US:
        return [from_us, to_us, *map(days.start_us, range(days.first_whole(from_us), days.day_of(to_us) + 1))]
    return [at_us for at_us in span if BEGINNING_US < at_us < END_US]


class PageOfContacts(NamedTuple):
    """The keys of the contacts that may be on a page, and the instants between which they were first influenced."""

    contacts: list[int]
    from_us: int
    to_us: int


def contacts_of_a_page(pieces: Sequence[Piece], begin_us: int, limit: int) -> PageOfContacts:
    """The contacts of pieces (in order) that may be on a page of at most `limit` contacts, first influenced from the instant `begin_us` on.

    Takes pieces from there on until they have enough contacts that are in no earlier piece. So only the touches of these contacts must be read.
    """
    contacts, place = first_places([piece.contacts for piece in pieces])
    first = bisect_right(pieces, begin_us, key=lambda piece: piece.to_us)
    new = np.bincount(place, minlength=len(pieces))
    enough = np.cumsum(new[first + 1 :]) >= limit  # of the first piece, all may be on the page before
    last = first + 1 + int(np.argmax(enough)) if enough.any() else len(pieces) - 1
    if first > last:
        return PageOfContacts([], 0, 0)
    wanted = contacts[(place >= first) & (place <= last)]
    return PageOfContacts(wanted.view(np.int64).tolist(), pieces[first].from_us, pieces[last].to_us)
