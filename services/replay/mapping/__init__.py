"""Which events does a row of a table become? A mapping defines it: a TOML file, or one of those that come with Touchline.

`ready` finds and checks a mapping, `language` defines its syntax, `table` binds it to a file; `instants`, `numbers` and `ids` read cells.
"""

from services.replay.mapping.errors import BadCell, BadMapping
from services.replay.mapping.ready import MappingOptions, mapping
from services.replay.mapping.table import TableMapping

__all__ = ["BadCell", "BadMapping", "MappingOptions", "TableMapping", "mapping"]
