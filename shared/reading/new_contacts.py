"""How many contacts are new to campaigns? Whole days from `campaign_day`, where it has them, and the rest from the contacts."""

from collections.abc import Collection, Sequence

from shared.projection.new_contacts import BY_KEYS, NewContacts, new_in_spans
from shared.projection.sql import sql
from shared.reading.cells import PENDING_NEW, WHOLE_DAYS, cells_days, days_read
from shared.reading.snapshot import Snapshot

OF_DAYS = sql(f"""
SELECT d.campaign, width_bucket(d.day, $8::int[]) AS bucket, sum(d.new_by_first_touch)::int AS by_first_touch,
    sum(d.new_by_last_touch)::int AS by_last_touch
FROM {WHOLE_DAYS} GROUP BY 1, 2
""")


async def new_contacts(
    snapshot: Snapshot, campaigns: Collection[int], edges_us: Sequence[int], *, by_touches: bool = False
) -> dict[tuple[int, int], NewContacts]:
    """The contacts that are new to campaigns, created between each two of some instants, which are in order.

    The numbers are by campaign and bucket; bucket 1 begins at the first instant. `by_touches`: no days of campaigns are read.
    """
    days = None if by_touches else await cells_days(snapshot)
    read = None if days is None else await days_read(snapshot, days, campaigns, edges_us, PENDING_NEW)
    alone = list(campaigns) if read is None else [campaign for campaign in campaigns if campaign not in read.through]
    by_bucket: dict[tuple[int, int], NewContacts] = {}
    if alone:
        for row in await snapshot.fetch(BY_KEYS, alone, edges_us[0], edges_us[-1], list(edges_us[:-1])):
            by_bucket[row["campaign"], row["bucket"]] = NewContacts(row["by_first_touch"], row["by_last_touch"])
    if read is None or not read.through:
        return by_bucket
    parts = [
        ((row["campaign"], row["bucket"]), NewContacts(row["by_first_touch"], row["by_last_touch"]))
        for row in await snapshot.fetch(OF_DAYS, *read.arguments(), read.buckets())
    ]
    wanted_spans = [
        (campaign, max(from_us, edges_us[0]), min(to_us, edges_us[-1]))
        for campaign, spans in read.spans().items()
        for from_us, to_us in spans
    ]
    parts += (await new_in_spans(snapshot, [span for span in wanted_spans if span[1] < span[2]], edges_us)).items()
    for place, new in parts:
        if 1 <= place[1] < len(edges_us):
            had = by_bucket.get(place, NewContacts(0, 0))
            by_bucket[place] = NewContacts(
                had.by_first_touch + new.by_first_touch, had.by_last_touch + new.by_last_touch
            )
    return by_bucket
