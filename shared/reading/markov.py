"""Which part of the conversions would be lost without each group? The removal effects of a Markov chain (rule **data-driven**).

The chain is absorbing: from the start over the groups of the paths to the conversion, or to null. A removal effect is
1 - P(conversion with the group sent to null) / P(conversion). With the visits that are to be expected, N = (I - Q)^-1, one inversion gives all of
them: what is lost with a group is the probability that a path comes to it, times that of a conversion from there.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

GROUPS_MAX = 2_000  # of a chain: its matrix has 32 MB then, and takes about a second
DIGITS = 12  # of an effect: its parts are whole numbers of 10^-12


class TooManyGroups(Exception):
    """A report has more groups than a chain is solved for."""


def removal_effects(converted: Iterable[Sequence[str]], lost: Iterable[Sequence[str]]) -> dict[str, int]:
    """The removal effect of each group of the paths that end with a conversion, in units of 10^-12, by group in their order. `lost` are paths that
    end without. Empty paths change no effect. Raises `TooManyGroups`.
    """
    steps: Counter[tuple[str | None, str | None]] = Counter()
    wins: Counter[str] = Counter()
    ends: Counter[str] = Counter()
    for paths, won in ((converted, True), (lost, False)):
        for path in paths:
            if path:
                steps.update(pairwise([None, *path]))
                ends[path[-1]] += 1
                wins[path[-1]] += won
    groups = sorted({group for _, group in steps if group is not None})
    if not wins or not groups:
        return {}
    if len(groups) > GROUPS_MAX:
        raise TooManyGroups(
            f"the report has {len(groups):,} groups; the chain of markov is solved for {GROUPS_MAX:,} at most"
        )
    place = {group: n for n, group in enumerate(groups)}
    moves, start = np.zeros((len(groups), len(groups))), np.zeros(len(groups))
    for (before, group), count in steps.items():
        assert group is not None
        if before is None:
            start[place[group]] += count
        else:
            moves[place[before], place[group]] += count
    left = moves.sum(axis=1) + [ends[group] for group in groups]  # how often the paths left each group
    conversions = np.array([wins[group] for group in groups]) / left
    visits = np.linalg.inv(np.eye(len(groups)) - moves / left[:, None])
    from_group = visits @ conversions
    reaches = (start / start.sum()) @ visits / visits.diagonal()
    whole = float(start / start.sum() @ from_group)
    if whole == 0:
        return {}
    effects = reaches * from_group / whole
    return {group: round(float(effect) * 10**DIGITS) for group, effect in zip(groups, effects, strict=True)}
