"""In which order do the stages of the projection run, and what may each of them read and write?

The same loop runs them live, in bulk, for a sample and for a what-if; only what it starts from differs. A stage gets the
changes that the stages before it have passed on, and passes on its own. At import, `Pipeline` checks that the stages fit together.
"""

import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from shared.log.port import EventLog
from shared.projection.changes import Change, Changes, SettingsChanged
from shared.projection.sql import Connection, Statement
from shared.rules.association import SOCIAL_POSTS_MAX
from shared.rules.settings import Settings

_TABLE = re.compile(r"\{g\}\.(\w+)")


@dataclass(slots=True)
class WorkspaceCache:
    """What a projector knows to be in the store of one workspace, so that it is not written again; it may forget."""

    agents: set[int] = field(default_factory=set)
    utm_values: set[int] = field(default_factory=set)
    key_sets: dict[tuple[int, int, int], int] = field(default_factory=dict)


async def apply_at_once(_: "Context", new: Settings) -> Settings:
    """Apply settings in the batch that brings them."""
    return new


Heed = Callable[["Context", Settings], Awaitable[Settings]]
"""Given the settings that the batch brings: which does it apply? `context.settings` are those so far."""


@dataclass(frozen=True)
class Context:
    """Where the stages work: a connection within a transaction, the number `ws` of the workspace's rows, its settings, and its
    log's partition. `heed` decides which settings apply if the batch brings others.
    """

    connection: Connection
    ws: int
    settings: Settings
    social_posts_max: int = SOCIAL_POSTS_MAX
    log: EventLog | None = None
    partition: int = 0
    remembered: WorkspaceCache = field(default_factory=WorkspaceCache)
    heed: Heed = apply_at_once


Run = Callable[[Context, Changes], Awaitable[Sequence[Change]]]


@dataclass(frozen=True)
class Stage:
    """A step of the projection, declared.

    `takes` and `passes_on` are types of changes. `owns` are its tables; `updates` are tables of stages before it that it writes
    columns of; `reads` are other stages' tables that it reads. `package` is where its modules and their statements are.
    """

    name: str
    run: Run
    takes: tuple[type, ...]
    passes_on: tuple[type, ...]
    package: str
    owns: tuple[str, ...]
    updates: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


class BadPipeline(Exception):
    """The stages do not fit together; the text says which and why."""


class Pipeline:
    """Stages in their order. Raises `BadPipeline` where they do not fit together."""

    def __init__(self, begins_with: Iterable[type], stages: Sequence[Stage]) -> None:
        self.stages = tuple(stages)
        self._check_changes(set(begins_with))
        self._check_tables()

    async def run(
        self, context: Context, changes: Iterable[Change], first: str | None = None, last: str | None = None
    ) -> Changes:
        """Run the stages from `first` to `last` (both inclusive; all without them); returns all changes that were passed on.

        If a stage passes on changed settings, the stages after it work with these.
        """
        passed_on = Changes(changes)
        for stage in self._from(first, last):
            more = await stage.run(context, passed_on)
            passed_on = passed_on.with_more(more)
            for change in more:
                if isinstance(change, SettingsChanged):
                    context = replace(context, settings=change.now)
        return passed_on

    def _from(self, first: str | None, last: str | None) -> Sequence[Stage]:
        names = [stage.name for stage in self.stages]
        begin = 0 if first is None else names.index(first)
        end = len(names) if last is None else names.index(last) + 1
        return self.stages[begin:end]

    def _check_changes(self, passed_on: set[type]) -> None:
        for stage in self.stages:
            if missing := [cls.__name__ for cls in stage.takes if cls not in passed_on]:
                raise BadPipeline(f"stage {stage.name} takes {', '.join(missing)}, which no earlier stage passes on")
            if twice := [cls.__name__ for cls in stage.passes_on if cls in passed_on]:
                raise BadPipeline(f"stage {stage.name} passes on {', '.join(twice)}, which an earlier stage passes on")
            passed_on |= set(stage.passes_on)

    def _check_tables(self) -> None:
        owners: dict[str, str] = {}
        for stage in self.stages:
            for table in stage.owns:
                if table in owners:
                    raise BadPipeline(f"table {table} is owned by the stages {owners[table]} and {stage.name}")
                owners[table] = stage.name
        for stage in self.stages:
            declared = {*stage.owns, *stage.updates, *stage.reads}
            if unknown := sorted(declared - owners.keys()):
                raise BadPipeline(f"stage {stage.name} names the tables {', '.join(unknown)}, which no stage owns")
            for name, statement in _statements(stage.package):
                if undeclared := sorted(set(_TABLE.findall(statement)) - declared):
                    raise BadPipeline(
                        f"{name} of stage {stage.name} names {', '.join(undeclared)}, which it does not declare"
                    )
                writes = set(_WRITES.findall(statement))
                if foreign := sorted(writes - {*stage.owns, *stage.updates}):
                    raise BadPipeline(f"{name} of stage {stage.name} writes {', '.join(foreign)}, which it only reads")


_WRITES = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) \{g\}\.(\w+)")


def _statements(package: str) -> Iterable[tuple[str, Statement]]:
    """The statements of a package's modules, with their names."""
    for module in [module for name, module in sys.modules.items() if name.startswith(f"{package}.")]:
        for name, value in vars(module).items():
            for statement in value if isinstance(value, list | tuple) else [value]:
                if isinstance(statement, Statement):
                    yield name, statement
