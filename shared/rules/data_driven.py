"""Rule **data-driven**: how do markov and shapley share out what deals are worth, by the paths of all journeys?"""

from collections.abc import Iterable, Mapping, Sequence

from shared.rules.exact import split

MARKOV, SHAPLEY = "markov", "shapley"
DATA_DRIVEN = (MARKOV, SHAPLEY)
"""They share out deals among the groups of a report, and have no shares by touch."""


def path_of_groups(touches: Iterable[Sequence[str | None]]) -> list[str]:
    """The path of a journey: the groups of its touches, which are in order; a touch has several if it counts for several campaigns.

    Those without a name are left out.
    """
    return [group for groups in touches for group in groups if group is not None]


def shapley(amount_minor: int, path: Sequence[str]) -> Mapping[str, int]:
    """What each group of a path earns of a deal, in minor units: equal parts, the first groups of the path one unit more. Nothing of an empty path.

    It is the Shapley value where a set of groups is worth the deals whose paths have no others: of one deal, each of its groups is needed.
    """
    groups = list(dict.fromkeys(path))
    return dict(zip(groups, split(amount_minor, len(groups)), strict=True)) if groups else {}
