"""`touchline retract`: take an event back, without HTTP."""

from pathlib import Path

from services.ingest.catalog import corrections
from services.ingest.catalog.calls import Outcome
from services.ingest.catalog.turn import Turn
from touchline.commands.catalog_changes import change


def retract(event_id: str, data: Path | None, workspace: str, *, as_json: bool) -> None:
    """Take an event of any type back. Exits 1 if there is no such event."""

    async def retracted(turn: Turn) -> Outcome:
        return await corrections.retract(turn.snapshot, event_id, turn.now_us)

    change(data, workspace, f"took {event_id} back", retracted, as_json=as_json)
