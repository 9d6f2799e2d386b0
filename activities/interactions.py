"""Reading one interaction's message."""

from temporalio import activity

from activities.failures import durable
from domain.interaction import InteractionRef
from domain.ports import Failpoints, IntentModel
from domain.proposal import Understanding
from domain.understanding.understand import understand
from schema.interactions import InteractionRepository
from schema.session import Database


class InteractionActivities:
    def __init__(self, db: Database, intents: IntentModel, failpoints: Failpoints) -> None:
        self._db = db
        self._intents = intents
        self._failpoints = failpoints

    @activity.defn(name="interactions.understand")
    @durable
    async def understand(self, interaction: InteractionRef) -> Understanding:
        """What the message seems to say. Its words stay in Postgres."""
        async with self._db.transaction(interaction.organisation) as session:
            record = await InteractionRepository(session).get(interaction.interaction_id)
        return understand(record.message, self._intents)
