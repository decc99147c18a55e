"""Dead letters are found by the event's id: the person who sent it asks what became of it."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Index dead letters by event."""
    op.create_index("dead_letter_event", "dead_letter", ["workspace_id", "event_id"], schema="touchline")
