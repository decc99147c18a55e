"""Write the examples of `/openapi.json` anew: `make examples`."""

import json
from typing import Any

from tests.examples.world import committed, found_in, with_values_kept
from tests.own_store import on_own_store
from touchline.compose import compose
from touchline.configuration import Configuration
from touchline.document import EXAMPLES


async def _found(url: str) -> dict[str, Any]:
    running = await compose(url, Configuration(kafka_bootstrap_servers=None))
    try:
        return await found_in(running)
    finally:
        await running.close()


def main() -> None:
    """Ask, and write the file."""
    found = with_values_kept(on_own_store(_found), committed())
    EXAMPLES.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    print(
        f"{EXAMPLES.name}: {len(found['answers'])} answers, {len(found['schemas'])} schemas, {EXAMPLES.stat().st_size // 1024} KiB"
    )


if __name__ == "__main__":
    main()
