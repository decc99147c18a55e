"""How is a Kafka log that has events sealed? A topic cannot be rewritten, so its events are copied, sealed, into a new topic.

Every event gets the offset that it had, so whatever names an offset stays true. Nothing is deleted before all of the copy was compared
with the old topic: sealing the same event again gives the same bytes.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from services.replay.backup_topic import LOT_EVENTS, fill_at
from services.replay.build import ends_of
from shared.database import error_text
from shared.errors import ExpectedError
from shared.events.codec import decode_record
from shared.events.refusal import UNDECODABLE
from shared.log.kafka import KafkaLog
from shared.log.kafka_cluster import KafkaCluster
from shared.log.port import Entry, LogDamaged
from shared.sealing.log import seal_all
from shared.sealing.vault import Vault

DELETE_S = 60.0  # the brokers forget a topic one after another; its files go later, by their own settings
POLL_S = 0.2
UNKNOWN_TOPIC = 3  # the protocol's code UNKNOWN_TOPIC_OR_PARTITION


class NotRewritable(ExpectedError):
    """The log has events that cannot be rewritten, or cannot be rewritten in this way."""


class GrownMeanwhile(ExpectedError):
    """Somebody appended to the log while it was copied."""


class NotDeleted(ExpectedError):
    """The store is sealed, but the topic with the plain events is still there."""


async def copy_sealed(old: KafkaLog, new: KafkaLog, vault: Vault, advance: Callable[[int], None]) -> int:
    """Copy all events of a topic, sealed, into another with as many partitions, and compare; returns how many there are.

    A copy that was interrupted is continued. `advance` is called with the number of events just copied. What cannot be read as an
    event becomes an empty record: it counts nowhere, and the projector has kept it as a dead letter. Raises `NotRewritable` if the new
    topic holds other events, `GrownMeanwhile`, `LogUnavailable` or `LogDamaged`.
    """
    ends, begun = await ends_of(old), await ends_of(new)
    if longer := [partition for partition, end in ends.items() if begun[partition] > end]:
        raise NotRewritable(
            f"{new.identity} has more events than {old.identity} in partition {longer[0]}; name a new topic"
        )
    for partition, end in ends.items():
        advance(begun[partition])
        await _copy(old, new, vault, partition, begun[partition], end, advance)
    for partition, end in ends.items():
        await _compare(old, new, vault, partition, end)
    if await ends_of(old) != ends or await ends_of(new) != ends:
        raise GrownMeanwhile(
            f"events were appended to {old.identity} or {new.identity} meanwhile: stop all services, and repeat the command"
        )
    return sum(ends.values())


async def _copy(
    old: KafkaLog, new: KafkaLog, vault: Vault, partition: int, at: int, end: int, advance: Callable[[int], None]
) -> None:
    while at < end:
        entries = await old.read(partition, at, min(LOT_EVENTS, end - at))
        await fill_at(new, partition, await _sealed(vault, entries))
        at = entries[-1].offset + 1
        advance(len(entries))
    await old.leave(partition)


async def _compare(old: KafkaLog, new: KafkaLog, vault: Vault, partition: int, end: int) -> None:
    """Raise `NotRewritable` unless every entry before `end` of the new topic is that of the old one, sealed."""
    at = 0
    while at < end:
        copied = await new.read(partition, at, min(LOT_EVENTS, end - at))
        if not copied:
            raise LogDamaged(f"{new.identity} ends at offset {at} of partition {partition}, and should end at {end}")
        expected: list[Entry] = []
        while len(expected) < len(copied):
            entries = await old.read(partition, at + len(expected), len(copied) - len(expected))
            expected += await _sealed(vault, entries)
        for mine, theirs in zip(copied, expected, strict=True):
            if mine != theirs:
                raise NotRewritable(
                    f"offset {mine.offset} of partition {partition} of {new.identity} is not a copy of {old.identity}: remove that "
                    "topic or name a new one, and repeat the command"
                )
        at = copied[-1].offset + 1
    await old.leave(partition)
    await new.leave(partition)


async def _sealed(vault: Vault, entries: Sequence[Entry]) -> list[Entry]:
    """The entries with their events sealed, in the same order; those that hold no event with an empty value."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, entry in enumerate(entries):
        if entry.workspace and _is_event(entry.value):
            places[entry.workspace].append(place)
    values = [b""] * len(entries)
    for workspace, of_workspace in places.items():
        stored, _ = await seal_all(vault, workspace, [entries[place].value for place in of_workspace])
        for place, value in zip(of_workspace, stored, strict=True):
            values[place] = value
    return [entry._replace(value=value) for entry, value in zip(entries, values, strict=True)]


def _is_event(value: bytes) -> bool:
    try:
        decode_record(value)
    except UNDECODABLE:
        return False
    return True


async def delete_topic(cluster: KafkaCluster) -> None:
    """Delete a topic, and wait until the brokers no longer know it. Raises `NotDeleted`."""
    left = (
        f"the store is sealed, but the topic {cluster.topic}, which holds the events as they were before, is still there. "
        "Delete it yourself:"
    )
    admin = AIOKafkaAdminClient(**cluster.client())
    try:
        async with asyncio.timeout(DELETE_S):
            await admin.start()
            try:
                answer = await admin.delete_topics([cluster.topic])
                ((_, code, *_rest),) = answer.topic_error_codes
                if code not in (0, UNKNOWN_TOPIC):
                    raise NotDeleted(f"{left} {for_code(code).__name__}")
                while not code:
                    (found,) = await admin.describe_topics([cluster.topic])
                    code = found["error_code"]
                    await asyncio.sleep(POLL_S)
            finally:
                await admin.close()
    except (KafkaError, OSError, TimeoutError) as error:
        raise NotDeleted(f"{left} {error_text(error)}") from error
