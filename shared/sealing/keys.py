"""Which keys are derived from the master key, and what does each of them make?

HMAC-SHA256 derives all keys. AES-SIV (RFC 5297) seals: equal texts under one key and label have equal ciphertexts, so an event that is
sent twice is stored twice with the same bytes, and counts once.
"""

import base64
import binascii
import hmac
import os
from functools import lru_cache, partial
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from shared.errors import ExpectedError

MASTER_KEY_BYTES = 32
MASTER_KEY_FILE = "master.key"
DIGEST_BYTES = 15  # 24 characters of base32, without padding; 120 bits do not collide
PSEUDONYM_CHARACTERS = 24  # random ones, of five bits each
SEED_BYTES = 16  # of which the key of a person is derived
RANDOM_BYTES = 4_096  # for some 100 new persons
CACHED_DIGESTS = 16_384  # about 4 MB
CACHED_WORKSPACES = 1_024


class BadMasterKey(ExpectedError):
    """The master key is missing, cannot be read, or is that of another store; the message says which, and what to do."""


class MasterKey:
    """The key of a store from which every other key is derived. It never leaves the process, and no row holds it."""

    def __init__(self, secret: bytes) -> None:
        """Raises `BadMasterKey` unless `secret` has 32 bytes."""
        if len(secret) != MASTER_KEY_BYTES:
            raise BadMasterKey(f"the master key has {len(secret)} bytes; {MASTER_KEY_BYTES} are expected, in base64")
        self._secret = secret
        self._wrapping = AESSIV(self._derived("wrap", ""))
        self._digest_key = lru_cache(CACHED_WORKSPACES)(partial(self._derived, "digest"))
        self._of_workspace = lru_cache(CACHED_DIGESTS)(self.digest_once)

    @classmethod
    def of_text(cls, text: str) -> "MasterKey":
        """The key that is written in base64. Raises `BadMasterKey`."""
        try:
            return cls(base64.b64decode(text.strip(), validate=True))
        except binascii.Error as error:
            raise BadMasterKey("the master key is not valid base64") from error

    @classmethod
    def of_file(cls, file: Path) -> "MasterKey":
        """The key in a file. Raises `BadMasterKey`."""
        try:
            return cls.of_text(file.read_text("ascii"))
        except (OSError, UnicodeDecodeError) as error:
            raise BadMasterKey(f"the master key cannot be read from {file}: {error}") from error

    def _derived(self, use: str, workspace: str) -> bytes:
        return hmac.digest(self._secret, f"touchline {use}\0{workspace}".encode(), "sha256")

    @property
    def check(self) -> bytes:
        """32 bytes by which a store knows its key again; they do not reveal the key."""
        return self._derived("check", "")

    def digest(self, workspace: str, kind: str, text: str) -> str:
        """The keyed digest of a text of one kind in a workspace: 24 characters a-z and 2-7."""
        return self._of_workspace(workspace, kind, text)

    def digest_once(self, workspace: str, kind: str, text: str) -> str:
        """The same; for a text that is hardly asked for again soon, so that it takes no place of others in the cache."""
        digest = hmac.digest(self._digest_key(workspace), f"{kind}\0{text}".encode(), "sha256")
        return written(digest[:DIGEST_BYTES])

    def wrap(self, seed: bytes, text: str, label: str) -> bytes:
        """The seed of a person's key and the person's name, sealed; the same `label` is needed to open it."""
        return self._wrapping.encrypt(seed + text.encode(), [label.encode()])

    def unwrap(self, sealed: bytes, label: str) -> tuple[bytes, str]:
        """The seed and the name of `wrap`. Raises `BadMasterKey` if it was sealed by another key or for another label."""
        try:
            opened = self._wrapping.decrypt(sealed, [label.encode()])
        except InvalidTag as error:
            raise BadMasterKey("a row of touchline.person was sealed with another master key") from error
        return opened[:SEED_BYTES], opened[SEED_BYTES:].decode()


class PersonKey(msgspec.Struct, gc=False):  # of ten thousands of persons, which the garbage collector need not visit
    """Seals and opens texts under the key of one person."""

    seed: bytes
    _made: AESSIV | None = None  # of most persons nothing is sealed

    def _cipher(self) -> AESSIV:
        if self._made is None:
            self._made = AESSIV(hmac.digest(self.seed, b"touchline person", "sha256"))
        return self._made

    def seal(self, text: bytes, label: str) -> str:
        """The text sealed, in characters that a URL can hold; `label` says what the text is."""
        return base64.urlsafe_b64encode(self._cipher().encrypt(text, [label.encode()])).rstrip(b"=").decode()

    def open(self, sealed: str, label: str) -> bytes | None:
        """The text; None if it was sealed under another key or label, or is no sealed text."""
        try:
            return self._cipher().decrypt(base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4)), [label.encode()])
        except (InvalidTag, ValueError):
            return None


_CHARACTERS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = [first + second for first in _CHARACTERS for second in _CHARACTERS]
_SHIFTS = range(DIGEST_BYTES * 8 - 10, -1, -10)


def written(digest: bytes) -> str:
    """A digest of 15 bytes as base32 in lower case, which survives the normalisation of e-mail addresses."""
    number, pairs = int.from_bytes(digest), _PAIRS
    return "".join([pairs[number >> shift & 1023] for shift in _SHIFTS])  # `base64.b32encode` takes three times as long


_RANDOM = "".join(_CHARACTERS[byte % 32] for byte in range(256)).encode()


class _Random:
    """Random bytes of the operating system, asked for in one call for many names. A process that forks gives none to its child."""

    def __init__(self) -> None:
        self._left = memoryview(b"")
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._left = memoryview(b"")

    def take(self, size: int) -> bytes:
        """So many random bytes, which nobody else gets."""
        if len(self._left) < size:
            self._left = memoryview(os.urandom(RANDOM_BYTES))
        taken, self._left = bytes(self._left[:size]), self._left[size:]
        return taken


_random = _Random()


def new_pseudonym() -> str:
    """A random text that stands for a name, 24 characters a-z and 2-7; nothing can be computed from it."""
    return _random.take(PSEUDONYM_CHARACTERS).translate(_RANDOM).decode()


def new_seed() -> bytes:
    """What the key of a new person is derived from."""
    return _random.take(SEED_BYTES)


def new_master_key(file: Path) -> MasterKey:
    """Make a key and write it to a file that only its owner can read (mode 0600). Raises `FileExistsError` if there is one."""
    secret = os.urandom(MASTER_KEY_BYTES)
    number = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "wb") as opened:
        opened.write(base64.b64encode(secret) + b"\n")
        opened.flush()
        os.fsync(number)
    return MasterKey(secret)
