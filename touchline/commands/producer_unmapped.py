"""`touchline producers unmapped` and `map`: the messages that no mapping took when they came."""

import json
from pathlib import Path
from typing import Any

import asyncpg
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from services.replay.remap import Remap, Remapped
from shared.log.port import EventLog
from shared.producers.readers import READINGS
from shared.projection.acceptance_settings import acceptance_settings_of
from touchline.commands.output import console, errors, table_of
from touchline.commands.store import check_workspace, on_database, store_and_log

CONNECTIONS_MAX = 4
SECONDS_CHARACTERS = len("2026-11-25T10:00:00")  # of an instant, in UTC: finer is not needed to be read by people
UNMAPPED = """
SELECT producer, name, messages, first_seen, last_seen FROM touchline.producer_count
WHERE workspace_id = $1 AND outcome = 'unmapped' AND ($2::text IS NULL OR producer = $2)
ORDER BY messages DESC, producer, name
"""


def unmapped(producer: str | None, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print the messages that no mapping took when they came, by name: how many, first and last seen.

    `producer` None: of all producers.
    """

    async def work(url: str) -> list[dict[str, Any]]:
        async with store_and_log(url, CONNECTIONS_MAX) as (pool, _):
            await check_workspace(pool, workspace)
            settings = (await acceptance_settings_of(pool, workspace)).producers
            return [
                {
                    **row, "first_seen": row["first_seen"].isoformat(), "last_seen": row["last_seen"].isoformat(),
                    "mapped_now": row["producer"] in READINGS and READINGS[row["producer"]].is_mapped(row["name"], settings),
                }
                for row in await pool.fetch(UNMAPPED, workspace, producer)
            ]  # fmt: skip

    rows = on_database(data, work)
    if as_json:
        print(json.dumps({"unmapped": rows}))
        return
    table = table_of("producer", "name", "messages", "first", "last", "")
    for row in rows:
        first, last = (row[seen][:SECONDS_CHARACTERS] for seen in ("first_seen", "last_seen"))
        state = "mapped now" if row["mapped_now"] else ""
        table.add_row(row["producer"], row["name"], f"{row['messages']:,}", first, last, state)
    console.print(table)


def map_(producer: str, data: Path | None, workspace: str, *, dry_run: bool, as_json: bool) -> None:
    """Append the events that the present mapping makes of the unmapped messages in the log. Exits 1 if a message is refused.

    With `dry_run` they are only counted. Raises `typer.BadParameter`.
    """
    if producer not in READINGS:
        raise typer.BadParameter(f"{producer!r} is not one of {', '.join(READINGS)}", param_hint="PRODUCER")
    columns = (TextColumn("reading the log"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=as_json) as progress:
        task = progress.add_task("", total=None)

        async def on(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog) -> Remapped:
            await check_workspace(pool, workspace)
            return await Remap(
                pool, log, workspace, producer, dry_run, lambda at, end: progress.update(task, completed=at, total=end)
            ).run()

        async def work(url: str) -> Remapped:
            async with store_and_log(url, CONNECTIONS_MAX) as (pool, log):
                return await on(pool, log)

        outcome = on_database(data, work)
    if as_json:
        print(json.dumps(_as_json(producer, outcome, dry_run=dry_run)))
    else:
        _print_text(outcome, dry_run=dry_run)
    if outcome.refused:
        raise typer.Exit(1)


def _as_json(producer: str, outcome: Remapped, *, dry_run: bool) -> dict[str, Any]:
    return {
        "producer": producer, "dry_run": dry_run, "events": outcome.events, "conflicts": outcome.conflicts,
        "mapped": dict(outcome.mapped), "already": dict(outcome.already), "unmapped": dict(outcome.unmapped),
        "refused": {name: {"messages": count, "reason": outcome.reasons[name]} for name, count in outcome.refused.items()},
    }  # fmt: skip


def _print_text(outcome: Remapped, *, dry_run: bool) -> None:
    numbers = ("would be mapped" if dry_run else "mapped", "before", "unmapped", "refused")
    counters = (outcome.mapped, outcome.already, outcome.unmapped, outcome.refused)
    table = table_of("name", *numbers, right=numbers)
    for name in sorted({name for counter in counters for name in counter}):
        table.add_row(name, *(f"{counter[name]:,}" for counter in counters))
    console.print(table)
    console.print(f"events {'that would be ' if dry_run else ''}appended: {outcome.events:,}")
    if outcome.conflicts:
        console.print(
            f"sent before with other content, by an earlier mapping, and left as they are: {outcome.conflicts:,}"
        )
    for name, why in outcome.reasons.items():
        console.print(f"  refused: {name}: {why}")
