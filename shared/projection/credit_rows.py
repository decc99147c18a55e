"""Writes the rows of sums of credit of slices of days, from the credited touches of the deals that were won in them."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.projection.campaign_cells import WorkspaceRows
from shared.projection.credit_sums import MODEL_NAMES, TOGETHER, Sum, Summed, sums_of_spans, won_in_spans
from shared.projection.defined_models import defined_models, own_shares
from shared.projection.generations import WrongShape, lacks_model
from shared.projection.pipeline import Context
from shared.projection.slices import Slice
from shared.projection.spans import Span
from shared.projection.sql import columns, sql
from shared.projection.stages.entities.gather import as_read
from shared.projection.walks import packed
from shared.projection.won_campaigns import won_of_campaigns
from shared.rules.models import Model
from shared.rules.report_groups import GroupBy

CREDIT_DAY_COLUMNS = (
    "ws", "day", "slice_us", "group_by", "name", "reason", "currency", "deals", "contacts", "paid", "minor",
)  # fmt: skip
PATH_DAY_COLUMNS = ("ws", "day", "slice_us", "group_by", "currency", "names", "steps")
WON_CAMPAIGN_DAY_COLUMNS = (
    "ws", "campaign", "day", "slice_us", "currency", "deals", "amount_minor", "contacts", "minor", "earning", "refunded",
)  # fmt: skip
DEFINED_CREDIT_DAY_COLUMNS = ("ws", "day", "slice_us", "group_by", "name", "reason", "currency", "minor")
WON_DAY_COLUMNS = ("ws", "day", "slice_us", "currency", "deals", "without_journey", "amount_minor")
PUBLISHED_TABLES = ("credit_day", "path_day", "won_campaign_day", "won_day")
SETTINGS = sql("SELECT body FROM {g}.settings WHERE ws = $1")
DELETE = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND day = ANY($2::int[]) AND slice_us = ANY($3::bigint[])")
    for table in (*PUBLISHED_TABLES, "defined_credit_day")
]


_SumOfGroup = tuple[tuple[int, int], tuple[str, bytes | None, str | None], Sum]
"""A slice and a group, as columns have them, and the sum."""


async def delete_rows(context: Context, some: Sequence[Slice]) -> None:
    """Delete the sums of some slices, at least one, under all models."""
    days, starts, _ = columns(some)
    for statement in DELETE:
        await context.connection.execute(statement, context.ws, days, starts)


async def write_rows(context: Context, some: Sequence[Slice], *, defined: bool = False) -> None:
    """Write the sums of some slices that have none, under published models; with `defined`, also under the workspace's own."""
    if not some:
        return
    connection, ws = context.connection, context.ws
    store, spans = WorkspaceRows(connection, ws), _spans(some)
    won = [(ws, *_place(some[one.span]), *one[1:]) for one in await won_in_spans(store, spans)]
    await connection.copy("won_day", WON_DAY_COLUMNS, won)
    if not won:
        return
    models = await defined_models(store) if defined else {}
    own = sorted(models)
    summed = await _summed(context, some, [*MODEL_NAMES, *own], [models[name] for name in own], paths=True)
    published, sums = len(MODEL_NAMES), _sums(some, summed)
    rows = [
        (ws, *place, *group, one.currency, one.deals, one.contacts, one.paid,
         [*_of_all_models(context, one.minor[:published]), one.shapley])
        for place, group, one in sums
    ]  # fmt: skip
    await connection.copy("credit_day", CREDIT_DAY_COLUMNS, rows)
    if models:
        await connection.copy("defined_credit_day", DEFINED_CREDIT_DAY_COLUMNS, _defined_rows(ws, sums, published))
    paths = [
        (ws, *_place(some[span]), str(by), currency, [name.encode() for name in walked.names], packed(walked.steps))
        for by, of in summed.items() for (span, currency), walked in of.walked.items() if walked.names
    ]  # fmt: skip
    await connection.copy("path_day", PATH_DAY_COLUMNS, paths)
    won_for = [
        (ws, one.campaign, *_place(some[one.span]), one.currency, one.deals, one.amount_minor, one.contacts,
         None if one.minor is None else _of_all_models(context, one.minor), one.earning, one.refunded)
        for one in await won_of_campaigns(store, spans, MODEL_NAMES)
    ]  # fmt: skip
    await connection.copy("won_campaign_day", WON_CAMPAIGN_DAY_COLUMNS, won_for)


def _spans(some: Sequence[Slice]) -> list[Span]:
    return [(one.from_us, one.to_us) for one in some]


def _place(one: Slice) -> tuple[int, int]:
    """The day and the slice, as columns have them."""
    return one.day, one.from_us


def _of_all_models(context: Context, minor: Sequence[int | None]) -> list[int]:
    """Sums under all models. Raises `WrongShape` if the store lacks one."""
    for model, each in zip(MODEL_NAMES, minor, strict=True):
        if each is None:
            raise WrongShape(lacks_model(context.connection.generation, model))
    return [each for each in minor if each is not None]


async def write_defined_rows(context: Context, some: Sequence[Slice]) -> None:
    """As `write_rows`, under the models that the workspace has defined, in the order of their names."""
    store = WorkspaceRows(context.connection, context.ws)
    if not some or not (models := await defined_models(store)):
        return
    summed = await _summed(context, some, sorted(models), [models[name] for name in sorted(models)])
    rows = _defined_rows(context.ws, _sums(some, summed), 0)
    await context.connection.copy("defined_credit_day", DEFINED_CREDIT_DAY_COLUMNS, rows)


def _defined_rows(ws: int, sums: Sequence[_SumOfGroup], first: int) -> list[tuple[Any, ...]]:
    """Rows of `defined_credit_day`, of sums whose models from the place `first` on are the workspace's own."""
    return [
        (ws, *place, *group, one.currency, [minor or 0 for minor in one.minor[first:]])
        for place, group, one in sums if one.paid
    ]  # fmt: skip


async def _summed(
    context: Context, some: Sequence[Slice], names: Sequence[str], defined: Sequence[Model] = (), *, paths: bool = False
) -> dict[GroupBy, Summed]:
    """The sums of some slices under models, those among them that the workspace has `defined`, in their order; with `paths`, also those of paths."""
    store, spans = WorkspaceRows(context.connection, context.ws), _spans(some)
    referrers = as_read(await context.connection.fetchval(SETTINGS, context.ws)).referrers
    own = await own_shares(store, spans, defined, None) if defined else None
    out: dict[GroupBy, Summed] = {}
    for bys in TOGETHER:
        out |= await sums_of_spans(store, spans, bys, names, None, referrers, own, paths=paths)
    return out


def _sums(some: Sequence[Slice], summed: Mapping[GroupBy, Summed]) -> list[_SumOfGroup]:
    """The sums of all groups of some slices."""
    rows = []
    for by, of in summed.items():
        for one in of.sums:
            name, reason = one.group
            group = str(by), None if name is None else name.encode(), None if reason is None else str(reason)
            rows.append((_place(some[one.span]), group, one))
    return rows
