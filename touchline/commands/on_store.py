"""How does a command that reads a whole log reach it, and show its progress?"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

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
from touchline.commands.output import errors
from touchline.commands.store import on_database, store_and_log
from touchline.configuration import Configuration
from touchline.open_log import reached

CONNECTIONS_MAX = 8  # the snapshot, the lock, the projection, the comparison, and the log's
MEMBER_CONNECTIONS_MAX = 2  # of another process that helps: one that writes, and the log's

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class StoreAccess:
    """What a command works with. `begun` is called with the number of events, `advance` with how many more of them are done."""

    resources: Resources
    begun: Callable[[int], None]
    advance: Callable[[int], None]


class Rate(ProgressColumn):
    """A column with the events per second; rich has one for bytes only."""

    def render(self, task: Task) -> Text:
        """The present rate or, when all is done, the mean rate."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s")


def on_store(
    data: Path | None, work: Callable[[StoreAccess], Awaitable[Answer]], *, quiet: bool, doing: str = "Projecting again",
    processes: int = 1,
) -> Answer:  # fmt: skip
    """Do work on a store and its log with so many processes, and show a progress bar unless `quiet`; answers what the work answers.

    Exits 1 with one line if an error that can be foreseen ends it (`errors_in_one_line`).
    """

    async def worked(url: str) -> Answer:
        collect_garbage_rarely()
        columns = (
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), MofNCompleteColumn(), TextColumn("events"),
            Rate(), TimeRemainingColumn(),
        )  # fmt: skip
        async with store_and_log(url, CONNECTIONS_MAX) as (pool, log):
            with Progress(*columns, console=errors, disable=quiet) as progress:
                task = progress.add_task(doing, total=None)
                begun, advance = partial(_total, progress, task), partial(progress.advance, task)
                resources = Resources(
                    pool, log, partial(reached, url, Configuration(), MEMBER_CONNECTIONS_MAX), processes
                )
                return await work(StoreAccess(resources, begun, advance))

    return on_database(data, worked)


def _total(progress: Progress, task: TaskID, events: int) -> None:
    progress.update(task, total=events)
