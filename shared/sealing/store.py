"""Is a store sealed, and with which master key? The table `touchline.sealing` says it; without a row, the store is not sealed."""

import hmac
from pathlib import Path
from typing import Any

import asyncpg

from shared.log.port import EventLog
from shared.log.postgres import PostgresLog
from shared.sealing.keys import MASTER_KEY_FILE, BadMasterKey, MasterKey
from shared.sealing.log import SealedLog
from shared.sealing.vault import Vault
from shared.wakeups import Wakeups

CHECK = "SELECT key_check FROM touchline.sealing"
FOLDER = "SELECT current_setting('data_directory', true)"
BEGIN = "INSERT INTO touchline.sealing (key_check) VALUES ($1)"


async def sealed_by(pool: Any) -> bytes | None:
    """A check value of a store's master key, which does not reveal the key; None if the store is not sealed, or has no durable tables yet."""
    try:
        found: bytes | None = await pool.fetchval(CHECK)
    except asyncpg.UndefinedTableError:
        return None
    return found


async def key_file(pool: Any) -> Path | None:
    """Where the master key of an embedded store lies: beside PostgreSQL's folder; None if that cannot be known."""
    try:
        folder = await pool.fetchval(FOLDER)
    except asyncpg.InsufficientPrivilegeError:
        return None
    return None if folder is None else Path(folder).parent / MASTER_KEY_FILE


async def find_master_key(pool: Any, configured: str | None) -> MasterKey:
    """The master key: the configured one, else that of the file beside an embedded store. Raises `BadMasterKey`."""
    if configured is not None:
        return MasterKey.of_text(configured)
    file = await key_file(pool)
    if file is None or not file.exists():
        where = "" if file is None else f", and there is no file {file}"
        raise BadMasterKey(f"the store is sealed, but TOUCHLINE_MASTER_KEY is not set{where}")
    return MasterKey.of_file(file)


async def open_vault(
    pool: Any, configured: str | None, wakeups: Wakeups | None = None, *, durable: bool = True
) -> Vault | None:
    """The vault of a sealed store; None if the store is not sealed. See `Vault` for `durable`.

    Raises `BadMasterKey` if the master key is missing or that of another store.
    """
    check = await sealed_by(pool)
    if check is None:
        return None
    master = await find_master_key(pool, configured)
    if not hmac.compare_digest(master.check, check):
        raise BadMasterKey("the master key is not the one that this store was sealed with")
    return Vault(pool, master, wakeups, durable=durable)


async def open_sealed(pool: Any, log: EventLog, configured: str | None, wakeups: Wakeups | None) -> EventLog:
    """The log, sealed if the store is. Raises `BadMasterKey` as `open_vault`."""
    vault = await open_vault(pool, configured, wakeups, durable=not isinstance(log, PostgresLog))
    return log if vault is None else SealedLog(log, vault)
