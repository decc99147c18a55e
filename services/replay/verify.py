"""Does the live projection match the log? Projects the log again beside the live one, up to the same position, and compares."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from services.replay.build import Build, Resources, scratch
from services.replay.compare import Difference, Side, differing_rows
from services.replay.sample import Sample
from shared.events.instants import BEGINNING_US, DAY_US, END_US
from shared.projection.checksums import EVERYTHING, Checksum, Part, checksums, workspaces_being_rebuilt
from shared.projection.generations import Generation, check_log, live_generation
from shared.projection.sql import Connection
from shared.reading.cells_compared import DigestDifference, digest_differences, digest_differences_of_assets
from shared.reading.credit_compared import EarnedOtherwise, earned_otherwise_on_some_days
from shared.reading.snapshot import snapshot_within
from shared.reading.time_range import TimeRange
from shared.rules.keys import asset_key, campaign_key
from shared.store.verifications import VerificationResult, recorded

SUBJECTS = """
SELECT r.workspace_id,
    ARRAY(SELECT campaign_id FROM {schema}.campaign WHERE ws = r.ws ORDER BY random() LIMIT $1) AS campaigns,
    ARRAY(SELECT asset_id FROM {schema}.asset WHERE ws = r.ws ORDER BY random() LIMIT $1) AS assets
FROM {schema}.workspace_rows r WHERE r.ws <> ALL($2::int[]) ORDER BY r.workspace_id
"""
SUBJECTS_MAX = 5  # campaigns, and assets, of a workspace whose touches are read, to compare its digests with them
DAYS_MAX = 30  # from now, in which random instants for it lie
SUMMED = """
SELECT r.workspace_id FROM {schema}.workspace_rows r JOIN {schema}.credit_days_kept k ON k.ws = r.ws
WHERE r.ws <> ALL($1::int[]) ORDER BY r.workspace_id
"""
CREDIT_DAYS_MAX = 3  # of a workspace whose credited touches are read, to compare the sums of these days with them
PROGRESS = "SELECT partition, next_offset FROM {schema}.progress WHERE next_offset > 0 ORDER BY partition"
KIND = "verify"
Drawn = tuple[int, int | None]
"""The number of parts, and which part to check; None: a random one."""


@dataclass
class Comparison:
    """The result of a comparison: the tables by name with both checksums, and the rows that differ."""

    generation: str
    offsets: dict[int, int]
    tables: dict[str, tuple[Checksum, Checksum]] = field(default_factory=dict)
    rows: list[Difference] = field(default_factory=list)
    cells: list[DigestDifference] = field(default_factory=list)
    """Where digests say something else than touches, of a few campaigns and assets that are drawn from each workspace."""
    sums: list[EarnedOtherwise] = field(default_factory=list)
    """Where sums of credit say something else than the credited touches, on a few days that are drawn from each workspace."""
    sample: Sample | None = None
    """The sample that was compared; None: everything."""
    left_out: dict[int, str] = field(default_factory=dict)
    """Numbers of workspaces that were not compared, because they are being projected again after a changed setting."""

    @property
    def differing(self) -> list[str]:
        """The tables that differ."""
        return [name for name, (live, rebuilt) in self.tables.items() if live != rebuilt]

    @property
    def equal(self) -> bool:
        """Whether all that was compared is equal."""
        return not self.differing and not self.cells and not self.sums

    def result(self) -> VerificationResult:
        """What is recorded of it. Values of rows are left out: they may be a person's, who can then still be forgotten."""
        listed = {difference.table for difference in self.rows}
        differences = [
            *(difference.in_words() for difference in self.rows),
            *(f"{table}: rows differ" for table in self.differing if table not in listed),
            *(_digests_in_words(different) for different in self.cells),
            *dict.fromkeys(_sums_in_words(different) for different in self.sums),
        ]
        return VerificationResult(
            self.offsets, None if self.sample is None else self.sample.description, len(self.tables),
            sum(live.rows for live, _ in self.tables.values()), differences, sorted(self.left_out.values()),
        )  # fmt: skip


async def offsets_of(
    database: "asyncpg.Pool[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]", schema: str
) -> dict[int, int]:
    """The offsets of a generation by partition, without partitions at offset 0."""
    rows = await database.fetch(PROGRESS.replace("{schema}", schema))
    return {row["partition"]: row["next_offset"] for row in rows}


async def verify(
    resources: Resources,
    number: str,
    begun: Callable[[int], None],
    advance: Callable[[int], None],
    sample: Drawn | None = None,
) -> Comparison:
    """Compare the live generation, as it is now, with one projected from offset 0. Live events are projected meanwhile.

    With `sample`, only one part is compared: the whole log is read, but little of it is projected.
    `begun` is called with the number of events, `advance` with the number just projected. `number` names the scratch generation.
    The result is recorded (`shared.store.verifications`). Raises `WrongLog`, `WrongShape`, `NoGeneration` or `LogDamaged`.
    """
    live = await live_generation(resources.pool)
    check_log(live, resources.log.identity, resources.log.partitions)
    async with (
        recorded(resources.pool, "verify", live.name) as record,
        scratch(resources.pool, KIND, number, live) as rebuilt,
    ):
        comparison = await compared(resources, live, Build(resources, rebuilt, advance), begun, sample)
        record.result = comparison.result()
        return comparison


async def compared(
    resources: Resources, live: Generation, build: Build, begun: Callable[[int], None] = lambda _: None,
    sample: Drawn | None = None,
) -> Comparison:  # fmt: skip
    """Build up to the live generation's offsets, and compare. The snapshot of its rows stays open meanwhile."""
    rebuilt = build.generation.name
    async with resources.pool.acquire() as seen, seen.transaction(isolation="repeatable_read", readonly=True):
        comparison = Comparison(live.name, await offsets_of(seen, live.name))
        comparison.left_out = await workspaces_being_rebuilt(seen, live.name)
        left_out = list(comparison.left_out)
        begun(sum(comparison.offsets.values()))
        part: Part = EVERYTHING
        if sample is not None:
            part = comparison.sample = build.selection = await Sample.draw(Connection(seen, live.name), *sample)
        found = await checksums(seen, live.name, part, left_out)
        await build.run(comparison.offsets)
        async with resources.pool.acquire() as connection:
            wanted = await checksums(connection, rebuilt, part, left_out)
            comparison.tables = {name: (found[name], wanted[name]) for name in found}
            one, other = Side(seen, live.name, part, left_out), Side(connection, rebuilt, part, left_out)
            for table in comparison.differing:
                comparison.rows += await differing_rows(one, other, table, resources.log)
        comparison.cells = await _digest_differences(seen, live, left_out)
        comparison.sums = await _credit_differences(seen, live, left_out)
    return comparison


def _digests_in_words(difference: DigestDifference) -> str:
    return f"{difference.subject}: its digests say something else than its touches, {_range_in_words(difference)}"


def _range_in_words(difference: DigestDifference | EarnedOtherwise) -> str:
    span = TimeRange(difference.from_us, difference.to_us).as_json()
    return f"from {span['from'] or 'the beginning'} to {span['to'] or 'the end'}"


async def _digest_differences(
    seen: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", live: Generation, left_out: Sequence[int]
) -> list[DigestDifference]:
    """What digests say otherwise than touches, of a few campaigns and assets of each workspace, before, between and after two random instants."""
    now_us = time.time_ns() // 1000
    inner = sorted(now_us - random.randrange(DAYS_MAX * DAY_US) for _ in range(2))
    out: list[DigestDifference] = []
    for row in await seen.fetch(SUBJECTS.replace("{schema}", live.name), SUBJECTS_MAX, list(left_out)):
        snapshot = await snapshot_within(seen, row["workspace_id"], live)
        campaigns = {campaign_key(id_): id_ for id_ in row["campaigns"]}
        assets = {asset_key(id_): id_ for id_ in row["assets"]}
        edges_us = [BEGINNING_US, *inner, END_US]
        out += await digest_differences(snapshot, campaigns, edges_us)
        out += await digest_differences_of_assets(snapshot, assets, edges_us)
    return out


def _sums_in_words(difference: EarnedOtherwise) -> str:
    where = _range_in_words(difference)
    return (
        f"workspace {difference.workspace_id}: its sums of credit say something else than its credited touches, {where}"
    )


async def _credit_differences(
    seen: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]", live: Generation, left_out: Sequence[int]
) -> list[EarnedOtherwise]:
    """What sums of credit say otherwise than the credited touches, on a few days of each workspace that are drawn."""
    out: list[EarnedOtherwise] = []
    for row in await seen.fetch(SUMMED.replace("{schema}", live.name), list(left_out)):
        snapshot = await snapshot_within(seen, row["workspace_id"], live)
        out += await earned_otherwise_on_some_days(snapshot, CREDIT_DAYS_MAX)
    return out
