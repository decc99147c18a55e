"""Note the digests of the golden world's rows beside the content that they belong to: `make golden`.

It refuses where rows changed and `CONTENT` did not: stores that hold the old rows would not be rebuilt.
"""

import sys

import msgspec

from shared.projection.tables import CONTENT
from tests.golden_world.world import CHECKSUMS, Golden, changed, digest_of_events, found_in, golden, verdict
from tests.own_store import on_own_store


def main() -> None:
    """Compare, and write the file unless content changed unsaid."""
    found = on_own_store(found_in)
    if others := changed(found.live, found.at_once):
        sys.exit(f"made at once, the rows of these tables are others than made as events came: {', '.join(others)}")
    events = digest_of_events()
    if CHECKSUMS.exists():
        committed = golden()
        same_content = (committed.content, committed.events) == (CONTENT, events)
        if same_content and changed(committed.tables, found.live):
            sys.exit(verdict(committed, CONTENT, events, found.live))
    result = Golden(CONTENT, events, found.live)
    CHECKSUMS.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    print(f"{CHECKSUMS.name}: {len(found.live)} tables, {sum(table.rows for table in found.live.values())} rows")


if __name__ == "__main__":
    main()
