"""`touchline dead-letters`: list, resend or delete events that were refused and kept."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import typer

from services.ingest.dead_letters import DeadLetter, drop_letters, find_letters, list_letters, pushed_out, retry_letter
from shared.events.instants import to_rfc3339
from shared.log.port import EventLog, Position
from touchline.commands.output import console, failed, table_of, visible
from touchline.commands.status import shown_key
from touchline.commands.store import check_workspace, on_database, store_and_log

PAGE = 500


Answer = TypeVar("Answer")


def list_(reason: str | None, limit: int, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print dead letters, the oldest first, and how many of each key were deleted because newer ones took their place."""

    async def work(pool: "asyncpg.Pool[asyncpg.Record]", _: EventLog) -> tuple[list[DeadLetter], list[dict[str, Any]]]:
        return await list_letters(pool, workspace, reason, 0, limit), await pushed_out(pool, workspace)

    letters, gone = _on(data, workspace, work)
    if as_json:
        print(json.dumps({"dead_letters": [_as_json(letter) for letter in letters], "pushed_out": gone}))
        return
    table = table_of("number", "received", "reason", "event", "detail")
    for each in letters:
        table.add_row(
            str(each.number),
            to_rfc3339(each.received_us),
            each.reason,
            each.event_id or "",
            each.detail,
        )
    console.print(table)
    for key, events in (row.values() for row in gone):
        console.print(f"pushed out by later ones: {events:,} of the key {shown_key(key)}")


def show(number: int, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Print one dead letter with all its fields. Exits 1 if there is none of this number."""
    letters = _on(data, workspace, lambda pool, _: find_letters(pool, workspace, [number]))
    if not letters:
        raise failed(_without(workspace, [number]))
    letter = _as_json(letters[0])
    if as_json:
        print(json.dumps(letter))
        return
    for name, value in letter.items():
        if value is not None:
            console.print(f"{name:12} {value}")


def retry(
    numbers: list[int] | None, reason: str | None, data: Path | None, workspace: str, *, all_: bool, as_json: bool
) -> None:
    """Append the events of dead letters to the log. Exits 1 if one is refused again, which is kept, or if there is none of a number."""
    _chosen(numbers, all_=all_)
    met: set[int] = set()

    async def work(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog) -> tuple[int, dict[int, str]]:
        sent, refused = 0, {}
        async for letter in _letters(pool, workspace, numbers, reason):
            met.add(letter.number)
            outcome = await retry_letter(pool, log, letter)
            if isinstance(outcome, Position):
                sent += 1
            else:
                refused[letter.number] = outcome
        return sent, refused

    sent, refused = _on(data, workspace, work)
    if as_json:
        print(json.dumps({"sent": sent, "refused": refused}))
    else:
        console.print(f"sent again: {sent:,}")
        for number, why in refused.items():
            console.print(f"  {number} {why}")
    if unknown := sorted(set(numbers or ()) - met):
        raise failed(_without(workspace, unknown))
    if refused:
        raise typer.Exit(1)


def drop(
    numbers: list[int] | None, reason: str | None, data: Path | None, workspace: str,
    *, all_: bool, yes: bool, as_json: bool,
) -> None:  # fmt: skip
    """Delete dead letters for ever. For `all_` it asks for confirmation, unless `yes`."""
    _chosen(numbers, all_=all_)
    if all_ and not yes:
        of_reason = "" if reason is None else f" of the reason {reason}"
        typer.confirm(visible(f"Remove all dead letters of {workspace}{of_reason} for good?"), abort=True, err=True)

    async def work(pool: "asyncpg.Pool[asyncpg.Record]", _: EventLog) -> list[int]:
        chosen = [letter.number async for letter in _letters(pool, workspace, numbers, reason)]
        await drop_letters(pool, workspace, chosen)
        return chosen

    chosen = _on(data, workspace, work)
    print(json.dumps({"dropped": len(chosen)})) if as_json else console.print(f"dropped: {len(chosen):,}")
    if unknown := sorted(set(numbers or ()) - set(chosen)):
        raise failed(_without(workspace, unknown))


def _without(workspace: str, numbers: list[int]) -> str:
    return f"{workspace} has no dead letter {', '.join(map(str, numbers))}"


def _chosen(numbers: list[int] | None, *, all_: bool) -> None:
    if bool(numbers) == all_:
        raise typer.BadParameter("give the numbers of dead letters, or --all", param_hint="NUMBER")


async def _letters(
    pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, numbers: list[int] | None, reason: str | None
) -> AsyncIterator[DeadLetter]:
    """The dead letters of these numbers or, without numbers, all of the workspace; `reason` None: of all reasons."""
    if numbers:
        for letter in await find_letters(pool, workspace, numbers):
            if reason in (None, letter.reason):
                yield letter
        return
    last = 0
    while page := await list_letters(pool, workspace, reason, last, PAGE):
        for letter in page:
            yield letter
        last = page[-1].number


def _as_json(letter: DeadLetter) -> dict[str, Any]:
    return {
        "number": letter.number, "workspace": letter.workspace, "key": letter.key,
        "key_hint": letter.key_hint, "producer": letter.producer, "reason": letter.reason, "detail": letter.detail, "event_id": letter.event_id,
        "partition": letter.partition, "offset": letter.offset, "received_at": to_rfc3339(letter.received_us),
        "user_agent": letter.user_agent, "body": letter.body.decode(errors="replace"),
    }  # fmt: skip


def _on(
    data: Path | None, workspace: str, work: Callable[["asyncpg.Pool[asyncpg.Record]", EventLog], Awaitable[Answer]]
) -> Answer:
    """Do work on a store and its log; answers what the work answers. Raises `typer.BadParameter` if there is no such workspace."""

    async def worked(url: str) -> Answer:
        async with store_and_log(url, 2) as (pool, log):
            await check_workspace(pool, workspace)
            return await work(pool, log)

    return on_database(data, worked)
