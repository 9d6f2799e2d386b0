"""The six steps as activities, for both Temporal contestants."""

from temporalio import activity

from bench import rows, steps
from bench.rows import Pool
from bench.steps import Decided, DeliveryInput, ReplyInput, StoreInput, TicketInput, Understood


class FloorActivities:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @activity.defn
    async def classify(self, message: str) -> Understood:
        return steps.classify(message)

    @activity.defn
    async def decide(self, understood: Understood) -> Decided:
        return steps.decide(understood)

    @activity.defn
    async def verify(self, draft: ReplyInput) -> list[str]:
        return steps.verify(draft)

    @activity.defn
    async def create_ticket(self, wanted: TicketInput) -> str:
        return await rows.insert_ticket(self._pool, wanted.asked, wanted.topic, wanted.priority)

    @activity.defn
    async def deliver(self, delivery: DeliveryInput) -> None:
        await rows.insert_delivery(self._pool, delivery.asked, delivery.reply)

    @activity.defn
    async def store(self, outcome: StoreInput) -> None:
        await rows.insert_interaction(self._pool, outcome.asked, outcome.answer)
