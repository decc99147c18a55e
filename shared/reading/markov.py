"""Which part of the conversions would be lost without each group? The removal effects of a Markov chain (rule **data-driven**).

The chain is absorbing: from the start over the groups of the paths to the conversion, or to null. A removal effect is
1 - P(conversion with the group sent to null) / P(conversion). With the visits that are to be expected, N = (I - Q)^-1, one inversion gives all of
them: what is lost with a group is the probability that a path comes to it, times that of a conversion from there.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

GROUPS_MAX = 2_000  # of a chain: its matrix has 32 MB then, and takes about a second
DIGITS = 12  # of an effect: its parts are whole numbers of 10^-12


class TooManyGroups(Exception):
    """A report has more groups than a chain is solved for."""


@dataclass
class Walked:
    """How often some paths went from one group to another (from None: began with it), and how often they ended with each."""

    steps: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)

    def add(self, path: Iterable[str]) -> None:
        """Add a path. An empty one adds nothing; a group that follows itself adds nothing, for that changes no effect."""
        before: str | None = None
        for group, _ in groupby(path):
            self.steps[before, group] += 1
            before = group
        if before is not None:
            self.ends[before] += 1


def removal_effects(converted: Walked, lost: Walked) -> dict[str, int]:
    """The removal effect of each group, in units of 10^-12, by group in their order: of the paths that ended with a conversion, and those that
    ended without. Nothing if no path ended with a conversion. Raises `TooManyGroups`.
    """
    if not converted.ends:
        return {}
    steps, ends = converted.steps + lost.steps, converted.ends + lost.ends
    groups = sorted({group for _, group in steps})
    if len(groups) > GROUPS_MAX:
        raise TooManyGroups(
            f"the report has {len(groups):,} groups; the chain of markov is solved for {GROUPS_MAX:,} at most"
        )
    place = {group: n for n, group in enumerate(groups)}
    moves, start = np.zeros((len(groups), len(groups))), np.zeros(len(groups))
    for (before, group), count in steps.items():
        if before is None:
            start[place[group]] = count
        else:
            moves[place[before], place[group]] = count
    left = moves.sum(axis=1) + [ends[group] for group in groups]  # how often the paths left each group
    conversions = np.array([converted.ends[group] for group in groups]) / left
    visits = np.linalg.inv(np.eye(len(groups)) - moves / left[:, None])
    from_group = visits @ conversions
    reaches = (start / start.sum()) @ visits / visits.diagonal()
    effects = reaches * from_group / (start / start.sum() @ from_group)
    return {group: round(float(effect) * 10**DIGITS) for group, effect in zip(groups, effects, strict=True)}
