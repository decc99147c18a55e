"""What did groups of touches earn of the deals won in a range? Of whole days it is read from stored sums, of the rest from the touches.

Under the workspace's own models there are such sums, too, but later: after a definition they are made from the beginning.

The rest are the parts of days at both ends of the range, slices of days whose sums are to be made again (`stale_credit`), and days that have none
yet. A deal is won on one day, so numbers of deals are added up; contacts are united.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.campaign_cells import renamed_of
from shared.projection.credit_sums import SUMMED, TOGETHER, sums_of_spans, won_in_spans
from shared.projection.days import NO_DAY, Days, days_of, first_whole
from shared.projection.defined_models import DEFINED_BY, defined_models, own_shares
from shared.projection.generations import WrongShape, lacks_model
from shared.projection.site_list_versions import DECIDED_BY
from shared.projection.slices import STALE_SLICES, Slice, slices_of, spans_of
from shared.projection.spans import Span
from shared.projection.sql import Statement, sql
from shared.projection.stages.credit_days.gather import KEPT
from shared.projection.walks import Walked, unpacked
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.data_driven import MARKOV, SHAPLEY
from shared.rules.models import MODELS, Model
from shared.rules.report_groups import Group, GroupBy, NoGroup

# The days from $2, inclusive, to $3, exclusive, but for the slices that begin at $4.
_DAYS = "ws = $1 AND day >= $2 AND day < $3 AND slice_us <> ALL($4::bigint[])"
WON = sql(f"""
SELECT currency, sum(deals)::bigint AS deals, sum(without_journey)::bigint AS without_journey, sum(amount_minor) AS amount_minor
FROM {{g}}.won_day WHERE {_DAYS} GROUP BY 1
""")


_IN_GROUPS = f"{_DAYS} AND group_by = $5 AND ($6::text IS NULL OR currency = $6)"
_OF_GROUPS = f"{_IN_GROUPS} GROUP BY 1, 2, 3"
STEPS = sql(f"SELECT currency, names, steps FROM {{g}}.path_day WHERE {_IN_GROUPS}")


@dataclass
class Earned:
    """What a group earned in a currency by model, in minor units; how many deals have a touch of it, and the lists of its contacts' keys.

    `paid`: one of the deals has an amount.
    """

    deals: int = 0
    paid: bool = False
    contacts: list[bytes] = field(default_factory=list)
    minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))


@dataclass
class OfGroups:
    """What groups earned, by group and currency; and the steps between them on the paths of the deals, by currency, if they were asked for."""

    earned: dict[tuple[Group, str], Earned] = field(default_factory=lambda: defaultdict(Earned))
    walked: dict[str, Walked] = field(default_factory=lambda: defaultdict(Walked))


@dataclass
class WonDeals:
    """Deals won in a range in a currency: how many, how many without a journey, their amount in minor units (None: none has one)."""

    deals: int = 0
    without_journey: int = 0
    amount_minor: int | None = None

    def add(self, deals: int, without_journey: int, amount_minor: int | None) -> None:
        """Add those of a part of the range."""
        self.deals += deals
        self.without_journey += without_journey
        if amount_minor is not None:
            self.amount_minor = (self.amount_minor or 0) + amount_minor


@dataclass(frozen=True)
class Parts:
    """How a range is read: the days `[first, last)`, of `days`, from sums but for `stale` slices, and these and the `ends` from the touches."""

    first: int
    last: int
    stale: Sequence[Slice]
    ends: Sequence[Span]
    days: Days | None = None

    @property
    def stale_us(self) -> list[int]:
        """When the stale slices begin, as statements take them."""
        return [one.from_us for one in self.stale]

    @property
    def spans(self) -> list[Span]:
        """What is read from the touches."""
        return [*spans_of(self.stale), *self.ends]


def all_of_touches(span: TimeRange) -> Parts:
    """A range of which all is read from the touches."""
    return Parts(0, 0, (), [(span.from_us, span.to_us)])


async def parts_of(snapshot: Snapshot, span: TimeRange, *, defined: bool = False) -> Parts:
    """What of a range is read from sums, and what from the touches. `defined`: sums under the workspace's own models are needed."""
    kept = await snapshot.fetchrow(KEPT)
    raw = all_of_touches(span)
    if kept is None or kept["decided_by"] != DECIDED_BY or kept["through_day"] == NO_DAY:
        return raw
    days = days_of(kept["time_zone"])
    first = first_whole(days, span.from_us)
    last = kept["through_day"]
    if defined:
        defined_by = (await snapshot.fetchrow(DEFINED_BY))["defined_by"]
        last = min(last, kept["defined_through_day"] if kept["defined_by"] == defined_by else NO_DAY)
    if span.to_us != END_US:
        last = min(last, days.day_of(span.to_us))
    if first >= last:
        return raw
    stale = slices_of(days, await snapshot.fetch(STALE_SLICES, first, last, None))
    ends = []
    if span.from_us != BEGINNING_US and span.from_us < days.start_us(first):
        ends.append((span.from_us, days.start_us(first)))
    if (end_us := days.start_us(last)) < span.to_us:
        ends.append((end_us, span.to_us))
    return Parts(first, last, stale, ends, days)


async def won_deals(snapshot: Snapshot, parts: Parts) -> dict[str, WonDeals]:
    """The deals won in a range, by currency."""
    out: dict[str, WonDeals] = defaultdict(WonDeals)
    if parts.first < parts.last:
        for row in await snapshot.fetch(WON, parts.first, parts.last, parts.stale_us):
            amount = row["amount_minor"]
            out[row["currency"]].add(row["deals"], row["without_journey"], None if amount is None else int(amount))
    if parts.spans:
        for won in await won_in_spans(snapshot, parts.spans):
            out[won.currency].add(won.deals, won.without_journey, won.amount_minor)
    return dict(out)


@lru_cache(maxsize=64)
def _of_sums(models: tuple[str, ...]) -> Statement:
    """The sums of groups $5 of some days, in the currency $6 (null: in each)."""
    return sql(f"""
SELECT name, reason, currency, sum(deals)::bigint AS deals, string_agg(contacts, ''::bytea) AS contacts, bool_or(paid) AS paid,
    {_minor([SUMMED.index(model) + 1 for model in models])}
FROM {{g}}.credit_day WHERE {_OF_GROUPS}
""")


@lru_cache(maxsize=64)
def _of_defined_sums(places: tuple[int, ...]) -> Statement:
    """As `_of_sums`, under the workspace's own models at some places, from 1, in the order of their names."""
    return sql(f"SELECT name, reason, currency, {_minor(places)} FROM {{g}}.defined_credit_day WHERE {_OF_GROUPS}")


def _minor(places: Sequence[int]) -> str:
    """SQL for the sums of `minor` at some places, as an array."""
    return f"ARRAY[{', '.join(f'sum(minor[{place}])' for place in places)}]::numeric[] AS minor"


async def earned_by_group(
    snapshot: Snapshot, parts: Parts, by: GroupBy, models: Mapping[str, Model], currency: str | None, data_driven: Collection[str] = (),
) -> OfGroups:  # fmt: skip
    """What groups of touches earned of the deals won in a range under models, by group and currency (None: in each).

    `data_driven` are models that look at paths: with any, groups also have what they earned under `shapley`; with `markov`, there are the steps between them. Groups without a touch in a
    journey are absent. `parts` must be those of `defined` sums if one of the models is the workspace's own. Raises `WrongShape` if the store lacks a model.
    """
    by_paths = [SHAPLEY] if data_driven else []
    published = [name for name in models if name in MODELS] + by_paths
    own = [name for name in models if name not in MODELS]
    out = OfGroups()
    if parts.first < parts.last:
        renamed = await renamed_of(snapshot)
        asked = parts.first, parts.last, parts.stale_us, str(by), currency
        for name, reason, each, deals, contacts, paid, minor in await snapshot.fetch(
            _of_sums(tuple(published)), *asked
        ):
            one = out.earned[_group(name, reason), each]
            _add(snapshot, one, published, deals, renamed(contacts), minor, paid=paid)
        if own:
            places = sorted(await defined_models(snapshot))
            statement = _of_defined_sums(tuple(places.index(name) + 1 for name in own))
            for name, reason, each, minor in await snapshot.fetch(statement, *asked):
                _add_minor(snapshot, out.earned[_group(name, reason), each], own, minor)
        if MARKOV in data_driven:
            for each, names, steps in await snapshot.fetch(STEPS, *asked):
                out.walked[each].add([name.decode() for name in names], unpacked(steps))
    if parts.spans:
        bys = next(bys for bys in TOGETHER if by in bys)
        referrers = snapshot.settings.referrers
        shares = await own_shares(snapshot, parts.spans, [models[name] for name in own], currency) if own else None
        summed = await sums_of_spans(
            snapshot, parts.spans, bys, list(models), currency, referrers, shares, paths=bool(data_driven)
        )
        for sum_ in summed[by].sums:
            one = out.earned[sum_.group, sum_.currency]
            minor = [*sum_.minor, *([sum_.shapley] if by_paths else [])]
            _add(snapshot, one, [*models, *by_paths], sum_.deals, sum_.contacts, minor, paid=sum_.paid)
        for (_, each), walked in summed[by].walked.items():
            out.walked[each].add(walked.names, walked.steps)
    return out


def _group(name: bytes | None, reason: str | None) -> Group:
    """A group, of its columns."""
    return Group(None if name is None else name.decode(), None if reason is None else NoGroup(reason))


def _add(
    snapshot: Snapshot, one: Earned, models: Sequence[str], deals: int, contacts: bytes, minor: Sequence[int | None],
    *, paid: bool,
) -> None:  # fmt: skip
    one.deals += deals
    one.contacts.append(contacts)
    one.paid |= paid
    _add_minor(snapshot, one, models, minor)


def _add_minor(snapshot: Snapshot, one: Earned, models: Sequence[str], minor: Sequence[int | None]) -> None:
    for model, more in zip(models, minor, strict=True):
        if more is None:
            raise WrongShape(lacks_model(snapshot.generation, model))
        one.minor[model] += int(more)
