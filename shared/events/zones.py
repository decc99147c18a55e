"""Which time zones exist? Those of the IANA database, as the package `tzdata` lists them.

Names that a machine adds to its own copy (`localtime`, `posixrules`) mean a different zone on every machine, and `Factory` means
that no zone was chosen; they are left out.
"""

from functools import lru_cache
from importlib.resources import files

NO_ZONES = frozenset({"Factory", "localtime", "posixrules"})


@lru_cache(1)
def zones() -> frozenset[str]:
    """The names of all time zones and of their aliases."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split()) - NO_ZONES
