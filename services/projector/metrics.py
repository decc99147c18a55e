"""Which metrics does a projector export?"""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter("touchline_projector_events", "Events projected, including duplicates", ["partition"])
BATCH_EVENTS = Histogram(
    "touchline_projector_batch_events", "Events in a batch", buckets=(1, 10, 100, 1_000, 2_500, 5_000, 10_000)
)
BATCH_SECONDS = Histogram(
    "touchline_projector_batch_seconds", "Seconds until a batch was projected and committed",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)  # fmt: skip
LAG_EVENTS = Gauge(
    "touchline_projector_lag_events", "Events in the log that are not projected yet", ["partition", "generation"]
)
LAG_SECONDS = Gauge(
    "touchline_projector_lag_seconds",
    "Seconds since the oldest event that is not projected yet was received",
    ["partition", "generation"],
)
REPROJECTION_EVENTS_DONE = Gauge(
    "touchline_projector_reprojection_events_done",
    "Events of a workspace that are projected again so far, because a changed setting applies to all of its history",
    ["workspace", "generation"],
)
REPROJECTION_EVENTS_TO_DO = Gauge(
    "touchline_projector_reprojection_events_to_do",
    "Events of the workspace that were to be projected again when it began",
    ["workspace", "generation"],
)
REPROJECTION_STARTED = Gauge(
    "touchline_projector_reprojection_started_timestamp_seconds",
    "Unix time when projecting a workspace again began",
    ["workspace", "generation"],
)
VERIFIED = Gauge(
    "touchline_projector_verified_timestamp_seconds",
    "Unix time when the latest `touchline replay verify` that found no difference began, of everything or of a sample",
    ["extent"],
)
RETRIES = Counter("touchline_projector_retries", "Batches that failed and were tried again, by reason", ["why"])
DEAD_LETTERS = Counter(
    "touchline_projector_dead_letters", "Events stored as dead letters, each counted once, by reason", ["reason"]
)
