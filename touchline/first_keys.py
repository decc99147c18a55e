"""The first keys of a new data directory: they are printed once, and kept in a file that only its owner can read."""

import json
from pathlib import Path

import asyncpg

from shared.access.keys import create_workspace
from shared.access.scopes import OPERATOR_WORKSPACE

KEYS_FILE = "keys.json"


async def first_keys(pool: "asyncpg.Pool[asyncpg.Record]", data: Path, name: str) -> dict[str, str] | None:
    """Make the workspace `default`, called `name`, and its keys, and write them to `keys.json` in the directory `data`.

    Answers the keys by scope, or None if the workspace exists already.
    """
    keys = await create_workspace(pool, OPERATOR_WORKSPACE, name)
    if keys is None:
        return None
    path = data / KEYS_FILE
    path.touch(mode=0o600)
    path.write_text(json.dumps({"workspace": OPERATOR_WORKSPACE, "keys": keys}, indent=2) + "\n")
    return {str(scope): key for scope, key in keys.items()}
