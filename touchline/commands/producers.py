"""`touchline producers list`: how many messages came from each producer, and what became of them."""

import datetime as dt
import json
import time
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from rich.text import Text

from shared.events.instants import to_micros
from shared.store.producer_counts import NAMES_MAX, OTHER, read_counts
from touchline.commands.output import console, styled, table_of
from touchline.commands.store import check_workspace, on_database, tables

UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
COLUMNS = ("accepted", "mapped", "unmapped", "refused")


def list_(data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print how many messages of each producer, and of each name, were accepted, mapped, unmapped and refused."""

    async def asked(url: str) -> list[dict[str, Any]]:
        async with tables(url, 1) as pool:
            await check_workspace(pool, workspace)
            return await read_counts(pool, workspace)

    items = on_database(data, asked)
    if as_json:
        print(json.dumps({"workspace": workspace, "producers": items}))
    elif not items:
        console.print(f"nothing has arrived in {workspace}")
    else:
        _print_text(items, time.time_ns() // 1000)


def _print_text(items: list[dict[str, Any]], now_us: int) -> None:
    table = table_of("producer", "name", *COLUMNS, "silent for", "refused by", right=(*COLUMNS, "silent for"))
    for item in items:
        _row(table, styled("[bold]{}[/]", item["producer"]), "", item, now_us)
        for named in item["names"]:
            _row(table, "", named["name"], named, now_us)
    console.print(table)
    for item in items:
        if item["more_names"]:
            console.print(f"{item['producer']} sent more than {NAMES_MAX} names; the others are counted as {OTHER}")
        if item["dead_letters"]:
            console.print(
                f"{item['producer']}: {item['dead_letters']:,} refused messages are kept: `touchline dead-letters list` shows them"
            )


def _row(table: Table, producer: str | Text, name: str, counted: dict[str, Any], now_us: int) -> None:
    codes = ", ".join(f"{one['code']} {one['messages']:,}" for one in counted["refused_by"])
    numbers = (f"{counted[column]:,}" for column in COLUMNS)
    table.add_row(producer, name, *numbers, silent_for(counted["last_seen"], now_us), codes)


def silent_for(last_seen: str, now_us: int) -> str:
    """How long ago an instant was, in its largest unit: `5 min`, `3 d`."""
    seconds = max(0, now_us - to_micros(msgspec.convert(last_seen, dt.datetime, strict=False))) // 1_000_000
    length, unit = next(((length, unit) for length, unit in UNITS if seconds >= length), UNITS[-1])
    return f"{seconds // length} {unit}"
