"""Every scenario of this folder, over HTTP, against a real process."""

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.processes import Up

FOLDER = Path(__file__).parent
SEED = int(os.environ.get("TOUCHLINE_SEED", "0")) or int.from_bytes(os.urandom(3), "big")


def player() -> ModuleType:
    spec = importlib.util.spec_from_file_location("scenario_player", FOLDER / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCENARIOS = [scenario for file in sorted(FOLDER.glob("*.json")) for scenario in json.loads(file.read_text())]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[s["name"] for s in SCENARIOS])
def test_scenario(up: Up, scenario: dict[str, Any]) -> None:
    problems = player().play(up.url, up.keys["admin"], scenario, SEED)
    assert not problems, f"seed {SEED}: {problems}"
