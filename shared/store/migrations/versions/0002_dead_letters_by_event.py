"""Dead letters can be looked up by event id, so that a sender can see what happened to an event."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Index dead letters by event."""
    op.create_index("dead_letter_event", "dead_letter", ["workspace_id", "event_id"], schema="touchline")
