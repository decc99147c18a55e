"""`touchline status`: how far the projection is behind the log, and how many dead letters there are."""

import json
from pathlib import Path
from typing import Any

import asyncpg
import typer

from shared.access.keys import PREFIX
from shared.database import error_text, open_pool
from shared.events.instants import to_rfc3339
from shared.log.port import LogUnavailable
from shared.projection.generations import Generation, WrongShape, check_log, live_generation
from shared.projection.sql import Connection, sql
from shared.reading.generations import Listed, generations
from shared.store.verifications import read_verifications
from touchline.commands.output import console, errors, styled, table_of
from touchline.commands.store import on_database
from touchline.configuration import Configuration
from touchline.open_log import open_log

PROGRESS = sql("SELECT partition, next_offset, events, received_us FROM {g}.progress ORDER BY partition")
REPROJECTIONS = sql("""
SELECT workspace_id, started_us, least(events_done, events_to_do) AS events_done, events_to_do
FROM {g}.reprojection ORDER BY workspace_id
""")
DEAD_LETTERS = """
SELECT workspace_id AS workspace, reason, key_hint AS key, count(*) AS events FROM touchline.dead_letter
GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2, 3
"""
PUSHED_OUT = """
SELECT workspace_id AS workspace, nullif(key_hint, '') AS key, sum(events)::bigint AS events
FROM touchline.dead_letter_pushed_out GROUP BY 1, 2 ORDER BY 1, 3 DESC, 2
"""


def status(data: Path | None, *, as_json: bool) -> None:
    """Print how far each partition of the log is projected, the other generations, and the dead letters by key.

    Exits 1 if the log does not tell its end, or if there is no generation of this release's shape.
    """
    state = on_database(data, lambda url: _status(url, Configuration()))
    if as_json:
        print(json.dumps(state))
    else:
        _print_text(state)
    wrong = [state[name] for name in ("generation_error", "log_error") if name in state]
    for problem in wrong:
        errors.print(problem, style="red")
    if wrong:
        raise typer.Exit(1)


async def _status(url: str, configuration: Configuration) -> dict[str, Any]:
    pool = await open_pool(url, 2)
    try:
        state, generation = await _stand(pool)
        letters = [dict(row) for row in await pool.fetch(DEAD_LETTERS)]
        async with pool.acquire() as connection:
            listed = await generations(connection)
            verifications = await read_verifications(connection, None, 1)
        state |= {
            "generations": [_listed(each) for each in listed],
            "last_verification": verifications[0] if verifications else None,
            "dead_letters": sum(each["events"] for each in letters), "dead_letters_by": letters,
            "dead_letters_pushed_out": [dict(row) for row in await pool.fetch(PUSHED_OUT)],
        }  # fmt: skip
        if generation is not None:
            try:
                await _add_ends(state, pool, configuration, generation)
            except LogUnavailable as error:
                state["log_error"] = error_text(error)
        return state
    finally:
        await pool.close()


async def _stand(pool: "asyncpg.Pool[asyncpg.Record]") -> tuple[dict[str, Any], Generation | None]:
    """Where the live generation stands, and which one it is; None where there is none of this release's shape."""
    try:
        generation = await live_generation(pool)
    except WrongShape as error:
        return {
            "generation": None,
            "log": None,
            "partitions": {},
            "settings_under_way": [],
            "generation_error": str(error),
        }, None
    async with Connection.of(pool, generation.name) as connection:
        rows = await connection.fetch(PROGRESS)
        under_way = [_under_way(row) for row in await connection.fetch(REPROJECTIONS)]
    partitions = {row["partition"]: _partition(row) for row in rows}
    state = {
        "generation": generation.name,
        "log": generation.log,
        "partitions": partitions,
        "settings_under_way": under_way,
    }
    return state, generation


def _listed(each: Listed) -> dict[str, Any]:
    return {
        "generation": each.name, "state": str(each.state), "shape": each.row["shape"], "this_release": each.ours,
        "events": each.events, "bytes": each.bytes, "built_percent": each.built_percent,
        "other_lists": {name: {"then": then, "now": now} for name, (then, now) in each.other_lists.items()},
    }  # fmt: skip


def _under_way(row: Any) -> dict[str, Any]:
    """A workspace whose rows are being rebuilt for changed settings; the numbers of events are null until counted."""
    since = to_rfc3339(row["started_us"])
    done, to_do = row["events_done"], row["events_to_do"]
    return {"workspace": row["workspace_id"], "since": since, "events_done": done, "events_to_do": to_do}


def _partition(row: Any) -> dict[str, Any]:
    received_at = to_rfc3339(row["received_us"]) if row["received_us"] else None
    return {"projected": row["next_offset"], "received_at": received_at, "end": None, "lag": None}


async def _add_ends(
    state: dict[str, Any], pool: "asyncpg.Pool[asyncpg.Record]", configuration: Configuration, generation: Generation
) -> None:
    log = await open_log(configuration, pool)
    try:
        check_log(generation, log.identity, log.partitions)
        for number in range(generation.partitions):
            end = await log.end(number)
            nothing = {"projected": 0, "received_at": None}
            partition = state["partitions"].setdefault(number, nothing)
            partition |= {"end": end, "lag": end - partition["projected"]}
    finally:
        await log.close()


def _print_text(state: dict[str, Any]) -> None:
    if state["generation"] is not None:
        console.print(styled("[bold]generation[/] {} of {}", state["generation"], state["log"]))
    for each in state["generations"]:
        _print_generation(each, live=state["generation"])
    numbers = ("partition", "projected", "end of the log", "lag")
    table = table_of(*numbers, "latest receipt", right=numbers)
    for number, partition in sorted(state["partitions"].items()):
        end, lag = (f"{partition[name]:,}" if partition[name] is not None else "unknown" for name in ("end", "lag"))
        table.add_row(str(number), f"{partition['projected']:,}", end, lag, partition["received_at"] or "")
    console.print(table)
    for each in state["settings_under_way"]:
        far = "" if each["events_to_do"] is None else f", {each['events_done']:,} of {each['events_to_do']:,} events"
        console.print(f"settings under way: {each['workspace']}, since {each['since']}{far}")
    console.print(_verification_in_words(state["last_verification"]))
    console.print(f"dead letters: {state['dead_letters']:,}")
    if state["dead_letters_by"]:
        _print_letters(state["dead_letters_by"])
    for each in state["dead_letters_pushed_out"]:
        console.print(
            f"pushed out by later ones: {each['events']:,} of the key {shown_key(each['key'])} of {each['workspace']}"
        )


def _print_generation(each: dict[str, Any], live: str | None) -> None:
    """Print a generation beside the live one; of the live one, the lists from packages that have other versions now."""
    name, state = each["generation"], each["state"]
    if name != live:
        events = "" if each["events"] is None else f", {each['events']:,} events projected"
        whose = "" if each["this_release"] else f" of another release's shape {each['shape']}"
        size = "" if each["bytes"] is None else f", {each['bytes'] / 1e6:,.0f} MB"
        built = "" if each["built_percent"] is None else f", {each['built_percent']} % made"
        console.print(f"{name}: {state}{built}{whose}{events}{size}")
    if name == live:
        for package, versions in each["other_lists"].items():
            console.print(
                f"{name} was begun with {package} {versions['then']}; {versions['now']} is installed now, which counts for stored rows only "
                f"after `touchline replay rebuild`"
            )


def _verification_in_words(last: dict[str, Any] | None) -> str:
    """When the live projection was last compared with the log, and what came of it."""
    if last is None:
        return "last verify: never; `touchline replay verify` compares the rows with the log"
    of = "" if last["sample"] is None else f", part {last['sample']['place']} of {last['sample']['of']}"
    return f"last verify: {last['began_at']}, {last['generation']}{of}: {last['state'].replace('_', ' ')}"


def _print_letters(letters: list[dict[str, Any]]) -> None:
    """Print how many dead letters each key has of each reason."""
    table = table_of("workspace", "reason", "key", "events", right=("events",))
    for each in letters:
        table.add_row(each["workspace"], each["reason"], shown_key(each["key"]), f"{each['events']:,}")
    console.print(table)


def shown_key(hint: str | None) -> str:
    """A key by its first characters, as `touchline keys list` shows it; `unknown` if the dead letter does not name its key."""
    if hint is None:
        return "unknown"
    return f"{hint}…" if hint.startswith(tuple(PREFIX.values())) else hint
