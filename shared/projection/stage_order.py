"""The stages of the projection, in their order: the changes that one passes on, later ones may take."""

from shared.events.registry import STAGES
from shared.projection.changes import EventsArrived
from shared.projection.pipeline import BadPipeline, Pipeline
from shared.projection.stages.admission.apply import STAGE as ADMISSION
from shared.projection.stages.catalog.apply import STAGE as CATALOG
from shared.projection.stages.cells.apply import STAGE as CELLS
from shared.projection.stages.contacts.apply import STAGE as CONTACTS
from shared.projection.stages.credit_days.apply import STAGE as CREDIT_DAYS
from shared.projection.stages.deals.apply import STAGE as DEALS
from shared.projection.stages.entities.apply import STAGE as ENTITIES
from shared.projection.stages.identity.apply import STAGE as IDENTITY
from shared.projection.stages.mentions.apply import STAGE as MENTIONS
from shared.projection.stages.sessions.apply import STAGE as SESSIONS
from shared.projection.stages.touches.apply import STAGE as TOUCHES
from shared.projection.stages.traffic.apply import STAGE as TRAFFIC

PIPELINE = Pipeline(
    begins_with=[EventsArrived],
    stages=[
        ADMISSION,
        ENTITIES,
        TOUCHES,
        MENTIONS,
        IDENTITY,
        TRAFFIC,
        SESSIONS,
        CONTACTS,
        CATALOG,
        DEALS,
        CELLS,
        CREDIT_DAYS,
    ],
)
"""Live all of them run; in bulk, those after `mentions` run on what was loaded."""

if (names := tuple(stage.name for stage in PIPELINE.stages)) != STAGES:
    raise BadPipeline(f"the stages are {', '.join(names)}; shared/events/registry.py has {', '.join(STAGES)}")
