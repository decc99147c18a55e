"""What do several rows of a file tell together? Their numbers are added up where their event has one id.

A report that is broken down (by device, by advertisement) has several rows for a campaign and a day; what was spent is their
sum, and it replaces what an export told before, broken down or not. The last of the rows tells it.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.replay.mapping.errors import BadCell, BadMapping
from services.replay.mapping.language import ToldEvent

GROUPS_MAX = 1_000_000  # ids whose sums are kept in memory, in some 500 MB; a year of 2,700 campaigns by day
DECIMALS = 2  # that are kept of a sum, even if they are zero


@dataclass(slots=True)
class _Group:
    """The rows of one id so far."""

    total: Decimal
    last: int
    first: int
    alike: dict[str, Any]
    """What its rows tell but the number: the same of each."""
    wrong: BadCell | None = None
    wrong_at: int = 0


class Sums:
    """The sums of one file. `add` is told every row first, `tell` then says which row tells which sum."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, str], _Group] = {}

    def add(self, told: ToldEvent, event: dict[str, Any], line: int, wrong: BadCell | None) -> None:
        """Take a row in, by the event that it would tell alone. `wrong`: it cannot be read, and `event` is what of it can.

        A row that cannot be read leaves its sum unknown, if it can be told which sum that is.
        """
        assert told.sum is not None
        if "id" not in event or (wrong is None and told.sum not in event):
            return
        alike = {name: value for name, value in event.items() if name not in {told.sum, "as_of"}}
        group = self._group(told.number, event["id"], alike, line)
        group.last = line
        if group.wrong is not None:
            return
        if wrong is None and group.alike != alike:
            wrong = _unlike(group, alike)
        if wrong is not None:
            group.wrong, group.wrong_at = wrong, line
        else:
            group.total += Decimal(event[told.sum])

    def tell(self, told: ToldEvent, event: dict[str, Any], line: int) -> tuple[dict[str, Any] | None, bool]:
        """The sum's event, by the event that a row would tell alone; None if it tells none, or a later row does (then true).

        Raises `BadCell` if the sum is unknown.
        """
        assert told.sum is not None
        if told.sum not in event:
            return None, False
        if "id" not in event:
            return event, False  # a row without day or campaign: it is refused for what it lacks
        group = self._groups[told.number, event["id"]]
        if group.wrong is not None:
            if group.wrong_at == line:
                raise group.wrong
            said = f"its sum cannot be told, because line {group.wrong_at} is one of its rows: {group.wrong}"
            raise BadCell(said, told.sum)
        if line < group.last:
            return None, True
        return {**event, told.sum: _plain(group.total)}, False

    def _group(self, number: int, event_id: str, alike: dict[str, Any], line: int) -> _Group:
        key = number, event_id
        if (group := self._groups.get(key)) is None:
            if len(self._groups) >= GROUPS_MAX:
                raise BadMapping(f"line {line}: more than {GROUPS_MAX:,} sums in one file: split it")
            group = self._groups[key] = _Group(Decimal(0), line, line, alike)
        return group


def _unlike(group: _Group, event: dict[str, Any]) -> BadCell:
    names = sorted(name for name in group.alike.keys() | event.keys() if group.alike.get(name) != event.get(name))
    said = ", ".join(f"{name} {event.get(name)!r}, not {group.alike.get(name)!r}" for name in names)
    return BadCell(f"rows that are added up say the same of all else; it says {said}, as line {group.first} does")


def _plain(total: Decimal) -> str:
    """A sum as an amount is written, without the zeros that only a long fraction of one row has brought."""
    text = f"{total:f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(min(DECIMALS, len(fraction)), '0')}" if fraction else text
