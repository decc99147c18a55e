"""Contact tokens: texts that name a contact in the URL of an e-mail's picture or link, and that nobody else can make or read.

A token is the contact, encrypted and signed (AES-SIV) with a secret of its workspace. So it can stand where everybody sees it: it shows
no address, a changed one is not accepted, and it is of no use in another workspace. The same contact gets the same token again.
"""

import asyncio
import base64
import binascii
import secrets

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

ADD = "INSERT INTO touchline.contact_token_key (workspace_id, secret) VALUES ($1, $2) ON CONFLICT DO NOTHING"
FIND = "SELECT secret FROM touchline.contact_token_key WHERE workspace_id = $1"


class BadToken(ValueError):
    """A text that is not a valid contact token of the workspace; the message says why."""


class _Told(msgspec.Struct, array_like=True):
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
            raise BadToken("this is no contact token: `POST /v1/contact-tokens` makes them")
        key = await self._key(workspace)
        try:
            sealed = base64.b64decode(
                token[len(PREFIX) :] + "=" * (-len(token[len(PREFIX) :]) % 4), b"-_", validate=True
            )
            if key is None:
                raise InvalidTag
            told = msgspec.json.decode(key.decrypt(sealed, [workspace.encode()]), type=_Told)
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise BadToken("the contact token is not one of this workspace, or it was changed") from error
        if told.expires_s is not None and told.expires_s * 1_000_000 <= now_us:
            raise BadToken("the contact token has expired")
        return Contact(id=told.id, email=told.email)

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
    told = msgspec.json.encode(_Told(contact.id, contact.email, expires_s))
    return PREFIX + base64.urlsafe_b64encode(key.encrypt(told, [workspace.encode()])).decode().rstrip("=")
