"""The counters of the ingest service at `/metrics`, beside those of its HTTP requests and of the log."""

from prometheus_client import Counter

EVENTS = Counter(
    "touchline_ingest_events",
    "Events that came in, by outcome: accepted, refused, or lost (the pixel, while the log cannot be reached)",
    ["outcome"],
)
ACCEPTED = EVENTS.labels("accepted")
MESSAGES = Counter("touchline_producer_messages", "Messages of outside producers, by outcome", ["producer", "outcome"])
DEAD_LETTERS = Counter(
    "touchline_ingest_dead_letters", "Refused events that were kept as dead letters, by reason", ["reason"]
)
RATE_LIMITED = Counter(
    "touchline_ingest_rate_limited",
    "Requests that were answered 429, and clicks of links that were not recorded, by what sent too many: key or address",
    ["by"],
)
BEYOND_BOUND = Counter(
    "touchline_ingest_beyond_bound",
    "Events that were refused because their public key may add no more of a kind today",
    ["kind"],
)
BOUND_ALARMS = Counter(
    "touchline_ingest_bound_alarms",
    "How often a public key came near to a daily bound, or met it: once a day for each key",
    ["kind", "level"],
)
PUSHED_OUT = Counter(
    "touchline_ingest_dead_letters_pushed_out",
    "Dead letters that were deleted because newer ones took their place, by class of key",
    ["key_class"],
)
