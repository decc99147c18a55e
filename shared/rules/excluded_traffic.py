"""Rule **excluded traffic**: is this touch to be counted?"""

from enum import IntEnum


class Verdict(IntEnum):
    """What a touch is to the counts. Only `COUNTED` is in any metric, session or credit."""

    COUNTED = 0
    MACHINE = 1
    INTERNAL = 2
    RETRACTED = 3


def verdict(machine: bool, internal: bool) -> Verdict:
    """A touch flagged as both is `machine`."""
    if machine:
        return Verdict.MACHINE
    return Verdict.INTERNAL if internal else Verdict.COUNTED
