"""Spans of time; and how do statements find the deals won in them? Parts of SQL; the spans are the arguments $2 and $3."""

from collections.abc import Iterable, Sequence

Span = tuple[int, int]
"""From an instant, inclusive, to another, exclusive, in microseconds."""

SPANS = "unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY span(from_us, to_us, n)"
DEALS = "JOIN {g}.deal d ON d.ws = $1 AND d.state = 'won' AND d.closed_us >= span.from_us AND d.closed_us < span.to_us"
IN_CURRENCY = "($4::text IS NULL OR d.currency = $4)"


def joined(spans: Iterable[Span]) -> list[Span]:
    """Spans, which are in order; those that follow one another as one."""
    out: list[Span] = []
    for from_us, to_us in spans:
        if out and out[-1][1] == from_us:
            out[-1] = out[-1][0], to_us
        else:
            out.append((from_us, to_us))
    return out


def columns_of(spans: Sequence[Span]) -> tuple[list[int], list[int]]:
    """Spans as statements take them: when they begin, and when they end."""
    return [from_us for from_us, _ in spans], [to_us for _, to_us in spans]
