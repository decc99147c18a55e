"""Every worked example of docs/rules.md gives what is written there."""

import pytest

from tests.processes import Up
from tests.scenarios.test_scenarios import SEED, player
from tests.scenarios.worked import Example, examples

EXAMPLES = examples()
WITHOUT = {"forgotten"}  # it needs a sealed store


@pytest.mark.parametrize("example", EXAMPLES, ids=[e.name for e in EXAMPLES])
def test_worked_example(up: Up, example: Example) -> None:
    play = player()
    if example.expect:
        problems = play.play(up.url, up.keys["admin"], example.scenario, SEED)
        assert not problems, f"seed {SEED}: {problems}"
    for event, pattern in example.refused:
        (prepared,) = play.prepared({"name": example.name, "events": [event]})
        status, answer = play.call(up.url, up.keys["server"], "POST", "/v1/events", {"events": [prepared]})
        assert (status, play.misses(pattern, answer["rejected"][0])) == (422, [])
    assert example.expect or example.refused


def test_every_rule_has_a_worked_example() -> None:
    from tests.scenarios.worked import RULES, SECTION

    rules = set(SECTION.findall(RULES.read_text("utf-8")))
    assert rules - {e.rule for e in EXAMPLES} == WITHOUT
