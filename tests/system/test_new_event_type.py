"""What does it take to add a type of events? The edits that CONTRIBUTING.md names, made in a copy of the sources."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TYPES, REGISTRY = "shared/events/types.py", "shared/events/registry.py"
NUMBERS, GOLDEN = "shared/rules/influence.py", "tests/unit/golden"
ENVELOPE = {
    "id": "evt-1", "occurred_at": "2025-03-01T12:00:00.123456Z", "as_of": "2025-03-02T08:00:00Z",
    "sent_at": "2025-03-01T12:00:01Z",
}  # fmt: skip

Edit = tuple[str, str, str]
"""A file, the line before which something is put, and what is put there."""

CAMPAIGN_PAUSED: list[Edit] = [
    (TYPES, "class CampaignDeleted(", '''class CampaignPaused(Envelope, kw_only=True, frozen=True, tag="campaign_paused"):
    """A campaign is paused."""

    campaign_id: Id
    reason: Text | None = None


'''),
    (TYPES, "    CampaignCreated, CampaignUpdated,", "    CampaignPaused,\n"),
    (REGISTRY, "    _of(e.CampaignDeleted,", '    _of(e.CampaignPaused, "campaign", *_CATALOG),\n'),
]  # fmt: skip
DEMO_REQUESTED: list[Edit] = [
    (TYPES, "class ListJoined(", '''class DemoRequested(VisitorTouch, kw_only=True, frozen=True, tag="demo_requested"):
    """A visitor asked to be shown the product."""

    asset_id: Id
    visitor_id: Id | None = None
    seats: Count = 1


'''),
    (TYPES, "    CampaignCreated, CampaignUpdated,", "    DemoRequested,\n"),
    (REGISTRY, "    _of(e.ListJoined,", '    _of(e.DemoRequested, "touch", *_TOUCH),\n'),
    (NUMBERS, "    PAGE_VISITED = 1\n", "    DEMO_REQUESTED = 19\n"),
]  # fmt: skip
GOLDEN_FILES: dict[str, dict[str, Any]] = {
    "campaign_paused": {"type": "campaign_paused", **ENVELOPE, "campaign_id": "spring", "reason": "sold out"},
    "demo_requested": {
        "type": "demo_requested", **ENVELOPE, "machine": True, "internal": True, "contact": {"id": "7"},
        "user_agent": "Mozilla/5.0", "asset_id": "demo", "visitor_id": "v1", "seats": 12,
    },
}  # fmt: skip


def put(tree: Path, edits: list[Edit]) -> None:
    """Make edits in a copy of the sources."""
    for file, before, text in edits:
        path = tree / file
        source = path.read_text()
        assert source.count(before) == 1, f"{before!r} stands once in {file}"
        path.write_text(source.replace(before, text + before))


def run(tree: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a copy of the sources, whose modules come before the installed ones."""
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, timeout=300)


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with both types added, and their golden files."""
    tree = tmp_path_factory.mktemp("added")
    for folder in ("shared", "services", "touchline", "tests"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tree)
    put(tree, [*CAMPAIGN_PAUSED, *DEMO_REQUESTED])
    for name, event in GOLDEN_FILES.items():
        (tree / GOLDEN / f"{name}.json").write_text(json.dumps(event))
    return tree


@pytest.fixture
def events_only(tmp_path: Path) -> Path:
    """A copy of `shared/events` alone."""
    shutil.copytree(ROOT / "shared/events", tmp_path / "shared/events", ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def test_an_added_entity_event_and_an_added_touch_are_projected_live_and_at_once(
    added: Path, own_database: str
) -> None:
    done = run(added, "-m", "tests.added_types", own_database)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])  # after what the projection logs
    assert found["answer"]["rejected"] == []
    assert found["entity_event"] == [["campaign_paused", "p"]]
    assert found["campaign"] == [["spring"]]
    assert found["touch"] == [[19, "d", "demo"]]
    assert found["contact"] == [["kari@example.no"]]
    assert {"CampaignPaused", "DemoRequested"} <= set(found["schema"])
    assert found["explained"]["type"] == "demo_requested"
    assert found["different"] == []
    assert [found["at_once"][table] for table in ("entity_event", "campaign", "touch", "contact")] == [1, 1, 1, 1]


def test_golden_files_of_added_types_are_read(added: Path) -> None:
    done = run(
        added, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit/test_codec.py", "-k",
        "golden and (campaign_paused or demo_requested)",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout or done.stdout.startswith(".."), done.stdout


def test_an_entity_event_takes_three_files_and_a_touch_four() -> None:
    assert len({file for file, _, _ in CAMPAIGN_PAUSED} | {GOLDEN}) == 3
    assert len({file for file, _, _ in DEMO_REQUESTED} | {GOLDEN}) == 4


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        ("", "event type 'campaign_paused' (CampaignPaused): no stage takes it; name at least one of admission, entities,"),
        (', "entities", "catalogue"', "event type 'campaign_paused' (CampaignPaused): there is no stage 'catalogue'"),
        (', "catalog"', "the stage 'entities' must take it: that one writes its row"),
    ],
)  # fmt: skip
def test_a_type_without_a_stage_that_exists_is_an_error_at_import(
    events_only: Path, stages: str, expected: str
) -> None:
    put(events_only, [(f, b, t.replace(", *_CATALOG", stages)) for f, b, t in CAMPAIGN_PAUSED])
    done = run(events_only, "-c", "import shared.events.registry")
    assert done.returncode != 0
    assert expected in done.stderr.splitlines()[-1]


def test_a_struct_that_is_not_registered_is_an_error_at_import(events_only: Path) -> None:
    put(events_only, CAMPAIGN_PAUSED[:2])
    done = run(events_only, "-c", "import shared.events.registry")
    assert done.stderr.splitlines()[-1] == (
        "shared.events.registry.BadRegistry: CampaignPaused: in `Event` of shared/events/types.py, "
        "but not in DECLARED of shared/events/registry.py"
    )


def test_a_touch_without_a_number_is_an_error_at_import(added: Path, tmp_path: Path) -> None:
    tree = tmp_path / "unnumbered"
    shutil.copytree(added / "shared", tree / "shared")
    shutil.copy(ROOT / NUMBERS, tree / NUMBERS)
    done = run(tree, "-c", "import shared.rules.influence")
    assert done.stderr.splitlines()[-1] == (
        "shared.events.registry.BadRegistry: demo_requested: touches without a number in TouchType (shared/rules/influence.py)"
    )
