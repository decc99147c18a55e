"""How often did the paths of journeys go from one group to the next, begin with each, and end with each (rule **data-driven**)? Counted with numpy.

A step is three numbers: the group before it (-1: the path begins), the group after it (-1: the path ends), and how often. A group that follows itself
is no step, for that changes no removal effect.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from shared.rules.report_groups import Group

NONE = -1
"""In the place of a group: the path begins, or ends."""
PLACE = np.dtype([("subject", ">i8"), ("step", ">i4")])
PLACE_SQL = "string_agg(int8send({subject}) || int4send({step}), ''::bytea)"
"""The places of touches, one after another: the key of the deal or contact, and the place of the touch among its touches."""

ROWS_MAX = 100_000  # of steps that are kept before they are added up, 24 bytes each; twice as many as there are pairs, if these are more

Numbers = npt.NDArray[np.int64]
Steps = npt.NDArray[np.int64]
"""Steps between groups: an array of n rows of 3 numbers."""


class Walked:
    """Steps between groups that have names."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._parts: list[Steps] = []
        self._rows, self._rows_max = 0, ROWS_MAX

    def add(self, names: Sequence[str], steps: Steps) -> None:
        """Add steps between groups, whose numbers are places in `names`."""
        numbers = [self._numbers.setdefault(name, len(self._numbers)) for name in names]
        renumbered = np.array([*numbers, NONE], np.int64)  # so that the place -1 stays what it is
        self._parts.append(np.column_stack([renumbered[steps[:, 0]], renumbered[steps[:, 1]], steps[:, 2]]))
        self._rows += len(steps)
        if self._rows > self._rows_max:
            self._rows_max = max(ROWS_MAX, 2 * len(self.steps))

    @property
    def names(self) -> Sequence[str]:
        """The groups, in the order of their numbers."""
        return list(self._numbers)

    @property
    def steps(self) -> Steps:
        """The steps, each pair of groups once, in the order of their numbers."""
        steps = _added_up(np.concatenate([np.empty((0, 3), np.int64), *self._parts]))
        self._parts, self._rows = [steps], len(steps)
        return steps

    def counts(self) -> Mapping[tuple[str | None, str | None], int]:
        """How often each group (None: the beginning) was followed by each (None: the end)."""
        names = [*self.names, None]
        return {(names[before], names[after]): count for before, after, count in self.steps.tolist()}


class Journeys:
    """Touches of deals or contacts, of which each tells its group. They come group by group."""

    def __init__(self) -> None:
        self.groups: dict[Group, int] = {}
        """The groups, each with its number."""
        self._places: list[bytes] = []
        self._numbers: list[int] = []

    def add(self, places: bytes, group: Group) -> None:
        """Add the touches of a group, at places as `PLACE_SQL` gives them. Of a touch in several groups, add the first group first."""
        self._places.append(places)
        self._numbers.append(self.groups.setdefault(group, len(self.groups)))

    def in_order(self) -> tuple[Numbers, Numbers]:
        """For each touch and group of it, in the order of journeys: the key of the deal or contact, and the number of the group."""
        places = np.frombuffer(b"".join(self._places), PLACE)
        lengths = [len(some) // PLACE.itemsize for some in self._places]
        numbers = np.repeat(np.array(self._numbers, np.int64), lengths)
        subjects = places["subject"].astype(np.int64)
        order = np.lexsort((places["step"], subjects))  # stable: the groups of one touch stay in their order
        return subjects[order], numbers[order]

    def walk(self, into: Walked, subjects: Numbers, numbers: Numbers) -> None:
        """Add the steps of these journeys, which are in order, between groups that have names."""
        named = np.array([group.name is not None for group in self.groups], bool)[numbers]
        steps = _steps(subjects[named], numbers[named])
        used = np.unique(steps[:, :2])
        used = used[used != NONE]
        names = [group.name or "" for group in self.groups]
        place = np.full(len(names) + 1, NONE, np.int64)
        place[used] = np.arange(len(used))
        into.add(
            [names[number] for number in used], np.column_stack([place[steps[:, 0]], place[steps[:, 1]], steps[:, 2]])
        )


def _steps(subjects: Numbers, groups: Numbers) -> Steps:
    """The steps of paths: whose each is, and its groups in order."""
    if not len(subjects):
        return np.empty((0, 3), np.int64)
    other = np.concatenate(([True], (subjects[1:] != subjects[:-1]) | (groups[1:] != groups[:-1])))
    subjects, groups = subjects[other], groups[other]
    first = np.concatenate(([True], subjects[1:] != subjects[:-1]))
    last = np.roll(first, -1)
    before = np.where(first, NONE, np.roll(groups, 1))
    pairs = np.column_stack(
        [np.concatenate([before, groups[last]]), np.concatenate([groups, np.full(np.count_nonzero(last), NONE)])]
    )
    return _added_up(np.column_stack([pairs, np.ones(len(pairs), np.int64)]))


def _added_up(steps: Steps) -> Steps:
    """The same steps, each pair of groups once."""
    groups = int(steps[:, :2].max(initial=NONE)) + 2
    pairs, place = np.unique((steps[:, 0] + 1) * groups + steps[:, 1] + 1, return_inverse=True)
    counts = np.zeros(len(pairs), np.int64)
    np.add.at(counts, place, steps[:, 2])
    return np.column_stack([pairs // groups - 1, pairs % groups - 1, counts])


def packed(steps: Steps) -> bytes:
    """Steps as `path_day` stores them: 4 bytes a number."""
    return steps.astype(">i4").tobytes()


def unpacked(steps: bytes) -> Steps:
    """Steps, of the bytes of `packed`."""
    return np.frombuffer(steps, ">i4").astype(np.int64).reshape(-1, 3)
