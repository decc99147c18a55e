"""How does a command change the catalog? By the calls of the REST interface, in a turn of its workspace, without HTTP.

If no service projects the store, the command does so itself for as long as it runs: a call is checked against everything that was
accepted before it. A store whose log is on Kafka is projected by its services alone.
"""

import asyncio
import json
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg

from services.ingest.catalog.calls import CallRefused, Outcome, answer_of
from services.ingest.catalog.turn import NotAppended, NotInTime, Turn, Turns
from shared.access.scopes import OPERATOR_WORKSPACE
from shared.log.port import EventLog, Position
from shared.reading.snapshot import Snapshot
from shared.wakeups import Wakeups
from touchline.commands.output import console, failed
from touchline.commands.store import check_workspace, names_in, on_database, read_only
from touchline.configuration import Configuration

SENDER = "command"  # how records and dead letters name who sent the event
SHOWN_WAIT_S = 5.0  # a change is shown by then; if not, the services will show it later
LOOK_AGAIN_S = 0.05
IN_URL = "`move=true`"  # how a refusal names what takes something from somebody else


Answer = TypeVar("Answer")


def in_turn(data: Path | None, workspace: str, work: Callable[[Turn], Awaitable[tuple[Answer, Position]]]) -> Answer:
    """Do work in a turn of a workspace, and wait until its position is projected; answers what the work answers.

    Exits 1 with one line if the call is refused, or if an error that can be foreseen ends it. Raises `typer.BadParameter`.
    """

    async def worked(url: str) -> Answer:
        async with _projecting(url) as (pool, log):
            await check_workspace(pool, workspace)
            wakeups = Wakeups(pool)
            try:
                turns = Turns(pool, log, wakeups)
                async with turns.take(workspace, SENDER) as turn:
                    answer, position = await work(turn)
                await _shown(turns, workspace, position)
                return answer
            finally:
                await wakeups.close()

    try:
        return on_database(data, worked)
    except CallRefused as refused:
        raise failed(refused.detail.replace(IN_URL, "`--move`")) from refused
    except NotAppended as refused:
        raise failed(refused.refusal.detail) from refused
    except NotInTime as late:
        raise failed(
            "what was accepted before is not projected in time; try again when the services have caught up"
        ) from late


@asynccontextmanager
async def _projecting(url: str) -> "AsyncIterator[tuple[asyncpg.Pool[asyncpg.Record], EventLog]]":
    """A store's database and log. It is projected here unless a service does it already or its log is on Kafka."""
    from touchline.compose import Role, compose  # takes a second, which commands that only ask do not wait for

    configuration = Configuration()
    roles = [] if configuration.kafka else [Role.PROJECTOR]
    running = await compose(url, configuration, roles)
    task = None if running.projectors is None else asyncio.create_task(running.projectors.run())
    try:
        yield running.pool, running.log
    finally:
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await running.close()


async def _shown(turns: Turns, workspace: str, position: Position) -> None:
    """Wait until a position is projected, `SHOWN_WAIT_S` seconds at most: the change is durable either way."""
    deadline_s = asyncio.get_running_loop().time() + SHOWN_WAIT_S
    while asyncio.get_running_loop().time() < deadline_s:
        if await turns.reaches(workspace, position):
            return
        await asyncio.sleep(LOOK_AGAIN_S)


def change(
    data: Path | None, workspace: str, summary: str, work: Callable[[Turn], Awaitable[Outcome]], *, as_json: bool
) -> None:
    """Make one call, and print its outcome: `summary` if it changed something. Exits 1 if it is refused."""

    async def changed(turn: Turn) -> tuple[dict[str, Any], Position]:
        outcome = await work(turn)
        position = await turn.append(outcome.events)
        return answer_of(outcome), position

    result = in_turn(data, workspace, changed)
    if as_json:
        print(json.dumps({"workspace": workspace, **result}))
    else:
        console.print(summary if result["changed"] else "nothing to change")
        event_id = result["event_id"]
        of = to_take_back(event_id, data, workspace) if result["changed"] else f"event {event_id} says so already"
        console.print(f"  {of}")


def to_take_back(event_id: str, data: Path | None, workspace: str) -> str:
    """Which event a change is, and the command that takes it back, as it is typed for the same store and workspace."""
    of_store = [] if data is None else ["--data", str(data)]
    of_workspace = [] if workspace == OPERATOR_WORKSPACE else ["--workspace", workspace]
    command = shlex.join(["touchline", "retract", event_id, *of_store, *of_workspace])
    return f"event {event_id}; to take it back: {command}"


def asked(data: Path | None, workspace: str, question: Callable[[Snapshot], Awaitable[Answer]]) -> Answer:
    """Ask a snapshot of a workspace; the answer is of JSON, and names people and URLs as they were sent.

    Exits 1 with one line if an error that can be foreseen ends it.
    """

    async def answered(url: str) -> Answer:
        async with read_only(url, workspace) as snapshot:
            answer = await question(snapshot)
        revealed: Answer = await names_in(url, workspace, answer)
        return revealed

    return on_database(data, answered)
