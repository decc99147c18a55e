"""Which won deals count for campaigns in ranges of time, and what did these earn of them? Of whole days it is read from stored sums, of the rest
from the touches (see `shared.reading.credit_sums`).
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any

from shared.events.instants import DAY_US
from shared.projection.campaign_cells import renamed_of
from shared.projection.credit_sums import MODEL_NAMES, whole
from shared.projection.days import divided_days, first_whole
from shared.projection.new_contacts import COUNTING_WINDOW
from shared.projection.slices import spans_of, whole_day
from shared.projection.spans import Span, columns_of
from shared.projection.sql import Statement, sql
from shared.projection.won_campaigns import WonOfCampaign, counted, won_of_campaigns
from shared.reading import campaign_keys
from shared.reading.campaign_keys import MODEL_PLACES
from shared.reading.credit_sums import Parts, parts_of
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange

LOOKED_UP_MAX = 6
"""Campaigns times days with spans of time: of no more than these, the touches are found by the keys of the campaigns. Of more, the touches of all deals
won in the spans are read at once."""

RAW_DAYS_MAX, RAW_DAYS_A_CAMPAIGN = 7, 2
"""Of how many days the touches of all deals won then are read, whatever campaign they are of, and of how many more for each campaign that is
asked for. Of more days, the touches of the campaigns' keys are read."""


def _in_spans(first: int) -> str:
    """SQL for the deal touches of deals won in the spans between the arguments `first` and the next one."""
    spans = f"unnest(${first}::bigint[], ${first + 1}::bigint[]) s(from_us, to_us)"
    return f"won AND EXISTS (SELECT FROM {spans} WHERE dated_us >= s.from_us AND dated_us < s.to_us)"


# What counts for campaigns ($2) of the deals won in [$3, $4), in the spans between $5 and $6, found by the campaigns' keys.
_TOUCHED = campaign_keys.deal_touches(f"deal, contact, {campaign_keys.IS_REVENUE} AS revenue", _in_spans(5))
COUNTING_BY_KEYS = sql(f"""
WITH {COUNTING_WINDOW}, {
    counted(f'''
    SELECT t.campaign, 1 AS n, d.currency, d.amount_minor, t.deal, t.contact, t.revenue FROM ({_TOUCHED}) t
    JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = t.deal''')
}""")

# What they earned of the deals in the spans between $6 and $7, by the place of the model in $5. One row a campaign, currency, contact and model.
EARNED_BY_KEYS = sql(f"""
WITH {COUNTING_WINDOW}, {campaign_keys.earned("$5", _in_spans(6))}
SELECT p.campaign, d.currency, p.contact, p.n, sum(p.minor) AS minor FROM part p
JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = p.deal GROUP BY 1, 2, 3, 4
""")


@dataclass
class WonNumbers:
    """The won deals that count for a campaign in a range: how many, their amounts in minor units by currency, and the lists of the keys of the
    contacts by whom they bring revenue. And by model: what the campaign earned, by currency, and the lists of the contacts by whom.
    """

    deals: int = 0
    amount_minor: dict[str, int] = field(default_factory=dict)
    contacts: list[bytes] = field(default_factory=list)
    earned_minor: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    earning: dict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def add(
        self, currency: str, deals: int, amount_minor: int | None, contacts: bytes, minor: dict[str, int] | None,
        earning: dict[str, bytes],
    ) -> None:  # fmt: skip
        """Add those of a part of the range in one currency; `minor` is None if the campaign earned nothing."""
        self.deals += deals
        if amount_minor is not None:
            self.amount_minor[currency] = self.amount_minor.get(currency, 0) + amount_minor
        self.contacts.append(contacts)
        for model, earned in (minor or {}).items():
            of = self.earned_minor[model]
            of[currency] = of.get(currency, 0) + earned
            self.earning[model].append(earning[model])


@lru_cache(maxsize=64)
def _of_days(models: tuple[str, ...]) -> Statement:
    """What stored sums say of campaigns ($2) on the days from $3 to $4, but for the slices that begin at $5 and the days $6; $7 has the first days of
    the buckets.
    """
    places = [MODEL_NAMES.index(model) + 1 for model in models]
    sums = "".join(
        f", sum(minor[{place}]) AS minor_{n}, string_agg(earning[{place}], ''::bytea) FILTER (WHERE minor IS NOT NULL) AS earning_{n}"
        for n, place in enumerate(places)
    )
    return sql(f"""
SELECT campaign, width_bucket(day, $7::int[]) AS bucket, currency, sum(deals)::bigint AS deals, sum(amount_minor) AS amount_minor,
    string_agg(contacts, ''::bytea) AS contacts, count(minor) AS earned, bool_or(refunded) AS refunded{sums}
FROM {{g}}.won_campaign_day
WHERE ws = $1 AND campaign = ANY($2::bigint[]) AND day >= $3 AND day < $4 AND slice_us <> ALL($5::bigint[]) AND day <> ALL($6::int[])
GROUP BY 1, 2, 3
""")


async def won_by_sums(
    snapshot: Snapshot, campaigns: Collection[int], edges_us: Sequence[int], models: Sequence[str]
) -> dict[tuple[int, int], WonNumbers] | None:
    """What won deals are to campaigns, by campaign and bucket: bucket 1 is between the first two of the instants `edges_us`, which are in order.

    `models` are published ones. None if all must be read from the touches: there are no sums, or sums of too few days, or a campaign earned
    less than 0 by a contact: sums of days do not show then by which contacts it earned more than 0 in all.
    """
    parts = await parts_of(snapshot, TimeRange(edges_us[0], edges_us[-1]))
    if parts.days is None:
        return None
    cut = _divided(parts, edges_us)
    spans = list(_spans(parts, cut, edges_us))
    raw_max_us = (RAW_DAYS_MAX + RAW_DAYS_A_CAMPAIGN * len(campaigns)) * DAY_US
    if sum(to_us - from_us for _, (from_us, to_us) in spans) > raw_max_us:
        return None
    out: dict[tuple[int, int], WonNumbers] = defaultdict(WonNumbers)
    first_days = [first_whole(parts.days, at_us) for at_us in edges_us[:-1]]
    rows = await snapshot.fetch(
        _of_days(tuple(models)), list(campaigns), parts.first, parts.last, parts.stale_us, cut, first_days
    )
    renamed = await renamed_of(snapshot)
    for row in rows:
        if row["refunded"]:
            return None
        amount = row["amount_minor"]
        minor = {model: int(row[f"minor_{n}"]) for n, model in enumerate(models)} if row["earned"] else None
        earning = {model: renamed(row[f"earning_{n}"] or b"") for n, model in enumerate(models)}
        out[row["campaign"], row["bucket"]].add(
            row["currency"],
            row["deals"],
            None if amount is None else int(amount),
            renamed(row["contacts"]),
            minor,
            earning,
        )
    if not await _add_of_touches(out, snapshot, campaigns, models, spans):
        return None
    return dict(out)


def _divided(parts: Parts, edges_us: Sequence[int]) -> list[int]:
    """The days that have sums, and that an instant divides."""
    assert parts.days is not None
    return sorted(day for day in divided_days(parts.days, edges_us) if parts.first <= day < parts.last)


def _spans(parts: Parts, cut: Sequence[int], edges_us: Sequence[int]) -> Iterator[tuple[int, Span]]:
    """What is to be read from the touches, with the bucket that each span is of."""
    assert parts.days is not None
    whole = [whole_day(parts.days, day) for day in cut]
    raw = [*spans_of(sorted([*(one for one in parts.stale if one.day not in cut), *whole])), *parts.ends]
    for bucket, (begin_us, end_us) in enumerate(pairwise(edges_us), 1):
        for from_us, to_us in raw:
            if max(from_us, begin_us) < min(to_us, end_us):
                yield bucket, (max(from_us, begin_us), min(to_us, end_us))


async def _add_of_touches(
    out: dict[tuple[int, int], WonNumbers], snapshot: Snapshot, campaigns: Collection[int], models: Sequence[str],
    spans: Sequence[tuple[int, Span]],
) -> bool:  # fmt: skip
    """Add what the touches of deals won in some spans say. False if a campaign earned less than 0 by a contact."""
    if not spans:
        return True
    near = list(_within_a_day(spans))
    if len(campaigns) * len(near) <= LOOKED_UP_MAX:
        found = [one for some in near for one in await _won_by_keys(snapshot, list(campaigns), models, some, spans)]
    else:
        found = await won_of_campaigns(snapshot, [span for _, span in spans], models, set(campaigns))
    for one in found:
        if one.refunded:
            return False
        minor = None
        if one.minor is not None:
            minor = {model: each for model, each in zip(models, one.minor, strict=True) if each is not None}
        earning = dict(zip(models, one.earning, strict=bool(one.earning)))
        out[one.campaign, spans[one.span][0]].add(
            one.currency, one.deals, one.amount_minor, one.contacts, minor, earning
        )
    return True


def _within_a_day(spans: Sequence[tuple[int, Span]]) -> Iterator[list[int]]:
    """The places of spans, those together that are of one bucket and lie within 24 hours."""
    some: list[int] = []
    for n in sorted(range(len(spans)), key=spans.__getitem__):
        bucket, (_, to_us) = spans[n]
        if some and (spans[some[0]][0] != bucket or to_us - spans[some[0]][1][0] > DAY_US):
            yield some
            some = []
        some.append(n)
    if some:
        yield some


async def _won_by_keys(
    snapshot: Snapshot, campaigns: list[int], models: Sequence[str], some: list[int], spans: Sequence[tuple[int, Span]]
) -> list[WonOfCampaign]:
    """As `won_of_campaigns`, of the spans at some places together, which are of one bucket, by the keys of the campaigns."""
    starts, ends = columns_of([spans[n][1] for n in some])
    whole_span, n = (min(starts), max(ends)), some[0]
    found = {
        (row["campaign"], row["currency"]): WonOfCampaign(
            n, row["campaign"], row["currency"], row["deals"], whole(row["amount_minor"]), row["contacts"]
        )
        for row in await snapshot.fetch(COUNTING_BY_KEYS, campaigns, *whole_span, starts, ends)
    }
    if not found:
        return []
    earned: dict[tuple[int, str, int], list[Any]] = defaultdict(lambda: [None] * len(models))
    places = [MODEL_PLACES[model] for model in models]
    for row in await snapshot.fetch(EARNED_BY_KEYS, campaigns, *whole_span, places, starts, ends):
        earned[row["campaign"], row["currency"], row["contact"]][row["n"] - 1] = row["minor"]
    for (campaign, currency, contact), minor in earned.items():
        found[campaign, currency].earned(contact, minor)
    return list(found.values())
