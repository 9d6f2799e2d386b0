"""The Temporal floor's workflow: six local activities that share one workflow task."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from bench.floor_activities import FloorActivities
    from bench.steps import Answer, Asked, DeliveryInput, ReplyInput, StoreInput, TicketInput, answer, compose

LIMIT = timedelta(seconds=5)


@workflow.defn(name="floor")
class TemporalFloorWorkflow:
    @workflow.init
    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._answer: Answer | None = None

    @workflow.run
    async def run(self, asked: Asked) -> None:
        local = workflow.execute_local_activity_method
        understood = await local(FloorActivities.classify, asked.message, start_to_close_timeout=LIMIT)
        decided = await local(FloorActivities.decide, understood, start_to_close_timeout=LIMIT)
        wanted = TicketInput(asked, understood.intent, decided.priority)
        ticket = await local(FloorActivities.create_ticket, wanted, start_to_close_timeout=LIMIT)
        reply = compose(ticket)
        unbacked = await local(FloorActivities.verify, ReplyInput(reply, [ticket]), start_to_close_timeout=LIMIT)
        await local(FloorActivities.deliver, DeliveryInput(asked, reply), start_to_close_timeout=LIMIT)
        done = answer(understood, decided, ticket, reply, unbacked)
        await local(FloorActivities.store, StoreInput(asked, done), start_to_close_timeout=LIMIT)
        self._answer = done
        await workflow.wait_condition(workflow.all_handlers_finished)

    @workflow.update
    async def answer(self) -> Answer:
        await workflow.wait_condition(lambda: self._answer is not None)
        assert self._answer is not None
        return self._answer
