"""Contact tokens: texts that name a contact in the URL of an e-mail's picture or link, and that nobody else can make or read.

A token is the contact, encrypted and signed (AES-SIV) with a secret of its workspace. So it can stand where everybody sees it: it shows
no address, a changed one is not accepted, and it is of no use in another workspace. The same contact gets the same token again.
"""

import asyncio
import base64
import binascii
import re
import secrets
from typing import Any

import asyncpg
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from shared.events.types import Contact

PREFIX = "tlt_"
SECRET_BYTES = 64  # of AES-SIV with AES-256: half of it encrypts, half of it signs
TOKEN_CHARACTERS_MAX = 4_096  # the longest id and e-mail make some 3,000
CACHED_SECRETS_MAX = 10_000  # about 2 MB; a secret never changes
ASK_S = 2.0
IN_TEXT = re.compile(r"tlt_[A-Za-z0-9_-]+")

ADD = "INSERT INTO touchline.contact_token_key (workspace_id, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING"
FIND = "SELECT secret FROM touchline.contact_token_key WHERE workspace_id = $1"


class BadToken(ValueError):
    """A text that is not a valid contact token of the workspace; the message says why."""


class _Content(msgspec.Struct, array_like=True):
    """What a token holds. `expires_s` is in seconds since 1970; None: it does not expire."""

    id: str | None
    email: str | None
    expires_s: int | None


class ContactTokens:
    """Mints and reads the tokens of all workspaces of a database."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._known: dict[str, AESSIV] = {}

    async def key_of(self, workspace: str) -> AESSIV:
        """The key that mints a workspace's tokens; it is made if there is none. Raises one of `AWAY`."""
        if (key := await self._key(workspace)) is not None:
            return key
        await self._pool.execute(ADD, workspace, secrets.token_bytes(SECRET_BYTES))
        key = await self._key(workspace)
        assert key is not None
        return key

    async def read(self, workspace: str, token: str, now_us: int) -> Contact:
        """The contact that a token names. Raises `BadToken`, or one of `AWAY`."""
        if not token.startswith(PREFIX) or len(token) > TOKEN_CHARACTERS_MAX:
            raise BadToken("this is not a contact token: `POST /v1/contact-tokens` makes them")
        key = await self._key(workspace)
        opened = None if key is None else _opened(key, workspace, token)
        if opened is None:
            raise BadToken("the contact token is not one of this workspace, or it was changed")
        if opened.expires_s is not None and opened.expires_s * 1_000_000 <= now_us:
            raise BadToken("the contact token has expired")
        return Contact(id=opened.id, email=opened.email)

    async def _key(self, workspace: str) -> AESSIV | None:
        known = self._known.get(workspace)
        if known is None:
            async with asyncio.timeout(ASK_S):
                secret = await self._pool.fetchval(FIND, workspace)
            if secret is None:
                return None
            if len(self._known) >= CACHED_SECRETS_MAX:
                self._known.clear()
            known = self._known[workspace] = AESSIV(secret)
        return known


def mint(key: AESSIV, workspace: str, contact: Contact, expires_s: int | None) -> str:
    """The token of a contact, by its workspace's key. It is valid until `expires_s`, in seconds since 1970; None: for ever."""
    content = msgspec.json.encode(_Content(contact.id, contact.email, expires_s))
    return PREFIX + base64.urlsafe_b64encode(key.encrypt(content, [workspace.encode()])).decode().rstrip("=")


def _opened(key: AESSIV, workspace: str, token: str) -> _Content | None:
    """What a token holds, if the workspace's key has made it, valid still or not; else None."""
    text = token[len(PREFIX) :]
    try:
        sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        return msgspec.json.decode(key.decrypt(sealed, [workspace.encode()]), type=_Content)
    except (InvalidTag, binascii.Error, ValueError):
        return None


class TokenFinder:
    """Finds who is named by the tokens of a workspace in a text."""

    def __init__(self, workspace: str, secret: bytes | None) -> None:
        """`secret` is the workspace's row of `touchline.contact_token_key`; None: it has minted no token."""
        self._workspace = workspace
        self._key = None if secret is None else AESSIV(secret)

    def by(self, text: str) -> list[str]:
        """The ids and e-mail addresses that tokens in a text hold, also those that have expired."""
        if self._key is None or PREFIX not in text:
            return []
        contents = [_opened(self._key, self._workspace, found) for found in IN_TEXT.findall(text)]
        return [name for each in contents if each is not None for name in (each.id, each.email) if name is not None]


async def named_by_tokens(connection: Any, workspace: str) -> TokenFinder:
    """Finds who is named by the tokens of a workspace in a text; `connection` reaches the durable tables."""
    return TokenFinder(workspace, await connection.fetchval(FIND, workspace))
