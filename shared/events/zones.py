"""Which time zones are there? Those of the IANA database, as the package `tzdata` lists them.

What a machine adds to its own copy (`localtime`, `posixrules`) is another zone on every machine, and `Factory` says that
nobody has chosen one.
"""

from functools import lru_cache
from importlib.resources import files

NO_ZONES = frozenset({"Factory", "localtime", "posixrules"})


@lru_cache(1)
def zones() -> frozenset[str]:
    """The names of all time zones and of their aliases."""
    return frozenset(files("tzdata").joinpath("zones").read_text().split()) - NO_ZONES
