"""Rule **paths**: by which path was a deal won?"""

from collections.abc import Iterable
from itertools import groupby

from shared.rules.influence import TouchType


def path_of(types: Iterable[TouchType]) -> list[str]:
    """The path of a journey of touches of these types, in order: the types as they are sent, without those that repeat the one before."""
    return [wire for wire, _ in groupby(type_.wire for type_ in types)]
