"""How is a contact forgotten? All rows of the vault that name it are deleted, and the dead letters that name it.

This is done in the transaction that projects the `contact_forgotten`: the projection then knows every identifier and visitor that events
before it have joined with the contact. No row of the projection changes. `shared.sealing.vacuum` removes it from the files afterwards.
"""

import json
import re
from collections.abc import Collection, Iterator
from typing import Any
from urllib.parse import unquote

from shared.access.contact_tokens import TokenFinder, named_by_tokens
from shared.sealing.vault import JOINED, Vault, named

DELETE = """
DELETE FROM touchline.person WHERE workspace_id = $1 AND key = ANY($2::bigint[])
RETURNING workspace_id, pseudonym, sealed
"""
NAMES = (
    "SELECT workspace_id, pseudonym, sealed FROM touchline.person WHERE workspace_id = $1 AND key = ANY($2::bigint[])"
)
LETTERS = """
SELECT dead_letter_id, event_id, detail, body FROM touchline.dead_letter WHERE workspace_id = $1 AND dead_letter_id > $2
ORDER BY dead_letter_id LIMIT 500
"""
DROP_LETTERS = "DELETE FROM touchline.dead_letter WHERE workspace_id = $1 AND dead_letter_id = ANY($2::bigint[])"


async def forget(
    connection: Any, vault: Vault, generation: str, workspace: str, identifiers: Collection[int]
) -> tuple[int, int]:
    """Forget the contacts that these keys of identifiers name, as `generation` joins them, in the transaction of `connection`.

    Returns how many names and how many dead letters were deleted. Call `Vault.drop_cache` after the commit.
    """
    keys = set(identifiers)
    keys |= {row[0] for row in await connection.fetch(JOINED.format(g=generation), workspace, list(identifiers))}
    rows = await connection.fetch(DELETE, workspace, list(keys))
    if rows:
        vault.deleted("person")
    return len(rows), await _drop_letters(connection, vault, workspace, rows)


async def forget_letters(connection: Any, vault: Vault, workspace: str, keys: Collection[int]) -> int:
    """Delete the dead letters that hold a name with one of these keys, which the vault still knows; returns how many."""
    return await _drop_letters(connection, vault, workspace, await connection.fetch(NAMES, workspace, list(keys)))


async def _drop_letters(connection: Any, vault: Vault, workspace: str, rows: Collection[Any]) -> int:
    """Delete the dead letters that hold one of the names of these rows of the vault; returns how many."""
    texts = {text for text, _ in named(vault.master, rows).values()}
    if not texts:
        return 0
    last, dropped, naming = 0, 0, words(texts)
    tokens = await named_by_tokens(connection, workspace)
    while page := await connection.fetch(LETTERS, workspace, last):
        last = page[-1]["dead_letter_id"]
        found = [row["dead_letter_id"] for row in page if any(map(naming.search, texts_of(row, tokens)))]
        if found:
            await connection.execute(DROP_LETTERS, workspace, found)
            vault.deleted("dead_letter")
            dropped += len(found)
    return dropped


def words(texts: Collection[str]) -> "re.Pattern[str]":
    """Finds any of these texts as a whole word, in a text that is in lower case."""
    return re.compile(
        "|".join(rf"(?<![\w.-]){re.escape(text.casefold())}(?![\w-])" for text in sorted(texts)) or r"(?!)"
    )


def texts_of(row: Any, tokens: TokenFinder) -> Iterator[str]:
    """What a dead letter says, in lower case: as it came, with the escapes of JSON and of URLs read, and whom its contact tokens name."""
    for text in (row["event_id"] or "", row["detail"], row["body"].decode(errors="replace")):
        yield from (name.casefold() for name in tokens.by(text))
        folded = text.casefold()
        yield folded
        yield unquote(folded)
    try:
        yield json.dumps(json.loads(row["body"]), ensure_ascii=False).casefold()
    except ValueError:  # not JSON: it was read as it came
        return
