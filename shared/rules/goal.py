"""Rule **goal**: what is a campaign to reach?"""

from collections.abc import Iterable, Mapping
from typing import Any

from shared.events.money import exact_minor
from shared.events.types import MONEY_GOALS, GoalMetric


def latest(sets: Iterable[Mapping[GoalMetric, str] | None]) -> Mapping[GoalMetric, str]:
    """The goals of a campaign, by metric, of what its events in order say (None: nothing of goals): those of the last one that says any."""
    return next((goals for goals in reversed(list(sets)) if goals is not None), {})


def values(goals: Mapping[GoalMetric, str], currency: str) -> dict[str, Any]:
    """Goals as numbers: counts, and money in minor units of the campaign's currency. A sum that the currency cannot express is left out."""
    found = {
        name: exact_minor(goal, currency) if name in MONEY_GOALS else int(goal) for name, goal in sorted(goals.items())
    }
    return {name: value for name, value in found.items() if value is not None}
