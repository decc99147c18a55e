"""What does ingest tell of itself, beside its requests and the log?"""

from prometheus_client import Counter

EVENTS = Counter("touchline_ingest_events", "Events that came in: accepted, refused, or lost by the pixel", ["outcome"])
MESSAGES = Counter("touchline_producer_messages", "Messages of outside producers", ["producer", "outcome"])
DEAD_LETTERS = Counter("touchline_ingest_dead_letters", "Refused events that were kept", ["reason"])
PUSHED_OUT = Counter(
    "touchline_ingest_dead_letters_pushed_out",
    "Dead letters that later ones pushed out, by class of key",
    ["key_class"],
)
