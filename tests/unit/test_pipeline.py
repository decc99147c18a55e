"""The stages of the projection fit together, and a pipeline whose stages do not is refused when it is made."""

import asyncio
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest

from shared.events.registry import STAGES
from shared.projection.changes import (
    CatalogChanged,
    Change,
    Changes,
    DealsChanged,
    EntitiesChanged,
    EventsArrived,
    SettingsChanged,
)
from shared.projection.pipeline import BadPipeline, Context, Pipeline, Stage
from shared.projection.sql import Statement, sql
from shared.projection.stage_order import PIPELINE
from shared.projection.tables import NOT_ROWS, projection
from shared.rules.settings import Settings


async def nothing(_: Context, __: Changes) -> Sequence[Change]:
    return []


def stage(name: str, **declared: Any) -> Stage:
    given: dict[str, Any] = {
        "run": nothing,
        "takes": (),
        "passes_on": (),
        "package": f"no.such.package.{name}",
        "owns": (),
    }
    return Stage(name, **given | declared)


@pytest.fixture
def statement(request: pytest.FixtureRequest) -> Any:
    """Puts a statement into a module of a package that exists for one test; answers the package's name."""

    def put(text: Statement) -> str:
        module = ModuleType("made_for_a_test.apply")
        module.STATEMENT = text  # type: ignore[attr-defined]
        sys.modules[module.__name__] = module
        request.addfinalizer(lambda: sys.modules.pop(module.__name__, None))
        return "made_for_a_test"

    return put


def test_the_stages_are_those_of_the_registry_of_event_types() -> None:
    assert tuple(each.name for each in PIPELINE.stages) == STAGES


def test_every_table_with_rows_of_events_is_owned_by_one_stage() -> None:
    owned = [table for each in PIPELINE.stages for table in each.owns]
    assert sorted(owned) == sorted(table for table in projection.tables if table not in NOT_ROWS)


def test_a_change_that_no_earlier_stage_passes_on_is_refused() -> None:
    with pytest.raises(BadPipeline, match="stage late takes DealsChanged, which no earlier stage passes on"):
        Pipeline([EventsArrived], [stage("late", takes=(DealsChanged,)), stage("deals", passes_on=(DealsChanged,))])


def test_a_change_that_two_stages_pass_on_is_refused() -> None:
    with pytest.raises(BadPipeline, match="stage two passes on DealsChanged, which an earlier stage passes on"):
        Pipeline([], [stage("one", passes_on=(DealsChanged,)), stage("two", passes_on=(DealsChanged,))])


def test_a_table_with_two_owners_is_refused() -> None:
    with pytest.raises(BadPipeline, match="table deal is owned by the stages one and two"):
        Pipeline([], [stage("one", owns=("deal",)), stage("two", owns=("deal",))])


def test_a_table_that_no_stage_owns_is_refused() -> None:
    with pytest.raises(BadPipeline, match="stage one names the tables nowhere, which no stage owns"):
        Pipeline([], [stage("one", reads=("nowhere",))])


def test_a_statement_that_names_a_table_which_its_stage_does_not_declare_is_refused(statement: Any) -> None:
    package = statement(sql("SELECT FROM {g}.deal d JOIN {g}.touch t USING (ws)"))
    with pytest.raises(BadPipeline, match="STATEMENT of stage one names touch, which it does not declare"):
        Pipeline([], [stage("one", package=package, owns=("deal",)), stage("two", owns=("touch",))])


@pytest.mark.parametrize(
    "writes", ["INSERT INTO {g}.touch VALUES (1)", "UPDATE {g}.touch t SET x = 1", "DELETE FROM {g}.touch"]
)
def test_a_statement_that_writes_a_table_which_its_stage_only_reads_is_refused(statement: Any, writes: str) -> None:
    with pytest.raises(BadPipeline, match="STATEMENT of stage one writes touch, which it only reads"):
        Pipeline([], [stage("one", package=statement(sql(writes)), reads=("touch",)), stage("two", owns=("touch",))])


def test_a_stage_works_with_the_settings_that_an_earlier_one_passes_on() -> None:
    now = Settings(session_gap_minutes=7)
    met: list[int] = []

    async def passes_on(context: Context, _: Changes) -> Sequence[Change]:
        return [SettingsChanged(context.settings, now)]

    async def meets(context: Context, _: Changes) -> Sequence[Change]:
        met.append(context.settings.session_gap_minutes)
        return []

    pipeline = Pipeline(
        [], [stage("settings", run=passes_on, passes_on=(SettingsChanged,)), stage("sessions", run=meets)]
    )
    asyncio.run(pipeline.run(Context(None, 1, Settings()), []))  # type: ignore[arg-type]
    assert met == [7]


def test_a_part_of_the_stages_starts_from_the_changes_that_are_given() -> None:
    met: list[EntitiesChanged] = []

    async def meets(_: Context, changes: Changes) -> Sequence[Change]:
        met.append(changes.of(EntitiesChanged))
        return [CatalogChanged(frozenset({2}))]

    stages = [
        stage("first", run=meets),
        stage("catalog", run=meets, passes_on=(CatalogChanged,)),
        stage("last", run=meets),
    ]
    given = EntitiesChanged(assets=frozenset({1}))
    result = asyncio.run(Pipeline([], stages).run(Context(None, 1, Settings()), [given], "catalog", "catalog"))  # type: ignore[arg-type]
    assert met == [given]
    assert (result.of(EntitiesChanged), result.of(CatalogChanged)) == (given, CatalogChanged(frozenset({2})))
    assert result.of(DealsChanged) == DealsChanged(), "a change that no stage passed on is empty"
