"""What is told of the keys of a new data directory? Once, and in a file that its owner alone can read."""

import json
from pathlib import Path

import asyncpg

from shared.access.keys import create_workspace
from shared.access.scopes import OPERATOR_WORKSPACE

KEYS_FILE = "keys.json"


async def first_keys(pool: "asyncpg.Pool[asyncpg.Record]", data: Path, name: str) -> dict[str, str] | None:
    """The keys of a new data directory's workspace `default`, also written to `keys.json`; None if it had them."""
    keys = await create_workspace(pool, OPERATOR_WORKSPACE, name)
    if keys is None:
        return None
    path = data / KEYS_FILE
    path.touch(mode=0o600)
    path.write_text(json.dumps({"workspace": OPERATOR_WORKSPACE, "keys": keys}, indent=2) + "\n")
    return {str(scope): key for scope, key in keys.items()}
