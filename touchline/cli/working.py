"""How does a command that works on a whole log tell how far it is?"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, TypeVar

import typer
import uvloop
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from services.replay.build import Resources
from shared.gc_tuning import collect_garbage_rarely
from touchline.cli.plainly import plainly
from touchline.cli.reach import database, store_and_log
from touchline.compose import reached
from touchline.configuration import Configuration

CONNECTIONS_MAX = 8  # the snapshot, the lock, the projection, the comparison, and the log's
MEMBER_CONNECTIONS_MAX = 2  # of another process that helps: one that writes, and the log's

CORES = min(8, os.cpu_count() or 1)  # an embedded PostgreSQL takes 60 connections, half of them the services

Processes = Annotated[
    int, typer.Option(min=1, help="that do the work, where there is much; fewer leave more to what is live")
]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Reach:
    """What a command works with."""

    resources: Resources
    begun: Callable[[int], None]
    advance: Callable[[int], None]


class Rate(ProgressColumn):
    """How many a second; rich has a column for bytes alone."""

    def render(self, task: Task) -> Text:
        """Of late, and in the end of all."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


def on_store(
    data: Any, work: Callable[[Reach], Awaitable[Answer]], *, quiet: bool, doing: str = "Projecting again",
    processes: int = 1,
) -> Answer:  # fmt: skip
    """Work on a store and its log, with a bar that tells how far it is."""

    async def worked(url: str) -> Answer:
        collect_garbage_rarely()
        columns = (
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), TextColumn("events"),
            Rate(), TimeRemainingColumn(),
        )  # fmt: skip
        async with store_and_log(url, CONNECTIONS_MAX) as (pool, log):
            with Progress(*columns, console=Console(stderr=True), disable=quiet) as progress:
                task = progress.add_task(doing, total=None)
                begun, advance = partial(_total, progress, task), partial(progress.advance, task)
                resources = Resources(
                    pool, log, partial(reached, url, Configuration(), MEMBER_CONNECTIONS_MAX), processes
                )
                return await work(Reach(resources, begun, advance))

    with plainly(), database(data) as url:
        return uvloop.run(worked(url))


def _total(progress: Progress, task: TaskID, events: int) -> None:
    progress.update(task, total=events)
