"""Which part of the conversions would be lost without each group? The removal effects of a Markov chain (rule **data-driven**).

The chain is absorbing: from the start over the groups of the paths to the conversion, or to null. A removal effect is
1 - P(conversion with the group sent to null) / P(conversion). With the visits that are to be expected, N = (I - Q)^-1, one inversion gives all of
them: what is lost with a group is the probability that a path comes to it, times that of a conversion from there.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from shared.projection.walks import NONE, Walked

GROUPS_MAX = 2_000  # of a chain: its matrix has 32 MB then, and takes about a second
DIGITS = 12  # of an effect: its parts are whole numbers of 10^-12


class TooManyGroups(Exception):
    """A report has more groups than a chain is solved for."""


def removal_effects(converted: Walked, lost: Walked) -> dict[str, int]:
    """The removal effect of each group, in units of 10^-12, by group in their order: of the paths that ended with a conversion, and those that
    ended without. Nothing if no path ended with a conversion. Raises `TooManyGroups`.
    """
    if not converted.names:
        return {}
    groups = sorted({*converted.names, *lost.names})
    if len(groups) > GROUPS_MAX:
        raise TooManyGroups(
            f"the report has {len(groups):,} groups; the chain of markov is solved for {GROUPS_MAX:,} at most"
        )
    place = {group: n for n, group in enumerate(groups)}
    won = _counts(converted, place)
    counts = won + _counts(lost, place)
    moves, start = counts[:NONE, :NONE], counts[NONE, :NONE]
    left = counts[:NONE].sum(axis=1)  # how often the paths left each group
    conversions = won[:NONE, NONE] / left
    visits = np.linalg.inv(np.eye(len(groups)) - moves / left[:, None])
    from_group = visits @ conversions
    reaches = (start / start.sum()) @ visits / visits.diagonal()
    effects = reaches * from_group / (start / start.sum() @ from_group)
    return {group: round(float(effect) * 10**DIGITS) for group, effect in zip(groups, effects, strict=True)}


def _counts(walked: Walked, place: Mapping[str, int]) -> "npt.NDArray[np.float64]":
    """How often the paths went from each group (the last row: began) to each (the last column: ended), by the places of groups."""
    out = np.zeros((len(place) + 1, len(place) + 1))
    at = np.array([*(place[name] for name in walked.names), len(place)])
    before, after, count = walked.steps.T
    out[at[before], at[after]] = count
    return out
