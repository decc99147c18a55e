"""How do statements find the deals won in spans of time? Parts of SQL; the spans are the arguments $2 and $3."""

from collections.abc import Sequence

Span = tuple[int, int]
"""From an instant, inclusive, to another, exclusive, in microseconds."""

SPANS = "unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY span(from_us, to_us, n)"
DEALS = "JOIN {g}.deal d ON d.ws = $1 AND d.state = 'won' AND d.closed_us >= span.from_us AND d.closed_us < span.to_us"
IN_CURRENCY = "($4::text IS NULL OR d.currency = $4)"


def columns_of(spans: Sequence[Span]) -> tuple[list[int], list[int]]:
    """Spans as statements take them: when they begin, and when they end."""
    return [from_us for from_us, _ in spans], [to_us for _, to_us in spans]
