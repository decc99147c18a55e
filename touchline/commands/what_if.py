"""`touchline replay what-if` and `diff`: what the numbers would be with other settings or other events."""

import datetime as dt
import json
import re
import time
from pathlib import Path
from typing import Any

import typer

from services.replay.backfill import event_of
from services.replay.sources import read_lines
from services.replay.what_if import Changes, Made, settings_event, what_if
from shared.database import open_pool
from shared.events.codec import Record, Refusal
from shared.reading.difference import difference
from shared.reading.snapshot import snapshot
from shared.rules.models import MODELS
from touchline.commands.on_store import StoreAccess, on_store
from touchline.commands.output import console, errors_in_one_line, styled, visible
from touchline.commands.settings import settings_given
from touchline.commands.store import check_workspace, instant, names_in, on_database

DIFFERENT = 3  # the exit code
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
AGE = re.compile(r"(\d+)(m|h|d)")
UNIT = {"m": "minutes", "h": "hours", "d": "days"}
ROWS_PRINTED = 20  # of campaigns, of deals and of contacts each; --json lists all


def what_if_(
    name: str, set_: list[str], with_: list[Path], without: list[str], received_by: str | None, keep: str, processes: int,
    data: Path | None, workspace: str, *, as_json: bool,
) -> None:  # fmt: skip
    """Project one workspace's events, with changes, into a generation of its own. The live generation is not changed.

    `set_` has settings as `NAME=VALUE`, `with_` files of events that are added, `without` ids of events that are left out;
    `received_by` is an RFC 3339 instant, `keep` an age such as `7d`. Raises `typer.BadParameter`.
    """
    if not NAME.fullmatch(name) or re.fullmatch(r"g\d+", name):
        raise typer.BadParameter(
            "a name has only a-z, 0-9 and _, begins with a letter, and is not one that rebuilds use, such as g1",
            param_hint="NAME",
        )
    changes = Changes(settings_given(set_), _added(with_), without, instant(received_by, "--received-by"))
    if changes.settings:
        with errors_in_one_line():
            settings_event(changes.settings, 0)
    kept = _age(keep)

    async def work(access: StoreAccess) -> Made:
        await check_workspace(access.resources.pool, workspace)
        return await what_if(access.resources, name, workspace, changes, kept, access.begun, access.advance)

    made = on_store(data, work, quiet=as_json, processes=processes)
    if as_json:
        print(
            json.dumps(
                {"generation": name, "workspace": workspace, "as_of": str(made.position), "changes": changes.as_json()}
            )
        )
        return
    console.print(
        styled("[green]made[/]: {}, of {} as of {}; it is deleted after {}", name, workspace, made.position, keep)
    )
    console.print(f"  read it with ?generation={name}, compare it with `touchline replay diff live {name}`")


def _added(files: list[Path]) -> list[Record]:
    records = []
    with errors_in_one_line():
        for file in files:
            for line in read_lines(file):
                outcome = event_of(line.body, time.time_ns() // 1000)
                if isinstance(outcome, Refusal):
                    raise typer.BadParameter(
                        visible(f"{file}, line {line.number}: {outcome.detail}"), param_hint="--with"
                    )
                records.append(outcome)
    return records


def _age(text: str) -> dt.timedelta:
    if (found := AGE.fullmatch(text)) is None or not int(found[1]):
        raise typer.BadParameter(f"{text!r} is not an age such as 30m, 12h or 7d", param_hint="--keep")
    return dt.timedelta(**{UNIT[found[2]]: int(found[1])})


def diff(one: str, other: str, model: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print what each campaign, deal and contact gains or loses from one generation to the other. Exits 3 if there is a difference.

    `model` is the attribution model. Raises `typer.BadParameter`.
    """
    if model not in MODELS:
        raise typer.BadParameter(f"it must be one of {', '.join(MODELS)}", param_hint="--model")

    async def compared(url: str) -> dict[str, Any]:
        pool = await open_pool(url, 2)
        try:
            await check_workspace(pool, workspace)
            async with snapshot(pool, workspace, _named(one)) as a, snapshot(pool, workspace, _named(other)) as b:
                found = {"generations": [one, other], **await difference(a, b, model)}
            return dict(await names_in(url, workspace, found))
        finally:
            await pool.close()

    found = on_database(data, compared)
    if as_json:
        print(json.dumps(found))
    else:
        _print_text(found)
    if found["campaigns"] or found["deals"] or found["contacts"]:
        raise typer.Exit(DIFFERENT)


def _named(name: str) -> str | None:
    """The generation's name; None for the live one, as `snapshot` takes it."""
    return None if name == "live" else name


def _print_text(found: dict[str, Any]) -> None:
    one, other = found["generations"]
    console.print(f"{one} as of {found['as_of'][0]} → {other} as of {found['as_of'][1]}, {found['model']}")
    if found["as_of"][0] != found["as_of"][1]:
        console.print(
            "  what came in between counts as a difference too; to leave it out, make both with the same --received-by"
        )
    _print_some("campaigns", found["campaigns"], _campaign)
    _print_some("deals", found["deals"], _deal)
    _print_some("contacts", found["contacts"], _contact)
    if not (found["campaigns"] or found["deals"] or found["contacts"]):
        console.print(styled("[green]no difference[/]"))


def _print_some(kind: str, rows: list[dict[str, Any]], lines_of: Any) -> None:
    if not rows:
        return
    console.print(styled("\n[bold]{}[/]: {:,}", kind, len(rows)))
    for row in rows[:ROWS_PRINTED]:
        for line in lines_of(row):
            console.print(f"  {line}")
    if len(rows) > ROWS_PRINTED:
        console.print(f"  … and {len(rows) - ROWS_PRINTED:,} more; --json lists all")


def _campaign(row: dict[str, Any]) -> list[str]:
    there = {(True, False): " is gone", (False, True): " is new"}.get(tuple(row["exists"]), "")
    changed = [f"    {name}: {_pair(pair)}" for name, pair in {**row["metrics"], **row["excluded"]}.items()]
    return [f"{row['campaign_id']}{there}", *changed]


def _deal(row: dict[str, Any]) -> list[str]:
    lines = [row["deal_id"]]
    if row["state"][0] != row["state"][1]:
        lines.append(f"    {_pair([state and state['state'] for state in row['state']])}")
    for touch in row["touches"]:
        held = [_campaigns(ids) for ids in touch["campaigns"]]
        where = held[0] if held[0] == held[1] else f"{held[0]} → {held[1]}"
        lines.append(
            f"    {touch['occurred_at']} {touch['type']} {touch['event_id']} of {touch['contact']}: "
            f"{_pair(touch['share'])}, {where}"
        )
    return lines


def _campaigns(ids: list[str] | None) -> str:
    return "no touch" if ids is None else ", ".join(ids) or "no campaign"


def _contact(row: dict[str, Any]) -> list[str]:
    lines = [row["contact"]]
    lines += [f"    + {change['metric']} of {change['campaign_id']}" for change in row["gains"]]
    lines += [f"    - {change['metric']} of {change['campaign_id']}" for change in row["loses"]]
    lines += [f"    {paid['campaign_id'] or 'no campaign'}: {_pair(paid['attributed'])}" for paid in row["revenue"]]
    for touch in row["touches"]:
        sign = "+" if touch["counts"][1] else "-"
        lines.append(f"    {sign} {touch['occurred_at']} {touch['type']} {touch['event_id']} in {touch['campaign_id']}")
    return lines


def _pair(pair: list[Any]) -> str:
    return f"{_value(pair[0])} → {_value(pair[1])}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return " + ".join(map(_value, value)) or "nothing"
    if isinstance(value, dict):
        return f"{value['amount']} {value['currency']}"
    return "none" if value is None else str(value)
