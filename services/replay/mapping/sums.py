"""How are several rows of a file added up into one event? The numbers of rows whose events have the same id are summed.

A report that is broken down (by device, by advertisement) has several rows for a campaign and a day; the spend is their sum,
and it replaces the amount of an earlier export, broken down or not. The last of the rows gives the event.
"""

from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

from services.replay.mapping.errors import BadCell, BadMapping
from services.replay.mapping.language import MappedRowEvent

GROUPS_MAX = 1_000_000  # ids whose sums are kept in memory, in some 500 MB: a year of 2,700 campaigns by day
EXACT = Context(prec=200)  # digits of a sum: a number in a table has 64 at most, so no digit is lost
DECIMALS = 2  # a sum is written with at least so many, even if they are zero


@dataclass(slots=True)
class _Group:
    """The rows of one id that were read so far."""

    total: Decimal
    last: int
    first: int
    alike: dict[str, Any]
    """The other fields of the event, which must be equal in all its rows."""
    wrong: BadCell | None = None
    wrong_at: int = 0


class Sums:
    """The sums of one file. Call `add` for every row first; then `event_of` gives the event of each row."""

    def __init__(self) -> None:
        self._groups: dict[tuple[int, str], _Group] = {}

    def add(self, row_event: MappedRowEvent, event: dict[str, Any], line: int, wrong: BadCell | None) -> None:
        """Add a row; `event` is the row's own event. `wrong`: the row cannot be read, and `event` has the fields that can.

        A row that cannot be read makes its sum unknown, if its id can be read.
        """
        assert row_event.sum is not None
        if "id" not in event or (wrong is None and row_event.sum not in event):
            return
        alike = {name: value for name, value in event.items() if name not in {row_event.sum, "as_of"}}
        group = self._group(row_event.number, event["id"], alike, line)
        group.last = line
        if group.wrong is not None:
            return
        if wrong is None and group.alike != alike:
            wrong = _unlike(group, alike)
        if wrong is not None:
            group.wrong, group.wrong_at = wrong, line
        else:
            group.total = EXACT.add(group.total, Decimal(event[row_event.sum]))

    def event_of(
        self, row_event: MappedRowEvent, event: dict[str, Any], line: int
    ) -> tuple[dict[str, Any] | None, bool]:
        """The event with the sum, for a row's own event; None if the row gives none, or (then true) a later row gives it.

        Raises `BadCell` if the sum is unknown.
        """
        assert row_event.sum is not None
        if row_event.sum not in event:
            return None, False
        if "id" not in event:
            return event, False  # a row without day or campaign: it is refused later because a field is missing
        group = self._groups[row_event.number, event["id"]]
        if group.wrong is not None:
            if group.wrong_at == line:
                raise group.wrong
            message = (
                f"its sum is unknown, because line {group.wrong_at}, one of its rows, cannot be read: {group.wrong}"
            )
            raise BadCell(message, row_event.sum)
        if line < group.last:
            return None, True
        return {**event, row_event.sum: _plain(group.total)}, False

    def _group(self, number: int, event_id: str, alike: dict[str, Any], line: int) -> _Group:
        key = number, event_id
        if (group := self._groups.get(key)) is None:
            if len(self._groups) >= GROUPS_MAX:
                raise BadMapping(f"line {line}: more than {GROUPS_MAX:,} sums in one file: split it")
            group = self._groups[key] = _Group(Decimal(0), line, line, alike)
        return group


def _unlike(group: _Group, event: dict[str, Any]) -> BadCell:
    names = sorted(name for name in group.alike.keys() | event.keys() if group.alike.get(name) != event.get(name))
    differences = ", ".join(f"{name} {event.get(name)!r}, not {group.alike.get(name)!r}" for name in names)
    return BadCell(
        f"rows that are added up must have the same values in all other fields; this one has {differences} as in line {group.first}"
    )


def _plain(total: Decimal) -> str:
    """A sum as an amount, without trailing zeros beyond `DECIMALS`, which come from a long fraction of one row."""
    text = f"{total:f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.rstrip('0').ljust(min(DECIMALS, len(fraction)), '0')}" if fraction else text
