"""Which events does a row of a table tell? A mapping says it: a TOML file, or one of those that come with Touchline.

`ready` finds and checks one, `language` has what it may say, `table` binds it to a file; `instants`, `numbers` and `ids` read cells.
"""

from services.replay.mapping.errors import BadCell, BadMapping
from services.replay.mapping.ready import Said, mapping
from services.replay.mapping.table import TableMapping

__all__ = ["BadCell", "BadMapping", "Said", "TableMapping", "mapping"]
