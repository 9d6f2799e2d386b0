"""A release that changed workflows carelessly: what it does to runs that an older release began."""

from datetime import timedelta

from temporalio import workflow

from domain.interaction import InteractionRef, InteractionResult
from workflows.interaction import InteractionWorkflow


@workflow.defn(name="interaction")
class CarelessInteraction(InteractionWorkflow):
    """The interaction with a pause before everything else, and no patch around it."""

    @workflow.init
    def __init__(self, start: InteractionRef) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: InteractionRef) -> InteractionResult:
        await workflow.sleep(timedelta(milliseconds=1))
        return await super().run(start)
