"""Rule **data-driven**: how do markov and shapley share out what deals are worth, by the paths of all journeys?"""

from collections.abc import Mapping, Sequence

from shared.rules.exact import split
from shared.rules.report_groups import Group

MARKOV, SHAPLEY = "markov", "shapley"
DATA_DRIVEN = (MARKOV, SHAPLEY)
"""They share out deals among the groups of a report, and have no shares by touch."""


def shapley(amount_minor: int, groups: Sequence[Group]) -> Mapping[Group, int]:
    """What each group earns of a deal, in minor units. `groups` are those of the touches of its journey, in order.

    The groups with a name are the path: each gets an equal part, the first ones in the path one unit more. If none has a name, the first gets all. Without
    groups, nobody gets anything.

    It is the Shapley value where a set of groups is worth the deals whose paths have no others: of one deal, each of its groups is needed.
    """
    path = [group for group in dict.fromkeys(groups) if group.name is not None] or groups[:1]
    return dict(zip(path, split(amount_minor, len(path)), strict=True)) if path else {}
