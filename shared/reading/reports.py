"""What did each group of touches earn, or bring, under several models side by side? What belongs to no group is a row of its own."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from shared.events.money import to_amount
from shared.projection.key_lists import distinct_keys
from shared.projection.sql import sql
from shared.reading.created_credit import Created, created_contacts, created_deals
from shared.reading.credit_sums import earned_by_group, parts_of, won_deals
from shared.reading.data_driven import earned_under_markov
from shared.reading.defined_models import models_named
from shared.reading.groups import groups_of
from shared.reading.overview import money_by_currency
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.created import ONE, units
from shared.rules.data_driven import DATA_DRIVEN, MARKOV, SHAPLEY
from shared.rules.exact import split
from shared.rules.keys import asset_key
from shared.rules.models import MODELS
from shared.rules.report_groups import Group, GroupBy, NoGroup

ALL_CURRENCIES = "all"
ONE_DECIMALS = 6  # of the parts of a deal or contact: shared.rules.created.ONE
COUNTED_BY = "linear"  # the model by whose sums deals and contacts are counted, where only models are asked for that look at paths

CAMPAIGN_NAMES = sql("SELECT campaign_id AS id, name FROM {g}.campaign WHERE ws = $1")
ASSET_NAMES = sql("SELECT asset_id AS id, name FROM {g}.asset WHERE ws = $1 AND asset = ANY($2::bigint[])")
DEAL_IN = sql("SELECT 1 FROM {g}.deal WHERE ws = $1 AND currency = $2 LIMIT 1")

NO_GROUP_OF = {
    GroupBy.CAMPAIGN: NoGroup.NO_CAMPAIGN, GroupBy.OWNER: NoGroup.NO_CAMPAIGN, GroupBy.ASSET: NoGroup.NO_ASSET,
    GroupBy.ASSET_TYPE: NoGroup.NO_ASSET, GroupBy.SOURCE: NoGroup.NO_SOURCE, GroupBy.MEDIUM: NoGroup.NO_MEDIUM,
    GroupBy.UTM_CAMPAIGN: NoGroup.NO_UTM_CAMPAIGN,
}  # fmt: skip
"""The row of what belongs to no group, which is always there; every touch has an interaction and a channel."""


class Of(StrEnum):
    """What a report shares out."""

    REVENUE = "revenue"
    DEALS = "deals"
    CONTACTS = "contacts"


@dataclass(frozen=True, slots=True)
class Question:
    """What a report is of: the models, the groups, what is shared out, and of revenue one currency or `ALL_CURRENCIES`."""

    models: Sequence[str]
    by: GroupBy
    of: Of
    currency: str


@dataclass(frozen=True, slots=True)
class Credited:
    """A touch of a journey: of which deal or contact, whose it is, its groups, and what it earned in units by model."""

    subject: int
    contact: int
    currency: str
    groups: Sequence[Group]
    units: Mapping[str, int]


@dataclass
class ReportRow:
    """The numbers of one group: the keys of its deals and contacts, and what it earned in units by model and currency."""

    subjects: set[int] = field(default_factory=set)
    contacts: set[int] = field(default_factory=set)
    deals: int = 0
    contact_lists: list[bytes] = field(default_factory=list)
    """How many deals the database has counted, and lists of 64-bit keys of contacts, where it has: they are then not in the sets."""
    earned: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(int)))


@dataclass
class Report:
    """The rows of a report, and what is shared out in all, in units by currency."""

    rows: dict[Group, ReportRow] = field(default_factory=lambda: defaultdict(ReportRow))
    total: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    subjects: int = 0
    others: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Revenue in currencies that were not asked for."""

    def add(self, one: Credited) -> None:
        """Add what a touch earned. Deal and contact are of every group with a touch in the journey, even if that earned 0."""
        for group in one.groups:
            row = self.rows[group]
            row.subjects.add(one.subject)
            row.contacts.add(one.contact)
        for model, earned in one.units.items():
            for group, part in zip(one.groups, split(earned, len(one.groups)), strict=True):
                self.rows[group].earned[model][one.currency] += part


async def has_deal_in(snapshot: Snapshot, currency: str) -> bool:
    """Whether any deal of the workspace has an amount in a currency."""
    return await snapshot.fetchrow(DEAL_IN, currency) is not None


async def attribution_report(snapshot: Snapshot, span: TimeRange, asked: Question) -> dict[str, Any]:
    """What each group earned of the deals won, or brought of the deals or contacts created, in a range: the answer of the report.

    The groups are in the order of what they earned under the first model, most first; of several currencies, of how many deals.
    Raises `WrongShape` if the store lacks a model, `NotFound` if there is no such model, and `TooManyGroups` under `markov`.
    """
    report = await (_of_revenue if asked.of is Of.REVENUE else _of_created)(snapshot, span, asked)
    body: dict[str, Any] = {
        "models": asked.models, "of": str(asked.of), "group_by": str(asked.by), **span.as_json(),
        "rows": await _rows(snapshot, asked, report),
        "total": {model: _value(asked, report.total) for model in asked.models},
    }  # fmt: skip
    if asked.of is Of.REVENUE:
        return {
            **body, "currency": asked.currency, "deals": report.subjects,
            "other_currencies": money_by_currency(report.others),
        }  # fmt: skip
    return {**body, str(asked.of): report.subjects}


async def _of_revenue(snapshot: Snapshot, span: TimeRange, asked: Question) -> Report:
    """Share out the revenue of the deals won in the range. What no group has earned is of deals without a journey, or without one within the
    lookback of the model.
    """
    report = Report()
    without = report.rows[Group(None, NoGroup.NO_JOURNEY)]
    by_paths = [model for model in asked.models if model in DATA_DRIVEN]
    named = [model for model in asked.models if model not in DATA_DRIVEN]
    models = await models_named(snapshot, named or [COUNTED_BY])
    parts = await parts_of(snapshot, span, defined=not models.keys() <= MODELS.keys())
    for currency, won in (await won_deals(snapshot, parts)).items():
        if asked.currency not in (currency, ALL_CURRENCIES):
            report.others[currency] = won.amount_minor or 0
            continue
        report.subjects += won.deals
        without.deals += won.without_journey
        if won.amount_minor is not None:
            report.total[currency] = won.amount_minor
    rest = {model: dict(report.total) for model in asked.models}
    one_currency = None if asked.currency == ALL_CURRENCIES else asked.currency
    found = await earned_by_group(snapshot, parts, asked.by, models, one_currency, by_paths)
    with_sums = [*named, *([SHAPLEY] if SHAPLEY in by_paths else [])]
    for (group, currency), one in found.earned.items():
        row = report.rows[group]
        row.deals += one.deals
        row.contact_lists += one.contacts
        if one.paid:
            for model in with_sums:
                row.earned[model][currency] += one.minor[model]
                rest[model][currency] -= one.minor[model]
    if MARKOV in by_paths:
        for (group, currency), minor in (await earned_under_markov(snapshot, span, asked.by, found)).items():
            report.rows[group].earned[MARKOV][currency] += minor
            rest[MARKOV][currency] -= minor
    for model, by_currency in rest.items():
        for currency, minor in by_currency.items():
            if minor:
                without.earned[model][currency] = minor
    return report


async def _of_created(snapshot: Snapshot, span: TimeRange, asked: Question) -> Report:
    """Share out the deals, or contacts, created in the range: each is worth 1 (rule **created credit**)."""
    created = await (created_deals if asked.of is Of.DEALS else created_contacts)(snapshot, span)
    report = Report(subjects=len(created))
    report.total[""] = ONE * len(created)
    without = report.rows[Group(None, NoGroup.NO_JOURNEY)]
    without.subjects |= {one.subject for one in created if not one.touches}
    touches, left = await credited_of_created(snapshot, asked, created)
    for touch in touches:
        report.add(touch)
    for (_, name), rest in left.items():
        without.earned[name][""] += rest
    return report


async def credited_of_created(
    snapshot: Snapshot, asked: Question, created: Sequence[Created]
) -> tuple[list[Credited], dict[tuple[int, str], int]]:
    """Every touch in the journeys of deals or contacts that were created, with what it brought in units of `ONE`; and what no touch brought,
    because there is no journey, or none within the lookback of the model: by the key of deal or contact, and by model.

    Raises `NotFound` if there is no such model.
    """
    models = await models_named(snapshot, asked.models)
    groups = iter(await groups_of(snapshot, asked.by, [touch for one in created for touch in one.touches]))
    out: list[Credited] = []
    left: dict[tuple[int, str], int] = {}
    for one in created:
        found, ages_us = one.roles, one.ages_us
        earned = {name: units(model, found, ages_us) for name, model in models.items()}
        for i, touch in enumerate(one.touches):
            mine = {name: paid[i] for name, paid in earned.items() if paid is not None}
            out.append(Credited(one.subject, touch["contact"], "", next(groups), mine))
        left |= {(one.subject, name): ONE for name, paid in earned.items() if paid is None}
    return out, left


def _place(asked: Question, group: Group, row: ReportRow) -> tuple[bool, int, str]:
    """The sort key of a row: named groups by what they earned or by how many deals, then what belongs to none."""
    if group.reason is not None:
        return True, list(NoGroup).index(group.reason), ""
    worth = (
        row.deals + len(row.subjects) if asked.currency == ALL_CURRENCIES else sum(row.earned[asked.models[0]].values())
    )
    return False, -worth, group.name or ""


async def _rows(snapshot: Snapshot, asked: Question, report: Report) -> list[dict[str, Any]]:
    """The rows: the named groups, then what belongs to none, by reason."""
    if (none := NO_GROUP_OF.get(asked.by)) is not None:
        _ = report.rows[Group(None, none)]  # the row is there, even if nothing is without a group
    named = [group.name for group in report.rows if group.name is not None]
    names = {}
    if asked.by is GroupBy.CAMPAIGN:
        names = {row["id"]: row["name"] for row in await snapshot.fetch(CAMPAIGN_NAMES)}
    elif asked.by is GroupBy.ASSET:
        names = {
            row["id"]: row["name"] for row in await snapshot.fetch(ASSET_NAMES, [asset_key(name) for name in named])
        }
    ordered = sorted(report.rows, key=lambda group: _place(asked, group, report.rows[group]))
    return [_row(asked, group, report.rows[group], names) for group in ordered]


def _row(asked: Question, group: Group, row: ReportRow, names: Mapping[str, str | None]) -> dict[str, Any]:
    out: dict[str, Any] = {"group": group.name}
    if group.reason is not None:
        out["reason"] = str(group.reason)
    elif names:
        out["name"] = names.get(group.name or "")
    earned = {model: _value(asked, row.earned[model]) for model in asked.models}
    if asked.of is Of.CONTACTS:
        return {**out, "contacts": len(row.subjects), "credit": earned}
    said = "revenue" if asked.of is Of.REVENUE else "credit"
    return {
        **out,
        "deals": row.deals + len(row.subjects),
        "contacts": distinct_keys(row.contact_lists) + len(row.contacts),
        said: earned,
    }


def _value(asked: Question, minor: Mapping[str, int]) -> Any:
    """What was earned: an amount of the currency asked for, a list of money for all of them, a decimal for deals and contacts."""
    if asked.of is not Of.REVENUE:
        return credit_text(sum(minor.values()))
    if asked.currency == ALL_CURRENCIES:
        return money_by_currency(minor)
    return to_amount(minor.get(asked.currency, 0), asked.currency)


def credit_text(units_: int) -> str:
    """A part of deals or contacts, in units of `ONE`, as answers have it: a decimal."""
    number = f"{Decimal(units_).scaleb(-ONE_DECIMALS):f}"
    return number.rstrip("0").rstrip(".")
