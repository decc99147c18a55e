"""Of which time are numbers asked?"""

from dataclasses import dataclass

from shared.events.instants import BEGINNING_US, END_US, to_rfc3339


@dataclass(frozen=True, slots=True)
class TimeRange:
    """`[from_us, to_us)`: instants in microseconds since 1970, the first included and the last not.

    `BEGINNING_US` and `END_US` of `shared.events.instants` leave a side open.
    """

    from_us: int = BEGINNING_US
    to_us: int = END_US

    def __contains__(self, at_us: int) -> bool:
        """Whether an instant lies in the range."""
        return self.from_us <= at_us < self.to_us

    def as_json(self) -> dict[str, str | None]:
        """`from` and `to` as RFC 3339 instants, null for an open side."""
        return {
            "from": None if self.from_us == BEGINNING_US else to_rfc3339(self.from_us),
            "to": None if self.to_us == END_US else to_rfc3339(self.to_us),
        }


ALL_TIME = TimeRange()
