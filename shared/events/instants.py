"""How are instants represented? As integers: microseconds since 1970-01-01T00:00:00Z."""

import datetime as dt

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
BEGINNING_US = -(2**63)  # before every instant
END_US = 2**63 - 1  # after every instant


def to_micros(instant: dt.datetime) -> int:
    """Microseconds of an aware datetime."""
    since = instant - EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND_US + since.microseconds


def from_micros(at_us: int) -> dt.datetime:
    """The aware datetime, in UTC."""
    return EPOCH + dt.timedelta(microseconds=at_us)


def to_rfc3339(at_us: int) -> str:
    """`2024-01-05T10:00:00Z`, with six decimals only where they are not zero."""
    return from_micros(at_us).isoformat().replace("+00:00", "Z")
