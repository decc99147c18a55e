"""A log whose events are sealed from the first byte: whatever appends to it appends pseudonyms. It seals in front of either adapter."""

from collections.abc import Sequence
from functools import partial

from shared.log.port import Entry, EventLog, LogUnavailable, Position
from shared.sealing.fields import Sealing, names_of, sealed
from shared.sealing.names import Name
from shared.sealing.record import personal_fields_of, with_changes
from shared.sealing.vault import ATTEMPTS, Vault

FORGETS = "contact_forgotten"


class SealedLog:
    """See `shared.log.port.EventLog`. What it reads is sealed: rows are made of that, without the vault."""

    def __init__(self, inner: EventLog, vault: Vault) -> None:
        self.inner, self.vault = inner, vault
        self.partitions, self.identity = inner.partitions, inner.identity

    async def append(self, workspace: str, values: Sequence[bytes]) -> Position:
        """See `EventLog.append`. Raises `LogUnavailable` also if a new person's name cannot be kept."""
        stored, forgotten = await seal_all(self.vault, workspace, values)
        position = await self.inner.append(workspace, stored)
        if forgotten:
            await self.vault.hide(workspace, forgotten)
        return position

    async def read(self, partition: int, offset: int, events_max: int) -> Sequence[Entry]:
        """See `EventLog.read`."""
        return await self.inner.read(partition, offset, events_max)

    async def entries(self, partition: int, offsets: Sequence[int]) -> Sequence[Entry]:
        """See `EventLog.entries`."""
        return await self.inner.entries(partition, offsets)

    async def end(self, partition: int) -> int:
        """See `EventLog.end`."""
        return await self.inner.end(partition)

    async def wait(self, partition: int, offset: int, timeout_s: float) -> None:
        """See `EventLog.wait`."""
        await self.inner.wait(partition, offset, timeout_s)

    def another(self) -> EventLog:
        """See `EventLog.another`."""
        return SealedLog(self.inner.another(), self.vault)

    async def leave(self, partition: int) -> None:
        """See `EventLog.leave`."""
        await self.inner.leave(partition)

    async def close(self) -> None:
        """See `EventLog.close`."""
        await self.inner.close()


def vault_of(log: EventLog) -> Vault | None:
    """The vault of a sealed log; None if the log is not sealed."""
    return log.vault if isinstance(log, SealedLog) else None


def unsealed(log: EventLog) -> EventLog:
    """The adapter that keeps a log's entries."""
    return log.inner if isinstance(log, SealedLog) else log


async def as_stored(log: EventLog, workspace: str, values: Sequence[bytes]) -> Sequence[bytes]:
    """The values as the log would keep them."""
    if not isinstance(log, SealedLog):
        return values
    stored, _ = await seal_all(log.vault, workspace, values)
    return stored


async def seal_all(vault: Vault, workspace: str, values: Sequence[bytes]) -> tuple[list[bytes], set[Name]]:
    """Records of the log, sealed; and the names that they say are to be forgotten. Raises `LogUnavailable`."""
    personal = [personal_fields_of(value) for value in values]
    forgotten = {name for fields in personal if fields.type == FORGETS for name in names_of(fields)}
    for _ in range(ATTEMPTS):
        sealing = Sealing(vault.persons(workspace), partial(vault.value, workspace), partial(vault.url, workspace))
        stored = []
        for value, fields in zip(values, personal, strict=True):
            changed = sealed(fields, sealing)
            stored.append(value if changed is None else with_changes(value, changed))
        kept = vault.keep()
        if kept is None or await kept:
            return stored, forgotten
    raise LogUnavailable("other processes keep adding the same new persons at the same time")
