"""What does a stretch of the log hold? Entries are decoded, and sorted by workspace; what cannot be is to be kept aside."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.events.refusal import UNDECODABLE
from shared.log.port import Entry
from shared.projection.partitions import leaf_of
from shared.projection.rows import Prepared, UnstorableValue, prepared


@dataclass
class Batch:
    """Entries of the log, decoded. Those that cannot be decoded, or have a value that no row can hold, are to be kept as dead letters.

    `unreadable` and `unfit` hold them, each with what is wrong with it.
    """

    entries: Sequence[Entry]
    arrived: dict[str, list[Prepared]]
    readings: dict[str, dict[int, int]]
    """By workspace: utm values that read otherwise when they are decoded once more, of all touches that were read."""
    unreadable: list[tuple[Entry, str]]
    unfit: list[tuple[Entry, str]] = field(default_factory=list)

    @property
    def leaves(self) -> set[int]:
        """The partitions of `touch` that its touches belong to."""
        return {
            leaf_of(a.row.occurred_at_us) for arrived in self.arrived.values() for a in arrived if a.row is not None
        }

    @property
    def received_from_us(self) -> int | None:
        """When the first of the events was received; None if none can be read."""
        return min((a.received_at_us for arrived in self.arrived.values() for a in arrived), default=None)

    @property
    def received_us(self) -> int:
        """When the latest of the events was received."""
        return max((a.received_at_us for arrived in self.arrived.values() for a in arrived), default=0)


def decode(entries: Sequence[Entry]) -> Batch:
    """Decode a batch and prepare its rows. No I/O: this is done while the database works on the batch before."""
    batch = Batch(entries, defaultdict(list), defaultdict(dict), [])
    for entry in entries:
        if not entry.workspace:
            batch.unreadable.append((entry, "the record names no workspace of this partition"))
            continue
        try:
            arrived = prepared(entry.value, entry.offset)
        except UnstorableValue as error:
            batch.unfit.append((entry, str(error)))
            continue
        except UNDECODABLE as error:
            batch.unreadable.append((entry, str(error)))
            continue
        batch.arrived[entry.workspace].append(arrived)
        if arrived.reading is not None:
            batch.readings[entry.workspace].update([arrived.reading])
    return batch
