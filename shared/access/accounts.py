"""To which workspace does the account that a producer's message names belong, and which secret signs the message?

Some producers cannot send an access key: their messages name an account (HubSpot's portal, or a name in the webhook's URL) and
are signed. An account belongs to one workspace. A secret is stored unhashed, because signatures are checked with it; nobody
can read data with it.
"""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg

from shared.access.public_keys import public_key
from shared.database import AWAY

CACHE_S = 5.0  # a new secret is in use after so long at the latest
CACHED_ACCOUNTS_MAX = 10_000  # per process, including names that no workspace has
ASK_S = 2.0
ASKED_AT_ONCE_MAX = 4  # look-ups at a time, so that somebody who tries out accounts leaves most connections to others
ACCOUNT_CHARACTERS_MAX = 128
SECRET_CHARACTERS_MAX = 4_096  # a key in PEM fits


class Kind(NamedTuple):
    """What a producer's accounts are called, and what their names look like."""

    called: str
    form: re.Pattern[str]


_IN_URL = Kind(
    "a name of your own in the webhook's URL: letters, digits, `.`, `_`, `-`",
    re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII),
)
KINDS = {
    "hubspot": Kind("the portal's (Hub) ID, a number", re.compile(r"[1-9][0-9]{0,18}", re.ASCII)),
    "mailgun": _IN_URL, "sendgrid": _IN_URL,
}  # fmt: skip
"""The producers whose messages name an account and are signed. All others send an access key."""

FIND = """
SELECT account, workspace_id, secret FROM touchline.producer_account WHERE producer = $1 AND account = ANY($2::text[])
"""
CONNECT = """
INSERT INTO touchline.producer_account AS a (producer, account, workspace_id, secret) VALUES ($1, $2, $3, $4)
ON CONFLICT (producer, account) DO UPDATE SET secret = excluded.secret WHERE a.workspace_id = excluded.workspace_id
"""
DISCONNECT = "DELETE FROM touchline.producer_account WHERE producer = $1 AND account = $2 AND workspace_id = $3"
LIST = """
SELECT producer, account, created_at FROM touchline.producer_account WHERE workspace_id = $1 ORDER BY producer, account
"""


@dataclass(frozen=True, slots=True)
class Account:
    """The workspace of an account and its secret. `repr` leaves the secret out."""

    workspace: str
    secret: str = field(repr=False)


def unfit(producer: str, account: str, secret: str | None = None) -> tuple[str, str] | None:
    """The name of the first of the three values that is not valid, and why; None if all are. Checks no secret where none is given."""
    kind = KINDS.get(producer)
    if kind is None:
        return "producer", f"{producer[:40]!r} takes no account; these do: {', '.join(sorted(KINDS))}"
    if not kind.form.fullmatch(account):
        return "account", f"{account[:40]!r} cannot be an account of {producer}: it is {kind.called}"
    if secret is None:
        return None
    if not secret.strip() or len(secret) > SECRET_CHARACTERS_MAX or "\0" in secret:
        return "secret", f"a secret has from 1 to {SECRET_CHARACTERS_MAX} characters, and no U+0000"
    if producer == "sendgrid":
        try:
            public_key(secret)
        except ValueError as error:
            return "secret", f"{error}: it is the verification key that SendGrid shows, as base64 or PEM"
    return None


async def connect(
    pool: "asyncpg.Pool[asyncpg.Record]", producer: str, account: str, workspace: str, secret: str
) -> bool:
    """Connect an account to the workspace, or replace its secret; False if it belongs to another workspace."""
    return bool(await pool.execute(CONNECT, producer, account, workspace, secret) == "INSERT 0 1")


async def disconnect(pool: "asyncpg.Pool[asyncpg.Record]", producer: str, account: str, workspace: str) -> bool:
    """Delete an account of the workspace; False if it has none of this name."""
    return bool(await pool.execute(DISCONNECT, producer, account, workspace) == "DELETE 1")


async def list_accounts(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str) -> list[dict[str, Any]]:
    """The workspace's accounts, without their secrets."""
    rows = await pool.fetch(LIST, workspace)
    return [{**row, "created_at": row["created_at"].isoformat()} for row in rows]


@dataclass(slots=True)
class _CachedAccount:
    account: Account | None
    asked_s: float


class Accounts:
    """Looks accounts up and caches them for `CACHE_S` seconds, or for as long as the database cannot be reached."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._known: dict[tuple[str, str], _CachedAccount] = {}
        self._asking = asyncio.Semaphore(ASKED_AT_ONCE_MAX)

    async def find(self, producer: str, account: str, now_s: float) -> Account | None:
        """The account; None if no workspace has it. `now_s` is a monotonic clock. Raises one of `AWAY` if it is not cached."""
        return (await self.find_all(producer, [account], now_s)).get(account)

    async def find_all(self, producer: str, accounts: Iterable[str], now_s: float) -> dict[str, Account]:
        """Those of the accounts that a workspace has, in one query. Raises one of `AWAY` if one of them is not cached."""
        wanted = [a for a in dict.fromkeys(accounts) if len(a) <= ACCOUNT_CHARACTERS_MAX and "\0" not in a]
        known = {account: self._known.get((producer, account)) for account in wanted}
        asked = [account for account, k in known.items() if k is None or now_s - k.asked_s >= CACHE_S]
        if asked:
            try:
                async with self._asking, asyncio.timeout(ASK_S):
                    rows = await self._pool.fetch(FIND, producer, asked)
            except AWAY:
                if None in known.values():
                    raise
            else:
                found = {row["account"]: Account(row["workspace_id"], row["secret"]) for row in rows}
                known |= {account: _CachedAccount(found.get(account), now_s) for account in asked}
                self._remember({(producer, account): k for account, k in known.items() if k is not None})
        return {account: k.account for account, k in known.items() if k is not None and k.account is not None}

    def _remember(self, known: dict[tuple[str, str], _CachedAccount]) -> None:
        """Cache the answers. Where the cache is full, names that no workspace has are dropped first."""
        if len(self._known) + len(known) > CACHED_ACCOUNTS_MAX:
            self._known = {name: k for name, k in self._known.items() if k.account is not None}
        if len(self._known) + len(known) > CACHED_ACCOUNTS_MAX:
            self._known.clear()
        self._known |= known
